//! Finds what the packs know in a text.

use std::collections::BTreeMap;
use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use vigie_domain::{AccountId, InstitutionId, Platform, RuleAction, RuleHit};

use crate::compile::{Effect, Entry, Rulebook, ScopeLimit, Soften, Term};
use crate::context::quotations;
use crate::fold::{Kind, accented, kind};
use crate::pack::Accents;
use crate::view::{Runs, View};

/// A rule is reported at most so many times per text.
pub(crate) const HITS_PER_RULE_MAX: usize = 8;
/// So many hits are reported per text; the gravest stay.
pub(crate) const HITS_MAX: usize = 64;
/// A pattern is tried at most so many times per copy of a text.
const PATTERN_TRIES_MAX: usize = 64;

/// Where a comment stands. What is absent is unknown: rules for one institution, account or platform then do not apply, rules for one
/// language do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope<'a> {
    /// Whose account.
    pub institution: Option<&'a InstitutionId>,
    /// Which account.
    pub account: Option<&'a AccountId>,
    /// Which platform.
    pub platform: Option<Platform>,
    /// The language of the comment (BCP 47).
    pub language: Option<&'a str>,
}

/// A copy of the text, and how far what is found there may be trusted.
pub(crate) struct Copy {
    pub(crate) view: View,
    kind: CopyKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CopyKind {
    Folded,
    Revealed,
    Joined,
    Held,
    Squeezed,
}

/// Something found, not yet judged.
struct Found {
    entry: usize,
    copy: usize,
    range: Range<usize>,
    span: [usize; 2],
}

impl Rulebook {
    /// What the packs find in `text`, by span and rule. At most 64 hits, at most 8 of one rule; overlapping hits of a rule are one.
    #[must_use]
    pub fn matches(&self, text: &str, scope: &Scope<'_>) -> Vec<RuleHit> {
        self.judge(text, scope).0
    }

    /// The hits, and the allow-list entries that applied (index and span).
    pub(crate) fn judge(&self, text: &str, scope: &Scope<'_>) -> (Vec<RuleHit>, Vec<(usize, [usize; 2])>) {
        let copies = self.copies(text);
        let mut found = Vec::new();
        for (index, copy) in copies.iter().enumerate() {
            self.find_terms(index, copy, text, &mut found);
            self.find_patterns(index, copy, &mut found);
        }
        if found.is_empty() {
            return (Vec::new(), Vec::new());
        }
        found.retain(|found| holds_in(&self.entries[found.entry].scope, scope));
        self.drop_guarded(&mut found, &copies);
        let allowed = self.allowed(&found);
        found.retain(|found| !allowed.cancels(&found.span));
        let hits = self.hits(&found, &copies, text);
        (hits, allowed.entries)
    }

    pub(crate) fn copies(&self, text: &str) -> Vec<Copy> {
        let folded = View::folded(text);
        let revealed = folded.revealed(b'i', &self.lexicon);
        let second = revealed
            .as_ref()
            .filter(|_| folded.text.iter().any(|byte| matches!(byte, b'1' | b'|' | b'!')));
        let second = second.and_then(|_| folded.revealed(b'l', &self.lexicon));
        let base = revealed.as_ref().unwrap_or(&folded);
        let joined = folded.joined();
        let held = base.squeezed(Runs::Held);
        let squeezed = held.as_ref().and_then(|_| base.squeezed(Runs::All));
        let later = [
            (CopyKind::Revealed, revealed),
            (CopyKind::Revealed, second),
            (CopyKind::Joined, joined),
            (CopyKind::Held, held),
            (CopyKind::Squeezed, squeezed),
        ];
        let mut copies = vec![Copy {
            view: folded,
            kind: CopyKind::Folded,
        }];
        copies.extend(later.into_iter().filter_map(|(kind, view)| view.map(|view| Copy { view, kind })));
        copies
    }

    fn find_terms(&self, index: usize, copy: &Copy, original: &str, found: &mut Vec<Found>) {
        let view = &copy.view;
        let automaton = if copy.kind == CopyKind::Squeezed {
            &self.squeezed
        } else {
            &self.automaton
        };
        for hit in automaton.find_overlapping_iter(&view.text) {
            let range = hit.start()..hit.end();
            let term = &self.terms[hit.pattern().as_usize()];
            if !self.is_word(copy, &range) || !copy.is_news(&range) {
                continue;
            }
            let span = view.original(&range);
            let strict = self.entries[term.entry].accents == Accents::Strict;
            if strict && !accents_fit(term, &original[span[0]..span[1]]) {
                continue;
            }
            found.push(Found {
                entry: term.entry,
                copy: index,
                range,
                span,
            });
        }
    }

