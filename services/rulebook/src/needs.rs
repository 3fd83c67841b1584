//! What a pattern needs: words without which it cannot match, in their order.
//!
//! A pattern is read as one or several ways to match (its alternatives at the top). A way is a list of needs, and a need a set of
//! literals, in outline (see [`crate::outline`]): the outline of a text that the way matches holds one literal of every need, in the
//! order of the needs, and often no more than so many words apart. This is found by walking the expression, never by running it; what is
//! not understood needs nothing, so that no text is ruled out wrongly.

use std::collections::HashSet;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind};

use crate::commonness::commonness;
use crate::expression::{Around, PRODUCT_MAX, Side, Symbol, WORDS_MAX, Word, between, end, exact, product, word, words_in, words_max};
use crate::outline::outline;

/// One of these stands in the outline of every text that matches. Sorted, none holds another, none is empty.
pub(crate) type Need = Vec<Vec<u8>>;

/// A word is read so far.
const WORD_BYTES_MAX: usize = 24;
/// A literal is looked for so far.
const LITERAL_SYMBOLS_MAX: usize = 12;
/// The space after a longer word, both spaces counted, is left out: its inflected forms are then one literal.
const SPACED_SYMBOLS_MAX: usize = 8;
/// Needs that ordinary texts meet more often than this rule too little out.
const COMMONNESS_MAX: f64 = 0.7;
/// A way keeps so many needs, the rarest.
const NEEDS_MAX: usize = 2;

/// One way to match an expression.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// In the order in which a match has them; none where it may have anything.
    pub(crate) needs: Vec<Need>,
    /// Which of them is the rarest.
    pub(crate) lead: usize,
    /// For each need but the last: how many words begin at most between the end of its literal and the end of the next one's; none
    /// where there is no limit.
    pub(crate) gaps: Vec<Option<u32>>,
}

/// The ways of an expression.
pub(crate) fn ways(source: &str) -> Vec<Way> {
    match ParserBuilder::new().unicode(false).utf8(false).build().parse(source) {
        Ok(hir) => alternatives(&hir, Around::default()).into_iter().map(way).collect(),
        Err(_) => vec![way(Vec::new())],
    }
}

/// What stands in the outline of every text that holds this term as a word, and which byte of the term, or right after it, is read last
/// then. None where only the space between words does.
pub(crate) fn literal_of_term(term: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut symbols = vec![Symbol::Edge];
    symbols.extend(word(term));
    symbols.push(Symbol::Edge);
    let literal = literal(&symbols);
    let bytes = spaced(&symbols);
    let length = (0..bytes.len()).find(|length| outline(bytes[..*length].iter().copied()).len() >= literal.len());
    let last = length.unwrap_or(bytes.len()).checked_sub(1)?;
    let spaces_before = usize::from(bytes.first() != term.first());
    (literal != b" ").then_some((literal, last.checked_sub(spaces_before)?))
}

/// A need, and the part of an expression that it belongs to.
struct Placed {
    need: Need,
    from: Point,
    to: Point,
}

/// How many words of an expression were read at most, since there last was no limit.
#[derive(Debug, Clone, Copy, Default)]
struct Point {
    unlimited: usize,
    words: u32,
}

impl Point {
    fn advance(&mut self, words: Option<u32>) {
        match words.and_then(|words| self.words.checked_add(words)) {
            Some(words) => self.words = words,
            None => {
                *self = Self {
                    unlimited: self.unlimited + 1,
                    words: 0,
                }
            }
        }
    }
}

/// The needs worth looking for.
fn way(needs: Vec<Placed>) -> Way {
    let mut rated: Vec<(f64, usize, Placed)> = needs
        .into_iter()
        .enumerate()
        .map(|(order, placed)| (commonness(&placed.need), order, placed))
        .filter(|(commonness, ..)| *commonness <= COMMONNESS_MAX)
        .collect();
    rated.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.2.need.cmp(&b.2.need)).then(a.1.cmp(&b.1)));
    rated.dedup_by(|a, b| a.2.need == b.2.need);
    rated.truncate(NEEDS_MAX);
    let rarest = rated.first().map(|(_, order, _)| *order);
    rated.sort_by_key(|(_, order, _)| *order);
    let lead = rated.iter().position(|(_, order, _)| Some(*order) == rarest).unwrap_or(0);
    let gap = |pair: &[(f64, usize, Placed)]| {
        let (from, to) = (pair[0].2.from, pair[1].2.to);
        (from.unlimited == to.unlimited).then(|| to.words - from.words)
    };
    Way {
        lead,
        gaps: rated.windows(2).map(gap).collect(),
        needs: rated.into_iter().map(|(_, _, placed)| placed.need).collect(),
    }
}

