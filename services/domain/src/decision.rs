//! What was decided on one revision, by a person or by policy.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::category::{Act, Target};
use crate::ids::{CommentId, DecisionId, Pseudonym, RecordId};
use crate::legal::LegalBasis;
use crate::verdict::Verdict;
use crate::wire::WireRecord;

/// A decision. It carries the verdict it answers, so that a consumer needs no join.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// Digest of the revision and the sequence.
    pub id: DecisionId,
    /// 0 for the first decision on this revision; a later one supersedes every earlier.
    pub sequence: u32,
    /// The verdict answered, with the comment in it.
    pub verdict: Verdict,
    /// What was decided.
    pub outcome: Outcome,
    /// What the comment does, as labelled by the person.
    #[serde(default)]
    pub acts: Vec<Act>,
    /// Whom it aims at, as labelled by the person.
    #[serde(default)]
    pub targets: Vec<Target>,
    /// Chosen by the person, never by the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legal_basis: Option<LegalBasis>,
    /// Free text of the person, at most 2,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Who decided.
    pub author: DecisionAuthor,
    /// When, by our clock.
    pub decided_at: Timestamp,
    /// Whether the label was given blind (without scores or rule hits in sight): only such labels enter the audit estimate.
    #[serde(default)]
    pub blind: bool,
    /// Set when this decision takes back the named one; `outcome` is then the state to return to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<DecisionId>,
}

impl Decision {
    /// What the comment does: as the person labelled it, else as the machine says.
    #[must_use]
    pub fn stated_acts(&self) -> Vec<Act> {
        if self.acts.is_empty() {
            self.verdict.acts()
        } else {
            self.acts.clone()
        }
    }
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Stays visible.
    Keep,
    /// Hidden, where the platform can; else reported to it.
    Hide,
    /// Deleted, where the platform can.
    Delete,
    /// Hidden where possible, and a threat report opened.
    Escalate,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Keep, Self::Hide, Self::Delete, Self::Escalate];

    /// The name used in records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Hide => "hide",
            Self::Delete => "delete",
            Self::Escalate => "escalate",
        }
    }
}

/// Who decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum DecisionAuthor {
    /// The policy, without a human.
    Policy {
        /// Name and version of the policy.
        policy: String,
    },
    /// A person.
    Moderator {
        /// The pseudonym under which they appear.
        pseudonym: Pseudonym,
    },
}

impl WireRecord for Decision {
    const NAME: &'static str = "decision";
    const MAJOR: u32 = 1;

    fn record_id(&self) -> RecordId {
        RecordId::derive(&["decision", self.id.as_str()])
    }

    fn key(&self) -> &CommentId {
        &self.verdict.comment.id
    }
}
