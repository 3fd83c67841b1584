//! Words around a hit, quotation marks around a hit.

use std::ops::Range;

use regex::bytes::Regex;

use crate::pack::RawContext;
use crate::pattern::{Classes, PatternError, any_of};
use crate::view::View;

/// Words looked at on each side, where an entry does not say.
const WITHIN_WORDS: usize = 4;
/// Words looked at on each side, at most.
const WITHIN_WORDS_MAX: usize = 64;
/// No word is longer for this purpose: the cost of looking around stays bounded.
const WORD_BYTES_MAX: usize = 24;

/// Patterns looked for near a hit.
#[derive(Debug, Default)]
pub(crate) struct Context {
    before: Option<Regex>,
    after: Option<Regex>,
    anywhere: Option<Regex>,
    within: usize,
}

impl Context {
    pub(crate) fn compile(raw: &RawContext, classes: &Classes) -> Result<Self, PatternError> {
        let within = raw.within.unwrap_or(WITHIN_WORDS);
        if within > WITHIN_WORDS_MAX {
            return Err(PatternError::new(format!(
                "within is {within}: at most {WITHIN_WORDS_MAX} words are looked at on each side"
            )));
        }
        Ok(Self {
            before: any_of(&raw.before, classes)?,
            after: any_of(&raw.after, classes)?,
            anywhere: any_of(&raw.anywhere, classes)?,
            within,
        })
    }

    /// Whether nothing is asked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.before.is_none() && self.after.is_none() && self.anywhere.is_none()
    }

    /// Whether a word that is looked for stands near `range`, in the same sentence.
    pub(crate) fn near(&self, view: &View, range: &Range<usize>) -> bool {
        let text = &view.text;
        self.before
            .as_ref()
            .is_some_and(|regex| regex.is_match(words_before(text, range.start, self.within)))
            || self
                .after
                .as_ref()
                .is_some_and(|regex| regex.is_match(words_after(text, range.end, self.within)))
    }

    /// Whether a word that is looked for stands anywhere in the text.
    pub(crate) fn somewhere(&self, view: &View) -> bool {
        self.anywhere.as_ref().is_some_and(|regex| regex.is_match(&view.text))
    }
}

fn ends_sentence(byte: u8) -> bool {
    matches!(byte, b'.' | b'!' | b'?' | b'\n')
}

fn words_before(text: &[u8], start: usize, words: usize) -> &[u8] {
    let floor = start.saturating_sub(words * WORD_BYTES_MAX);
    let mut at = start;
    let mut left = words + 1;
    while at > floor && left > 0 {
        if ends_sentence(text[at - 1]) {
            break;
        }
        let boundary = text[at - 1].is_ascii_alphanumeric() && (at < 2 || !text[at - 2].is_ascii_alphanumeric());
        at -= 1;
        if boundary {
            left -= 1;
            if left == 1 {
                break;
            }
        }
    }
    &text[at..start]
}

fn words_after(text: &[u8], end: usize, words: usize) -> &[u8] {
    let ceiling = text.len().min(end + words * WORD_BYTES_MAX);
    let mut at = end;
    let mut seen = 0;
    while at < ceiling && !ends_sentence(text[at]) {
        at += 1;
        let word_ends = text[at - 1].is_ascii_alphanumeric() && text.get(at).is_none_or(|byte| !byte.is_ascii_alphanumeric());
        if word_ends {
            seen += 1;
            if seen == words {
                break;
            }
        }
    }
    &text[end..at]
}

/// The quotations of a text: byte ranges of the original, marks included, in ascending order. An unclosed quotation is none.
pub(crate) fn quotations(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open: Option<(char, usize)> = None;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        match (open, c) {
            (Some(('«', start)), '»') | (Some(('“', start)), '”') | (Some(('„', start)), '”' | '“') | (Some(('"', start)), '"') =>
            {
                found.push(start..end);
                open = None;
            }
            (Some(('“', start)), '“') => {
                found.push(start..end);
                open = None;
            }
            (None, '«' | '“' | '„' | '"') => open = Some((c, at)),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(before: &[&str], after: &[&str], within: usize) -> Context {
        let words = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        let raw = RawContext {
            before: words(before),
            after: words(after),
            anywhere: Vec::new(),
            within: Some(within),
        };
        Context::compile(&raw, &Classes::new()).expect("patterns")
    }

    #[test]
    fn looks_at_so_many_words_in_the_sentence() {
        let cases = [
            ("traite de bougnoule", context(&["traite de"], &[], 2), true),
            ("traite un jour de bougnoule", context(&["traite"], &[], 2), false),
            ("il le traite. bougnoule", context(&["traite"], &[], 2), false),
            ("bougnoule un mot raciste", context(&[], &["mot"], 2), true),
            ("bougnoule un vieux mot raciste", context(&[], &["mot"], 2), false),
            ("bougnoule", context(&["x"], &["x"], 2), false),
        ];
        for (text, context, expected) in cases {
            let view = View::folded(text);
            let start = text.find("bougnoule").expect("in the text");
            assert_eq!(context.near(&view, &(start..start + 9)), expected, "{text}");
        }
    }

    #[test]
    fn no_more_words_than_the_limit() {
        let within = |words| {
            let raw = RawContext {
                within: Some(words),
                ..RawContext::default()
            };
            Context::compile(&raw, &Classes::new())
        };
        assert!(within(64).is_ok());
        assert!(within(usize::MAX).is_err_and(|error| error.message.contains("at most 64")));
    }

    #[test]
    fn finds_quotations() {
        let quoted = |text: &str| quotations(text).into_iter().map(|range| text[range].to_owned()).collect::<Vec<_>>();
        assert_eq!(quoted("dit « a » et \"b\" puis “c”"), ["« a »", "\"b\"", "“c”"]);
        assert!(quoted("unclosed « a").is_empty());
    }
}
