//! What must hold on every text and every pack.

use std::collections::BTreeMap;

use vigie_domain::RuleHit;

use super::{Choices, Pieces};
use crate::cases::run_cases;
use crate::check::check;
use crate::compile::Rulebook;
use crate::fold::{EXPANSION_BYTES_MAX, Kind, fold, kind};
use crate::matcher::{HITS_MAX, HITS_PER_RULE_MAX, Scope};
use crate::prefilter::Prefilter;
use crate::view::View;

/// The same rulebook without the step that leaves out patterns: what it finds is what every pattern finds.
///
/// # Panics
/// Never: there is nothing to build.
#[must_use]
pub fn trying_every_pattern(mut rulebook: Rulebook) -> Rulebook {
    rulebook.prefilter = Prefilter::of_none(rulebook.patterns.len());
    rulebook
}

/// Spans are those of parts of the text on character boundaries; hits are in order, bounded, and the same again; hits of one rule do not
/// overlap.
///
/// # Panics
/// One of these does not hold.
#[must_use]
pub fn check_hits(rulebook: &Rulebook, text: &str) -> Vec<RuleHit> {
    let hits = rulebook.matches(text, &Scope::default());
    assert_eq!(hits, rulebook.matches(text, &Scope::default()), "twice the same, {text:?}");
    assert!(hits.len() <= HITS_MAX, "{} hits in {text:?}", hits.len());
    assert!(
        hits.is_sorted_by_key(|hit| (hit.span, hit.rule.clone())),
        "by span and rule, {hits:?} in {text:?}"
    );
    let mut ends: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for hit in &hits {
        let [start, end] = hit.span;
        assert!(start < end && text.get(start..end).is_some(), "{hit:?} in {text:?}");
        assert!(rulebook.rules().any(|(name, _)| name == hit.rule), "{hit:?} in {text:?}");
        let (count, last) = ends.entry(&hit.rule).or_default();
        assert!(*last <= start && *count < HITS_PER_RULE_MAX, "{hits:?} in {text:?}");
        (*count, *last) = (*count + 1, end);
    }
    hits
}

/// Every normalised copy of the text is UTF-8, and each of its bytes knows where it came from: places on character boundaries, never
/// falling, that hold a character which folds to the byte; the changed parts are in order.
///
/// # Panics
/// One of these does not hold.
pub fn check_copies(rulebook: &Rulebook, text: &str) {
    for (index, copy) in rulebook.copies(text).iter().enumerate() {
        let view = &copy.view;
        let bytes = view.text.len();
        assert!(std::str::from_utf8(&view.text).is_ok(), "copy {index} of {text:?}");
        assert!(view.from.len() == bytes && view.to.len() == bytes, "copy {index} of {text:?}");
        assert!(view.from.is_sorted() && view.to.is_sorted(), "copy {index} of {text:?}");
        for at in 0..bytes {
            check_byte(view, at, text, index == 0);
        }
        let mut last = 0;
        for range in &view.changed {
            assert!(
                last <= range.start && range.start < range.end && range.end <= bytes,
                "copy {index} of {text:?}"
            );
            last = range.end;
        }
    }
}

fn check_byte(view: &View, at: usize, text: &str, is_first: bool) {
    let [from, to] = view.original(&(at..at + 1));
    let Some(source) = text.get(from..to) else {
        panic!("byte {at} comes from {from}..{to} of {text:?}")
    };
    let back = view.range_of(&(from..to));
    assert!(back.start <= at && at < back.end, "byte {at} is not in {back:?}, {text:?}");
    if is_first {
        let byte = view.text[at];
        let is_made_of = |c: char| {
            let mut folded = Vec::new();
            match kind(c) {
                Kind::Visible => fold(c, |byte| folded.push(byte)),
                Kind::Space | Kind::NewLine => folded.extend(b" \n"),
                Kind::Nothing => {}
            }
            folded.contains(&byte)
        };
        // The words of a hashtag are set apart by spaces that come from nothing.
        let split = source.is_empty() && byte == b' ';
        assert!(
            split || source.chars().next().is_some_and(is_made_of),
            "byte {at}, {byte:#x}, comes from {source:?} of {text:?}"
        );
    }
}

/// Written plainly, a text keeps all that stands outside of its disguised words, which stand in order, on character boundaries, and are
/// words of Latin letters that did not stand there.
///
/// # Panics
/// One of these does not hold.
pub fn check_plain(rulebook: &Rulebook, text: &str) {
    let (mut end, mut expected) = (0, String::new());
    let found = rulebook.disguised(text);
    for (span, word) in &found {
        assert!(end <= span.start && span.start < span.end, "{found:?} of {text:?}");
        expected += &text[end..span.start];
        expected += word;
        assert_ne!(&text[span.clone()], word, "of {text:?}");
        assert!(
            !word.is_empty() && word.len() <= EXPANSION_BYTES_MAX * span.len(),
            "{word:?} of {text:?}"
        );
        end = span.end;
    }
    expected += &text[end..];
    assert_eq!(rulebook.plain(text), (!found.is_empty()).then_some(expected), "{text:?}");
}

/// Any content is refused with problems that name a line of it, or is a rulebook that keeps its promises on its own cases and on texts
/// made of its own pieces. Gives the rulebook of a pack that is one.
///
/// # Panics
/// One of these does not hold.
pub fn check_pack(content: &str, choices: &mut Choices<'_>) -> Option<Rulebook> {
    let files = BTreeMap::from([("p.toml".to_owned(), content.to_owned())]);
    let lines = content.lines().count().max(1) + 1;
    let problems = check(&files);
    let in_file = |line: usize| (1..=lines).contains(&line);
    assert!(problems.iter().all(|problem| in_file(problem.line)), "{problems:?} in {content:?}");
    match Rulebook::parse(&files) {
        Err(errors) => {
            assert!(!errors.is_empty() && errors == problems, "{errors:?} in {content:?}");
            None
        }
        Ok(rulebook) => {
            for case in run_cases(&rulebook) {
                let _ = check_hits(&rulebook, &case.text);
            }
            let text = Pieces::of(&rulebook).text(choices);
            let _ = check_hits(&rulebook, &text);
            check_copies(&rulebook, &text);
            Some(rulebook)
        }
    }
}
