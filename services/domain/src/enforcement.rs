//! An action asked of a platform because of a decision, and how far it got.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, CommentId, DecisionId, EnforcementId, RecordId, RevisionId};
use crate::platform::Platform;
use crate::wire::WireRecord;

/// One state of one action. Every change of state is a record of its own, under the same `id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Enforcement {
    /// The idempotency key: digest of decision and action.
    pub id: EnforcementId,
    /// The decision carried out.
    pub decision: DecisionId,
    /// The comment acted on.
    pub comment: CommentId,
    /// The revision decided on.
    pub revision: RevisionId,
    /// Where.
    pub platform: Platform,
    /// With which account.
    pub account: AccountId,
    /// What is asked.
    pub action: Action,
    /// How far it got.
    pub state: EnforcementState,
    /// Whether nothing is sent: the default of a new account.
    pub dry_run: bool,
    /// Attempts so far.
    pub attempts: u32,
    /// When this state was reached.
    pub at: Timestamp,
    /// Why it failed; names what to do, never holds the comment's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is asked of a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Hide the comment.
    Hide,
    /// Show it again.
    Unhide,
    /// Delete it.
    Delete,
    /// Report it to the platform.
    Report,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 4] = [Self::Hide, Self::Unhide, Self::Delete, Self::Report];

    /// The name used in records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hide => "hide",
            Self::Unhide => "unhide",
            Self::Delete => "delete",
            Self::Report => "report",
        }
    }
}

/// How far an action got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EnforcementState {
    /// In the outbox.
    Requested,
    /// The platform accepted the request; not read back yet.
    Sent,
    /// Read back. In dry-run: it would have been sent.
    Confirmed,
    /// Given up; a human must look.
    Failed,
    /// A newer decision made it pointless.
    Superseded,
}

impl EnforcementState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Requested, Self::Sent, Self::Confirmed, Self::Failed, Self::Superseded];

    /// The name used in records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Sent => "sent",
            Self::Confirmed => "confirmed",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
        }
    }

    /// Whether nothing follows.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Confirmed | Self::Failed | Self::Superseded)
    }
}

impl WireRecord for Enforcement {
    const NAME: &'static str = "enforcement";
    const MAJOR: u32 = 1;

    fn record_id(&self) -> RecordId {
        RecordId::derive(&["enforcement", self.id.as_str(), self.state.as_str()])
    }

    fn key(&self) -> &CommentId {
        &self.comment
    }
}
