//! Packs from a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::compile::Rulebook;
use crate::problem::Problem;

/// Why packs could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The folder or a file cannot be read.
    #[error("could not read rule packs from {path}: {source}")]
    Read {
        /// Which folder or file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The folder holds no pack.
    #[error("{0} holds no rule pack (*.toml): set the folder of the rules")]
    Empty(PathBuf),
    /// Packs with errors.
    #[error("rule packs cannot be used: {}", first_of(.0))]
    Problems(Vec<Problem>),
}

fn first_of(problems: &[Problem]) -> String {
    match problems {
        [] => String::new(),
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more; `vigie rules check` lists them)", rest.len()),
    }
}

impl Rulebook {
    /// Reads every `*.toml` of `dir`.
    ///
    /// # Errors
    /// The folder cannot be read or is empty, or a pack has an error.
    pub fn load(dir: &Path) -> Result<Self, LoadError> {
        Self::parse(&read_packs(dir)?).map_err(LoadError::Problems)
    }

    /// The text of every `*.toml` of `dir`, by file name: what [`Rulebook::parse`] and [`crate::check`] take.
    ///
    /// # Errors
    /// The folder cannot be read or is empty.
    pub fn read(dir: &Path) -> Result<BTreeMap<String, String>, LoadError> {
        read_packs(dir)
    }
}

fn read_packs(dir: &Path) -> Result<BTreeMap<String, String>, LoadError> {
    let failed = |path: &Path, source| LoadError::Read {
        path: path.to_owned(),
        source,
    };
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(|source| failed(dir, source))? {
        let path = entry.map_err(|source| failed(dir, source))?.path();
        if path.extension().is_some_and(|extension| extension == "toml")
            && let Some(name) = path.file_name().and_then(|name| name.to_str())
        {
            files.insert(
                name.to_owned(),
                std::fs::read_to_string(&path).map_err(|source| failed(&path, source))?,
            );
        }
    }
    if files.is_empty() {
        Err(LoadError::Empty(dir.to_owned()))
    } else {
        Ok(files)
    }
}
