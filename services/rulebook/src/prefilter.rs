//! Which patterns can match a text at all: those one of whose literals stands in it.
//!
//! Trying several hundred expressions on every comment costs more than everything else. Most of them need one of a few words to begin
//! or to end with; one pass over the text with all these words leaves the few expressions that are worth trying. A pattern without
//! such words is always tried, so that the answer is the same with and without this.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError, MatchKind};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;
use regex_syntax::hir::literal::{ExtractKind, Extractor};

/// A shorter literal stands in nearly every text.
const LITERAL_BYTES_MIN: usize = 3;
/// A pattern is looked for by at most so many literals.
const LITERALS_MAX: usize = 1500;

/// The literals of all patterns.
#[derive(Debug)]
pub(crate) struct Prefilter {
    automaton: AhoCorasick,
    /// For each literal, the patterns that it belongs to.
    patterns_of: Vec<Vec<usize>>,
    always: Vec<usize>,
    patterns: usize,
}

impl Prefilter {
    /// Takes the sources of all patterns, in order.
    pub(crate) fn build(sources: &[String]) -> Result<Self, BuildError> {
        let mut by_literal: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
        let mut always = Vec::new();
        for (pattern, source) in sources.iter().enumerate() {
            match literals(source) {
                Some(literals) => literals
                    .into_iter()
                    .for_each(|literal| by_literal.entry(literal).or_default().push(pattern)),
                None => always.push(pattern),
            }
        }
        let (literals, patterns_of): (Vec<_>, Vec<_>) = by_literal.into_iter().unzip();
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(literals)?;
        let patterns = sources.len();
        Ok(Self {
            automaton,
            patterns_of,
            always,
            patterns,
        })
    }

    /// Leaves out nothing: for comparison.
    pub(crate) fn of_none(patterns: usize) -> Result<Self, BuildError> {
        Ok(Self {
            automaton: AhoCorasick::new([""; 0])?,
            patterns_of: Vec::new(),
            always: (0..patterns).collect(),
            patterns,
        })
    }

    /// The patterns worth trying on `text`, in order.
    pub(crate) fn candidates(&self, text: &[u8]) -> Vec<usize> {
        let mut seen = vec![false; self.patterns_of.len()];
        let mut worth = vec![false; self.patterns];
        self.always.iter().for_each(|pattern| worth[*pattern] = true);
        for found in self.automaton.find_overlapping_iter(text) {
            let literal = found.pattern().as_usize();
            if !std::mem::replace(&mut seen[literal], true) {
                self.patterns_of[literal].iter().for_each(|pattern| worth[*pattern] = true);
            }
        }
        (0..self.patterns).filter(|pattern| worth[*pattern]).collect()
    }
}

/// Literals of which every match holds one; none where there are no good ones.
fn literals(source: &str) -> Option<Vec<Vec<u8>>> {
    let hir = ParserBuilder::new().unicode(false).utf8(false).build().parse(source).ok()?;
    let sets = [ExtractKind::Prefix, ExtractKind::Suffix].map(|kind| extract(&hir, kind));
    let best = sets
        .into_iter()
        .flatten()
        .max_by_key(|(shortest, literals)| (*shortest, std::cmp::Reverse(literals.len())))?;
    (best.0 >= LITERAL_BYTES_MIN).then_some(best.1)
}

/// The literals at one end of every match, and the length of the shortest.
fn extract(hir: &Hir, kind: ExtractKind) -> Option<(usize, Vec<Vec<u8>>)> {
    let mut extractor = Extractor::new();
    extractor.kind(kind).limit_total(LITERALS_MAX).limit_literal_len(24);
    let sequence = extractor.extract(hir);
    let literals: Vec<Vec<u8>> = sequence.literals()?.iter().map(|literal| literal.as_bytes().to_vec()).collect();
    let shortest = literals.iter().map(Vec::len).min()?;
    Some((shortest, literals))
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::bytes::RegexBuilder;

    #[test]
    fn leaves_out_only_what_cannot_match() {
        let sources = [
            "je vais te (?:tuer|frapper)",
            "(?:on|je) (?:te|vous) (?:retrouve|attends)",
            r"\w+ de merde",
            "a?b?",
            "🔪+ toi",
        ]
        .map(str::to_owned);
        let filter = Prefilter::build(&sources).expect("it builds");
        let texts = [
            "je vais te tuer",
            "on vous attends",
            "un con de merde",
            "🔪🔪 toi",
            "b",
            "",
            "merci pour la visite",
        ];
        for text in texts {
            let candidates = filter.candidates(text.as_bytes());
            for (index, source) in sources.iter().enumerate() {
                let regex = RegexBuilder::new(source).unicode(false).build().expect("a pattern");
                assert!(
                    !regex.is_match(text.as_bytes()) || candidates.contains(&index),
                    "{source} on {text}"
                );
            }
        }
        assert_eq!(filter.candidates(b"merci pour la visite"), [3]);
    }
}
