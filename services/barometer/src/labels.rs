//! The label that a decision gives to a comment, and which label is in effect. Pure.
//!
//! Only labels given blind, on comments drawn for the audit, enter an estimate.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use vigie_domain::{Act, Decision, Outcome};

/// What a person said of a comment, as far as the barometer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Any abuse.
    pub abusive: bool,
    /// Abuse of a protected target.
    pub hate: bool,
}

/// Whether the act is abuse. Advertising, coarse words, criticism and calls for help are not.
#[must_use]
pub const fn is_abuse(act: Act) -> bool {
    match act {
        Act::Threat | Act::Incitement | Act::Denial | Act::TerrorApology | Act::Doxxing | Act::Harassment | Act::Insult | Act::Sexual => {
            true
        }
        Act::Spam | Act::Distress | Act::Vulgar | Act::Criticism | Act::CounterSpeech | Act::None => false,
    }
}

/// The label of a decision given blind on a comment drawn for the audit. None for every other decision, for an undo, and for one
/// that removes or escalates without saying what the comment does: that is no label.
#[must_use]
pub fn label(decision: &Decision) -> Option<Label> {
    let counts =
        decision.blind && decision.verdict.audit.selected && decision.undoes.is_none() && decision.verdict.comment.deleted.is_none();
    if !counts || (decision.acts.is_empty() && decision.outcome != Outcome::Keep) {
        return None;
    }
    let abusive = decision.acts.iter().any(|act| is_abuse(*act));
    Some(Label {
        abusive,
        hate: abusive && decision.targets.iter().any(|target| target.is_protected()),
    })
}

/// A decision as the barometer remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Of the decision.
    pub id: String,
    /// The later supersedes the earlier.
    pub sequence: i64,
    /// What was decided.
    pub outcome: Outcome,
    /// Whether a person decided.
    pub human: bool,
    /// The decision taken back.
    pub undoes: Option<String>,
    /// The label, where it gives one.
    pub label: Option<Label>,
}

/// The decisions on one revision that hold: those that are neither undone nor an undo, latest first. An undo can be undone.
#[must_use]
pub fn standing(decisions: &[Remembered]) -> Vec<&Remembered> {
    let mut latest_first: Vec<&Remembered> = decisions.iter().collect();
    latest_first.sort_by_key(|decision| std::cmp::Reverse(decision.sequence));
    let mut undone: BTreeSet<&str> = BTreeSet::new();
    let mut standing = Vec::new();
    for decision in latest_first {
        if undone.contains(decision.id.as_str()) {
            continue;
        }
        match &decision.undoes {
            Some(target) => {
                undone.insert(target);
            }
            None => standing.push(decision),
        }
    }
    standing
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigie_domain::{DecisionAuthor, DecisionId, Pseudonym, Route, Target};
    use vigie_runtime::testing::sample_verdict;

    fn decision(outcome: Outcome, acts: &[Act], targets: &[Target]) -> Decision {
        let mut verdict = sample_verdict("texte", Route::Keep);
        verdict.audit.selected = true;
        Decision {
            id: DecisionId::derive(&verdict.comment.revision, 0),
            sequence: 0,
            verdict,
            outcome,
            acts: acts.to_vec(),
            targets: targets.to_vec(),
            legal_basis: None,
            note: None,
            author: DecisionAuthor::Moderator {
                pseudonym: Pseudonym::new("Camille").expect("a constant id"),
            },
            decided_at: jiff::Timestamp::UNIX_EPOCH,
            blind: true,
            undoes: None,
        }
    }

    #[test]
    fn only_blind_audit_labels_count() {
        let some = |abusive, hate| Some(Label { abusive, hate });
        let cases = [
            (decision(Outcome::Keep, &[], &[]), some(false, false)),
            (decision(Outcome::Keep, &[Act::Criticism], &[Target::Elected]), some(false, false)),
            (decision(Outcome::Hide, &[Act::Insult], &[Target::User]), some(true, false)),
            (
                decision(Outcome::Escalate, &[Act::Threat], &[Target::Antisemitic]),
                some(true, true),
            ),
            (
                decision(Outcome::Keep, &[Act::CounterSpeech], &[Target::Origin]),
                some(false, false),
            ),
            (decision(Outcome::Hide, &[], &[]), None),
            (
                Decision {
                    blind: false,
                    ..decision(Outcome::Keep, &[], &[])
                },
                None,
            ),
            (
                Decision {
                    undoes: Some(DecisionId::new("x").expect("an id")),
                    ..decision(Outcome::Keep, &[], &[])
                },
                None,
            ),
        ];
        for (decision, expected) in cases {
            assert_eq!(label(&decision), expected, "{:?} {:?}", decision.outcome, decision.acts);
        }
        let mut flagged = decision(Outcome::Hide, &[Act::Insult], &[]);
        flagged.verdict.audit.selected = false;
        assert_eq!(label(&flagged), None, "what was flagged is no random sample");
    }

    #[test]
    fn an_undone_decision_does_not_stand() {
        let remembered = |id: &str, sequence, undoes: Option<&str>| Remembered {
            id: id.to_owned(),
            sequence,
            outcome: Outcome::Keep,
            human: true,
            undoes: undoes.map(str::to_owned),
            label: None,
        };
        let all = [remembered("a", 0, None), remembered("b", 1, Some("a")), remembered("c", 2, None)];
        assert_eq!(
            standing(&all).iter().map(|decision| decision.id.as_str()).collect::<Vec<_>>(),
            ["c"]
        );
        assert_eq!(standing(&all[..2]).len(), 0);
        let undo_undone = [
            remembered("a", 0, None),
            remembered("b", 1, Some("a")),
            remembered("c", 2, Some("b")),
        ];
        assert_eq!(
            standing(&undo_undone)
                .iter()
                .map(|decision| decision.id.as_str())
                .collect::<Vec<_>>(),
            ["a"]
        );
    }
}
