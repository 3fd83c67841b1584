//! Which terms and patterns can stand in a text at all, and where the terms: those whose words stand in it.
//!
//! Trying several hundred expressions on every comment costs more than everything else, and most comments hold no word that any of
//! them needs. One pass over the outline of the text finds the beginnings of terms and the literals that patterns need (see
//! [`crate::needs`]). A pattern is worth trying where one of its ways has all its needs, in their order and not further apart than it
//! allows. A pattern that needs nothing is always tried, so that the answer is the same with and without this.

use std::collections::BTreeMap;

use crate::needs::{self, Need, literal_of_term, ways};
use crate::outline::{Ends, Literals};

/// The needs of all patterns, and the terms.
#[derive(Debug)]
pub(crate) struct Prefilter {
    /// None where everything is always tried. The keys are the literals of terms, the needs that lead a way, and the other needs.
    literals: Option<Literals>,
    /// For each literal of terms, the terms that it may begin.
    terms_of: Vec<Vec<Beginning>>,
    /// For each need that leads a way, the ways that it leads.
    ways_of: Vec<Vec<Way>>,
    /// How many needs there are.
    needs: usize,
    /// Patterns that need nothing.
    always: Vec<usize>,
}

/// A term that a literal may begin.
#[derive(Debug)]
struct Beginning {
    term: usize,
    /// Which byte of the term, or right after it, is read last for the literal.
    last: usize,
}

/// A way to match.
#[derive(Debug)]
struct Way {
    pattern: usize,
    /// In the order in which a match has them.
    needs: Vec<usize>,
    /// How many words may be between two of them; see [`needs::Way`].
    gaps: Vec<Option<u32>>,
}

/// What may stand in a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Worth {
    pub(crate) terms: Terms,
    /// Patterns, in ascending order.
    pub(crate) patterns: Vec<usize>,
}

/// Where terms may stand as words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Terms {
    /// Any, anywhere.
    Anywhere,
    /// These, where they would begin.
    At(Vec<(usize, usize)>),
}

impl Prefilter {
    /// Takes the sources of all patterns, in order, and all terms as they are looked for.
    pub(crate) fn build<'a>(sources: &[String], terms: impl Iterator<Item = &'a [u8]>) -> Self {
        Self::try_build(sources, terms).unwrap_or_else(|| Self::of_none(sources.len()))
    }

    /// None where a term is no word, or the literals are too many.
    fn try_build<'a>(sources: &[String], terms: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut by_literal: BTreeMap<Vec<u8>, Vec<Beginning>> = BTreeMap::new();
        for (term, bytes) in terms.enumerate() {
            let (literal, last) = literal_of_term(bytes)?;
            by_literal.entry(literal).or_default().push(Beginning { term, last });
        }
        let mut always = Vec::new();
        let mut all = Vec::new();
        for (pattern, source) in sources.iter().enumerate() {
            let ways = ways(source);
            if ways.iter().any(|way| way.needs.is_empty()) {
                always.push(pattern);
            } else {
                all.extend(ways.into_iter().map(|way| (pattern, way)));
            }
        }
        let mut numbers = Numbers::default();
        let mut ways_of = Vec::new();
        let leads: Vec<usize> = all.iter().map(|(_, way)| numbers.of(&way.needs[way.lead])).collect();
        ways_of.resize_with(numbers.0.len(), Vec::new);
        for ((pattern, way), lead) in all.into_iter().zip(leads) {
            let needs::Way { needs, gaps, .. } = way;
            let needs = needs.iter().map(|need| numbers.of(need)).collect();
            ways_of[lead].push(Way { pattern, needs, gaps });
        }
        let mut literals: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
        let mut terms_of = Vec::new();
        for (literal, beginnings) in by_literal {
            literals.insert(literal, vec![terms_of.len()]);
            terms_of.push(beginnings);
        }
        let needs = numbers.0.len();
        for (need, number) in numbers.0 {
            for literal in need {
                literals.entry(literal).or_default().push(terms_of.len() + number);
            }
        }
        Some(Self {
            literals: Some(Literals::build(literals, terms_of.len() + ways_of.len())?),
            terms_of,
            ways_of,
            needs,
            always,
        })
    }

    /// Leaves out nothing.
    pub(crate) fn of_none(patterns: usize) -> Self {
        Self {
            literals: None,
            terms_of: Vec::new(),
            ways_of: Vec::new(),
            needs: 0,
            always: (0..patterns).collect(),
        }
    }

    /// What is worth looking for in `text`.
    pub(crate) fn worth(&self, text: &[u8]) -> Worth {
        let nothing = |terms| Worth {
            terms,
            patterns: self.always.clone(),
        };
        let Some(literals) = &self.literals else {
            return nothing(Terms::Anywhere);
        };
        let ends = literals.look(text);
        if !ends.some_lead {
            return nothing(Terms::At(Vec::new()));
        }
        let mut leads = Vec::new();
        let mut terms = Vec::new();
        for end in &ends.ends {
            for key in literals.leading_keys(end.state) {
                match (*key as usize).checked_sub(self.terms_of.len()) {
                    Some(lead) => leads.push(lead),
                    None => {
                        let begins = self.terms_of[*key as usize].iter();
                        terms.extend(begins.filter_map(|begin| Some((begin.term, end.at.checked_sub(begin.last)?))));
                    }
                }
            }
        }
        let mut patterns = self.always.clone();
        if !leads.is_empty() {
            let met = self.met(literals, &ends);
            let ways = leads.into_iter().flat_map(|lead| &self.ways_of[lead]);
            patterns.extend(ways.filter(|way| met.hold(way)).map(|way| way.pattern));
            patterns.sort_unstable();
            patterns.dedup();
        }
        Worth {
            terms: Terms::At(terms),
            patterns,
        }
    }

    fn met(&self, literals: &Literals, ends: &Ends) -> Met {
        let mut met = Met {
            words: vec![NOT_MET; self.needs],
            many_words: ends.ends.last().is_some_and(|end| end.words >= WORDS_MAX),
        };
        for end in &ends.ends {
            let words = u8::try_from(end.words).unwrap_or(u8::MAX);
            for key in literals.keys(end.state) {
                if let Some(need) = (*key as usize).checked_sub(self.terms_of.len()) {
                    let [first, last] = &mut met.words[need];
                    *first = words.min(*first);
                    *last = words;
                }
            }
        }
        met
    }
}

