//! What is wrong or doubtful in packs, without running them on comments.

use std::collections::BTreeMap;

use crate::compile::{Effect, Rulebook};
use crate::problem::Problem;

/// Words that ordinary comments use, folded, one a line: a term that is one of them hits everybody. Counted in 6,604 acceptable French
/// comments: each stands in at least 8 of them, and is not three times as frequent in 3,417 abusive ones.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(term: &str) -> Vec<String> {
        let pack = format!(
            "description = \"x\"\n[[rule]]\nid = \"x\"\nterms = [\"{term}\"]\nact = \"insult\"\nseverity = 2\naction = \"review\"\n\
             [rule.cases]\nmatch = [\"{term}\"]\nno_match = [\"bonjour à tous\"]\n"
        );
        check(&BTreeMap::from([("x.toml".to_owned(), pack)]))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_common_word_as_a_term_is_named() {
        for term in ["hommes", "Bibliothèque", "toujours"] {
            let problems = warned(term);
            assert!(
                problems.iter().any(|problem| problem.contains("is a common word")),
                "{term}: {problems:?}"
            );
        }
        for term in ["connard", "hommes de paille"] {
            assert_eq!(warned(term), Vec::<String>::new(), "{term}");
        }
    }

    #[test]
    fn the_common_words_are_folded_and_sorted() {
        let words: Vec<&str> = COMMON_WORDS.lines().collect();
        assert!(words.len() > 1_000, "{} words", words.len());
        assert!(words.is_sorted());
        assert!(words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())));
    }
}
