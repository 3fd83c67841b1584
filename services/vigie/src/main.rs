//! Entry point of the `vigie` executable; everything else is in the library, so that tests start the real thing.

use std::process::ExitCode;

fn main() -> ExitCode {
    vigie::cli::main()
}
