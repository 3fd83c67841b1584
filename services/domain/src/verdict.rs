//! What the classifier says of one revision, with everything needed to explain it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::category::{Act, Target};
use crate::comment::Comment;
use crate::ids::{CommentId, RecordId, VerdictId};
use crate::wire::WireRecord;

/// The verdict on one revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Digest of the revision and the versions below.
    pub id: VerdictId,
    /// The comment judged.
    pub comment: Comment,
    /// Where it goes.
    pub route: Route,
    /// Whether a human must see it at once.
    pub escalate: bool,
    /// What calls for a human at once, by a rule or a score; empty where nothing does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urgent: Vec<Act>,
    /// Place in the queue, 0 (last) to 100 (first).
    pub priority: u8,
    /// Why, most important first.
    pub reasons: Vec<Reason>,
    /// What the rulebook found.
    pub rules: Vec<RuleHit>,
    /// Calibrated probabilities per label.
    pub scores: Scores,
    /// Detected language (BCP 47), where it is clear.
    pub language: Option<String>,
    /// Name and version of the model.
    pub model: String,
    /// Version of the rule packs.
    pub rulebook: String,
    /// Name and version of the policy.
    pub policy: String,
    /// The draw of the audit sample.
    pub audit: Audit,
    /// What moved the model, for some of the comments that a person decides on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
}

impl Verdict {
    /// What the machine says the comment does: the acts of the rules that matched and those that call for a human at once.
    #[must_use]
    pub fn acts(&self) -> Vec<Act> {
        let by_rules = self.rules.iter().map(|hit| hit.act);
        let acts: BTreeSet<Act> = by_rules
            .chain(self.urgent.iter().copied())
            .filter(|act| *act != Act::None)
            .collect();
        acts.into_iter().collect()
    }

    /// Erases the comment's words here too: see [`Comment::erase`]. Route, scores and the names of the rules are left.
    pub fn erase(&mut self) {
        self.comment.erase();
        self.explanation = None;
        for hit in &mut self.rules {
            hit.span = [0, 0];
        }
    }
}

/// Where a comment goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// Stays, nothing to do.
    Keep,
    /// To a human.
    Review,
    /// Hidden by policy.
    Hide,
}

impl Route {
    /// Every route.
    pub const ALL: [Self; 3] = [Self::Keep, Self::Review, Self::Hide];

    /// The name used in records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Review => "review",
            Self::Hide => "hide",
        }
    }
}

/// Why a comment was routed as it was. Closed, so that pages can explain each in French and English.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Nothing found.
    Harmless,
    /// A rule that asks for hiding matched, and the model agrees.
    RuleHide,
    /// A rule that asks for review matched.
    RuleReview,
    /// A score is over the policy's threshold for hiding.
    ScoreHide,
    /// A score is over the policy's threshold for review.
    ScoreReview,
    /// Rules and model contradict each other.
    Disagreement,
    /// Threat, doxxing, harassment, call to violence, terror apology or distress: a human at once.
    Urgent,
    /// Criticism or vulgar praise: never hidden automatically.
    ProtectedSpeech,
    /// The policy does not allow the automatic action, or its daily quota is used up.
    AutomationOff,
    /// In a language that the model does not know.
    UnknownLanguage,
    /// Too short, too long or unreadable for a judgement.
    Unreadable,
    /// Gone upstream: whatever waits for it is withdrawn.
    DeletedUpstream,
}

/// What a rule asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RuleAction {
    /// Recorded, adds to the priority.
    Signal,
    /// A human looks.
    Review,
    /// May be hidden automatically, where policy and model agree.
    Hide,
}

/// A rule that matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleHit {
    /// `pack/entry`.
    pub rule: String,
    /// What it says the comment does.
    pub act: Act,
    /// Whom it says the comment aims at.
    pub target: Option<Target>,
    /// 1 (slight) to 5 (grave).
    pub severity: u8,
    /// What the rule asks for.
    pub action: RuleAction,
    /// Byte offsets into the UTF-8 of the original text, on character boundaries: [start, end).
    pub span: [usize; 2],
}

