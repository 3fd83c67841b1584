//! The command line, on the real binary.

mod dead_letters;
mod evaluate;
mod metrics;
mod offline;
mod operations;
mod preview;
mod process;
mod support;
