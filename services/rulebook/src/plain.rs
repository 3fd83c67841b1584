//! A text with its disguised words written plainly, for who reads it as a whole: a model that knows `grenade` knows little of `gr3nad3`.
//!
//! What counts as disguised: leet and masks in a word (`1nc3ndi3r`, `c*nnard`), letters that stand alone (`k a l a c h`), letters of other
//! scripts that look like Latin ones, and characters that show nothing inside a word. Everything else stays as it is, accents too.
//! Where a word is taken for disguised that is none, nothing is lost: the text is read as it is as well.

use std::ops::Range;

use unicode_normalization::char::is_combining_mark;

use crate::compile::Rulebook;
use crate::fold::{Kind, fold, is_look_alike, kind};
use crate::folding::folded_text;
use crate::view::{MoreViews, View};

/// A word of so many letters needs no vocabulary to be one: what else would `1nc3ndi3r` be?
const LETTERS_MIN: usize = 5;

/// A part of a text, and what it says.
pub(crate) type Replacement = (Range<usize>, String);

impl Rulebook {
    /// `text` with its disguised words written plainly; none where none is disguised. Linear in the length of the text.
    #[must_use]
    pub fn plain(&self, text: &str) -> Option<String> {
        let found = self.disguised(text);
        let end = found.last()?.0.end;
        let mut plain = String::with_capacity(text.len());
        let mut copied = 0;
        for (span, word) in found {
            plain.push_str(&text[copied..span.start]);
            plain.push_str(&word);
            copied = span.end;
        }
        Some(plain + &text[end..])
    }

    /// The disguised words of `text` and what they say, in order.
    pub(crate) fn disguised(&self, text: &str) -> Vec<Replacement> {
        let mut found = Vec::new();
        let more = MoreViews::of(&folded_text(text));
        if more.revealed || more.joined {
            let folded = View::folded(text);
            found.extend(self.spelled(&folded));
            found.extend(self.revealed(&folded));
        }
        found.extend(look_alikes(text));
        // A word of another script is that script's, whatever its letters look like.
        found.retain(|(span, _)| !text[span.clone()].chars().all(|c| is_of_other_script(c) || !c.is_alphabetic()));
        // Of what overlaps, the first and longest, found in the order above.
        found.sort_by_key(|(span, _)| (span.start, std::cmp::Reverse(span.end)));
        let mut end = 0;
        found.retain(|(span, _)| {
            span.start >= end && {
                end = span.end;
                true
            }
        });
        found
    }

    /// Letters that stand alone, as the words they spell.
    fn spelled(&self, folded: &View) -> Vec<Replacement> {
        let view = folded.parted(&self.vocabulary).or_else(|| folded.joined());
        let Some(view) = view else { return Vec::new() };
        let changed = view.changed.iter().filter(|range| {
            let word = &view.text[(*range).clone()];
            word.len() >= LETTERS_MIN || self.vocabulary.knows(word)
        });
        changed.filter_map(|range| replacement(&view, range)).collect()
    }

    /// Words with leet or masks, as the letters that these stand for.
    fn revealed(&self, folded: &View) -> Vec<Replacement> {
        let views = [b'l', b'i'].map(|one| folded.revealed(one, &self.lexicon));
        let [Some(with_l), Some(with_i)] = views else { return Vec::new() };
        let both = with_l.changed.iter().zip(&with_i.changed);
        let words = both.filter_map(|(l, i)| {
            let (word_l, word_i) = (&with_l.text[l.clone()], &with_i.text[i.clone()]);
            let token = &folded.text[folded.range_of(&original(&with_i, i))];
            let known = self.vocabulary.knows(word_l);
            let (view, range, word) = if known { (&with_l, l, word_l) } else { (&with_i, i, word_i) };
            (self.is_disguised(token, word)).then(|| replacement(view, range)).flatten()
        });
        words.collect()
    }

    /// Whether `token` is `word` in disguise, not a word beside a number (`5ans`, `louvre2`).
    fn is_disguised(&self, token: &[u8], word: &[u8]) -> bool {
        let letter = u8::is_ascii_lowercase;
        let (Some(first), Some(last)) = (token.iter().position(letter), token.iter().rposition(letter)) else {
            return false;
        };
        let inner = &token[first..=last];
        let has_inside = !inner.iter().all(letter);
        let is_long = word.len() >= LETTERS_MIN && has_inside;
        let is_beside_a_number = !has_inside && (self.vocabulary.knows(inner) || inner.len() < 3);
        word.iter().all(letter) && !is_beside_a_number && (is_long || self.vocabulary.knows(word))
    }
}

