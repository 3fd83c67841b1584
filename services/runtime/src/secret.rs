//! Secrets come from a file or from the environment, never from the configuration itself, and never print.

use std::path::PathBuf;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// A secret. `Debug` prints `***`; there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret that is already in memory.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself; hand it to what needs it and to nothing that logs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Where a secret is: `{ file = "/run/secrets/x" }` or `{ env = "X" }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretSource {
    /// A file; white space around the secret is dropped.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

impl SecretSource {
    /// Reads the secret.
    ///
    /// # Errors
    /// The file or variable is missing or empty.
    pub fn read(&self) -> anyhow::Result<Secret> {
        let (text, place) = match self {
            Self::File(path) => (
                std::fs::read_to_string(path).with_context(|| format!("could not read the secret file {}", path.display()))?,
                path.display().to_string(),
            ),
            Self::Env(name) => (
                std::env::var(name).with_context(|| format!("the environment variable {name}, which holds a secret, is not set"))?,
                format!("environment variable {name}"),
            ),
        };
        let trimmed = text.trim();
        anyhow::ensure!(!trimmed.is_empty(), "the secret in {place} is empty");
        Ok(Secret::new(trimmed))
    }
}