/// What a model can score. Labels that a model does not have are absent from its scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the acts and targets, documented in `category`")]
pub enum ScoreLabel {
    /// Any abuse at all.
    Abusive,
    /// An attack on a protected target.
    Hate,
    Threat,
    Incitement,
    Denial,
    TerrorApology,
    Doxxing,
    Harassment,
    Insult,
    Sexual,
    Spam,
    Distress,
    Vulgar,
    Criticism,
    CounterSpeech,
    TargetOrigin,
    TargetReligion,
    TargetSex,
    TargetOrientation,
    TargetGenderIdentity,
    TargetDisability,
    TargetPolitical,
}

impl ScoreLabel {
    /// Every label, in the order of their declaration.
    pub const ALL: [Self; 22] = [
        Self::Abusive,
        Self::Hate,
        Self::Threat,
        Self::Incitement,
        Self::Denial,
        Self::TerrorApology,
        Self::Doxxing,
        Self::Harassment,
        Self::Insult,
        Self::Sexual,
        Self::Spam,
        Self::Distress,
        Self::Vulgar,
        Self::Criticism,
        Self::CounterSpeech,
        Self::TargetOrigin,
        Self::TargetReligion,
        Self::TargetSex,
        Self::TargetOrientation,
        Self::TargetGenderIdentity,
        Self::TargetDisability,
        Self::TargetPolitical,
    ];

    /// The name used in records, manifests and policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Abusive => "abusive",
            Self::Hate => "hate",
            Self::Threat => "threat",
            Self::Incitement => "incitement",
            Self::Denial => "denial",
            Self::TerrorApology => "terror-apology",
            Self::Doxxing => "doxxing",
            Self::Harassment => "harassment",
            Self::Insult => "insult",
            Self::Sexual => "sexual",
            Self::Spam => "spam",
            Self::Distress => "distress",
            Self::Vulgar => "vulgar",
            Self::Criticism => "criticism",
            Self::CounterSpeech => "counter-speech",
            Self::TargetOrigin => "target-origin",
            Self::TargetReligion => "target-religion",
            Self::TargetSex => "target-sex",
            Self::TargetOrientation => "target-orientation",
            Self::TargetGenderIdentity => "target-gender-identity",
            Self::TargetDisability => "target-disability",
            Self::TargetPolitical => "target-political",
        }
    }
}

/// Calibrated probabilities in [0, 1], per label.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Scores(pub BTreeMap<ScoreLabel, f32>);

impl Scores {
    /// The score of `label`; none where the model has no such label.
    #[must_use]
    pub fn get(&self, label: ScoreLabel) -> Option<f32> {
        self.0.get(&label).copied()
    }
}

/// The words that moved one score, found by leaving each out in turn. For people; nothing is decided by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// Which score.
    pub label: ScoreLabel,
    /// At most five words, the heaviest first.
    pub words: Vec<WordWeight>,
}

/// What one word adds to a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WordWeight {
    /// Byte offsets into the UTF-8 of the original text, on character boundaries: [start, end).
    pub span: [usize; 2],
    /// The score with the word minus the score without it, in [-1, 1].
    pub weight: f32,
}

/// The draw of the audit sample: recorded for every comment, whether drawn or not, because the estimators need it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// Name of the score stratum.
    pub stratum: String,
    /// Inclusion probability in (0, 1], fixed by the policy before anybody labels.
    pub probability: f64,
    /// Whether the keyed hash of the comment id drew it.
    pub selected: bool,
}

impl WireRecord for Verdict {
    const NAME: &'static str = "verdict";
    const MAJOR: u32 = 1;

    fn record_id(&self) -> RecordId {
        RecordId::derive(&["verdict", self.id.as_str()])
    }

    fn key(&self) -> &CommentId {
        &self.comment.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_named_alike_in_text_and_json() {
        for label in ScoreLabel::ALL {
            assert_eq!(serde_json::to_value(label).ok(), Some(label.as_str().into()));
        }
    }
}
