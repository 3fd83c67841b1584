//! The words of Vigie: comments, verdicts, decisions, enforcements, threat reports and policies.
//!
//! Pure: nothing here reads a file, a clock or the network. Every record that crosses a topic is defined here,
//! together with its JSON form ([`wire`]) and its deterministic identifier ([`ids`]), so that every consumer can be idempotent.

pub mod category;
pub mod comment;
pub mod dead_letter;
pub mod decision;
pub mod enforcement;
pub mod evidence;
pub mod ids;
pub mod legal;
pub mod platform;
pub mod policy;
pub mod report;
pub mod spreadsheet;
pub mod topics;
pub mod verdict;
pub mod wire;

pub use category::{Act, Target};
pub use comment::{Comment, Context, Evidence, NewComment, Tombstone};
pub use dead_letter::DeadLetter;
pub use decision::{Decision, DecisionAuthor, Outcome};
pub use enforcement::{Action, Enforcement, EnforcementState};
pub use ids::*;
pub use legal::LegalBasis;
pub use platform::Platform;
pub use policy::Policy;
pub use report::{ChainLink, ReportState, ThreatReport};
pub use topics::Topic;
pub use verdict::{Audit, Explanation, Reason, Route, RuleAction, RuleHit, ScoreLabel, Scores, Verdict, WordWeight};
pub use wire::{WireError, WireRecord, decode, encode};