    /// Whether the range begins and ends where words do. Inside letters joined to one word, a long term may stand anywhere.
    fn is_word(&self, copy: &Copy, range: &Range<usize>) -> bool {
        let text = &copy.view.text;
        let inside = |a: Option<&u8>, b: Option<&u8>| a.is_some_and(u8::is_ascii_alphanumeric) && b.is_some_and(u8::is_ascii_alphanumeric);
        let before = range.start.checked_sub(1).and_then(|at| text.get(at));
        let cut = inside(before, text.get(range.start)) || inside(text.get(range.end - 1), text.get(range.end));
        !cut || (copy.kind == CopyKind::Joined
            && range.len() >= LONG_TERM_BYTES
            && copy
                .view
                .changed
                .iter()
                .any(|joined| joined.start <= range.start && range.end <= joined.end))
    }

    fn find_patterns(&self, index: usize, copy: &Copy, found: &mut Vec<Found>) {
        if copy.kind == CopyKind::Squeezed {
            return;
        }
        for window in windows(&copy.view.text) {
            if !copy.is_news(&window) {
                continue;
            }
            let text = &copy.view.text[window.clone()];
            for pattern in self.prefilter.candidates(text).into_iter().map(|at| &self.patterns[at]) {
                for hit in pattern.regex.find_iter(text).take(PATTERN_TRIES_MAX) {
                    let range = window.start + hit.start()..window.start + hit.end();
                    if !range.is_empty() && copy.is_news(&range) {
                        let span = copy.view.original(&range);
                        found.push(Found {
                            entry: pattern.entry,
                            copy: index,
                            range,
                            span,
                        });
                    }
                }
            }
        }
    }

    fn drop_guarded(&self, found: &mut Vec<Found>, copies: &[Copy]) {
        let mut somewhere: BTreeMap<usize, bool> = BTreeMap::new();
        found.retain(|found| {
            let guards = &self.entries[found.entry].guards;
            if guards.is_empty() {
                return true;
            }
            let anywhere = *somewhere.entry(found.entry).or_insert_with(|| guards.somewhere(&copies[0].view));
            !anywhere && !guards.near(&copies[found.copy].view, &found.range)
        });
    }

    fn allowed(&self, found: &[Found]) -> Allowed {
        let mut holding = Vec::new();
        let mut overlapping = Vec::new();
        let mut entries = Vec::new();
        for found in found {
            if let Effect::Allow { overlap } = self.entries[found.entry].effect {
                if overlap { &mut overlapping } else { &mut holding }.push(found.span);
                entries.push((found.entry, found.span));
            }
        }
        Allowed {
            holding: Reach::new(holding),
            overlapping: Reach::new(overlapping),
            entries,
        }
    }

    fn hits(&self, found: &[Found], copies: &[Copy], text: &str) -> Vec<RuleHit> {
        let quotations = if found.is_empty() { Vec::new() } else { quotations(text) };
        let somewhere: Vec<bool> = self
            .softens
            .iter()
            .map(|soften| !found.is_empty() && soften.context.somewhere(&copies[0].view))
            .collect();
        let mut by_rule: BTreeMap<usize, Vec<RuleHit>> = BTreeMap::new();
        for found in found {
            let entry = &self.entries[found.entry];
            let Effect::Hit {
                act,
                target,
                severity,
                mut action,
            } = entry.effect
            else {
                continue;
            };
            if copies[found.copy].kind == CopyKind::Joined {
                action = action.min(RuleAction::Review);
            }
            let quotation = quotations
                .iter()
                .find(|quotation| quotation.start <= found.span[0] && found.span[1] <= quotation.end);
            for (soften, somewhere) in self.softens.iter().zip(&somewhere) {
                if soften.acts.contains(&act) && action > soften.to && softens(soften, *somewhere, quotation, found, copies) {
                    action = soften.to;
                }
            }
            let hit = RuleHit {
                rule: entry.name.clone(),
                act,
                target,
                severity,
                action,
                span: found.span,
            };
            by_rule.entry(found.entry).or_default().push(hit);
        }
        let mut hits: Vec<RuleHit> = by_rule.into_values().flat_map(merged).collect();
        if hits.len() > HITS_MAX {
            hits.sort_by_key(|hit| (std::cmp::Reverse((hit.action, hit.severity)), hit.span));
            hits.truncate(HITS_MAX);
        }
        hits.sort_by(|a, b| (a.span, &a.rule).cmp(&(b.span, &b.rule)));
        hits
    }
}

/// Patterns are tried on parts of at least so many bytes.
const WINDOW_BYTES: usize = 512;
/// A term of so many bytes may stand inside joined letters.
const LONG_TERM_BYTES: usize = 5;

impl Copy {
    /// Whether the first copy does not show this range in the same way.
    fn is_news(&self, range: &Range<usize>) -> bool {
        self.kind == CopyKind::Folded || View::touches(&self.view.changed, range)
    }
}

/// What allow-lists cancel.
struct Allowed {
    /// Spans that cancel what they hold.
    holding: Reach,
    /// Spans that cancel what they overlap.
    overlapping: Reach,
    entries: Vec<(usize, [usize; 2])>,
}

impl Allowed {
    fn cancels(&self, span: &[usize; 2]) -> bool {
        self.holding.furthest_from(span[0] + 1) >= span[1] || self.overlapping.furthest_from(span[1]) > span[0]
    }
}

/// Spans by start, with the furthest end so far.
struct Reach(Vec<[usize; 2]>);

impl Reach {
    fn new(mut spans: Vec<[usize; 2]>) -> Self {
        spans.sort_unstable();
        let mut furthest = 0;
        for span in &mut spans {
            furthest = furthest.max(span[1]);
            span[1] = furthest;
        }
        Self(spans)
    }

