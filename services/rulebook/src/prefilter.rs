//! Which terms and patterns can stand in a text at all: those whose words stand in it.
//!
//! Trying several hundred expressions on every comment costs more than everything else, and most comments hold no word that any of
//! them needs. One pass over the outline of the text looks for the rarest need of every way to match (see [`crate::needs`]) and for
//! the terms; where it finds one, a second pass looks for the other needs of these ways. A pattern is worth trying where one of its ways
//! has all its needs. A pattern that needs nothing is always tried, so that the answer is the same with and without this.

use std::collections::BTreeMap;

use crate::needs::{Need, literal_of_term, ways};
use crate::outline::Literals;

/// The needs of all patterns, and the terms.
#[derive(Debug)]
pub(crate) struct Prefilter {
    /// None where everything is always tried.
    literals: Option<Literals>,
    /// How many needs there are; the terms together are need 0.
    needs: usize,
    /// For each need that leads a way, the ways that it leads.
    ways_of: Vec<Vec<Way>>,
    /// Patterns that need nothing.
    always: Vec<usize>,
}

/// A way to match.
#[derive(Debug)]
struct Way {
    pattern: usize,
    /// What it needs beside the need that leads it.
    others: Vec<u32>,
}

/// What may stand in a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Worth {
    /// Some term, as a word.
    pub(crate) terms: bool,
    /// These patterns, in ascending order.
    pub(crate) patterns: Vec<usize>,
}

/// Any term.
const TERMS: u32 = 0;

impl Prefilter {
    /// Takes the sources of all patterns, in order, and all terms as they are looked for.
    pub(crate) fn build<'a>(sources: &[String], terms: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut ways_to_match = Vec::new();
        let mut always = Vec::new();
        for (pattern, source) in sources.iter().enumerate() {
            let ways = ways(source);
            if ways.iter().any(Vec::is_empty) {
                always.push(pattern);
            } else {
                ways_to_match.extend(ways.into_iter().map(|needs| (pattern, needs)));
            }
        }
        let mut numbers = Numbers::default();
        let mut ways_of = vec![Vec::new()];
        let mut leads = Vec::new();
        for (_, needs) in &ways_to_match {
            let lead = numbers.of(&needs[0]);
            ways_of.resize_with(ways_of.len().max(lead as usize + 1), Vec::new);
            leads.push(lead as usize);
        }
        for ((pattern, needs), lead) in ways_to_match.iter().zip(leads) {
            let others = needs[1..].iter().map(|need| numbers.of(need)).collect();
            ways_of[lead].push(Way { pattern: *pattern, others });
        }
        let needs = numbers.0.len() + 1;
        let leading = u32::try_from(ways_of.len()).expect("fewer needs than bytes of packs");
        Literals::build(numbers.into_literals(terms), leading).map_or_else(
            || Self::of_none(sources.len()),
            |literals| Self {
                literals: Some(literals),
                needs,
                ways_of,
                always,
            },
        )
    }

    /// Leaves out nothing.
    pub(crate) fn of_none(patterns: usize) -> Self {
        Self {
            literals: None,
            needs: 0,
            ways_of: Vec::new(),
            always: (0..patterns).collect(),
        }
    }

    /// What is worth looking for in `text`.
    pub(crate) fn worth(&self, text: &[u8]) -> Worth {
        let everything = |terms| Worth {
            terms,
            patterns: self.always.clone(),
        };
        let Some(literals) = &self.literals else {
            return everything(true);
        };
        let ends = literals.look(text);
        if !ends.some_lead {
            return everything(false);
        }
        let mut met = Met(vec![0; self.needs.div_ceil(64)]);
        let mut leads = Vec::with_capacity(16);
        for state in &ends.states {
            let (leading, all) = literals.keys(*state);
            leads.extend_from_slice(leading);
            all.iter().for_each(|need| met.add(*need));
        }
        let mut patterns = self.always.clone();
        for lead in leads {
            let ways = self.ways_of[lead as usize].iter();
            let met = ways.filter(|way| way.others.iter().all(|need| met.has(*need)));
            patterns.extend(met.map(|way| way.pattern));
        }
        patterns.sort_unstable();
        patterns.dedup();
        Worth {
            terms: met.has(TERMS),
            patterns,
        }
    }
}

