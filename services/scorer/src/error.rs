//! What can go wrong while a model is opened or asked. No message holds the text of a comment.

use std::path::PathBuf;

/// Why a model cannot be opened or cannot answer. Everything but [`ScorerError::Run`] shows before the first text is scored.
#[derive(Debug, thiserror::Error)]
pub enum ScorerError {
    /// A file of the model is not there.
    #[error("could not open model `{model}`: {path} is missing; take the whole folder models/{model} from the repository or the release")]
    Missing {
        /// Name of the model folder.
        model: String,
        /// The file.
        path: PathBuf,
    },
    /// A file is there and cannot be read.
    #[error("could not open model `{model}`: {path} cannot be read: {source}")]
    Unreadable {
        /// Name of the model folder.
        model: String,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is not the one that the manifest was written for.
    #[error(
        "could not open model `{model}`: {path} has the sha256 {found}, the manifest says {expected}: the file was changed or cut, take it again"
    )]
    Hash {
        /// Name of the model folder.
        model: String,
        /// The file.
        path: PathBuf,
        /// Hash in the manifest.
        expected: String,
        /// Hash of the file.
        found: String,
    },
    /// The manifest is not TOML, lacks something or contradicts itself.
    #[error("could not open model `{model}`: {path}: {message}")]
    Manifest {
        /// Name of the model folder.
        model: String,
        /// The manifest.
        path: PathBuf,
        /// What is wrong and what would be right.
        message: String,
    },
    /// The tokenizer cannot be used.
    #[error("could not open model `{model}`: the tokenizer cannot be used: {message}")]
    Tokenizer {
        /// Name of the model folder.
        model: String,
        /// What the tokenizer library says.
        message: String,
    },
    /// The network is not what the manifest says.
    #[error("could not open model `{model}`: the network does not fit its manifest: {message}")]
    Network {
        /// Name of the model folder.
        model: String,
        /// What differs.
        message: String,
    },
    /// The shared library of ONNX Runtime cannot be used.
    #[error("could not load ONNX Runtime from {path}: {message}; fetch it with `deploy/onnxruntime` and give its path as `onnxruntime`")]
    Library {
        /// Where it was looked for.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A run failed.
    #[error("model `{model}` could not score: {message}")]
    Run {
        /// Name of the model.
        model: String,
        /// What the runtime says.
        message: String,
    },
}