    /// The furthest end of the spans that start before `limit`; 0 where there is none.
    fn furthest_from(&self, limit: usize) -> usize {
        let before = self.0.partition_point(|span| span[0] < limit);
        before.checked_sub(1).map_or(0, |last| self.0[last][1])
    }
}

fn softens(soften: &Soften, somewhere: bool, quotation: Option<&Range<usize>>, found: &Found, copies: &[Copy]) -> bool {
    let view = &copies[found.copy].view;
    match (soften.quoted, quotation) {
        (true, None) => false,
        (true, Some(_)) if soften.context.is_empty() => true,
        (true, Some(quotation)) => somewhere || soften.context.near(view, &view.range_of(quotation)),
        (false, _) => somewhere || soften.context.near(view, &found.range),
    }
}

/// Overlapping hits of one rule as one, the first ones only.
fn merged(mut hits: Vec<RuleHit>) -> Vec<RuleHit> {
    hits.sort_by_key(|hit| hit.span);
    let mut merged: Vec<RuleHit> = Vec::new();
    for hit in hits {
        match merged.last_mut() {
            Some(last) if hit.span[0] < last.span[1] => {
                last.span[1] = last.span[1].max(hit.span[1]);
                last.action = last.action.max(hit.action);
            }
            _ => merged.push(hit),
        }
    }
    merged.truncate(HITS_PER_RULE_MAX);
    merged
}

fn holds_in(limit: &ScopeLimit, scope: &Scope<'_>) -> bool {
    let one_of =
        |names: &[String], name: Option<&str>| names.is_empty() || name.is_some_and(|name| names.iter().any(|known| known == name));
    let language = |known: &String| scope.language.is_none_or(|language| language.split('-').next() == Some(known));
    one_of(&limit.institution, scope.institution.map(InstitutionId::as_str))
        && one_of(&limit.account, scope.account.map(AccountId::as_str))
        && (limit.platform.is_empty() || scope.platform.is_some_and(|platform| limit.platform.contains(&platform)))
        && (limit.language.is_empty() || limit.language.iter().any(language))
}

/// Cuts a long text where sentences end, so that few patterns are tried on each part: a pattern is about one sentence. A sentence that
/// is longer than two windows is cut where it is.
fn windows(text: &[u8]) -> Vec<Range<usize>> {
    let mut windows = Vec::new();
    let mut start = 0;
    while text.len() - start > 2 * WINDOW_BYTES {
        let ends = |byte: &u8| matches!(byte, b'.' | b'!' | b'?' | b'\n');
        let search = &text[start + WINDOW_BYTES..start + 2 * WINDOW_BYTES];
        let spaces = |byte: &u8| *byte == b' ';
        let cut = search
            .iter()
            .position(ends)
            .or_else(|| search.iter().rposition(spaces))
            .unwrap_or(WINDOW_BYTES - 1);
        let end = start + WINDOW_BYTES + cut + 1;
        windows.push(start..end);
        start = end;
    }
    windows.push(start..text.len());
    windows
}

/// Whether every accent of the text is one of the term's. Texts of another length (held letters) pass.
fn accents_fit(term: &Term, text: &str) -> bool {
    let letters = |text: &str| -> Vec<bool> {
        text.nfc()
            .filter(|c| kind(*c) == Kind::Visible && c.is_alphabetic())
            .map(accented)
            .collect()
    };
    let (written, typed) = (letters(&term.written), letters(text));
    written.len() != typed.len() || written.iter().zip(&typed).all(|(written, typed)| *written || !typed)
}

/// The entry of an allow-list by name, for its cases.
pub(crate) fn is_allow(entry: &Entry) -> bool {
    matches!(entry.effect, Effect::Allow { .. })
}
