//! Finds terms and patterns in one normalised copy of a text.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError, MatchKind};

use crate::compile::{Rulebook, Term};
use crate::prefilter::Terms;
use crate::view::View;

/// A pattern is tried at most so many times per window of a text.
const PATTERN_TRIES_MAX: usize = 64;
/// Patterns are tried on parts of at least so many bytes.
const WINDOW_BYTES: usize = 512;
/// A term of so many bytes may stand inside joined letters.
const LONG_TERM_BYTES: usize = 5;

/// How a copy of a text was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CopyKind {
    Folded,
    Revealed,
    Joined,
    Held,
    Squeezed,
}

/// Something found in a copy.
#[derive(Debug)]
pub(crate) struct Find {
    pub(crate) entry: usize,
    /// Which term; none for a pattern.
    pub(crate) term: Option<usize>,
    /// Not empty.
    pub(crate) range: Range<usize>,
}

/// A copy to look through.
struct Place<'a> {
    text: &'a [u8],
    kind: CopyKind,
    /// What the first copy does not show in the same way.
    changed: &'a [Range<usize>],
}

impl Rulebook {
    /// What stands in a copy of a text, as far as the first copy does not show it in the same way.
    pub(crate) fn find(&self, text: &[u8], kind: CopyKind, changed: &[Range<usize>]) -> Vec<Find> {
        let place = Place { text, kind, changed };
        let mut finds = Vec::new();
        // A term may lie in two windows; in joined letters it need not be a word; squeezed letters are looked through for terms only.
        let mut anywhere = text.len() > 2 * WINDOW_BYTES || matches!(kind, CopyKind::Joined | CopyKind::Squeezed);
        if kind != CopyKind::Squeezed {
            for window in windows(text).filter(|window| place.is_news(window)) {
                let worth = self.prefilter.worth(&text[window.clone()]);
                self.find_patterns(&place, &window, &worth.patterns, &mut finds);
                match worth.terms {
                    Terms::Anywhere => anywhere = true,
                    Terms::At(terms) if !anywhere => self.check_terms(&place, &terms, &mut finds),
                    Terms::At(_) => {}
                }
            }
        }
        if anywhere {
            self.find_terms(&place, &mut finds);
        }
        finds
    }

    /// Takes the terms that stand where they may; the only window is the whole text.
    fn check_terms(&self, place: &Place<'_>, terms: &[(usize, usize)], finds: &mut Vec<Find>) {
        for (term, start) in terms {
            let word = &self.terms[*term].folded;
            let range = *start..*start + word.len();
            if place.text.get(range.clone()) == Some(word) {
                place.take_term(self, *term, range, finds);
            }
        }
    }

    fn find_terms(&self, place: &Place<'_>, finds: &mut Vec<Find>) {
        let automaton = match place.kind {
            CopyKind::Squeezed => &self.squeezed,
            _ => &self.automaton,
        };
        for hit in automaton.find_overlapping_iter(place.text) {
            place.take_term(self, hit.pattern().as_usize(), hit.start()..hit.end(), finds);
        }
    }

    fn find_patterns(&self, place: &Place<'_>, window: &Range<usize>, patterns: &[usize], finds: &mut Vec<Find>) {
        let text = &place.text[window.clone()];
        for pattern in patterns.iter().map(|at| &self.patterns[*at]) {
            for hit in pattern.regex.find_iter(text).take(PATTERN_TRIES_MAX) {
                let range = window.start + hit.start()..window.start + hit.end();
                if !range.is_empty() && place.is_news(&range) {
                    finds.push(Find {
                        entry: pattern.entry,
                        term: None,
                        range,
                    });
                }
            }
        }
    }
}