/// The needs of each alternative at the top of an expression, whatever groups and boundaries stand around them.
fn alternatives(hir: &Hir, around: Around) -> Vec<Vec<Placed>> {
    match hir.kind() {
        HirKind::Capture(capture) => alternatives(&capture.sub, around),
        HirKind::Alternation(parts) if exact(hir).is_none() => parts.iter().flat_map(|part| alternatives(part, around)).collect(),
        HirKind::Concat(parts) => {
            let mut solid = (0..parts.len()).filter(|at| !matches!(parts[*at].kind(), HirKind::Look(_)));
            let inner = match (solid.next(), solid.next()) {
                (Some(only), None) => alternatives(&parts[only], between(parts, only, around)),
                _ => Vec::new(),
            };
            if inner.len() > 1 { inner } else { vec![needs(hir, around)] }
        }
        _ => vec![needs(hir, around)],
    }
}

/// What every match of the expression holds, in order.
fn needs(hir: &Hir, around: Around) -> Vec<Placed> {
    let mut walk = Walk {
        needs: Vec::new(),
        run: vec![Vec::new()],
        before: around.before,
        from: Point::default(),
        to: Point::default(),
    };
    walk.through(hir, around);
    walk.flush(around.after);
    walk.needs
}

/// Reads an expression from left to right.
struct Walk {
    needs: Vec<Placed>,
    /// Every way to write what was read last, complete.
    run: Vec<Word>,
    /// Whether no letter or digit can stand before the run.
    before: bool,
    /// Where the run begins.
    from: Point,
    /// How far was read.
    to: Point,
}

impl Walk {
    fn through(&mut self, hir: &Hir, around: Around) {
        if let Some(words) = exact(hir) {
            return self.append(words, around);
        }
        let inner: Vec<Need> = match hir.kind() {
            HirKind::Capture(capture) => return self.through(&capture.sub, around),
            HirKind::Concat(parts) => {
                for (at, part) in parts.iter().enumerate() {
                    self.through(part, between(parts, at, around));
                }
                return;
            }
            HirKind::Repetition(repetition) if repetition.min > 0 => {
                let needs = needs(&repetition.sub, Around::default());
                needs.into_iter().map(|placed| placed.need).collect()
            }
            HirKind::Alternation(parts) => any_of(parts, around).into_iter().collect(),
            _ => Vec::new(),
        };
        self.flush(end(hir, Side::First).or(around.after));
        self.to.advance(words_max(hir));
        let (from, to) = (self.from, self.to);
        self.needs.extend(inner.into_iter().map(|need| Placed { need, from, to }));
        self.from = self.to;
        self.before = end(hir, Side::Last).or(around.before);
    }

    fn append(&mut self, words: Vec<Word>, around: Around) {
        let longest = |words: &[Word]| words.iter().map(Vec::len).max().unwrap_or(0);
        let most = words.iter().map(|word| words_in(bytes_of(word))).max();
        if self.run.len() * words.len() > PRODUCT_MAX || longest(&self.run) + longest(&words) > WORD_BYTES_MAX {
            self.flush(words.iter().all(|word| begins_apart(word)));
            self.before = around.before;
            self.run = words;
        } else {
            self.run = product(&self.run, &words);
        }
        self.to.advance(most);
    }

    /// Ends the run.
    fn flush(&mut self, after: bool) {
        let mut run = std::mem::replace(&mut self.run, vec![Vec::new()]);
        for word in &mut run {
            if self.before {
                word.insert(0, Symbol::Edge);
            }
            if after {
                word.push(Symbol::Edge);
            }
            if word.len() > SPACED_SYMBOLS_MAX && word.last() == Some(&Symbol::Edge) {
                word.pop();
            }
        }
        if let Some(need) = need(run.iter().map(|word| literal(word)).collect()) {
            let (from, to) = (self.from, self.to);
            self.needs.push(Placed { need, from, to });
        }
        self.from = self.to;
    }
}

fn bytes_of(word: &[Symbol]) -> impl Iterator<Item = u8> {
    word.iter().filter_map(|symbol| match symbol {
        Symbol::Byte(byte) => Some(*byte),
        Symbol::Edge => None,
    })
}

fn begins_apart(word: &[Symbol]) -> bool {
    matches!(word.first(), Some(Symbol::Byte(byte)) if !byte.is_ascii_alphanumeric())
}

/// A need that is met whichever alternative matches: the rarest of each. None where one of them needs nothing.
fn any_of(parts: &[Hir], around: Around) -> Option<Need> {
    let mut literals = Vec::new();
    for part in parts {
        let needs = needs(part, around).into_iter().map(|placed| placed.need);
        literals.extend(needs.min_by(|a, b| commonness(a).total_cmp(&commonness(b)))?);
    }
    need(literals)
}

