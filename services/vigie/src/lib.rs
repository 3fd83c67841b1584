//! The executable: every service in one process, or any subset, and the commands around them.

pub mod cli;
mod client;
mod commands;
pub mod config;
mod control;
mod imports;
pub mod instance;
mod letters;
pub mod process;
mod watch;

pub use config::Config;
pub use process::{Running, Service, open, start};
