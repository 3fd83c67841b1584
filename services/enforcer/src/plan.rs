//! What a decision asks of a platform, given what earlier decisions on the same comment have done to it. Pure.

use vigie_domain::{Act, Action, Decision, Outcome};

/// Whether an earlier action is in effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Never tried, or taken back.
    #[default]
    No,
    /// Tried; nobody knows whether it happened.
    Perhaps,
    /// It is.
    Yes,
}

/// What earlier requests have done to one comment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effects {
    /// Hidden by us.
    pub hidden: Effect,
    /// Deleted by us.
    pub deleted: Effect,
    /// Reported by us.
    pub reported: Effect,
}

/// One action to carry out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// What is asked.
    pub action: Action,
    /// Whether the platform is read before anything is sent, because the action may be in effect already.
    pub look_first: bool,
}

/// One earlier request on the comment, as far as its effect matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// What was asked.
    pub action: Action,
    /// Whether sending it was at least begun, or rehearsed.
    pub begun: bool,
    /// Whether it was confirmed.
    pub confirmed: bool,
}

impl Effects {
    /// What `past`, oldest first, has done.
    #[must_use]
    pub fn of(past: &[Past]) -> Self {
        let mut effects = Self::default();
        for one in past.iter().filter(|one| one.begun) {
            let done = if one.confirmed { Effect::Yes } else { Effect::Perhaps };
            match one.action {
                Action::Hide => effects.hidden = done,
                Action::Delete => effects.deleted = effects.deleted.max(done),
                Action::Report => effects.reported = effects.reported.max(done),
                Action::Unhide if one.confirmed => effects.hidden = Effect::No,
                Action::Unhide => effects.hidden = effects.hidden.min(Effect::Perhaps),
            }
        }
        effects
    }
}

/// What to do. Where the platform cannot delete, the comment is hidden; where it cannot hide, it is reported; where it can do
/// nothing at all, the plan names what was decided, which then fails clearly. A grave comment is hidden and reported. A person in
/// distress is never reported and never deleted; where they attack nobody besides, passing the comment on leaves it in sight, so that
/// they can still be answered.
#[must_use]
pub fn plan(decision: &Decision, effects: Effects, can: impl Fn(Action) -> bool) -> Vec<Planned> {
    let acts = decision.stated_acts();
    let distress = acts.contains(&Act::Distress);
    let may = |action: Action| can(action) && !(distress && matches!(action, Action::Report | Action::Delete));
    let wanted = match decision.outcome {
        Outcome::Keep => return restore(effects),
        Outcome::Hide => first(&[Action::Hide, Action::Report], may, distress),
        Outcome::Delete => first(&[Action::Delete, Action::Hide, Action::Report], may, distress),
        Outcome::Escalate if distress && !acts.iter().copied().any(attacks) => Vec::new(),
        Outcome::Escalate => {
            let both: Vec<Action> = [Action::Hide, Action::Report].into_iter().filter(|action| may(*action)).collect();
            if both.is_empty() {
                first(&[Action::Hide], may, distress)
            } else {
                both
            }
        }
    };
    wanted.into_iter().filter_map(|action| ask(action, effects)).collect()
}

const fn attacks(act: Act) -> bool {
    !matches!(
        act,
        Act::Distress | Act::Spam | Act::Vulgar | Act::Criticism | Act::CounterSpeech | Act::None
    )
}

fn first(by_preference: &[Action], may: impl Fn(Action) -> bool, distress: bool) -> Vec<Action> {
    let possible = by_preference.iter().copied().find(|action| may(*action));
    match possible {
        Some(action) => vec![action],
        // Nobody is asked to do by hand what must not be done.
        None if distress => Vec::new(),
        None => by_preference.first().copied().into_iter().collect(),
    }
}

/// Leaves out what is in effect already; a look first where it may be.
fn ask(action: Action, effects: Effects) -> Option<Planned> {
    let effect = match action {
        Action::Hide => effects.hidden.max(effects.deleted),
        Action::Delete => effects.deleted,
        Action::Report => effects.reported,
        Action::Unhide => Effect::No,
    };
    (effect != Effect::Yes).then_some(Planned {
        action,
        look_first: effect == Effect::Perhaps,
    })
}

