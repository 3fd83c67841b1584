//! The counts of [`RuleRates`] in a file of the data directory, so that histories survive a restart.
//!
//! They only watch: a file that is lost or cannot be used costs the history, never a start.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;

use super::RuleRates;

/// Far more than the rules of the packs need.
const BYTES_MAX: u64 = 16 << 20;

/// The counts that [`save`] wrote; new ones where there are none.
///
/// # Errors
/// The file cannot be read, or does not hold such counts.
pub fn open(path: &Path) -> anyhow::Result<RuleRates> {
    let shown = path.display();
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(RuleRates::default()),
        Err(error) => return Err(error).with_context(|| format!("could not open {shown}")),
    };
    let mut text = String::new();
    file.take(BYTES_MAX)
        .read_to_string(&mut text)
        .with_context(|| format!("could not read {shown}"))?;
    let rates: RuleRates = serde_json::from_str(&text).with_context(|| format!("{shown} does not hold rates of rules"))?;
    anyhow::ensure!(rates.is_sound(), "{shown} holds rates that cannot be");
    Ok(rates)
}

/// Writes beside and moves, so that nobody reads half a file.
///
/// # Errors
/// The directory cannot be written.
pub fn save(rates: &RuleRates, path: &Path) -> anyhow::Result<()> {
    let beside = path.with_extension("partial");
    let text = serde_json::to_vec(rates).context("could not encode the rates of rules")?;
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, path))
        .with_context(|| format!("could not write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::hit;
    use super::super::{Side, WINDOW_COMMENTS};
    use super::*;

    #[test]
    fn counts_survive_a_restart_and_what_cannot_be_is_refused() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("rates.json");
        assert_eq!(open(&path)?, RuleRates::default(), "no file is a beginning");
        let mut rates = RuleRates::default();
        rates.follow([("p/a", "1"), ("p/b", "2")].into_iter());
        let mut feed = |comments, hits: &[_]| {
            for _ in 0..comments {
                rates.observe(hits);
            }
        };
        feed(4 * WINDOW_COMMENTS, &[]);
        feed(WINDOW_COMMENTS, &[hit("p/a")]);
        feed(700, &[]);
        assert_eq!(rates.rules["p/a"].apart_side, Some(Side::More));
        save(&rates, &path)?;
        assert_eq!(open(&path)?, rates);

        let good = std::fs::read_to_string(&path)?;
        for (from, to) in [
            ("{", ""),
            ("\"closed\":8000", "\"closed\":8001"),
            ("\"closed\":8000", "\"closed\":700"),
            ("\"open\":700", "\"open\":8000"),
            ("\"missed\":0", "\"missed\":701"),
            ("\"hits\":0", "\"hits\":701"),
            ("\"comments\":8000", "\"comments\":8001"),
            ("\"comments\":8000", "\"comments\":0"),
            ("\"apart_side\":\"more\"", "\"apart_side\":null"),
        ] {
            assert!(good.contains(from), "{from} is not in the file");
            std::fs::write(&path, good.replacen(from, to, 1))?;
            assert!(open(&path).is_err(), "{from} to {to}");
        }
        std::fs::remove_file(&path)?;
        std::fs::create_dir(&path)?;
        assert!(save(&rates, &path).is_err());
        Ok(())
    }
}
