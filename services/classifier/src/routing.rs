//! Where a comment goes. Pure: rule hits, scores, policy, thresholds and context in; route, escalation, priority and reasons out.
//!
//! What holds for every input (see `properties.rs`):
//! - Threats, doxxing, harassment, terror apology and distress, by a rule that asks for more than a note or by a score over its threshold,
//!   are escalated and seen by a person, whatever else is found. So is what a rule calls of the highest severity (calls to violence,
//!   denial of crimes): see [`is_urgent`].
//! - Nothing is hidden by the machine that holds a sign of criticism, counter-speech or coarse words, or of distress: the person in
//!   danger must stay visible to those who can answer.
//! - A comment is hidden only for an act that the policy lists, because a rule asks for it and the model agrees, or because the score
//!   of that act is over the threshold for hiding; never with automation off or in a language that the model does not know.
//! - A rule that asks for hiding and a model that finds nothing contradict each other: a person decides.
//! - Worse findings never lead to a milder route, nor to a later place in the queue.
//! - Among what a person must see at once, the place is decided by what makes it urgent alone: an evident scam with a low score for
//!   harassment waits behind a threat.
//!
//! A hit whose rule asks only for a note ([`RuleAction::Signal`]) raises the priority and decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use vigie_domain::policy::{Threshold, needs_human};
use vigie_domain::{Act, Policy, Reason, Route, RuleAction, RuleHit, ScoreLabel, Scores};

/// Labels that call for a person at once.
const URGENT: [ScoreLabel; 5] = [
    ScoreLabel::Threat,
    ScoreLabel::TerrorApology,
    ScoreLabel::Doxxing,
    ScoreLabel::Harassment,
    ScoreLabel::Distress,
];

/// Labels that call for a person in turn.
const ABUSE: [ScoreLabel; 7] = [
    ScoreLabel::Abusive,
    ScoreLabel::Hate,
    ScoreLabel::Incitement,
    ScoreLabel::Denial,
    ScoreLabel::Insult,
    ScoreLabel::Sexual,
    ScoreLabel::Spam,
];

/// Labels that forbid automatic hiding.
const PROTECTED: [ScoreLabel; 3] = [ScoreLabel::Vulgar, ScoreLabel::Criticism, ScoreLabel::CounterSpeech];

/// What else the route depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteContext {
    /// Whether the machine may hide at all at present.
    pub automation: Automation,
    /// Whether the model knows the language.
    pub language: LanguageFit,
    /// How much of the text could be judged.
    pub reading: Reading,
}

/// Whether the machine may hide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Automation {
    /// As the policy says.
    On,
    /// Nothing is hidden without a person.
    Off,
}

/// Whether the model knows the language of the comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LanguageFit {
    /// It does, or the text is too short to tell.
    Known,
    /// It clearly is another language.
    Unknown,
}

/// How much of a text could be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// All of it.
    Whole,
    /// Nothing is there to read: a picture without words.
    Empty,
    /// So long that the model read parts only.
    Partial,
    /// Characters, but none that can be seen.
    Invisible,
}

/// The route of a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// Where it goes.
    pub route: Route,
    /// Whether a person must see it at once.
    pub escalate: bool,
    /// What calls for a human at once.
    pub urgent: Vec<Act>,
    /// 0..=10 kept, 20..=80 in turn or hidden, 90..=100 at once.
    pub priority: u8,
    /// Why, most important first; never empty.
    pub reasons: Vec<Reason>,
}

