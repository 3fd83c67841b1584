//! Texts that come near what the packs look for: their terms, matches of their patterns, their cases, disguised and mixed with noise.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::Choices;
use crate::compile::Rulebook;

/// A text has so many pieces at most.
const PIECES_MAX: usize = 10;
/// A repetition without an end is repeated so many times more than it must, at most.
const MORE_MAX: usize = 3;

/// What stands between two pieces.
const BETWEEN: [&str; 16] = [
    " ", " ", " ", " ", " ", "", ", ", ". ", "\n", "\n\n", "'", "-", " \u{ab} ", " \u{bb} ", "\" ", " #",
];

/// Characters that have a meaning for some step of the normalisation.
const NOISE: [&str; 40] = [
    "\u{200b}",
    "\u{200d}",
    "\u{feff}",
    "\u{ad}",
    "\u{202e}",
    "\u{301}",
    "\u{327}",
    "\u{fe0f}",
    "\u{1f3fb}",
    "\u{3164}",
    "\u{a0}",
    "\u{3000}",
    "\u{2028}",
    "\t",
    "\r\n",
    "\0",
    "…",
    "!!!",
    " ?",
    "€",
    "£",
    "$",
    "*",
    "|",
    "+",
    "@",
    "0",
    "1",
    "#Aa",
    "ﬁ",
    "ﷺ",
    "ß",
    "İ",
    "ſ",
    "½",
    "⒈",
    "🔪",
    "👩‍👩‍👧",
    "🅰",
    "é",
];

/// What the packs look for, to make texts of.
#[derive(Debug)]
pub struct Pieces {
    terms: Vec<String>,
    patterns: Vec<Hir>,
    cases: Vec<String>,
}

impl Pieces {
    /// The terms, patterns and cases of a rulebook.
    #[must_use]
    pub fn of(rulebook: &Rulebook) -> Self {
        let cases = rulebook.entries.iter().map(|entry| &entry.cases);
        let cases = cases.chain(rulebook.softens.iter().map(|soften| &soften.cases));
        Self {
            terms: rulebook.terms.iter().map(|term| term.written.clone()).collect(),
            patterns: rulebook
                .patterns
                .iter()
                .filter_map(|pattern| parse(pattern.regex.as_str()))
                .collect(),
            cases: cases
                .flat_map(|cases| cases.positive.iter().chain(&cases.negative))
                .cloned()
                .collect(),
        }
    }