fn need(mut literals: Vec<Vec<u8>>) -> Option<Need> {
    literals.sort_unstable();
    literals.dedup();
    if literals.first().is_none_or(Vec::is_empty) {
        return None;
    }
    let all: HashSet<&[u8]> = literals.iter().map(Vec::as_slice).collect();
    let holds_another = |literal: &[u8]| (1..literal.len()).any(|length| literal.windows(length).any(|part| all.contains(part)));
    let need: Need = literals.iter().filter(|literal| !holds_another(literal)).cloned().collect();
    (need.len() <= WORDS_MAX).then_some(need)
}

/// The outline of a word, as far as it is looked for.
fn literal(word: &[Symbol]) -> Vec<u8> {
    let mut literal = outline(spaced(word));
    literal.truncate(LITERAL_SYMBOLS_MAX);
    literal
}

/// The bytes of a word, with spaces for edges that touch a letter or digit.
fn spaced(word: &[Symbol]) -> Vec<u8> {
    let touches = |symbol: Option<&Symbol>| matches!(symbol, Some(Symbol::Byte(byte)) if byte.is_ascii_alphanumeric());
    let bytes = word.iter().enumerate().filter_map(|(at, symbol)| match symbol {
        Symbol::Byte(byte) => Some(*byte),
        Symbol::Edge => {
            let before = at.checked_sub(1).and_then(|at| word.get(at));
            (touches(before) || touches(word.get(at + 1))).then_some(b' ')
        }
    });
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ways by `|`; needs by `&` and how far they may be apart, the rarest with a star; literals by `,`.
    fn shown(source: &str) -> String {
        let need = |need: &Need| {
            need.iter()
                .map(|literal| String::from_utf8_lossy(literal).into_owned())
                .collect::<Vec<_>>()
                .join(",")
        };
        let way = |way: &Way| {
            let mut shown = String::new();
            for (at, literals) in way.needs.iter().enumerate() {
                if let Some(gap) = at.checked_sub(1).map(|before| way.gaps[before]) {
                    shown += &gap.map_or_else(|| "&".to_owned(), |words| format!("&{words}&"));
                }
                let star = if at == way.lead && way.needs.len() > 1 { "*" } else { "" };
                shown += &format!("{}{star}", need(literals));
            }
            shown
        };
        ways(source).iter().map(way).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn needs_are_words_with_the_spaces_that_must_be_around_them() {
        for (source, expected) in [
            ("fumier", "fumier"),
            (r"\bfum\b", " fum "),
            (r"\b{start-half}(?:fumiers?)\b{end-half}", " fumier , fumiers"),
            (r"\b{start-half}(?:saligauds?)\b{end-half}", " saligaud"),
            (r"\b{start-half}(?:mufles?|goujat)\b{end-half}", " goujat , mufle , mufles "),
            (r"mufles?\w+|goujat ?toi", "mufle|goujat toi,goujattoi"),
            (r"(?:mufles?|goujat) ?\w+", "goujat,mufle"),
            (r"fum[^.]*goujat", "fum&goujat*"),
            (r"goujat[a-z]* (?:[a-z]+[,;]* ){0,2}fum", "goujat*&5& fum"),
            (r"fum\b(?:[,;]* [a-z]+\b){1,3} ?goujat", "fum &5&goujat*"),
            (r"fum(?: \w+| goujat .)", "fum "),
            (r"(?:goujat [a-z]*)+ fum", "goujat *& fum"),
            (r"(?:fum|x*)goujat", "goujat"),
            (r"(?:goujat)?", ""),
            (r"[a-z]+", ""),
            (r"goujat+s", "gouja"),
            ("une tres longue phrase de goujat", "une tres lon"),
            (r"(?i)MUFLE", "mufle"),
            (r"le, goujat", "le goujat"),
            ("(", ""),
        ] {
            assert_eq!(shown(source), expected, "{source}");
        }
    }

    #[test]
    fn a_term_is_found_by_what_is_read_last_of_its_literal() {
        for (term, literal, last) in [
            ("con", " con ", 3),
            ("🖕", "\u{80}\u{8f}", 3),
            ("con🖕", " con ", 6),
            ("ta, gueule de con", " ta gueule d", 11),
            ("con!", " con ", 3),
        ] {
            let (found, at) = literal_of_term(term.as_bytes()).expect("a word");
            let is_sign = literal.starts_with('\u{80}');
            assert!(is_sign || found.starts_with(literal.as_bytes()), "{term}: {found:?}");
            assert_eq!(at, last, "{term}");
        }
        assert_eq!(literal_of_term(b"..."), None);
    }
}