/// Routes one comment. `thresholds` are those of the policy's caution level, overlaid by the policy's own.
#[must_use]
pub fn route(
    hits: &[RuleHit],
    scores: &Scores,
    policy: &Policy,
    thresholds: &BTreeMap<ScoreLabel, Threshold>,
    context: &RouteContext,
) -> Routing {
    let found = Findings::new(hits, scores, policy, thresholds);
    let mut reasons = Vec::new();
    let asks_to_hide = found.hidden_by_rule || found.hidden_by_score;
    let held_back = found.protected || found.distress || context.automation == Automation::Off || context.language == LanguageFit::Unknown;
    let hide = asks_to_hide && !held_back;

    let urgent = !found.urgent.is_empty();
    if urgent {
        reasons.push(Reason::Urgent);
    }
    if found.contradicted {
        reasons.push(Reason::Disagreement);
    }
    if found.agreed {
        reasons.push(Reason::RuleHide);
    }
    if found.hidden_by_score {
        reasons.push(Reason::ScoreHide);
    }
    if found.rule_review {
        reasons.push(Reason::RuleReview);
    }
    if found.score_review && !found.hidden_by_score {
        reasons.push(Reason::ScoreReview);
    }
    if asks_to_hide && found.protected {
        reasons.push(Reason::ProtectedSpeech);
    }
    if (found.agreed && !found.hidden_by_rule) || (asks_to_hide && context.automation == Automation::Off) {
        reasons.push(Reason::AutomationOff);
    }
    if context.language == LanguageFit::Unknown {
        reasons.push(Reason::UnknownLanguage);
    }
    let unreadable = matches!(context.reading, Reading::Partial | Reading::Invisible);
    let review = !reasons.is_empty() || unreadable;
    if context.reading != Reading::Whole {
        reasons.push(Reason::Unreadable);
    }
    if reasons.is_empty() {
        reasons.push(Reason::Harmless);
    }
    let route = match (hide, review) {
        (true, _) => Route::Hide,
        (false, true) => Route::Review,
        (false, false) => Route::Keep,
    };
    Routing {
        route,
        escalate: urgent,
        urgent: found.urgent.into_iter().collect(),
        priority: priority(route, urgent, if urgent { found.urgency } else { found.weight }),
        reasons,
    }
}

/// The score that is furthest over its threshold for review: what the comment is about in the eyes of the model. `abusive` where none is.
#[must_use]
pub fn most_over(scores: &Scores, thresholds: &BTreeMap<ScoreLabel, Threshold>) -> ScoreLabel {
    let mut most = (ScoreLabel::Abusive, 0.0);
    for label in ABUSE.into_iter().chain(URGENT) {
        if let Some((score, threshold)) = scores.get(label).zip(thresholds.get(&label))
            && score - threshold.review > most.1
        {
            most = (label, score - threshold.review);
        }
    }
    most.0
}

/// What rules and model say, put together.
#[derive(Debug, Default)]
struct Findings {
    /// What calls for a person at once.
    urgent: BTreeSet<Act>,
    /// The author may be in danger.
    distress: bool,
    /// Signs of criticism, counter-speech or coarse words.
    protected: bool,
    /// A rule asks for hiding and the model agrees.
    agreed: bool,
    /// The same, for an act that the policy lists.
    hidden_by_rule: bool,
    /// The score of an act that the policy lists is over its threshold for hiding.
    hidden_by_score: bool,
    /// A rule asks for hiding and the model finds nothing.
    contradicted: bool,
    /// A rule asks for a person.
    rule_review: bool,
    /// A score is over its threshold for review.
    score_review: bool,
    /// The gravest finding, in [0, 1].
    weight: f32,
    /// The gravest of those that call for a person at once, in [0, 1].
    urgency: f32,
}

