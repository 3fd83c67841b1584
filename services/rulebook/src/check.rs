//! What is wrong or doubtful in packs, without running them on comments.

use std::collections::BTreeMap;

use crate::compile::{Effect, Rulebook};
use crate::problem::Problem;

/// Words that ordinary comments use: a term that is one of them hits everybody.
const COMMON_WORDS: &str = include_str!("common_words.txt");

/// Every problem of the packs: errors, or, where there are none, warnings about terms that are written twice, are common words, or
/// entries that lack cases.
#[must_use]
pub fn check(files: &BTreeMap<String, String>) -> Vec<Problem> {
    match Rulebook::parse(files) {
        Ok(rulebook) => warnings(&rulebook),
        Err(problems) => problems,
    }
}

fn warnings(rulebook: &Rulebook) -> Vec<Problem> {
    let mut problems = Vec::new();
    for entry in &rulebook.entries {
        let lacks = match (entry.cases.positive.is_empty(), entry.cases.negative.is_empty()) {
            (true, _) => "that must match",
            (false, true) => "that must not match",
            (false, false) => continue,
        };
        problems.push(Problem::warning(
            &entry.file,
            entry.line,
            format!("`{}` has no case {lacks}", entry.name),
        ));
    }
    let common: std::collections::BTreeSet<&str> = COMMON_WORDS.lines().collect();
    let mut first: BTreeMap<&[u8], usize> = BTreeMap::new();
    for term in &rulebook.terms {
        let entry = &rulebook.entries[term.entry];
        if matches!(entry.effect, Effect::Allow { .. }) {
            continue;
        }
        if std::str::from_utf8(&term.folded).is_ok_and(|word| common.contains(word)) {
            let message = format!(
                "`{}` in `{}` is a common word: add words around it, or a guard",
                term.written, entry.name
            );
            problems.push(Problem::warning(&entry.file, entry.line, message));
        }
        let earlier = *first.entry(&term.folded).or_insert(term.entry);
        if earlier != term.entry {
            let message = format!(
                "`{}` in `{}` is already in `{}`",
                term.written, entry.name, rulebook.entries[earlier].name
            );
            problems.push(Problem::warning(&entry.file, entry.line, message));
        }
    }
    problems.sort();
    problems.dedup();
    problems
}