/// Which needs are met, and where.
struct Met {
    /// For each need, how many words had begun at the first and the last end of one of its literals.
    words: Vec<[u8; 2]>,
    /// Whether the words of the text are too many for that.
    many_words: bool,
}

const NOT_MET: [u8; 2] = [u8::MAX, 0];
const WORDS_MAX: usize = u8::MAX as usize;

impl Met {
    fn hold(&self, way: &Way) -> bool {
        let is_met = |need: &usize| self.words[*need] != NOT_MET;
        way.needs.iter().all(is_met) && (self.many_words || self.are_near(way))
    }

    /// Whether each two needs that follow each other can be met in this order, as near as they must be.
    fn are_near(&self, way: &Way) -> bool {
        let mut pairs = way.needs.windows(2).zip(&way.gaps);
        pairs.all(|(pair, gap)| {
            let [first, last] = self.words[pair[0]];
            let [next_first, next_last] = self.words[pair[1]];
            first <= next_last && gap.is_none_or(|gap| u32::from(next_first) <= u32::from(last) + gap)
        })
    }
}

/// Numbers for needs, from 0.
#[derive(Default)]
struct Numbers(BTreeMap<Need, usize>);

impl Numbers {
    fn of(&mut self, need: &Need) -> usize {
        let next = self.0.len();
        *self.0.entry(need.clone()).or_insert(next)
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
            assert_eq!(worth.terms, Terms::At(Vec::new()), "{text}");
        }
    }

    #[test]
    fn needs_are_in_order_and_near() {
        let sources = [r"goujat(?:[,;]* [a-z]+\b){0,1} vaurien", "(?:mufle .*)? rustre.*goujat"].map(str::to_owned);
        let prefilter = Prefilter::build(&sources, std::iter::empty());
        for (text, expected) in [
            ("goujat vaurien", [0].as_slice()),
            ("goujat, petit vaurien", &[0]),
            ("vaurien goujat", &[]),
            ("un goujat et un assez grand vaurien", &[]),
            ("un goujat et un assez grand goujat vaurien", &[0]),
            ("un rustre est un mufle ou un goujat", &[1]),
            ("un goujat est un mufle ou un rustre", &[]),
        ] {
            assert_eq!(prefilter.worth(text.as_bytes()).patterns, expected, "{text}");
        }
        let far = format!("goujat {} vaurien", "x ".repeat(300));
        assert_eq!(prefilter.worth(far.as_bytes()).patterns, [0], "words are not counted so far");
    }

    #[test]
    fn terms_are_words() {
        let prefilter = prefilter();
        for (text, expected) in [
            ("une pute!", [(0, 4)].as_slice()),
            ("\"pute\"", &[(0, 1)]),
            ("pute pute", &[(0, 0), (0, 5)]),
            ("🖕🖕", &[(1, 0), (1, 4)]),
            ("x🖕", &[(1, 1)]),
            ("deputes", &[]),
            ("pu te", &[]),
        ] {
            assert_eq!(prefilter.worth(text.as_bytes()).terms, Terms::At(expected.to_vec()), "{text}");
        }
        let signs = Prefilter::build(&[], [b"...".as_slice()].into_iter());
        assert_eq!(signs.worth(b"ok").terms, Terms::Anywhere);
    }

    #[test]
    fn without_it_everything_is_worth_trying() {
        let everything = Worth {
            terms: Terms::Anywhere,
            patterns: vec![0, 1, 2],
        };
        assert_eq!(Prefilter::of_none(3).worth(b"merci"), everything);
    }
}
