//! Where tests and benchmarks find the models and ONNX Runtime. Not for services, which are told.

use std::path::{Path, PathBuf};

/// The ONNX Runtime that `deploy/onnxruntime` or `tests/run` fetched.
///
/// # Panics
/// None was fetched.
#[must_use]
pub fn library() -> PathBuf {
    let home = std::env::home_dir().unwrap_or_default().join(".cache/vigie/onnxruntime");
    let places = [root().join("deploy/.cache/onnxruntime"), home];
    let found = places
        .iter()
        .map(|place| place.join("1.24.4/libonnxruntime.so"))
        .find(|path| path.exists());
    found.unwrap_or_else(|| panic!("no ONNX Runtime in {}: run `deploy/onnxruntime` first", places[0].display()))
}

/// The folder of a model of the repository.
#[must_use]
pub fn model(name: &str) -> PathBuf {
    root().join("models").join(name)
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
