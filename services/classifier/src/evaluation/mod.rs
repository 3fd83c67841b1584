//! How good the classifier is on labelled comments: what `vigie evaluate` prints. Pure: truths and verdicts in, figures and a picture
//! out; nothing here reads, writes or knows the time.
//!
//! [`Truth`] is what the data say of a comment, [`Evaluation`] collects it beside the verdict, [`Report`] holds the figures. No text is
//! kept: of each comment only its labels, scores and route remain, about 150 bytes, for at most [`COMMENTS_MAX`] comments.
//!
//! A label that the data do not state is unknown, never "no": every figure of a label rests on the comments that state it. A figure
//! that cannot be computed (an area under the curve without a positive, a precision where nothing was found) is absent, never 0.
//! Intervals are for 95 % and take comments as independent: where many come from one thread they are too narrow.

mod calibration;
mod labels;
mod names;
mod picture;
mod proportion;
mod ranking;
mod report;
mod truth;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use vigie_domain::policy::Threshold;
use vigie_domain::{Act, Route, RuleAction, RuleHit, ScoreLabel, Target, Verdict};

pub use calibration::Bin;
pub use labels::LabelSet;
pub use picture::picture;
pub use proportion::Share;
pub use ranking::{Estimate, Ranking, RecallAt};
pub use report::{Alarms, LabelReport, Operating, Report, RouteCounts, Slice};
pub use truth::Truth;

use crate::routing::label_of;
use names::Names;

/// Comments of one evaluation at most.
pub const COMMENTS_MAX: usize = 1_000_000;

/// Different groups, functionalities and files at most.
const GROUPS_MAX: usize = 64;
const FUNCTIONALITIES_MAX: usize = 200;
const FILES_MAX: usize = 200;

/// The standard normal quantile of a two-sided interval of 95 %.
const Z95: f64 = 1.959_963_984_540_054;

/// Why a comment cannot be taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// More of something than an evaluation holds.
    #[error("more than {limit} different {what}: {hint}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
        /// What to do.
        hint: &'static str,
    },
}

/// Labelled comments with their verdicts, without their texts.
#[derive(Debug, Default)]
pub struct Evaluation {
    thresholds: BTreeMap<ScoreLabel, Threshold>,
    rows: Vec<Row>,
    files: Names,
    groups: Names,
    functionalities: Names,
}

/// What is kept of a comment.
#[derive(Debug, Clone)]
struct Row {
    /// By [`position`]; NaN where the model has no such label.
    scores: [f32; ScoreLabel::ALL.len()],
    known: LabelSet,
    positive: LabelSet,
    /// Labels that a rule of weight asserts.
    ruled: LabelSet,
    /// Bits of [`Evaluation::groups`].
    groups: u64,
    functionality: Option<u16>,
    /// A digest of the contrast set and its file.
    contrast: Option<u64>,
    file: u16,
    route: Route,
    escalate: bool,
    priority: u8,
}

impl Evaluation {
    /// An empty evaluation. A score from `thresholds[label].review` counts as found: the operating point of the policy.
    #[must_use]
    pub fn new(thresholds: BTreeMap<ScoreLabel, Threshold>) -> Self {
        Self {
            thresholds,
            ..Self::default()
        }
    }

    /// Comments so far.
    #[must_use]
    pub fn comments(&self) -> usize {
        self.rows.len()
    }

    /// Takes in a comment of `file`.
    ///
    /// # Errors
    /// There are more comments, groups, functionalities or files than an evaluation holds.
    pub fn add(&mut self, file: &str, truth: &Truth, verdict: &Verdict) -> Result<(), EvaluationError> {
        if self.rows.len() >= COMMENTS_MAX {
            return Err(EvaluationError::TooMany {
                what: "comments",
                limit: COMMENTS_MAX,
                hint: "evaluate a sample",
            });
        }
        let file = self.files.number(file, "files", FILES_MAX, "evaluate them in turn")?;
        let functionality = match &truth.functionality {
            Some(name) => Some(self.functionalities.number(
                name,
                "functionalities",
                FUNCTIONALITIES_MAX,
                "the field should name a kind of test, not a comment",
            )?),
            None => None,
        };
        let mut groups = 0;
        for name in &truth.groups {
            let number = self
                .groups
                .number(name, "groups", GROUPS_MAX, "the field should name whom comments are about")?;
            groups |= 1 << number;
        }
        let score = |label| verdict.scores.get(label).unwrap_or(f32::NAN);
        self.rows.push(Row {
            scores: ScoreLabel::ALL.map(score),
            known: truth.known,
            positive: truth.positive,
            ruled: asserted(&verdict.rules),
            groups,
            functionality,
            contrast: truth.contrast.as_deref().map(|name| digest(file, name)),
            file,
            route: verdict.route,
            escalate: verdict.escalate,
            priority: verdict.priority,
        });
        Ok(())
    }

    /// The scores and values of the comments that state `label`; none where the model does not score it.
    #[must_use]
    pub fn ranking(&self, label: ScoreLabel) -> Option<Ranking> {
        let known = self.rows.iter().filter(|row| row.known.contains(label));
        let points: Vec<_> = known
            .filter_map(|row| Some((row.score(label)?, row.positive.contains(label))))
            .collect();
        (!points.is_empty()).then(|| Ranking::new(points))
    }

    /// Every figure.
    #[must_use]
    pub fn report(&self) -> Report {
        report::report(self)
    }
}

impl Row {
    fn score(&self, label: ScoreLabel) -> Option<f32> {
        let score = self.scores[labels::position(label)];
        (!score.is_nan()).then_some(score)
    }
}

/// Names of contrast sets are many and of no interest: a digest tells them apart.
fn digest(file: u16, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (file, name).hash(&mut hasher);
    hasher.finish()
}

/// The labels that the rules assert, notes aside.
fn asserted(hits: &[RuleHit]) -> LabelSet {
    let mut found = LabelSet::default();
    for hit in hits.iter().filter(|hit| hit.action != RuleAction::Signal) {
        let speech = match hit.act {
            Act::Vulgar => Some(ScoreLabel::Vulgar),
            Act::Criticism => Some(ScoreLabel::Criticism),
            Act::CounterSpeech => Some(ScoreLabel::CounterSpeech),
            act => label_of(act),
        };
        if let Some(label) = speech {
            found.insert(label);
        }
        if !is_abuse(hit.act) {
            continue;
        }
        found.insert(ScoreLabel::Abusive);
        if hit.target.is_some_and(Target::is_protected) {
            found.insert(ScoreLabel::Hate);
        }
        if let Some(label) = hit.target.and_then(labels::of_target) {
            found.insert(label);
        }
    }
    found
}

/// Whether an act is an attack: advertising and distress are dealt with, but they are none.
const fn is_abuse(act: Act) -> bool {
    matches!(
        act,
        Act::Threat | Act::Incitement | Act::Denial | Act::TerrorApology | Act::Doxxing | Act::Harassment | Act::Insult | Act::Sexual
    )
}

#[cfg(test)]
mod tests;
