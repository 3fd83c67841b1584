//! Which packs, and which rule: digests that change when what is found may change.

use sha2::{Digest, Sha256};

use crate::compile::{Effect, Rulebook, ScopeLimit};
use crate::pack::{Accents, RawContext};
use crate::pattern::{Classes, source};

impl Rulebook {
    /// Every rule by its name, `pack/entry`, with a digest of what it looks for: terms, patterns with their classes filled in, guards,
    /// scope, accents. Its note, its cases and what a hit asks for are no part of the digest, nor are allow-lists and words to unmask:
    /// they belong to all rules.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries
            .iter()
            .filter(|entry| matches!(entry.effect, Effect::Hit { .. }))
            .map(|entry| (entry.name.as_str(), entry.digest.as_str()))
    }
}

/// The digest of what an entry looks for. Patterns that are none are left out: their packs are refused.
pub(crate) fn of_entry(
    terms: &[String],
    patterns: &[String],
    guards: &RawContext,
    scope: &ScopeLimit,
    accents: Accents,
    classes: &Classes,
) -> String {
    let filled = |patterns: &[String]| -> Vec<String> { patterns.iter().filter_map(|pattern| source(pattern, classes).ok()).collect() };
    let lists = [
        terms.to_vec(),
        filled(patterns),
        filled(&guards.before),
        filled(&guards.after),
        filled(&guards.anywhere),
        vec![format!("{:?} {accents:?}", guards.within)],
        scope.institution.clone(),
        scope.account.clone(),
        scope.platform.iter().map(|platform| platform.as_str().to_owned()).collect(),
        scope.language.clone(),
    ];
    let mut hash = Sha256::new();
    for list in &lists {
        hash.update((list.len() as u64).to_be_bytes());
        list.iter().for_each(|part| add(&mut hash, part));
    }
    short(hash)
}

/// The digest of texts in order.
pub(crate) fn of_texts<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    texts.for_each(|text| add(&mut hash, text));
    short(hash)
}

fn add(hash: &mut Sha256, part: &str) {
    hash.update((part.len() as u64).to_be_bytes());
    hash.update(part.as_bytes());
}

/// Twelve hexadecimal digits.
fn short(hash: Sha256) -> String {
    hex::encode(&hash.finalize()[..6])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const PACK: &str = r#"
description = "x"
classes = { beast = ["rat", "porc"] }
[[rule]]
id = "a"
act = "insult"
severity = 1
action = "signal"
terms = ["sot"]
patterns = ["sale <beast>"]
guards = { before = ["pas"] }
note = "n"
[rule.cases]
match = ["un sot"]
[[rule]]
id = "b"
act = "insult"
severity = 1
action = "signal"
terms = ["nigaud"]
"#;

    fn digests(pack: &str) -> Vec<(String, String)> {
        let files = BTreeMap::from([("p.toml".to_owned(), pack.to_owned())]);
        let rulebook = Rulebook::parse(&files).expect("a pack");
        rulebook
            .rules()
            .map(|(name, digest)| (name.to_owned(), digest.to_owned()))
            .collect()
    }

    #[test]
    fn a_digest_follows_what_is_looked_for_and_nothing_else() {
        let before = digests(PACK);
        assert_eq!(before[0].0, "p/a");
        assert_ne!(before[0].1, before[1].1);
        for (from, to, changes) in [
            ("[\"sot\"]", "[\"sot\", \"sotte\"]", true),
            ("\"porc\"", "\"porc\", \"chien\"", true),
            ("sale <beast>", "<beast> sale", true),
            ("before", "after", true),
            ("[\"pas\"]", "[\"pas\"], within = 2", true),
            ("note =", "scope = { platform = [\"mastodon\"] }\nnote =", true),
            ("note =", "accents = \"strict\"\nnote =", true),
            ("note = \"n\"", "note = \"m\"", false),
            ("un sot", "quel sot", false),
            ("severity = 1", "severity = 3", false),
            ("act = \"insult\"", "act = \"spam\"", false),
        ] {
            let after = digests(&PACK.replacen(from, to, 1));
            assert_eq!(after[0].1 != before[0].1, changes, "{from} to {to}");
            assert_eq!(after[1], before[1], "the other rule stays, {from} to {to}");
        }
    }
}
