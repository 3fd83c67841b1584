//! Words that letters which stand alone may spell: `j e v a i s t e t u e r` is four of them.

use std::collections::HashSet;

use crate::commonness::{COMMON, FREQUENT};

/// Shorter words are taken from [`FREQUENT`] and [`SHORT`] alone: an abbreviation of two letters would part any word.
const RARE_WORD_BYTES_MIN: usize = 3;
/// Longer ones are not looked for.
const WORD_BYTES_MAX: usize = 24;
/// Fewer letters are one word: `c o n n a r d` has seven.
const LETTERS_MIN: usize = 6;

/// Words of one or two letters that are not among the most frequent.
const SHORT: &str = "ai as es eu ma me ni si t ta te ti vu";

/// Normalised words.
#[derive(Debug)]
pub(crate) struct Vocabulary(HashSet<Vec<u8>>);

impl Default for Vocabulary {
    /// Those of ordinary comments.
    fn default() -> Self {
        let words = FREQUENT.split(' ').chain(SHORT.split(' ')).chain(COMMON.iter().copied());
        Self(words.map(|word| word.as_bytes().to_vec()).collect())
    }
}

impl Vocabulary {
    /// Adds the words of a normalised text.
    pub(crate) fn add(&mut self, text: &[u8]) {
        let words = text.split(|byte| !byte.is_ascii_lowercase());
        let worth = words.filter(|word| (RARE_WORD_BYTES_MIN..=WORD_BYTES_MAX).contains(&word.len()));
        self.0.extend(worth.map(<[u8]>::to_vec));
    }

    pub(crate) fn knows(&self, word: &[u8]) -> bool {
        self.0.contains(word)
    }

    /// Where the words end that `letters` spell one after the other, without a letter left over: the fewest words, among as many the longest
    /// first. None where they are one word, or no words. Time is linear in the number of letters.
    pub(crate) fn ends(&self, letters: &[u8]) -> Option<Vec<usize>> {
        if letters.len() < LETTERS_MIN {
            return None;
        }
        // From each place on: how many words reach the end, and where the first of them ends.
        let mut best: Vec<Option<(usize, usize)>> = vec![None; letters.len() + 1];
        best[letters.len()] = Some((0, letters.len()));
        for start in (0..letters.len()).rev() {
            let longest = letters.len().min(start + WORD_BYTES_MAX);
            let words = (start + 1..=longest).rev().filter(|end| self.0.contains(&letters[start..*end]));
            best[start] = words
                .filter_map(|end| best[end].map(|(count, _)| (count + 1, end)))
                .min_by_key(|(count, _)| *count);
        }
        let (count, first) = best[0]?;
        let ends = std::iter::successors(Some(first), |end| best[*end].map(|(_, next)| next));
        (count >= 2).then(|| ends.take(count).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(words: &[&str]) -> Vocabulary {
        Vocabulary(words.iter().map(|word| word.as_bytes().to_vec()).collect())
    }

    fn spelled(vocabulary: &Vocabulary, letters: &str) -> Option<String> {
        let ends = vocabulary.ends(letters.as_bytes())?;
        let starts = std::iter::once(0).chain(ends.clone());
        Some(
            starts
                .zip(&ends)
                .map(|(start, end)| &letters[start..*end])
                .collect::<Vec<_>>()
                .join(" "),
        )
    }

    #[test]
    fn letters_are_parted_into_the_fewest_words() {
        let vocabulary = of(&["je", "vais", "te", "tuer", "connard", "con", "sale", "tu"]);
        let cases = [
            ("jevaistetuer", Some("je vais te tuer")),
            ("saleconnard", Some("sale connard")),
            ("connard", None),
            ("jevaistetuerx", None),
            ("tete", None),
        ];
        for (letters, expected) in cases {
            assert_eq!(spelled(&vocabulary, letters).as_deref(), expected, "{letters}");
        }
    }

    #[test]
    fn ordinary_words_are_known_and_short_rare_ones_are_not() {
        let mut vocabulary = Vocabulary::default();
        vocabulary.add(b"xq zz je vais crever");
        assert_eq!(spelled(&vocabulary, "jevaiscrever").as_deref(), Some("je vais crever"));
        assert_eq!(spelled(&vocabulary, "xqzzcrever"), None);
    }

    proptest! {
        #[test]
        fn the_words_are_known_and_as_few_as_can_be(letters in "[ab]{0,12}", words in prop::collection::vec("[ab]{1,4}", 1..6)) {
            fn fewest(words: &[String], letters: &str) -> Option<usize> {
                if letters.is_empty() {
                    return Some(0);
                }
                let rest = words.iter().filter_map(|word| letters.strip_prefix(word.as_str()));
                rest.filter_map(|rest| fewest(words, rest)).min().map(|count| count + 1)
            }
            let vocabulary = of(&words.iter().map(String::as_str).collect::<Vec<_>>());
            let found = spelled(&vocabulary, &letters);
            let expected = fewest(&words, &letters).filter(|count| *count >= 2 && letters.len() >= LETTERS_MIN);
            prop_assert_eq!(found.as_ref().map(|found| found.split(' ').count()), expected);
            if let Some(found) = found {
                prop_assert!(found.split(' ').all(|word| words.iter().any(|known| known == word)));
                prop_assert_eq!(found.replace(' ', ""), letters);
            }
        }
    }
}
