//! What can be told of the matches of an expression by reading it: all of them, where they are few; what stands at their ends; how many
//! words they have. What is not understood is told nothing of.

use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// A set of words that grows beyond this is no small one.
pub(crate) const PRODUCT_MAX: usize = 96;
/// Nor is an alternative of more words.
pub(crate) const WORDS_MAX: usize = 2000;
/// A class of more characters, or of more letters, is no set of words.
const CLASS_MAX: usize = 64;
const LETTERS_MAX: usize = 8;

/// A part of what an expression matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Symbol {
    Byte(u8),
    /// No letter or digit on one side at least.
    Edge,
}

pub(crate) type Word = Vec<Symbol>;

/// Whether no letter or digit can stand right before or right after a part of an expression.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Around {
    pub(crate) before: bool,
    pub(crate) after: bool,
}

/// What is around one part of a sequence.
pub(crate) fn between(parts: &[Hir], at: usize, around: Around) -> Around {
    let before = parts[..at].iter().rev().map(|part| end(part, Side::Last));
    let after = parts[at + 1..].iter().map(|part| end(part, Side::First));
    Around {
        before: sequence(before).or(around.before),
        after: sequence(after).or(around.after),
    }
}

/// Everything that the expression matches, where that is a small set.
pub(crate) fn exact(hir: &Hir) -> Option<Vec<Word>> {
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
    (words.len() <= WORDS_MAX).then_some(words)
}

pub(crate) fn word(bytes: &[u8]) -> Word {
    bytes.iter().map(|byte| Symbol::Byte(*byte)).collect()
}

pub(crate) fn product(left: &[Word], right: &[Word]) -> Vec<Word> {
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
pub(crate) enum Side {
    First,
    Last,
}

/// What stands at one end of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Perhaps a letter or digit.
    Unknown,
    /// No letter or digit.
    Apart,
    /// No letter or digit, or nothing at all.
    ApartOrNothing,
}

impl End {
    /// Whether it is no letter or digit, where `beyond` says so of what comes behind nothing.
    pub(crate) fn or(self, beyond: bool) -> bool {
        self == Self::Apart || (self == Self::ApartOrNothing && beyond)
    }
}

/// What stands at the end of parts in a row, beginning with the outermost.
fn sequence(mut ends: impl Iterator<Item = End>) -> End {
    ends.find(|end| *end != End::ApartOrNothing).unwrap_or(End::ApartOrNothing)
}

/// What stands at one end of the matches of an expression.
pub(crate) fn end(hir: &Hir, side: Side) -> End {
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

/// Letters, digits and underscores: what stands in a row of them is a word.
pub(crate) const fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// How many words begin in a match at most; none where there is no limit.
pub(crate) fn words_max(hir: &Hir) -> Option<u32> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(0),
        HirKind::Literal(literal) => Some(words_in(literal.0.iter().copied())),
        HirKind::Class(class) => Some(u32::from(members_of_word(class).0)),
        HirKind::Capture(capture) => words_max(&capture.sub),
        HirKind::Repetition(repetition) => {
            let once = words_max(&repetition.sub)?;
            let is_one_word = matches!(repetition.sub.kind(), HirKind::Class(class) if members_of_word(class).1);
            if once == 0 || is_one_word {
                Some(once)
            } else {
                once.checked_mul(repetition.max?)
            }
        }
        HirKind::Concat(parts) => parts.iter().try_fold(0_u32, |words, part| words.checked_add(words_max(part)?)),
        HirKind::Alternation(parts) => parts.iter().try_fold(0, |most, part| Some(words_max(part)?.max(most))),
    }
}

/// How many words begin in some bytes.
pub(crate) fn words_in(bytes: impl Iterator<Item = u8>) -> u32 {
    let begins = |inside: &mut bool, byte: u8| {
        let before = std::mem::replace(inside, is_of_word(byte));
        Some(*inside && !before)
    };
    bytes.scan(false, begins).map(u32::from).sum()
}

/// Whether some members of a class are of words, and whether all are.
fn members_of_word(class: &Class) -> (bool, bool) {
    let ranges: Vec<(u32, u32)> = match class {
        Class::Bytes(class) => class
            .ranges()
            .iter()
            .map(|range| (range.start().into(), range.end().into()))
            .collect(),
        Class::Unicode(class) => class
            .ranges()
            .iter()
            .map(|range| (range.start().into(), range.end().into()))
            .collect(),
    };
    let mut ascii = ranges
        .iter()
        .flat_map(|(start, end)| *start..=(*end).min(0x7f))
        .filter_map(|code| u8::try_from(code).ok());
    let is_ascii = ranges.iter().all(|(_, end)| *end <= 0x7f);
    (ascii.clone().any(is_of_word), is_ascii && ascii.all(is_of_word))
}
