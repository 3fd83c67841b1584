//! The whole of Vigie, as its users meet it.

mod bad_input;
mod browser;
mod kafka;
mod kill;
mod way;

/// The executable under test.
const VIGIE: &str = env!("CARGO_BIN_EXE_vigie-under-test");