    /// How many patterns there are.
    #[must_use]
    pub const fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// A text that the pattern matches, but for the conditions at its ends; `pattern` is below [`Pieces::patterns`].
    #[must_use]
    pub fn of_pattern(&self, pattern: usize, choices: &mut Choices<'_>) -> String {
        let mut bytes = Vec::new();
        write(&self.patterns[pattern], choices, &mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A term of the packs.
    #[must_use]
    pub fn term(&self, choices: &mut Choices<'_>) -> String {
        choices.of(&self.terms).cloned().unwrap_or_default()
    }

    /// A text of up to 10 pieces, one in 32 of them many times over.
    #[must_use]
    pub fn text(&self, choices: &mut Choices<'_>) -> String {
        let mut text = String::new();
        for _ in 0..PIECES_MAX {
            let piece = self.piece(choices);
            text.push_str(&disguised(&piece, choices));
            if choices.is_used_up() {
                break;
            }
            text.push_str(choices.of(&BETWEEN).unwrap_or(&" "));
        }
        match choices.below(32) {
            31 => text.repeat(1 + choices.below(20)),
            _ => text,
        }
    }

    fn piece(&self, choices: &mut Choices<'_>) -> String {
        match choices.below(8) {
            0 | 1 => self.term(choices),
            2 | 3 if !self.patterns.is_empty() => {
                let pattern = choices.below(self.patterns.len());
                self.of_pattern(pattern, choices)
            }
            4 => choices.of(&self.cases).cloned().unwrap_or_default(),
            5 => {
                let count = 1 + choices.below(4);
                (0..count).filter_map(|_| choices.of(&NOISE)).copied().collect()
            }
            6 => {
                let count = 1 + choices.below(3);
                (0..count).filter_map(|_| any_character(choices)).collect()
            }
            _ => choices
                .of(&["le", "la", "de", "pas", "vous", "musée", "c'est", "a"])
                .copied()
                .unwrap_or_default()
                .to_owned(),
        }
    }
}

/// Any character of Unicode; none for numbers that are no character.
fn any_character(choices: &mut Choices<'_>) -> Option<char> {
    let plane = choices.below(18);
    let point = choices.below(1 << 16);
    char::from_u32(u32::try_from(plane << 16 | point).ok()?)
}

/// `piece` as people write it to be understood by people only; one time in three as it is.
#[must_use]
pub fn disguised(piece: &str, choices: &mut Choices<'_>) -> String {
    let each = |change: fn(char, &mut String)| {
        let mut out = String::new();
        piece.chars().for_each(|c| change(c, &mut out));
        out
    };
    match choices.below(15) {
        0 => piece.to_uppercase(),
        1 => each(|c, out| out.push(leet(c))),
        2 => each(|c, out| {
            out.push(c);
            out.push(' ');
        }),
        3 => each(|c, out| {
            out.push(c);
            out.push('.');
        }),
        4 => each(|c, out| {
            out.push(c);
            out.push('\u{200b}');
        }),
        5 => each(|c, out| {
            out.push(c);
            if c.is_alphabetic() {
                out.push('\u{301}');
            }
        }),
        6 => each(|c, out| out.push(full_width(c))),
        7 => each(|c, out| out.push(look_alike(c))),
        8 => held(piece, choices),
        9 => masked(piece, choices),
        _ => piece.to_owned(),
    }
}

/// One letter many times.
fn held(piece: &str, choices: &mut Choices<'_>) -> String {
    let at = choices.below(piece.chars().count().max(1));
    let times = 2 + choices.below(4);
    let mut out = String::new();
    for (index, c) in piece.chars().enumerate() {
        (0..if index == at { times } else { 1 }).for_each(|_| out.push(c));
    }
    out
}

/// A star for some letters.
fn masked(piece: &str, choices: &mut Choices<'_>) -> String {
    let mut inside = false;
    let mut out = String::new();
    for c in piece.chars() {
        out.push(if inside && c.is_alphabetic() && choices.below(3) == 0 {
            '*'
        } else {
            c
        });
        inside = c.is_alphabetic();
    }
    out
}

const fn leet(c: char) -> char {
    match c {
        'o' => '0',
        'i' | 'l' => '1',
        'e' | 'é' | 'è' => '3',
        'a' => '4',
        's' => '$',
        't' => '7',
        'b' => '8',
        'g' => '9',
        c => c,
    }
}

fn full_width(c: char) -> char {
    match c {
        '!'..='~' => char::from_u32(c as u32 + 0xfee0).unwrap_or(c),
        c => c,
    }
}

const fn look_alike(c: char) -> char {
    match c {
        'a' => 'а',
        'c' => 'с',
        'e' => 'е',
        'i' => 'і',
        'n' => 'η',
        'o' => 'ο',
        'p' => 'р',
        'r' => 'г',
        's' => 'ѕ',
        't' => 'т',
        'u' => 'υ',
        c => c,
    }
}

fn parse(source: &str) -> Option<Hir> {
    ParserBuilder::new().unicode(false).utf8(false).build().parse(source).ok()
}

/// Bytes that the expression matches. Conditions on what stands around are not seen to.
fn write(hir: &Hir, choices: &mut Choices<'_>, out: &mut Vec<u8>) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.extend_from_slice(&literal.0),
        HirKind::Class(Class::Bytes(class)) => {
            if let Some(range) = choices.of(class.ranges()) {
                let width = usize::from(range.end() - range.start()) + 1;
                out.push(range.start() + u8::try_from(choices.below(width)).unwrap_or(0));
            }
        }
        HirKind::Class(Class::Unicode(class)) => {
            if let Some(range) = choices.of(class.ranges()) {
                out.extend_from_slice(range.start().encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        HirKind::Repetition(repetition) => {
            let least = repetition.min as usize;
            let more = repetition.max.map_or(MORE_MAX, |max| (max - repetition.min) as usize).min(MORE_MAX);
            (0..least + choices.below(more + 1)).for_each(|_| write(&repetition.sub, choices, out));
        }
        HirKind::Capture(capture) => write(&capture.sub, choices, out),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write(part, choices, out)),
        HirKind::Alternation(parts) => {
            if let Some(part) = choices.of(parts) {
                write(part, choices, out);
            }
        }
    }
}
