//! Words of a comment as the index knows them: French stemming, accents folded, stop words kept out; and the reverse, the places of a
//! text that a search found.
//!
//! Two views of each word are indexed, because people write with and without accents: the stem of the accented word, folded, and
//! the stem of the folded word. A search matches either. Pure.

use std::collections::BTreeSet;

use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, RemoveLongFilter, SimpleTokenizer, Stemmer, StopWordFilter, TextAnalyzer,
};
use unicode_normalization::UnicodeNormalization as _;

/// Name of the analyser that stems first, then folds.
pub const ACCENTED: &str = "fr_accented";
/// Name of the analyser that folds first, then stems.
pub const FOLDED: &str = "fr_folded";

const WORD_BYTES_MAX: usize = 100;

/// The analyser that stems first, then folds.
#[must_use]
pub fn accented() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(WORD_BYTES_MAX))
        .filter(LowerCaser)
        .filter(stop_words())
        .filter(Stemmer::new(Language::French))
        .filter(AsciiFoldingFilter)
        .build()
}

/// The analyser that folds first, then stems.
#[must_use]
pub fn folded() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(WORD_BYTES_MAX))
        .filter(LowerCaser)
        .filter(stop_words())
        .filter(AsciiFoldingFilter)
        .filter(Stemmer::new(Language::French))
        .build()
}

fn stop_words() -> StopWordFilter {
    StopWordFilter::new(Language::French).expect("the library has French stop words")
}

/// The text as it is indexed and shown in results: composed characters, so that an accent written apart is part of its word.
#[must_use]
pub fn compose(text: &str) -> String {
    text.nfc().collect()
}

/// One word: its two views and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Position among the words, stop words counted.
    pub position: usize,
    /// Stemmed, then folded.
    pub accented: String,
    /// Folded, then stemmed.
    pub folded: String,
    /// Bytes of the text: [start, end).
    pub span: [usize; 2],
}

/// The words of `text`, stop words left out.
#[must_use]
pub fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut analyser = accented();
    analyser.token_stream(text).process(&mut |token| {
        words.push(Word {
            position: token.position,
            accented: token.text.clone(),
            folded: String::new(),
            span: [token.offset_from, token.offset_to],
        });
    });
    // The two analysers drop the same words: what differs comes after the dropping.
    let mut at = 0;
    let mut analyser = folded();
    analyser.token_stream(text).process(&mut |token| {
        if let Some(word) = words.get_mut(at) {
            word.folded.clone_from(&token.text);
        }
        at += 1;
    });
    words
}

/// A piece of a text: found, or between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The text, not escaped: whoever shows it escapes it.
    pub text: String,
    /// Whether the search found it.
    pub found: bool,
}

/// About `length` characters of `text` round the first word that `is_found`, cut into pieces. The whole text where it is shorter.
#[must_use]
pub fn excerpt(text: &str, wanted: &Wanted, length: usize) -> Vec<Piece> {
    let text = compose(text);
    let spans: Vec<[usize; 2]> = words(&text)
        .into_iter()
        .filter(|word| wanted.matches(word))
        .map(|word| word.span)
        .collect();
    let first = spans.first().map_or(0, |span| span[0]);
    let start = if text.chars().count() <= length {
        0
    } else {
        back(&text, first, length / 4)
    };
    let end = forward(&text, start, length);
    let mut pieces = Vec::new();
    let mut push = |from: usize, to: usize, found: bool| {
        if let Some(piece) = text.get(from..to).filter(|piece| !piece.is_empty()) {
            pieces.push(Piece {
                text: piece.to_owned(),
                found,
            });
        }
    };
    let mut at = start;
    for [from, to] in spans.into_iter().filter(|[from, to]| *from >= start && *to <= end) {
        push(at, from, false);
        push(from, to, true);
        at = to;
    }
    push(at, end, false);
    if start > 0 {
        pieces.insert(
            0,
            Piece {
                text: "… ".to_owned(),
                found: false,
            },
        );
    }
    if end < text.len() {
        pieces.push(Piece {
            text: " …".to_owned(),
            found: false,
        });
    }
    pieces
}

/// The words that a search asks for, in their two views.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Exact stems, both views.
    pub stems: BTreeSet<String>,
    /// Beginnings of words, folded.
    pub prefixes: Vec<String>,
}

impl Wanted {
    fn matches(&self, word: &Word) -> bool {
        self.stems.contains(&word.accented)
            || self.stems.contains(&word.folded)
            || self
                .prefixes
                .iter()
                .any(|prefix| word.folded.starts_with(prefix.as_str()) || word.accented.starts_with(prefix.as_str()))
    }
}

/// `characters` before byte `at`, moved on to the start of a word.
fn back(text: &str, at: usize, characters: usize) -> usize {
    let Some((start, _)) = text[..at].char_indices().rev().nth(characters) else {
        return 0;
    };
    text[start..at].find(' ').map_or(start, |space| start + space + 1)
}

fn forward(text: &str, at: usize, characters: usize) -> usize {
    text[at..]
        .char_indices()
        .nth(characters)
        .map_or(text.len(), |(offset, _)| at + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(left: &str, right: &str) {
        let (left_words, right_words) = (words(left), words(right));
        let shared = left_words
            .iter()
            .any(|a| right_words.iter().any(|b| a.accented == b.accented || a.folded == b.folded));
        assert!(shared, "{left} and {right}: {left_words:?} {right_words:?}");
    }

    #[test]
    fn inflection_and_accents_do_not_matter() {
        for (left, right) in [
            ("menaces", "menacer"),
            ("MENACÉE", "menacee"),
            ("égorger", "egorger"),
            ("musées", "musee"),
            ("brûlerons", "bruler"),
            ("l’évacuation", "evacuation"),
            ("cœur", "coeur"),
        ] {
            check(left, right);
        }
        assert!(
            words("le la les de du et l' d'").is_empty(),
            "{:?}",
            words("le la les de du et l' d'")
        );
        assert_eq!(words(&compose("e\u{301}gorger")).len(), 1);
    }

    #[test]
    fn excerpts_mark_what_was_found_and_nothing_else() {
        let wanted = Wanted {
            stems: words("menaces").into_iter().map(|word| word.folded).collect(),
            prefixes: vec![],
        };
        let pieces = excerpt("Je vous <b>menace</b> & je reviendrai", &wanted, 200);
        let found: Vec<&str> = pieces.iter().filter(|piece| piece.found).map(|piece| piece.text.as_str()).collect();
        assert_eq!(found, ["menace"]);
        let whole: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
        assert_eq!(whole, "Je vous <b>menace</b> & je reviendrai");
        let long = format!("{} menace {}", "é ".repeat(500), "fin ".repeat(500));
        let cut: String = excerpt(&long, &wanted, 100).into_iter().map(|piece| piece.text).collect();
        assert!(
            cut.starts_with("… ") && cut.ends_with(" …") && cut.contains("menace") && cut.chars().count() < 120,
            "{cut}"
        );
    }
}
