//! A threat report: an escalated comment with its evidence, verdict, decision and follow-up.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::enforcement::Enforcement;
use crate::ids::ReportId;
use crate::verdict::Verdict;

/// A threat report, one per revision. It opens when the classifier or a person escalates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThreatReport {
    /// Digest of the revision.
    pub id: ReportId,
    /// How far it got.
    pub state: ReportState,
    /// When it was opened: the time of knowledge (Sanchez v. France, ECHR 45581/15).
    pub opened_at: Timestamp,
    /// The verdict, with the comment in it.
    pub verdict: Verdict,
    /// The decision in effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// What was asked of the platform, one entry per state.
    #[serde(default)]
    pub enforcements: Vec<Enforcement>,
    /// Evidence links, oldest first: (canonical JSON, hash).
    #[serde(default)]
    pub chain: Vec<ChainLink>,
}

/// One link of the evidence chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChainLink {
    /// Canonical JSON of what happened.
    pub entry: String,
    /// SHA-256 over the hash before and the entry, hexadecimal.
    pub hash: String,
}

/// How far a report got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReportState {
    /// Escalated by the classifier; nobody has looked yet.
    Signalled,
    /// Escalated by a person.
    Escalated,
    /// A person looked and did not escalate.
    Dismissed,
    /// Deleted or edited upstream before anybody looked.
    Withdrawn,
}

impl ReportState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Signalled, Self::Escalated, Self::Dismissed, Self::Withdrawn];

    /// The name used in the index and in pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signalled => "signalled",
            Self::Escalated => "escalated",
            Self::Dismissed => "dismissed",
            Self::Withdrawn => "withdrawn",
        }
    }
}
