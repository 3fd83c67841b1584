//! Entry point of the `vigie` executable.
fn main() {}
