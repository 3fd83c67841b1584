//! The lexical part of the first stage: a linear regression over hashed n-grams of characters and words, which learnt by how much the
//! whole model is over a threshold. Pure. Thirty times cheaper than the network beside it, and it errs elsewhere, so that both together
//! let more go at the same loss (`models/abuse-fr-acts/README.md`).
//!
//! The same n-grams and hashes as in `models/training/lexical.py`; examples in the manifest are compared in a test. Feature hashing as in
//! Weinberger et al. (2009), "Feature hashing for large scale multitask learning", without signs; the hash is FNV-1a with 64 bits, folded.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Lengths of the n-grams of characters within a token, whose ends count as a space each.
const CHARS: std::ops::RangeInclusive<usize> = 2..=5;
/// Longest n-gram of tokens.
const TOKENS_MAX: usize = 3;
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// The regression.
#[derive(Debug, Clone)]
pub struct Lexical {
    /// One per bucket; their number is a power of two.
    weights: Vec<i8>,
    scale: f64,
    bias: f64,
}

impl Lexical {
    /// The regression with these `weights`, one signed byte per bucket, each times `scale`, and this constant term. None where the number
    /// of buckets is no power of two.
    pub fn new(weights: &[u8], scale: f64, bias: f64) -> Option<Self> {
        weights.len().is_power_of_two().then(|| Self {
            weights: weights.iter().map(|weight| weight.cast_signed()).collect(),
            scale,
            bias,
        })
    }

    /// The value of a text, in logits: `bias` and, for each kind of n-gram, the sum of their weights over the square root of their number.
    /// Linear in the length of the text.
    pub fn value(&self, text: &str) -> f64 {
        let folded: Vec<char> = text.to_lowercase().nfkd().filter(|c| !is_combining_mark(*c)).collect();
        let tokens = tokens(&folded);
        let mut chars = Sum::default();
        for token in &tokens {
            let padded = || [' '].iter().chain(*token).chain(&[' ']).copied();
            for start in 0..token.len() + 2 {
                let mut hash = Hash::new(Kind::Chars);
                for (length, c) in (1..=*CHARS.end()).zip(padded().skip(start)) {
                    hash.push(c);
                    if length >= *CHARS.start() {
                        chars.add(self.weight(&hash));
                    }
                }
            }
        }
        let mut words = Sum::default();
        for start in 0..tokens.len() {
            let mut hash = Hash::new(Kind::Tokens);
            for (place, token) in tokens[start..].iter().take(TOKENS_MAX).enumerate() {
                if place > 0 {
                    hash.push(' ');
                }
                token.iter().for_each(|c| hash.push(*c));
                words.add(self.weight(&hash));
            }
        }
        self.scale.mul_add(chars.scaled() + words.scaled(), self.bias)
    }

    fn weight(&self, hash: &Hash) -> i64 {
        let bucket = hash.folded() & (self.weights.len() as u64 - 1);
        i64::from(self.weights[bucket as usize])
    }
}

/// Runs of letters and digits; every other visible character is a token of its own.
fn tokens(chars: &[char]) -> Vec<&[char]> {
    let mut tokens = Vec::new();
    let mut rest = chars;
    while let Some(first) = rest.first() {
        let length = match rest.iter().take_while(|c| c.is_alphanumeric()).count() {
            0 => 1,
            run => run,
        };
        let (token, after) = rest.split_at(length);
        if !first.is_whitespace() {
            tokens.push(token);
        }
        rest = after;
    }
    tokens
}

/// What an n-gram is made of: part of its hash.
#[derive(Clone, Copy)]
enum Kind {
    Chars = 1,
    Tokens = 2,
}

/// The hash of an n-gram, in UTF-8.
struct Hash(u64);

impl Hash {
    const fn new(kind: Kind) -> Self {
        Self((FNV_OFFSET ^ kind as u64).wrapping_mul(FNV_PRIME))
    }

    fn push(&mut self, c: char) {
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        }
    }

    /// The low bits of FNV-1a know little of the last bytes.
    const fn folded(&self) -> u64 {
        let half = self.0 ^ (self.0 >> 32);
        half ^ (half >> 16)
    }
}

/// Of the weights of one kind of n-gram.
#[derive(Default)]
struct Sum {
    weights: i64,
    count: u32,
}

impl Sum {
    fn add(&mut self, weight: i64) {
        self.weights += weight;
        self.count += 1;
    }

    fn scaled(&self) -> f64 {
        self.weights as f64 / f64::from(self.count.max(1)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts_of(text: &str) -> Vec<String> {
        let chars: Vec<char> = text.chars().collect();
        tokens(&chars).into_iter().map(|token| token.iter().collect()).collect()
    }

    #[test]
    fn tokens_are_runs_of_letters_and_digits_and_single_signs() {
        assert_eq!(
            texts_of("l'expo de 2026, génial !!"),
            ["l", "'", "expo", "de", "2026", ",", "génial", "!", "!"]
        );
        assert_eq!(texts_of("❤_🙂 \n"), ["❤", "_", "🙂"]);
        assert!(texts_of(" \t").is_empty());
    }

    /// The same numbers as in `models/training/test_training.py`.
    #[test]
    fn hashes_are_those_of_the_training() {
        let hash = |kind, text: &str| {
            let mut hash = Hash::new(kind);
            text.chars().for_each(|c| hash.push(c));
            hash.folded() & 0x7_ffff
        };
        assert_eq!(
            [
                hash(Kind::Chars, " e"),
                hash(Kind::Chars, "expo "),
                hash(Kind::Tokens, "très belle"),
                hash(Kind::Tokens, "❤")
            ],
            [319831, 124773, 282321, 416274]
        );
    }

    #[test]
    fn a_value_is_the_sum_of_its_ngrams_over_the_root_of_their_number() {
        let ones = Lexical::new(&[1; 8], 0.5, -3.0).expect("a power of two");
        // « a b »: two n-grams of two characters and one of three per token; « a », « a b », « b ».
        let expected = 0.5_f64.mul_add(6.0 / 6_f64.sqrt() + 3.0 / 3_f64.sqrt(), -3.0);
        assert!((ones.value("a b") - expected).abs() < 1e-12);
        assert!((ones.value("À B") - expected).abs() < 1e-12, "case and accents are folded");
        assert!((ones.value(" ") - -3.0).abs() < 1e-12);
        assert!(Lexical::new(&[1; 6], 1.0, 0.0).is_none());
    }
}
