//! How often ordinary comments hold a word: a guess, good enough to choose by.

use std::sync::LazyLock;

/// How often a text of 60 bytes holds one of the literals, which are outlines, from 0 to 1.
pub(crate) fn commonness(literals: &[Vec<u8>]) -> f64 {
    literals.iter().map(|literal| literal_commonness(literal)).sum::<f64>().min(1.0)
}

/// A literal is as common as its rarest word, and rarer for each other word.
fn literal_commonness(literal: &[u8]) -> f64 {
    let parts: Vec<&[u8]> = literal.split(|byte| *byte == b' ').collect();
    let last = parts.len() - 1;
    let mut rarest = 1.0;
    let mut words = 0;
    for (at, part) in parts.iter().enumerate().filter(|(_, part)| !part.is_empty()) {
        rarest = f64::min(rarest, word_commonness(part, at > 0, at < last));
        words += 1;
    }
    rarest * f64::powi(NEXT_WORD, (words - 1).max(0))
}

/// How often a text has a word that is, begins with, ends with or holds these letters.
fn word_commonness(part: &[u8], begins: bool, ends: bool) -> f64 {
    if begins && ends && FREQUENT.split(' ').any(|word| word.as_bytes() == part) {
        return FREQUENT_WORD;
    }
    let letters = 60.0 * part.iter().map(|symbol| frequency(*symbol)).product::<f64>();
    let known = if begins {
        let from = COMMON.partition_point(|word| word.as_bytes() < part);
        let like = COMMON[from..].iter().take_while(|word| word.as_bytes().starts_with(part));
        like.filter(|word| !ends || word.len() == part.len()).count()
    } else {
        COMMON.iter().filter(|word| holds(word.as_bytes(), part, ends)).count()
    };
    let edges = i32::from(begins) + i32::from(ends);
    letters * f64::powi(AT_EDGE, edges) + known as f64 * COMMON_WORD
}

fn holds(word: &[u8], part: &[u8], ends: bool) -> bool {
    if ends {
        word.ends_with(part)
    } else {
        word.windows(part.len()).any(|window| window == part)
    }
}

/// How often letters that stand in a text are the first or the last ones of a word.
const AT_EDGE: f64 = 0.2;
/// How often a text has a certain one of the frequent words.
const FREQUENT_WORD: f64 = 0.15;
/// How often a certain word follows, where a text has the word before it.
const NEXT_WORD: f64 = 0.3;
/// How often a text has a certain one of the common words.
const COMMON_WORD: f64 = 0.006;
/// In alphabetical order.
pub(crate) static COMMON: LazyLock<Vec<&str>> = LazyLock::new(|| include_str!("common_words.txt").lines().collect());

/// Words that stand in every seventh comment or so.
pub(crate) const FREQUENT: &str = "a au aux avec bien c ca ce ces cette comme d dans de des du elle en est et fait faut il ils j je l la le les leur m \
                        mais meme merci moi n ne nous on ont ou par pas plus pour qu que qui s sa se ses son sont sur tous tout tu un une va \
                        vous y";

/// The share of a symbol in French text.
const fn frequency(symbol: u8) -> f64 {
    match symbol {
        b'e' => 0.12,
        b'a' | b's' | b'n' | b'i' | b't' | b'r' => 0.06,
        b'u' | b'o' | b'l' => 0.05,
        b'd' | b'c' | b'm' | b'p' => 0.026,
        b'v' | b'q' | b'f' | b'b' | b'g' | b'h' | b'0'..=b'9' | 0x80.. => 0.01,
        _ => 0.003,
    }
}
