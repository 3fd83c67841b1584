//! The words that moved a score, found by leaving each out in turn (occlusion). Pure: what scores is passed in.
//!
//! Bounded: of a text of more than [`STRETCH_WORDS`] words the stretch that scores highest alone is explained, and of one that has more
//! than [`STRETCHES_MAX`] stretches nothing is. So at most [`STRETCHES_MAX`] + [`STRETCH_WORDS`] texts of at most [`STRETCH_BYTES_MAX`]
//! bytes are scored, whatever the text.
//!
//! It says what the model reacts to, not why, and not whether it is right: two words that only count together show little each.

use std::ops::Range;
use std::time::{Duration, Instant};

use vigie_domain::{Reason, Route, Verdict, WordWeight};

/// Words left out in turn.
pub const STRETCH_WORDS: usize = 24;

/// The longest stretch.
pub const STRETCH_BYTES_MAX: usize = 256;

/// Stretches looked at.
pub const STRETCHES_MAX: usize = 32;

/// Longer runs of characters without a space are cut.
const WORD_BYTES_MAX: usize = 64;

/// Words named.
const NAMED_MAX: usize = 5;

/// A word that moves the score by less is not named, nor one that moves it by less than [`WEIGHT_SHARE_MIN`] of the heaviest.
const WEIGHT_MIN: f32 = 0.02;
const WEIGHT_SHARE_MIN: f32 = 0.2;

/// Whether a verdict is worth an explanation: a person has to decide, and the model had a say in it.
#[must_use]
pub fn is_wanted(verdict: &Verdict) -> bool {
    verdict.route == Route::Review
        && verdict
            .reasons
            .iter()
            .any(|reason| matches!(reason, Reason::ScoreReview | Reason::Disagreement))
}

/// The words of `text` that moved its score, the heaviest first; none where no word stands out. `whole` is the score of the text,
/// `score` gives those of other texts, in order.
///
/// # Errors
/// What `score` says.
pub fn explain<E>(text: &str, whole: f32, mut score: impl FnMut(&[&str]) -> Result<Vec<f32>, E>) -> Result<Vec<WordWeight>, E> {
    let words = words(text);
    let stretches = stretches(&words);
    let (stretch, base) = match stretches.as_slice() {
        [] => return Ok(Vec::new()),
        [only] => (*only, whole),
        several if several.len() > STRETCHES_MAX => return Ok(Vec::new()),
        several => {
            let texts: Vec<&str> = several.iter().map(|words| &text[extent(words)]).collect();
            let scores = score(&texts)?;
            let best = several.iter().copied().zip(scores).max_by(|a, b| a.1.total_cmp(&b.1));
            let Some(best) = best else { return Ok(Vec::new()) };
            best
        }
    };
    if stretch.len() < 2 {
        return Ok(Vec::new());
    }
    let without: Vec<String> = stretch.iter().map(|word| leave_out(text, extent(stretch), word)).collect();
    let without: Vec<&str> = without.iter().map(String::as_str).collect();
    let mut weights: Vec<WordWeight> = stretch
        .iter()
        .zip(score(&without)?)
        .map(|(word, score)| WordWeight {
            span: [word.start, word.end],
            weight: ((base - score) * 10_000.0).round() / 10_000.0,
        })
        .filter(|word| word.weight.abs() >= WEIGHT_MIN)
        .collect();
    weights.sort_by(|a, b| b.weight.abs().total_cmp(&a.weight.abs()).then(a.span.cmp(&b.span)));
    let heaviest = weights.first().map_or(0.0, |word| word.weight.abs());
    weights.retain(|word| word.weight.abs() >= WEIGHT_SHARE_MIN * heaviest);
    weights.truncate(NAMED_MAX);
    Ok(weights)
}

/// The words of a text, without the punctuation around them; elided ones apart (`l’`, `abruti`). One more than can be used at most.
fn words(text: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut rest = text;
    while words.len() <= STRETCH_WORDS * STRETCHES_MAX {
        rest = rest.trim_start();
        if rest.is_empty() {
            break;
        }
        let from = text.len() - rest.len();
        let run = word_end(rest);
        words.push(trimmed(text, from..from + run));
        rest = &rest[run..];
    }
    words
}

