//! How far a report got, derived from what is known of its revision in whatever order it arrived. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use vigie_domain::{Act, Decision, DecisionAuthor, DecisionId, LegalBasis, Outcome, ReportState, Target, Verdict};

/// A decision without the verdict and the comment: those stand in the report once, and not at all where nothing was escalated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionFact {
    /// Of the decision.
    pub id: DecisionId,
    /// The later supersedes the earlier.
    pub sequence: u32,
    /// What was decided.
    pub outcome: Outcome,
    /// Labels.
    pub acts: Vec<Act>,
    /// Labels.
    pub targets: Vec<Target>,
    /// Chosen by the person.
    pub legal_basis: Option<LegalBasis>,
    /// Free text of the person; kept only where there is a report.
    pub note: Option<String>,
    /// Who decided.
    pub author: DecisionAuthor,
    /// When.
    pub decided_at: Timestamp,
    /// Whether the scores were out of sight.
    pub blind: bool,
    /// The decision taken back, where this is an undo.
    pub undoes: Option<DecisionId>,
}

impl DecisionFact {
    /// The decision without its verdict.
    #[must_use]
    pub fn of(decision: &Decision) -> Self {
        Self {
            id: decision.id.clone(),
            sequence: decision.sequence,
            outcome: decision.outcome,
            acts: decision.acts.clone(),
            targets: decision.targets.clone(),
            legal_basis: decision.legal_basis,
            note: decision.note.clone(),
            author: decision.author.clone(),
            decided_at: decision.decided_at,
            blind: decision.blind,
            undoes: decision.undoes.clone(),
        }
    }

    /// The whole decision again.
    #[must_use]
    pub fn with(&self, verdict: &Verdict) -> Decision {
        Decision {
            id: self.id.clone(),
            sequence: self.sequence,
            verdict: verdict.clone(),
            outcome: self.outcome,
            acts: self.acts.clone(),
            targets: self.targets.clone(),
            legal_basis: self.legal_basis,
            note: self.note.clone(),
            author: self.author.clone(),
            decided_at: self.decided_at,
            blind: self.blind,
            undoes: self.undoes.clone(),
        }
    }

    /// Whether a person decided.
    #[must_use]
    pub const fn is_human(&self) -> bool {
        matches!(self.author, DecisionAuthor::Moderator { .. })
    }
}

/// The decision in effect: the latest that is neither an undo nor undone. An undo can itself be undone.
#[must_use]
pub fn in_effect(decisions: &[DecisionFact]) -> Option<&DecisionFact> {
    let mut latest_first: Vec<&DecisionFact> = decisions.iter().collect();
    latest_first.sort_by_key(|decision| std::cmp::Reverse(decision.sequence));
    let mut undone: BTreeSet<&DecisionId> = BTreeSet::new();
    for decision in latest_first {
        if undone.contains(&decision.id) {
            continue;
        }
        match &decision.undoes {
            Some(target) => undone.insert(target),
            None => return Some(decision),
        };
    }
    None
}

/// The state of a report.
#[must_use]
pub fn state(escalated_by_classifier: bool, decisions: &[DecisionFact], gone_upstream: bool) -> ReportState {
    let by_people: Vec<DecisionFact> = decisions.iter().filter(|decision| decision.is_human()).cloned().collect();
    match in_effect(&by_people) {
        Some(decision) if decision.outcome == Outcome::Escalate => ReportState::Escalated,
        Some(_) => ReportState::Dismissed,
        None if gone_upstream => ReportState::Withdrawn,
        None if escalated_by_classifier || escalated_by_policy(decisions) => ReportState::Signalled,
        // A person opened it and took that back.
        None => ReportState::Dismissed,
    }
}

/// A policy is nobody: what it escalates still waits for a person.
fn escalated_by_policy(decisions: &[DecisionFact]) -> bool {
    decisions
        .iter()
        .any(|decision| !decision.is_human() && decision.outcome == Outcome::Escalate && decision.undoes.is_none())
}

/// The time of knowledge: when the comment reached us where the classifier raised it, else when a person first did.
#[must_use]
pub fn opened_at(verdict: &Verdict, decisions: &[DecisionFact]) -> Timestamp {
    let raised = decisions
        .iter()
        .filter(|decision| decision.outcome == Outcome::Escalate)
        .map(|decision| decision.decided_at)
        .min();
    match raised {
        Some(at) if !verdict.escalate => at,
        _ => verdict.comment.collected_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigie_domain::{Pseudonym, RevisionId};

    fn fact(sequence: u32, outcome: Outcome, undoes: Option<u32>, human: bool) -> DecisionFact {
        let revision = RevisionId::new("r").expect("a constant id");
        DecisionFact {
            id: DecisionId::derive(&revision, sequence),
            sequence,
            outcome,
            acts: vec![],
            targets: vec![],
            legal_basis: None,
            note: None,
            author: if human {
                DecisionAuthor::Moderator {
                    pseudonym: Pseudonym::new("Camille").expect("a constant id"),
                }
            } else {
                DecisionAuthor::Policy {
                    policy: "default@1".to_owned(),
                }
            },
            decided_at: Timestamp::UNIX_EPOCH,
            blind: false,
            undoes: undoes.map(|sequence| DecisionId::derive(&revision, sequence)),
        }
    }

    #[test]
    fn states_follow_what_people_did() {
        use Outcome::{Escalate, Hide, Keep};
        use ReportState::{Dismissed, Escalated, Signalled, Withdrawn};
        let cases = [
            ("nobody looked", true, vec![], false, Signalled),
            ("gone before anybody looked", true, vec![], true, Withdrawn),
            ("escalated", true, vec![fact(0, Escalate, None, true)], false, Escalated),
            ("escalated, then gone", true, vec![fact(0, Escalate, None, true)], true, Escalated),
            ("looked at and kept", true, vec![fact(0, Keep, None, true)], true, Dismissed),
            (
                "changed their mind",
                true,
                vec![fact(0, Keep, None, true), fact(1, Escalate, None, true)],
                false,
                Escalated,
            ),
            (
                "undone: back to the queue",
                true,
                vec![fact(0, Keep, None, true), fact(1, Keep, Some(0), true)],
                false,
                Signalled,
            ),
            (
                "a person opened it and took it back",
                false,
                vec![fact(0, Escalate, None, true), fact(1, Keep, Some(0), true)],
                false,
                Dismissed,
            ),
            (
                "the undo undone",
                true,
                vec![
                    fact(0, Escalate, None, true),
                    fact(1, Keep, Some(0), true),
                    fact(2, Escalate, Some(1), true),
                ],
                false,
                Escalated,
            ),
            (
                "raised by the policy",
                false,
                vec![fact(0, Escalate, None, false)],
                false,
                Signalled,
            ),
            ("the policy is nobody", true, vec![fact(0, Hide, None, false)], false, Signalled),
        ];
        for (name, by_classifier, mut decisions, gone, expected) in cases {
            assert_eq!(state(by_classifier, &decisions, gone), expected, "{name}");
            decisions.reverse();
            assert_eq!(state(by_classifier, &decisions, gone), expected, "{name}, in the other order");
        }
    }
}
