//! The frozen inputs of an edition: everything its figures are computed from, and nothing about any person.
//!
//! They are internal: counts are exact and labels stand one by one. What may be published of them is decided in [`crate::figures`].

use serde::{Deserialize, Serialize};

use crate::estimate::disclosure::Cell;
use crate::labels::Label;
use crate::period::Period;

/// Raised when the meaning of the inputs changes.
pub const SCHEMA: &str = "barometer-inputs/1";

/// Frozen inputs. Lists are sorted: the same data give the same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// [`SCHEMA`].
    pub schema: String,
    /// The period.
    pub period: Period,
    /// Whether the period was not over, or its labels too few: a look, not an edition to publish.
    pub provisional: bool,
    /// Comments received, by where they were written and by stratum.
    pub received: Vec<Received>,
    /// Who wrote them, per scope and kind.
    pub cells: Vec<ScopeCell>,
    /// What this edition and earlier ones can isolate by subtraction, per scope.
    pub pieces: Vec<Piece>,
    /// Comments drawn for the audit that have a label.
    pub labels: Vec<LabelledComment>,
}

/// Comments of one account in one stratum.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Received {
    /// Institution.
    pub institution: String,
    /// Account.
    pub account: String,
    /// Stratum.
    pub stratum: String,
    /// Inclusion probability, in its shortest decimal form.
    pub probability: String,
    /// Comments received.
    pub count: u64,
    /// Of those, drawn for the audit.
    pub selected: u64,
    /// Sum of their abusive scores, in millionths: it orders the strata.
    pub score_millionths: u64,
}

/// Whose figures: everybody's, an institution's, an account's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "level")]
pub enum Scope {
    /// All institutions together.
    All,
    /// One institution.
    Institution {
        /// Which.
        institution: String,
    },
    /// One account.
    Account {
        /// Of which institution.
        institution: String,
        /// Which.
        account: String,
    },
}

impl Scope {
    /// Whether what was written under `account` of `institution` belongs to it.
    #[must_use]
    pub fn holds(&self, institution: &str, account: &str) -> bool {
        match self {
            Self::All => true,
            Self::Institution { institution: own } => own == institution,
            Self::Account {
                institution: own,
                account: own_account,
            } => own == institution && own_account == account,
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Comments received.
    Received,
    /// Hidden by policy, without a person.
    HiddenAutomatically,
    /// Sent to a person.
    SentToReview,
    /// Hidden or deleted by a person.
    RemovedByPerson,
    /// Escalated by a person: a threat report.
    Reported,
    /// Gone upstream, by whomever.
    DeletedUpstream,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Received,
        Self::HiddenAutomatically,
        Self::SentToReview,
        Self::RemovedByPerson,
        Self::Reported,
        Self::DeletedUpstream,
    ];

    /// The name used in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::HiddenAutomatically => "hidden-automatically",
            Self::SentToReview => "sent-to-review",
            Self::RemovedByPerson => "removed-by-person",
            Self::Reported => "reported",
            Self::DeletedUpstream => "deleted-upstream",
        }
    }
}

/// A count with its authors.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeCell {
    /// Whose.
    pub scope: Scope,
    /// Of what.
    pub kind: Kind,
    /// How many, by how many.
    pub cell: CellRow,
}

/// [`Cell`], ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellRow {
    /// Comments.
    pub count: u64,
    /// Distinct authors; the unknown ones count as one.
    pub authors: u64,
    /// Comments of the author who wrote most.
    pub largest: u64,
}

impl From<CellRow> for Cell {
    fn from(row: CellRow) -> Self {
        Self {
            count: row.count,
            authors: row.authors,
            largest: row.largest,
        }
    }
}

/// A stretch of days that editions can isolate by subtraction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// Whose.
    pub scope: Scope,
    /// First day number.
    pub from_day: i64,
    /// The day number after the last.
    pub to_day: i64,
    /// What was received in it.
    pub cell: CellRow,
}

/// One labelled comment of the audit, without anything that names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelledComment {
    /// Institution.
    pub institution: String,
    /// Account.
    pub account: String,
    /// Digest of the post, by which comments are grouped.
    pub post: String,
    /// Stratum.
    pub stratum: String,
    /// Inclusion probability, in its shortest decimal form.
    pub probability: String,
    /// What the person said.
    pub label: Label,
}
