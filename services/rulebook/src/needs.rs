//! What a pattern needs: words without which it cannot match.
//!
//! A pattern is read as one or several ways to match (its alternatives at the top). A way is a list of needs, and a need a set of
//! literals, in outline (see [`crate::outline`]): the outline of a text that the way matches holds one literal of every need. Needs are
//! found by walking the expression, never by running it; what is not understood needs nothing, so that no text is ruled out wrongly.

use std::collections::HashSet;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

use crate::commonness::commonness;
use crate::outline::outline;

/// One of these stands in the outline of every text that matches. Sorted, none holds another, none is empty.
pub(crate) type Need = Vec<Vec<u8>>;

/// A set of words that grows beyond this is cut where it stands.
const PRODUCT_MAX: usize = 96;
/// A need has at most so many literals.
const LITERALS_MAX: usize = 2000;
/// A class of more characters, or of more letters, is no set of words.
const CLASS_MAX: usize = 64;
const LETTERS_MAX: usize = 8;
/// A word is read so far.
const WORD_BYTES_MAX: usize = 24;
/// A literal is looked for so far.
const LITERAL_SYMBOLS_MAX: usize = 12;
/// The space after a longer word, both spaces counted, is left out: its inflected forms are then one literal.
const SPACED_SYMBOLS_MAX: usize = 8;
/// Needs that ordinary texts meet more often than this rule too little out.
const COMMONNESS_MAX: f64 = 0.7;
/// A way keeps so many needs, the rarest.
const NEEDS_MAX: usize = 3;

/// The ways of an expression, each with its needs, the rarest first. A way without needs may match anything.
pub(crate) fn ways(source: &str) -> Vec<Vec<Need>> {
    match ParserBuilder::new().unicode(false).utf8(false).build().parse(source) {
        Ok(hir) => alternatives(&hir, Around::default()).into_iter().map(kept).collect(),
        Err(_) => vec![Vec::new()],
    }
}

/// What stands in the outline of every text that holds this term as a word.
pub(crate) fn literal_of_term(term: &[u8]) -> Vec<u8> {
    let mut word = vec![Symbol::Edge];
    word.extend(term.iter().map(|byte| Symbol::Byte(*byte)));
    word.push(Symbol::Edge);
    literal(&word)
}

/// The needs worth looking for.
fn kept(needs: Vec<Need>) -> Vec<Need> {
    let mut needs: Vec<(f64, Need)> = needs
        .into_iter()
        .map(|need| (commonness(&need), need))
        .filter(|(commonness, _)| *commonness <= COMMONNESS_MAX)
        .collect();
    needs.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    needs.dedup_by(|a, b| a.1 == b.1);
    needs.truncate(NEEDS_MAX);
    needs.into_iter().map(|(_, need)| need).collect()
}

/// A part of what an expression matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Byte(u8),
    /// No letter or digit on one side at least.
    Edge,
}

type Word = Vec<Symbol>;

/// Whether no letter or digit can stand right before or right after a part of an expression.
#[derive(Debug, Clone, Copy, Default)]
struct Around {
    before: bool,
    after: bool,
}

/// The needs of each alternative at the top of an expression, whatever groups and boundaries stand around them.
fn alternatives(hir: &Hir, around: Around) -> Vec<Vec<Need>> {
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

/// What every match of the expression holds.
fn needs(hir: &Hir, around: Around) -> Vec<Need> {
    let mut walk = Walk {
        needs: Vec::new(),
        run: vec![Vec::new()],
        before: around.before,
    };
    walk.through(hir, around);
    walk.flush(around.after);
    walk.needs
}

/// Reads an expression from left to right.
struct Walk {
    needs: Vec<Need>,
    /// Every way to write what was read last, complete.
    run: Vec<Word>,
    /// Whether no letter or digit can stand before the run.
    before: bool,
}

impl Walk {
    fn through(&mut self, hir: &Hir, around: Around) {
        if let Some(words) = exact(hir) {
            return self.append(words, around);
        }
        match hir.kind() {
            HirKind::Capture(capture) => return self.through(&capture.sub, around),
            HirKind::Concat(parts) => {
                for (at, part) in parts.iter().enumerate() {
                    self.through(part, between(parts, at, around));
                }
                return;
            }
            HirKind::Repetition(repetition) if repetition.min > 0 => {
                self.flush(end(&repetition.sub, Side::First).or(false));
                self.needs.extend(needs(&repetition.sub, Around::default()));
            }
            HirKind::Alternation(parts) => {
                self.flush(end(hir, Side::First).or(around.after));
                self.needs.extend(any_of(parts, around));
            }
            _ => self.flush(end(hir, Side::First).or(around.after)),
        }
        self.before = end(hir, Side::Last).or(around.before);
    }

    fn append(&mut self, words: Vec<Word>, around: Around) {
        let longest = |words: &[Word]| words.iter().map(Vec::len).max().unwrap_or(0);
        if self.run.len() * words.len() > PRODUCT_MAX || longest(&self.run) + longest(&words) > WORD_BYTES_MAX {
            self.flush(words.iter().all(|word| begins_apart(word)));
            self.before = around.before;
            self.run = words;
        } else {
            self.run = product(&self.run, &words);
        }
    }

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
        self.needs.extend(need(run.iter().map(|word| literal(word)).collect()));
    }
}

