//! The archive as a whole: what the tables and the index hold, what they must never hold, and what people see of it.

mod keeping;
mod once;
mod pages;
mod searching;
mod story;
