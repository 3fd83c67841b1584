//! The packs' own cases: what each entry must find, and must not.

use crate::compile::Rulebook;
use crate::matcher::{Scope, is_allow};

/// What a case asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseKind {
    /// The rule hits; the allow-list entry applies and nothing is hit there; the softening context lowers.
    Match,
    /// The rule does not hit; the allow-list entry does not apply; the softening context does not lower.
    NoMatch,
}

/// A case that was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// `pack/entry`.
    pub entry: String,
    /// Which file.
    pub file: String,
    /// The line of the entry.
    pub line: usize,
    /// What was asked for.
    pub kind: CaseKind,
    /// The comment.
    pub text: String,
    /// Whether it went as asked.
    pub passed: bool,
}

/// Runs every case of every entry, in the order of the packs.
#[must_use]
pub fn run_cases(rulebook: &Rulebook) -> Vec<CaseResult> {
    let mut results = Vec::new();
    for (index, entry) in rulebook.entries.iter().enumerate() {
        let holds = |text: &str| {
            let scope = Scope::default();
            let (hits, allowed) = rulebook.judge(text, &scope);
            match is_allow(entry) {
                true => allowed
                    .iter()
                    .any(|(applied, span)| *applied == index && !hits.iter().any(|hit| span[0] <= hit.span[0] && hit.span[1] <= span[1])),
                false => hits.iter().any(|hit| hit.rule == entry.name),
            }
        };
        for (kind, texts) in [(CaseKind::Match, &entry.cases.positive), (CaseKind::NoMatch, &entry.cases.negative)] {
            for text in texts {
                let passed = holds(text) == (kind == CaseKind::Match);
                results.push(CaseResult {
                    entry: entry.name.clone(),
                    file: entry.file.clone(),
                    line: entry.line,
                    kind,
                    text: text.clone(),
                    passed,
                });
            }
        }
    }
    for soften in &rulebook.softens {
        let over = |text: &str| {
            rulebook
                .matches(text, &Scope::default())
                .iter()
                .any(|hit| hit.action > soften.to && soften.acts.contains(&hit.act))
        };
        for (kind, texts) in [
            (CaseKind::Match, &soften.cases.positive),
            (CaseKind::NoMatch, &soften.cases.negative),
        ] {
            for text in texts {
                let passed = over(text) == (kind == CaseKind::NoMatch);
                let (file, line) = (soften.file.clone(), soften.line);
                results.push(CaseResult {
                    entry: soften.name.clone(),
                    file,
                    line,
                    kind,
                    text: text.clone(),
                    passed,
                });
            }
        }
    }
    results
}