fn begins_apart(word: &[Symbol]) -> bool {
    matches!(word.first(), Some(Symbol::Byte(byte)) if !byte.is_ascii_alphanumeric())
}

/// What is around one part of a sequence.
fn between(parts: &[Hir], at: usize, around: Around) -> Around {
    let before = parts[..at].iter().rev().map(|part| end(part, Side::Last));
    let after = parts[at + 1..].iter().map(|part| end(part, Side::First));
    Around {
        before: sequence(before).or(around.before),
        after: sequence(after).or(around.after),
    }
}

/// A need that is met whichever alternative matches: the rarest of each. None where one of them needs nothing.
fn any_of(parts: &[Hir], around: Around) -> Option<Need> {
    let mut literals = Vec::new();
    for part in parts {
        let needs = needs(part, around).into_iter();
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
    (need.len() <= LITERALS_MAX).then_some(need)
}

/// The outline of a word, as far as it is looked for. Edges are spaces where they touch a letter or digit.
fn literal(word: &[Symbol]) -> Vec<u8> {
    let touches = |symbol: Option<&Symbol>| matches!(symbol, Some(Symbol::Byte(byte)) if byte.is_ascii_alphanumeric());
    let bytes = word.iter().enumerate().filter_map(|(at, symbol)| match symbol {
        Symbol::Byte(byte) => Some(*byte),
        Symbol::Edge => {
            let before = at.checked_sub(1).and_then(|at| word.get(at));
            (touches(before) || touches(word.get(at + 1))).then_some(b' ')
        }
    });
    let mut literal = outline(bytes);
    literal.truncate(LITERAL_SYMBOLS_MAX);
    literal
}

/// Everything that the expression matches, where that is a small set.
fn exact(hir: &Hir) -> Option<Vec<Word>> {
    let words = match hir.kind() {
        HirKind::Empty => vec![Vec::new()],
        HirKind::Look(look) => vec![if is_edge(*look) { vec![Symbol::Edge] } else { Vec::new() }],
        HirKind::Literal(literal) => vec![word(&literal.0)],
        HirKind::Class(class) => members(class)?,
        HirKind::Capture(capture) => exact(&capture.sub)?,
        HirKind::Repetition(repetition) => {
            let mut words = exact(&repetition.sub)?;
            match (repetition.min, repetition.max) {
                (0, Some(1)) => words.push(Vec::new()),
                (1, Some(1)) => {}
                _ => return None,
            }
            words
        }
        HirKind::Concat(parts) => {
            let mut words = vec![Vec::new()];
            for part in parts {
                let next = exact(part)?;
                if words.len() * next.len() > PRODUCT_MAX {
                    return None;
                }
                words = product(&words, &next);
            }
            words
        }
        HirKind::Alternation(parts) => {
            let mut words = Vec::new();
            for part in parts {
                words.extend(exact(part)?);
            }
            words
        }
    };
    (words.len() <= LITERALS_MAX).then_some(words)
}

fn word(bytes: &[u8]) -> Word {
    bytes.iter().map(|byte| Symbol::Byte(*byte)).collect()
}

fn product(left: &[Word], right: &[Word]) -> Vec<Word> {
    left.iter()
        .flat_map(|left| right.iter().map(|right| [left.as_slice(), right].concat()))
        .collect()
}

/// The members of a class, where they are few.
fn members(class: &Class) -> Option<Vec<Word>> {
    let members: Vec<Word> = match class {
        Class::Bytes(class) => {
            let all = class.ranges().iter().flat_map(|range| range.start()..=range.end());
            all.take(CLASS_MAX + 1).map(|byte| word(&[byte])).collect()
        }
        Class::Unicode(class) => {
            let all = class.ranges().iter().flat_map(|range| range.start()..=range.end());
            all.take(CLASS_MAX + 1)
                .map(|c| word(c.encode_utf8(&mut [0; 4]).as_bytes()))
                .collect()
        }
    };
    let letters = members.iter().filter(|word| matches!(word.as_slice(), [Symbol::Byte(b'a'..=b'z')]));
    (members.len() <= CLASS_MAX && letters.count() <= LETTERS_MAX).then_some(members)
}

/// Whether a class has no letter and no digit of ASCII.
fn is_apart(class: &Class) -> bool {
    match class {
        Class::Bytes(class) => class
            .ranges()
            .iter()
            .all(|range| !(range.start()..=range.end()).any(|byte| byte.is_ascii_alphanumeric())),
        Class::Unicode(class) => class
            .ranges()
            .iter()
            .all(|range| !(range.start()..=range.end().min('\x7f')).any(|c| c.is_ascii_alphanumeric())),
    }
}

/// Looks that hold only where one side at least is no letter or digit.
const fn is_edge(look: Look) -> bool {
    let of_text = matches!(
        look,
        Look::Start | Look::End | Look::StartLF | Look::EndLF | Look::StartCRLF | Look::EndCRLF
    );
    let of_word = matches!(
        look,
        Look::WordAscii | Look::WordStartAscii | Look::WordEndAscii | Look::WordStartHalfAscii | Look::WordEndHalfAscii
    );
    of_text || of_word
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    First,
    Last,
}

/// What stands at one end of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Perhaps a letter or digit.
    Unknown,
    /// No letter or digit.
    Apart,
    /// No letter or digit, or nothing at all.
    ApartOrNothing,
}