fn original(view: &View, range: &Range<usize>) -> Range<usize> {
    let [start, end] = view.original(range);
    start..end
}

fn replacement(view: &View, range: &Range<usize>) -> Option<Replacement> {
    let word = std::str::from_utf8(&view.text[range.clone()]).ok()?;
    Some((original(view, range), word.to_owned()))
}

/// Words in which letters of other scripts or styles stand for Latin ones, or that hold characters that show nothing.
fn look_alikes(text: &str) -> Vec<Replacement> {
    let mut found = Vec::new();
    if text.is_ascii() {
        return found;
    }
    let mut rest = text;
    while let Some(start) = rest.find(is_of_word) {
        let at = text.len() - rest.len() + start;
        let word = &rest[start..];
        let word = &word[..word.find(|c| !is_of_word(c)).unwrap_or(word.len())];
        rest = &text[at + word.len()..];
        // What shows nothing hides nothing at the edge of a word: it belongs to the emoji there.
        let begun = word.trim_start_matches(is_hidden);
        let at = at + word.len() - begun.len();
        let word = begun.trim_end_matches(is_hidden);
        found.extend(latin(word).map(|latin| (at..at + word.len(), latin)));
    }
    found
}

/// Letters, digits, and what shows nothing among them.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || is_look_alike(c) || is_hidden(c)
}

fn is_hidden(c: char) -> bool {
    !c.is_ascii() && kind(c) == Kind::Nothing
}

/// The Latin letters that a word shows; none where it is written in them, or shows others too.
fn latin(word: &str) -> Option<String> {
    let hides = |c: char| is_look_alike(c) || (is_hidden(c) && !is_combining_mark(c));
    if !word.chars().any(hides) {
        return None;
    }
    let mut shown = Vec::new();
    for c in word.chars().filter(|c| kind(*c) == Kind::Visible) {
        if is_look_alike(c) {
            fold(c, |byte| shown.push(byte));
        } else {
            shown.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    let shown = String::from_utf8(shown).ok()?;
    (shown.chars().count() >= 3 && !shown.chars().any(is_of_other_script)).then_some(shown)
}

/// Greek to the last script before the phonetic letters, and the scripts of East Asia.
const fn is_of_other_script(c: char) -> bool {
    matches!(c, '\u{370}'..='\u{1cff}' | '\u{3040}'..='\u{d7ff}')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn rulebook() -> Rulebook {
        let pack = "description = \"words\"\nunmask = [\"connard\", \"grenade\", \"bombe\"]\n";
        Rulebook::parse(&BTreeMap::from([("p.toml".to_owned(), pack.to_owned())])).expect("a valid pack")
    }

    #[test]
    fn disguised_words_are_written_plainly() {
        let cases = [
            (
                "L'4lerte : gr3nad3 sous l3 bur3au, à 9 h",
                "L'alerte : grenade sous l3 bureau, à 9 h",
            ),
            ("1nc3ndi3r vos loc4ux", "incendier vos locaux"),
            ("quel c*nn*rd là-bas", "quel connard là-bas"),
            ("e x p l o s i f s ds la réserve", "explosifs ds la réserve"),
            ("é t a i t  b i e n, ici", "etait bien, ici"),
            ("L’exрlоsif est là", "L’explosif est là"),
            ("une b\u{200b}ombe 𝕓𝕠𝕞𝕓𝕖 ❤\u{fe0f}", "une bombe bombe ❤\u{fe0f}"),
            ("une b0\u{200b}mbe", "une bombe"),
            ("Ꭰéjà tоut", "déjà tout"),
        ];
        for (text, expected) in cases {
            assert_eq!(rulebook().plain(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn ordinary_words_stay() {
        let texts = [
            "Le 11-Novembre à 14h30, 5ans déjà, 3e étage, 1er prix, T2, H1, 2nd, 100m², A7 ou N104",
            "Wałęsa, Dvořák, Čapek, İstanbul, nº 3, ½ tarif, œuvre, cœur, L’été à l’Opéra",
            "Спасибо большое, Ευχαριστώ πολύ, 谢谢, شكرا",
            "😍😍👏🏽 🇫🇷 ❤️merci",
            "0 6 3 9 9 8 0 0 0 0, RATP, E. Macron, a b",
            "#JournéesDuPatrimoine2026 @mairie louvre2",
        ];
        for text in texts {
            assert_eq!(rulebook().plain(text), None, "{text}");
        }
    }
}