impl Place<'_> {
    fn take_term(&self, rulebook: &Rulebook, term: usize, range: Range<usize>, finds: &mut Vec<Find>) {
        if self.is_word(&range) && self.is_news(&range) {
            finds.push(Find {
                entry: rulebook.terms[term].entry,
                term: Some(term),
                range,
            });
        }
    }

    /// Whether the first copy does not show this range in the same way.
    fn is_news(&self, range: &Range<usize>) -> bool {
        self.kind == CopyKind::Folded || View::touches(self.changed, range)
    }

    /// Whether the range begins and ends where words do. Inside letters joined to one word, a long term may stand anywhere.
    fn is_word(&self, range: &Range<usize>) -> bool {
        let is_word = |at: usize| self.text.get(at).is_some_and(u8::is_ascii_alphanumeric);
        let begins_inside = range.start.checked_sub(1).is_some_and(is_word) && is_word(range.start);
        let ends_inside = is_word(range.end - 1) && is_word(range.end);
        let may_stand_inside = || self.kind == CopyKind::Joined && range.len() >= LONG_TERM_BYTES && holder(self.changed, range).is_some();
        !(begins_inside || ends_inside) || may_stand_inside()
    }
}

/// Over terms as they are looked for. Not a table of every step: it would be 17 MiB, of which each text needs another part, and is not
/// faster on comments.
pub(crate) fn automaton(terms: impl Iterator<Item = Vec<u8>>) -> Result<AhoCorasick, BuildError> {
    AhoCorasick::builder()
        .match_kind(MatchKind::Standard)
        .kind(Some(AhoCorasickKind::ContiguousNFA))
        .build(terms)
}

/// Over terms with every run of a letter squeezed to one.
pub(crate) fn automaton_of_squeezed(terms: &[Term]) -> Result<AhoCorasick, BuildError> {
    automaton(terms.iter().map(|term| {
        let mut bytes = term.folded.clone();
        bytes.dedup_by(|a, b| a == b && a.is_ascii_lowercase());
        bytes
    }))
}

/// The one of `ranges`, which are in order and do not overlap, that holds `range`.
pub(crate) fn holder<'a>(ranges: &'a [Range<usize>], range: &Range<usize>) -> Option<&'a Range<usize>> {
    let first = ranges.partition_point(|known| known.end < range.end);
    ranges.get(first).filter(|known| known.start <= range.start)
}

/// Cuts a long text where sentences end, so that few patterns are tried on each part: a pattern is about one sentence. A sentence that
/// is longer than two windows is cut where it is.
fn windows(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut start = Some(0);
    std::iter::from_fn(move || {
        let from = start?;
        let end = (text.len() - from > 2 * WINDOW_BYTES).then(|| from + window_bytes(&text[from..]));
        start = end;
        Some(from..end.unwrap_or(text.len()))
    })
}

/// How long the first window of a text is that needs several.
fn window_bytes(text: &[u8]) -> usize {
    let ends = |byte: &u8| matches!(byte, b'.' | b'!' | b'?' | b'\n');
    let search = &text[WINDOW_BYTES..2 * WINDOW_BYTES];
    let cut = search
        .iter()
        .position(ends)
        .or_else(|| search.iter().rposition(|byte| *byte == b' '))
        .unwrap_or(WINDOW_BYTES - 1);
    WINDOW_BYTES + cut + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_holder_is_the_one_that_holds(lengths in prop::collection::vec((0_usize..3, 1_usize..5), 0..6), start in 0_usize..30, length in 1_usize..6) {
            let mut at = 0;
            let ranges: Vec<Range<usize>> = lengths
                .into_iter()
                .map(|(gap, length)| {
                    let range = at + gap..at + gap + length;
                    at = range.end;
                    range
                })
                .collect();
            let range = start..start + length;
            let plain = ranges.iter().find(|known| known.start <= range.start && range.end <= known.end);
            prop_assert_eq!(holder(&ranges, &range), plain);
        }

        #[test]
        fn windows_cover_a_text_once(text in prop::collection::vec(prop::sample::select(b"aab . !\n".as_slice()), 0..6000)) {
            let windows: Vec<Range<usize>> = windows(&text).collect();
            prop_assert_eq!(windows[0].start, 0);
            prop_assert_eq!(windows[windows.len() - 1].end, text.len());
            for pair in windows.windows(2) {
                prop_assert_eq!(pair[0].end, pair[1].start);
                prop_assert!((WINDOW_BYTES..=2 * WINDOW_BYTES).contains(&pair[0].len()), "{:?}", pair);
            }
            prop_assert!(windows[windows.len() - 1].len() <= 2 * WINDOW_BYTES);
        }
    }
}