/// Bytes up to the end of the word that `text` begins with; at least one character.
fn word_end(text: &str) -> usize {
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let Some((next, following)) = characters.peek().copied() else {
            break;
        };
        let elided = matches!(c, '\'' | '’') && at > 0 && following.is_alphabetic();
        if following.is_whitespace() || elided || next + following.len_utf8() > WORD_BYTES_MAX {
            return next;
        }
    }
    text.len()
}

/// A word without the punctuation around it, unless it is nothing else.
fn trimmed(text: &str, word: Range<usize>) -> Range<usize> {
    let punctuation = |c: char| c.is_ascii_punctuation() || matches!(c, '«' | '»' | '…' | '“' | '”' | '’');
    let run = &text[word.clone()];
    let left = run.trim_start_matches(punctuation);
    let inner = left.trim_end_matches(punctuation);
    if inner.is_empty() {
        return word;
    }
    let start = word.start + run.len() - left.len();
    start..start + inner.len()
}

/// Words in a row, as many as fit.
fn stretches(words: &[Range<usize>]) -> Vec<&[Range<usize>]> {
    let mut stretches = Vec::new();
    let mut rest = words;
    while let Some(first) = rest.first() {
        let fitting = rest
            .iter()
            .take(STRETCH_WORDS)
            .take_while(|word| word.end - first.start <= STRETCH_BYTES_MAX)
            .count();
        let (stretch, others) = rest.split_at(fitting.max(1));
        stretches.push(stretch);
        rest = others;
    }
    stretches
}

fn extent(words: &[Range<usize>]) -> Range<usize> {
    words.first().map_or(0, |word| word.start)..words.last().map_or(0, |word| word.end)
}

fn leave_out(text: &str, extent: Range<usize>, word: &Range<usize>) -> String {
    let (before, after) = (&text[extent.start..word.start], &text[word.end..extent.end]);
    let after = if before.is_empty() || before.ends_with(char::is_whitespace) {
        after.trim_start()
    } else {
        after
    };
    format!("{before}{after}")
}

