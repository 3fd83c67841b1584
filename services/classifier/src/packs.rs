//! Puts changed rule packs in force without a restart. A broken pack never replaces a working one: the error is logged and counted,
//! and the packs in force stay.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use vigie_rulebook::{LoadError, Rulebook};

/// How often the folder is looked at.
const INTERVAL: Duration = Duration::from_secs(10);

/// Names, times and sizes of the packs: they change when a pack does.
type Fingerprint = Vec<(PathBuf, Option<SystemTime>, u64)>;

/// Watches the folder of the rule packs.
pub struct Packs {
    dir: PathBuf,
    seen: Fingerprint,
    looked: Instant,
}

impl Packs {
    /// Loads the packs of `dir`.
    ///
    /// # Errors
    /// The folder cannot be read, or a pack is broken.
    pub fn open(dir: &Path) -> Result<(Self, Rulebook), LoadError> {
        let seen = fingerprint(dir);
        let rulebook = Rulebook::load(dir)?;
        Ok((
            Self {
                dir: dir.to_owned(),
                seen,
                looked: Instant::now(),
            },
            rulebook,
        ))
    }

    /// The new rulebook, where the packs changed since the last look and it is time to look again. A broken state is reported once.
    pub fn changed(&mut self) -> Option<Result<Rulebook, LoadError>> {
        if self.looked.elapsed() < INTERVAL {
            return None;
        }
        self.look()
    }

    fn look(&mut self) -> Option<Result<Rulebook, LoadError>> {
        self.looked = Instant::now();
        let now = fingerprint(&self.dir);
        if now == self.seen {
            return None;
        }
        self.seen = now;
        Some(Rulebook::load(&self.dir))
    }
}

/// An unreadable folder has an empty fingerprint: the loader says what is wrong with it.
fn fingerprint(dir: &Path) -> Fingerprint {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut packs: Fingerprint = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "toml"))
        .map(|entry| {
            let metadata = entry.metadata().ok();
            let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
            (entry.path(), modified, metadata.map_or(0, |metadata| metadata.len()))
        })
        .collect();
    packs.sort();
    packs
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACK: &str = "description = \"x\"\n\n[[rule]]\nid = \"a\"\nact = \"insult\"\nseverity = 1\naction = \"signal\"\nterms = [\"saperlipopette\"]\n[rule.cases]\nmatch = [\"saperlipopette\"]\nno_match = [\"bonjour\"]\n";

    #[test]
    fn a_change_is_loaded_once_and_a_broken_pack_is_an_error() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("x.toml");
        std::fs::write(&path, PACK)?;
        let (mut packs, first) = Packs::open(dir.path())?;
        assert!(packs.changed().is_none(), "it is not time to look");
        assert!(packs.look().is_none(), "nothing changed");
        std::fs::write(&path, PACK.replace("severity = 1", "severity = 3 "))?;
        let second = packs.look().ok_or("the change was not seen")??;
        assert_ne!(first.version(), second.version());
        std::fs::write(&path, "broken")?;
        assert!(packs.look().ok_or("the change was not seen")?.is_err());
        assert!(packs.look().is_none(), "a broken state is reported once");
        Ok(())
    }
}