impl End {
    /// Whether it is no letter or digit, where `beyond` says so of what comes behind nothing.
    fn or(self, beyond: bool) -> bool {
        self == Self::Apart || (self == Self::ApartOrNothing && beyond)
    }
}

/// What stands at the end of parts in a row, beginning with the outermost.
fn sequence(mut ends: impl Iterator<Item = End>) -> End {
    ends.find(|end| *end != End::ApartOrNothing).unwrap_or(End::ApartOrNothing)
}

fn end(hir: &Hir, side: Side) -> End {
    match hir.kind() {
        HirKind::Empty => End::ApartOrNothing,
        HirKind::Look(look) => match (side, look) {
            (Side::First, Look::WordEndHalfAscii | Look::WordEndAscii | Look::End | Look::EndLF | Look::EndCRLF)
            | (Side::Last, Look::WordStartHalfAscii | Look::WordStartAscii | Look::Start | Look::StartLF | Look::StartCRLF) => End::Apart,
            _ => End::ApartOrNothing,
        },
        HirKind::Literal(literal) => {
            let byte = match side {
                Side::First => literal.0.first(),
                Side::Last => literal.0.last(),
            };
            match byte {
                Some(byte) if !byte.is_ascii_alphanumeric() => End::Apart,
                _ => End::Unknown,
            }
        }
        HirKind::Class(class) if is_apart(class) => End::Apart,
        HirKind::Class(_) => End::Unknown,
        HirKind::Repetition(repetition) => match end(&repetition.sub, side) {
            End::Apart if repetition.min == 0 => End::ApartOrNothing,
            end => end,
        },
        HirKind::Capture(capture) => end(&capture.sub, side),
        HirKind::Concat(parts) => match side {
            Side::First => sequence(parts.iter().map(|part| end(part, side))),
            Side::Last => sequence(parts.iter().rev().map(|part| end(part, side))),
        },
        HirKind::Alternation(parts) => {
            let ends: Vec<End> = parts.iter().map(|part| end(part, side)).collect();
            let rank = |wanted| ends.contains(&wanted).then_some(wanted);
            rank(End::Unknown).or(rank(End::ApartOrNothing)).unwrap_or(End::Apart)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ways by `|`, needs by `&`, literals by `,`.
    fn shown(source: &str) -> String {
        let need = |need: &Need| {
            need.iter()
                .map(|literal| String::from_utf8_lossy(literal).into_owned())
                .collect::<Vec<_>>()
                .join(",")
        };
        let way = |way: &Vec<Need>| way.iter().map(need).collect::<Vec<_>>().join("&");
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
            (r"fum[^.]*goujat", "goujat&fum"),
            (r"fum (?:[a-z]+[,;]* ){0,2}goujat", " goujat&fum "),
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
}