/// How many comments may be explained: during a raid nearly every comment is borderline, and verdicts must not wait for explanations
/// that nobody has the time to read. [`Allowance::PER_SECOND`], saved up to [`Allowance::SAVED_MAX`].
#[derive(Debug, Clone)]
pub struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    /// More than several people can read.
    pub const PER_SECOND: u32 = 3;
    /// So many at once. The comments that come behind wait for them, some 35 ms each: more would not leave 99 % of a busy stream below 250 ms.
    pub const SAVED_MAX: u32 = 5;

    /// Everything saved up.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self {
            left: Self::SAVED_MAX,
            since: now,
        }
    }

    /// Takes one, where one is left.
    pub fn take(&mut self, now: Instant) -> bool {
        let each = Duration::from_secs(1) / Self::PER_SECOND;
        let waited = now.saturating_duration_since(self.since);
        let earned = u32::try_from(waited.as_millis() / each.as_millis()).unwrap_or(u32::MAX);
        if earned >= Self::SAVED_MAX {
            *self = Self::new(now);
        } else {
            self.left = Self::SAVED_MAX.min(self.left + earned);
            self.since += each * earned;
        }
        let granted = self.left > 0;
        self.left = self.left.saturating_sub(1);
        granted
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// A model of which every `con` adds .4, and every `merci` takes .1 away.
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn model(text: &str) -> f32 {
        0.3 + 0.4 * text.matches("con").count() as f32 - 0.1 * text.matches("merci").count() as f32
    }

    /// The words named with their weights in hundredths, and how many texts were scored.
    #[expect(clippy::cast_possible_truncation, reason = "small numbers")]
    fn named(text: &str) -> (Vec<(&str, i32)>, usize) {
        let mut scored = 0;
        let found = explain(text, model(text), |texts| {
            scored += texts.len();
            Ok::<_, Infallible>(texts.iter().map(|text| model(text)).collect())
        });
        let Ok(found) = found;
        let words = found
            .iter()
            .map(|word| (&text[word.span[0]..word.span[1]], (word.weight * 100.0).round() as i32));
        (words.collect(), scored)
    }

    #[track_caller]
    fn check(text: &str, expected: &[(&str, i32)], scored: usize) {
        assert_eq!(named(text), (expected.to_vec(), scored), "{text}");
    }

    #[test]
    fn names_the_words_that_move_the_score() {
        check("", &[], 0);
        check(" \n\t ", &[], 0);
        check("con", &[], 0);
        check("Quel « con », merci !", &[("con", 40), ("merci", -10)], 6);
        check("l’con d'accord", &[("con", 40)], 4);
        check("une belle exposition", &[], 3);
        check("concon conconcon", &[("conconcon", 120), ("concon", 80)], 2);
        check("conconconconcon merci à vous", &[("conconconconcon", 200)], 4);
        check("con con con con con con", &[("con", 40); 5], 6);
    }

    #[test]
    fn finds_the_stretch_that_counts_in_a_long_text() {
        let padding = "mot ".repeat(100);
        check(&format!("{padding}con {padding}"), &[("con", 40)], 9 + 24);
        check(&format!("{}con", "mot ".repeat(800)), &[], 0);
        check(&format!("gros {}con", " ".repeat(10_000)), &[], 2);
    }

    #[test]
    fn leaves_no_double_space() {
        assert_eq!(leave_out("un deux trois", 0..13, &(3..7)), "un trois");
        assert_eq!(leave_out("un deux", 0..7, &(0..2)), "deux");
        assert_eq!(leave_out("l'abruti", 0..8, &(2..8)), "l'");
    }

    #[test]
    fn explanations_are_rationed() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let granted = |allowance: &mut Allowance, seconds: u64| {
            let now = start + Duration::from_secs(seconds);
            (0..100).filter(|_| allowance.take(now)).count()
        };
        assert_eq!(granted(&mut allowance, 0), 5);
        assert_eq!(granted(&mut allowance, 1), 3);
        assert_eq!(granted(&mut allowance, 3), 5);
        assert_eq!(granted(&mut allowance, 1_000_000), 5, "no more than can be saved up");
    }

    proptest! {
        #[test]
        fn spans_are_words_of_the_text_and_the_cost_is_bounded(text in "\\PC{0,400}|([a-zé'’👩\u{200D} \n]{0,12}[ !]){0,900}") {
            let (mut scored, mut longest) = (0, 0);
            let found = explain(&text, 0.5, |texts| {
                scored += texts.len();
                longest = texts.iter().map(|text| text.len()).fold(longest, usize::max);
                // Any score, depending on the text.
                Ok::<_, Infallible>(texts.iter().map(|text| f32::from(u8::try_from(text.len() % 100).unwrap_or(0)) / 100.0).collect())
            });
            let Ok(found) = found;
            prop_assert!(found.len() <= NAMED_MAX && scored <= STRETCHES_MAX + STRETCH_WORDS && longest <= STRETCH_BYTES_MAX);
            for word in &found {
                let quoted = text.get(word.span[0]..word.span[1]);
                prop_assert!(quoted.is_some_and(|quoted| !quoted.is_empty() && quoted.len() <= WORD_BYTES_MAX && !quoted.contains(char::is_whitespace)));
                prop_assert!(word.weight.abs() >= WEIGHT_MIN);
            }
            prop_assert!(found.is_sorted_by(|a, b| a.weight.abs() >= b.weight.abs()));
        }

        #[test]
        fn words_follow_each_other(text in "\\PC{0,200}") {
            let words = words(&text);
            prop_assert!(words.iter().all(|word| word.start < word.end && text.is_char_boundary(word.start) && text.is_char_boundary(word.end)));
            prop_assert!(words.is_sorted_by(|a, b| a.end <= b.start));
        }
    }
}
