//! Finds what the packs know in a text.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use vigie_domain::{AccountId, Act, InstitutionId, Platform, RuleAction, RuleHit};

use crate::compile::{Effect, Entry, Rulebook, ScopeLimit, Soften, Term};
use crate::context::quotations;
use crate::find::{CopyKind, Find, holder};
use crate::fold::{Kind, accented, kind};
use crate::folding::folded_text;
use crate::pack::Accents;
use crate::view::{MoreViews, Runs, View};

/// A rule is reported at most so many times per text.
pub(crate) const HITS_PER_RULE_MAX: usize = 8;
/// So many hits are reported per text; the gravest stay.
pub(crate) const HITS_MAX: usize = 64;

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
    pub(crate) kind: CopyKind,
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

    /// Whether a post is about a death, an attack or people who draw hatred, by the class `grave`: under it a word of praise may be praise of
    /// the deed, and only who reads both can tell.
    #[must_use]
    pub fn is_grave(&self, post: &str) -> bool {
        self.grave.as_ref().is_some_and(|grave| grave.is_match(&View::folded(post).text))
    }

    /// The hits, and the allow-list entries that applied (index and span).
    pub(crate) fn judge(&self, text: &str, scope: &Scope<'_>) -> (Vec<RuleHit>, Vec<(usize, [usize; 2])>) {
        let nothing = (Vec::new(), Vec::new());
        let folded = folded_text(text);
        let finds = self.find(&folded, CopyKind::Folded, &[]);
        if finds.is_empty() && MoreViews::of(&folded).is_none() {
            return nothing;
        }
        let copies = self.copies(text);
        let mut found = Vec::new();
        self.place(finds, 0, &copies[0], text, &mut found);
        for (index, copy) in copies.iter().enumerate().skip(1) {
            let finds = self.find(&copy.view.text, copy.kind, &copy.view.changed);
            self.place(finds, index, copy, text, &mut found);
        }
        found.retain(|found| holds_in(&self.entries[found.entry].scope, scope));
        if found.is_empty() {
            return nothing;
        }
        self.drop_guarded(&mut found, &copies);
        let allowed = self.allowed(&found);
        found.retain(|found| !allowed.cancels(&found.span));
        let hits = self.hits(&found, &copies, text);
        (hits, allowed.entries)
    }

    pub(crate) fn copies(&self, text: &str) -> Vec<Copy> {
        let folded = View::folded(text);
        let more = MoreViews::of(&folded.text);
        let revealed = more.revealed.then(|| folded.revealed(b'i', &self.lexicon)).flatten();
        let second = revealed
            .as_ref()
            .filter(|_| folded.text.iter().any(|byte| matches!(byte, b'1' | b'|' | b'!')));
        let second = second.and_then(|_| folded.revealed(b'l', &self.lexicon));
        let base = revealed.as_ref().unwrap_or(&folded);
        let joined = more.joined.then(|| folded.joined()).flatten();
        let parted = joined.as_ref().and_then(|_| folded.parted(&self.vocabulary));
        // A letter read from a digit may stand beside others.
        let may_hold = more.squeezed || revealed.is_some();
        let held = may_hold.then(|| base.squeezed(Runs::Held)).flatten();
        let squeezed = held.as_ref().and_then(|_| base.squeezed(Runs::All));
        let later = [
            (CopyKind::Revealed, revealed),
            (CopyKind::Revealed, second),
            (CopyKind::Joined, joined),
            (CopyKind::Joined, parted),
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

    /// Where in the original the finds of a copy stand.
    fn place(&self, finds: Vec<Find>, index: usize, copy: &Copy, original: &str, found: &mut Vec<Found>) {
        for find in finds {
            let span = copy.view.original(&find.range);
            if let Some(term) = find.term
                && self.entries[find.entry].accents == Accents::Strict
                && !accents_fit(&self.terms[term], &original[span[0]..span[1]])
            {
                continue;
            }
            found.push(Found {
                entry: find.entry,
                copy: index,
                range: find.range,
                span,
            });
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
        let mut by_rule: BTreeMap<usize, Vec<&Found>> = BTreeMap::new();
        for found in found {
            if matches!(self.entries[found.entry].effect, Effect::Hit { .. }) {
                by_rule.entry(found.entry).or_default().push(found);
            }
        }
        if by_rule.is_empty() {
            return Vec::new();
        }
        let quotations = quotations(text);
        let somewhere: Vec<OnceCell<bool>> = self.softens.iter().map(|_| OnceCell::new()).collect();
        let surroundings = Surroundings {
            copies,
            quotations: &quotations,
            somewhere: &somewhere,
        };
        let mut hits: Vec<RuleHit> = by_rule
            .into_values()
            .flat_map(|found| self.hits_of_rule(found, &surroundings))
            .collect();
        if hits.len() > HITS_MAX {
            hits.sort_by_key(|hit| (std::cmp::Reverse((hit.action, hit.severity)), hit.span));
            hits.truncate(HITS_MAX);
        }
        hits.sort_by(|a, b| (a.span, &a.rule).cmp(&(b.span, &b.rule)));
        hits
    }

    /// The hits of one rule, overlapping ones as one, the first ones only.
    fn hits_of_rule(&self, mut found: Vec<&Found>, surroundings: &Surroundings<'_>) -> Vec<RuleHit> {
        found.sort_by_key(|found| found.span);
        let mut hits: Vec<RuleHit> = Vec::new();
        for found in found {
            let entry = &self.entries[found.entry];
            let Effect::Hit {
                act,
                target,
                severity,
                action,
            } = entry.effect
            else {
                continue;
            };
            let overlaps = hits.last().is_some_and(|last| found.span[0] < last.span[1]);
            if !overlaps && hits.len() == HITS_PER_RULE_MAX {
                break;
            }
            let action = self.softened(action, act, found, surroundings);
            match hits.last_mut() {
                Some(last) if overlaps => {
                    last.span[1] = last.span[1].max(found.span[1]);
                    last.action = last.action.max(action);
                }
                _ => hits.push(RuleHit {
                    rule: entry.name.clone(),
                    act,
                    target,
                    severity,
                    action,
                    span: found.span,
                }),
            }
        }
        hits
    }

    /// What a hit asks for where it stands.
    fn softened(&self, action: RuleAction, act: Act, found: &Found, around: &Surroundings<'_>) -> RuleAction {
        let mut action = action;
        if around.copies[found.copy].kind == CopyKind::Joined {
            action = action.min(RuleAction::Review);
        }
        let quotation = holder(around.quotations, &(found.span[0]..found.span[1]));
        for (soften, somewhere) in self.softens.iter().zip(around.somewhere) {
            let somewhere = || *somewhere.get_or_init(|| soften.context.somewhere(&around.copies[0].view));
            if soften.acts.contains(&act) && action > soften.to && softens(soften, somewhere, quotation, found, around.copies) {
                action = soften.to;
            }
        }
        action
    }
}

/// What may soften the hits of a text.
struct Surroundings<'a> {
    copies: &'a [Copy],
    quotations: &'a [Range<usize>],
    /// For each softening context, whether it stands anywhere in the text, once that was asked.
    somewhere: &'a [OnceCell<bool>],
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

fn softens(soften: &Soften, somewhere: impl Fn() -> bool, quotation: Option<&Range<usize>>, found: &Found, copies: &[Copy]) -> bool {
    let view = &copies[found.copy].view;
    match (soften.quoted, quotation) {
        (true, None) => false,
        (true, Some(_)) if soften.context.is_empty() => true,
        (true, Some(quotation)) => somewhere() || soften.context.near(view, &view.range_of(quotation)),
        (false, _) => somewhere() || soften.context.near(view, &found.range),
    }
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