impl Findings {
    fn new(hits: &[RuleHit], scores: &Scores, policy: &Policy, thresholds: &BTreeMap<ScoreLabel, Threshold>) -> Self {
        let over_review = |label: ScoreLabel| {
            scores
                .get(label)
                .zip(thresholds.get(&label))
                .is_some_and(|(score, threshold)| score >= threshold.review)
        };
        let over_hide = |label: ScoreLabel| {
            let threshold = thresholds.get(&label).and_then(|threshold| threshold.hide);
            scores.get(label).zip(threshold).is_some_and(|(score, hide)| score >= hide)
        };
        let may_hide = |act: Act| !needs_human(act) && policy.automatic.hide.contains(&act);
        let mut found = Self {
            urgent: Act::ALL
                .into_iter()
                .filter(|act| label_of(*act).is_some_and(|label| URGENT.contains(&label) && over_review(label)))
                .collect(),
            distress: over_review(ScoreLabel::Distress),
            protected: PROTECTED.into_iter().any(over_review),
            hidden_by_score: Act::ALL
                .into_iter()
                .any(|act| may_hide(act) && label_of(act).is_some_and(over_hide)),
            score_review: ABUSE.into_iter().any(over_review),
            ..Self::default()
        };
        for hit in hits {
            let weight = f32::from(hit.severity.min(SEVERITY_URGENT)) / f32::from(SEVERITY_URGENT);
            found.weight = found.weight.max(weight);
            if cannot_wait(hit) {
                found.urgency = found.urgency.max(weight);
            }
            found.protected |= matches!(hit.act, Act::Vulgar | Act::Criticism | Act::CounterSpeech);
            if hit.action == RuleAction::Signal {
                continue;
            }
            if is_urgent(hit) {
                found.urgent.insert(hit.act);
            }
            found.distress |= hit.act == Act::Distress;
            let of_target = hit.target.is_some_and(vigie_domain::Target::is_protected) && over_review(ScoreLabel::Hate);
            let agrees = over_review(ScoreLabel::Abusive) || label_of(hit.act).is_some_and(over_review) || of_target;
            match hit.action {
                RuleAction::Hide if agrees => {
                    found.agreed = true;
                    found.hidden_by_rule |= may_hide(hit.act);
                }
                RuleAction::Hide => found.contradicted = true,
                _ => found.rule_review = true,
            }
        }
        let gravest = |labels: &[ScoreLabel]| labels.iter().filter_map(|label| scores.get(*label)).fold(0.0, f32::max).min(1.0);
        found.urgency = found.urgency.max(gravest(&URGENT));
        found.weight = found.weight.max(found.urgency).max(gravest(&ABUSE));
        found
    }
}

/// The severity from which a rule calls for a person at once, whatever its act: the highest.
const SEVERITY_URGENT: u8 = 5;

/// Whether the act or the severity of a hit cannot wait for the queue.
fn cannot_wait(hit: &RuleHit) -> bool {
    hit.act.always_escalates() || hit.act == Act::Harassment || hit.severity >= SEVERITY_URGENT
}

/// Whether a rule calls for a person at once: it asks for more than a note, and its act or its severity cannot wait for the queue.
#[must_use]
pub fn is_urgent(hit: &RuleHit) -> bool {
    cannot_wait(hit) && hit.action != RuleAction::Signal
}

/// The label that scores an act.
pub(crate) const fn label_of(act: Act) -> Option<ScoreLabel> {
    match act {
        Act::Threat => Some(ScoreLabel::Threat),
        Act::Incitement => Some(ScoreLabel::Incitement),
        Act::Denial => Some(ScoreLabel::Denial),
        Act::TerrorApology => Some(ScoreLabel::TerrorApology),
        Act::Doxxing => Some(ScoreLabel::Doxxing),
        Act::Harassment => Some(ScoreLabel::Harassment),
        Act::Insult => Some(ScoreLabel::Insult),
        Act::Sexual => Some(ScoreLabel::Sexual),
        Act::Spam => Some(ScoreLabel::Spam),
        Act::Distress => Some(ScoreLabel::Distress),
        Act::Vulgar | Act::Criticism | Act::CounterSpeech | Act::None => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "weight is in [0, 1], the sum at most 100"
)]
fn priority(route: Route, urgent: bool, weight: f32) -> u8 {
    let (base, room) = match (urgent, route) {
        (true, _) => (90.0, 10.0),
        (false, Route::Review | Route::Hide) => (20.0, 60.0),
        (false, Route::Keep) => (0.0, 10.0),
    };
    (base + room * weight).round() as u8
}

#[cfg(test)]
#[path = "properties.rs"]
mod properties;