/// A report cannot be taken back; what is hidden is shown again.
fn restore(effects: Effects) -> Vec<Planned> {
    if effects.hidden == Effect::No && effects.deleted == Effect::No {
        return Vec::new();
    }
    vec![Planned {
        action: Action::Unhide,
        look_first: false,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use vigie_domain::{DecisionAuthor, DecisionId, Route};

    fn decision(outcome: Outcome, acts: &[Act]) -> Decision {
        let verdict = vigie_runtime::testing::sample_verdict("x", Route::Review);
        Decision {
            id: DecisionId::derive(&verdict.comment.revision, 0),
            sequence: 0,
            verdict,
            outcome,
            acts: acts.to_vec(),
            targets: Vec::new(),
            legal_basis: None,
            note: None,
            author: DecisionAuthor::Policy {
                policy: "default@1".to_owned(),
            },
            decided_at: Timestamp::UNIX_EPOCH,
            blind: false,
            undoes: None,
        }
    }

    #[track_caller]
    fn check(outcome: Outcome, acts: &[Act], can: &[Action], effects: Effects, expected: &[(Action, bool)]) {
        let planned: Vec<(Action, bool)> = plan(&decision(outcome, acts), effects, |action| can.contains(&action))
            .into_iter()
            .map(|one| (one.action, one.look_first))
            .collect();
        assert_eq!(planned, expected, "{outcome:?} {acts:?} {can:?} {effects:?}");
    }

    #[test]
    fn what_a_platform_cannot_do_falls_back() {
        use Action::{Delete, Hide, Report, Unhide};
        let bluesky = [Hide, Unhide, Report];
        let mastodon = [Report];
        let none = Effects::default();
        for (outcome, can, expected) in [
            (Outcome::Keep, bluesky.as_slice(), vec![]),
            (Outcome::Hide, bluesky.as_slice(), vec![(Hide, false)]),
            (Outcome::Hide, mastodon.as_slice(), vec![(Report, false)]),
            (Outcome::Hide, [].as_slice(), vec![(Hide, false)]),
            (Outcome::Delete, bluesky.as_slice(), vec![(Hide, false)]),
            (Outcome::Delete, mastodon.as_slice(), vec![(Report, false)]),
            (Outcome::Delete, [Delete].as_slice(), vec![(Delete, false)]),
            (Outcome::Delete, [].as_slice(), vec![(Delete, false)]),
            (Outcome::Escalate, bluesky.as_slice(), vec![(Hide, false), (Report, false)]),
            (Outcome::Escalate, mastodon.as_slice(), vec![(Report, false)]),
            (Outcome::Escalate, [].as_slice(), vec![(Hide, false)]),
        ] {
            check(outcome, &[Act::Threat], can, none, &expected);
        }
    }

    #[test]
    fn a_person_in_distress_is_never_reported_or_deleted() {
        use Action::{Delete, Hide, Report, Unhide};
        let none = Effects::default();
        for outcome in Outcome::ALL {
            check(outcome, &[Act::Distress, Act::Threat], &[Report], none, &[]);
            let all = [Hide, Unhide, Delete, Report];
            let hidden: &[(Action, bool)] = if outcome == Outcome::Keep { &[] } else { &[(Hide, false)] };
            check(outcome, &[Act::Distress, Act::Threat], &all, none, hidden);
            let hidden = if outcome == Outcome::Escalate { &[] } else { hidden };
            check(outcome, &[Act::Distress, Act::Criticism], &all, none, hidden);
        }
        // Nobody labelled it, and only a score says so.
        let mut unlabelled = decision(Outcome::Escalate, &[]);
        unlabelled.verdict.urgent = vec![Act::Distress];
        assert_eq!(plan(&unlabelled, none, |_| true), []);
    }

    #[test]
    fn what_is_in_effect_is_not_asked_again_and_what_may_be_is_looked_at() {
        use Action::{Hide, Report, Unhide};
        let can = [Hide, Unhide, Report];
        let with = |hidden, reported| Effects {
            hidden,
            reported,
            deleted: Effect::No,
        };
        check(Outcome::Hide, &[], &can, with(Effect::Yes, Effect::No), &[]);
        check(Outcome::Hide, &[], &can, with(Effect::Perhaps, Effect::No), &[(Hide, true)]);
        check(Outcome::Escalate, &[], &can, with(Effect::Yes, Effect::No), &[(Report, false)]);
        check(
            Outcome::Escalate,
            &[],
            &can,
            with(Effect::No, Effect::Perhaps),
            &[(Hide, false), (Report, true)],
        );
        check(Outcome::Keep, &[], &can, with(Effect::Yes, Effect::Yes), &[(Unhide, false)]);
        check(Outcome::Keep, &[], &can, with(Effect::Perhaps, Effect::No), &[(Unhide, false)]);
        check(Outcome::Keep, &[], &can, with(Effect::No, Effect::Yes), &[]);
        check(
            Outcome::Keep,
            &[],
            &[],
            Effects {
                deleted: Effect::Yes,
                ..Effects::default()
            },
            &[(Unhide, false)],
        );
    }

    #[test]
    fn effects_follow_the_history() {
        use Action::{Hide, Report, Unhide};
        let past = |action, begun, confirmed| Past { action, begun, confirmed };
        for (history, hidden, reported) in [
            (vec![], Effect::No, Effect::No),
            (vec![past(Hide, false, false)], Effect::No, Effect::No),
            (vec![past(Hide, true, false)], Effect::Perhaps, Effect::No),
            (vec![past(Hide, true, true)], Effect::Yes, Effect::No),
            (vec![past(Hide, true, true), past(Unhide, true, true)], Effect::No, Effect::No),
            (vec![past(Hide, true, true), past(Unhide, true, false)], Effect::Perhaps, Effect::No),
            (vec![past(Hide, true, true), past(Unhide, false, false)], Effect::Yes, Effect::No),
            (
                vec![past(Hide, true, true), past(Unhide, true, true), past(Hide, true, true)],
                Effect::Yes,
                Effect::No,
            ),
            (vec![past(Report, true, true), past(Report, true, false)], Effect::No, Effect::Yes),
        ] {
            let effects = Effects::of(&history);
            assert_eq!((effects.hidden, effects.reported), (hidden, reported), "{history:?}");
        }
    }
}