/// Numbers for needs, from 1.
#[derive(Default)]
struct Numbers(BTreeMap<Need, u32>);

impl Numbers {
    fn of(&mut self, need: &Need) -> u32 {
        let next = u32::try_from(self.0.len() + 1).expect("fewer needs than bytes of packs");
        *self.0.entry(need.clone()).or_insert(next)
    }

    /// All literals, with the needs that each meets.
    fn into_literals<'a>(self, terms: impl Iterator<Item = &'a [u8]>) -> BTreeMap<Vec<u8>, Vec<u32>> {
        let mut literals: BTreeMap<Vec<u8>, Vec<u32>> = terms.map(|term| (literal_of_term(term), vec![TERMS])).collect();
        for (need, number) in self.0 {
            for literal in need {
                literals.entry(literal).or_default().push(number);
            }
        }
        literals
    }
}

/// A set of needs, one bit each.
struct Met(Vec<u64>);

impl Met {
    fn add(&mut self, need: u32) {
        self.0[need as usize / 64] |= 1 << (need % 64);
    }

    fn has(&self, need: u32) -> bool {
        self.0[need as usize / 64] >> (need % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::bytes::RegexBuilder;

    const SOURCES: [&str; 9] = [
        "je vais te (?:tuer|frapper)",
        "(?:on|je) (?:te|vous) (?:retrouve|attends)",
        r"\w+ de merde",
        "a?b?",
        "🔪+ toi",
        r"\b{start-half}(?:con|rat)s?\b{end-half}",
        r"(?:0 ?[67]|\+33)(?:[ .]?[0-9]){8}",
        r"\b{start-half}(?:sales? ([a-z0-9]+ ){0,2}con|tas d ordure)\b{end-half}",
        "(?:mo|fa)ch(?:e|es)$",
    ];

    fn prefilter() -> Prefilter {
        Prefilter::build(&SOURCES.map(str::to_owned), [b"pute".as_slice(), "🖕".as_bytes()].into_iter())
    }

    #[test]
    fn leaves_out_only_what_cannot_match() {
        let prefilter = prefilter();
        let cases: [(&str, &[usize]); 15] = [
            ("je vais te tuer", &[0]),
            ("on vous attends", &[1]),
            ("un con de merde", &[2, 5]),
            ("🔪🔪 toi", &[4]),
            ("toi 🔪🔪 toi", &[4]),
            ("b", &[]),
            ("", &[]),
            ("le 06 12 34 56 78", &[6]),
            ("(+33612345678", &[6]),
            ("sale petit con", &[5, 7]),
            ("salement petit con", &[5]),
            ("(rats)", &[5]),
            ("fache", &[8]),
            // A literal is looked for as far as twelve symbols go.
            ("un tas d ordures", &[7]),
            ("merci pour la visite, conseil d administration", &[]),
        ];
        for (text, expected) in cases {
            let worth = prefilter.worth(text.as_bytes());
            for (index, source) in SOURCES.iter().enumerate() {
                let regex = RegexBuilder::new(source).unicode(false).build().expect("a pattern");
                assert!(
                    !regex.is_match(text.as_bytes()) || worth.patterns.contains(&index),
                    "{source} on {text}"
                );
            }
            let mut expected = [expected, &[3]].concat();
            expected.sort_unstable();
            assert_eq!(worth.patterns, expected, "{text}");
            assert!(!worth.terms, "{text}");
        }
    }

    #[test]
    fn terms_are_words() {
        let prefilter = prefilter();
        for (text, expected) in [
            ("une pute!", true),
            ("\"pute\"", true),
            ("🖕🖕", true),
            ("x🖕", true),
            ("deputes", false),
            ("pu te", false),
        ] {
            assert_eq!(prefilter.worth(text.as_bytes()).terms, expected, "{text}");
        }
    }

    #[test]
    fn without_it_everything_is_worth_trying() {
        let everything = Worth {
            terms: true,
            patterns: vec![0, 1, 2],
        };
        assert_eq!(Prefilter::of_none(3).worth(b"merci"), everything);
    }
}
