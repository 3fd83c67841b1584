//! The `vigie` executable, built where the system tests find it: they start, kill and restart the real thing.

use std::process::ExitCode;

fn main() -> ExitCode {
    vigie::cli::main()
}
