//! From the logits of the heads to calibrated probabilities per label. Pure.

use vigie_domain::{ScoreLabel, Scores};

use crate::first::PREFIX;
use crate::manifest::Manifest;

/// The labels of a model over its heads, and over those of its first stage.
#[derive(Debug, Clone)]
pub struct Calibration {
    labels: Vec<Line>,
}

#[derive(Debug, Clone)]
struct Line {
    label: ScoreLabel,
    bias: f64,
    own: Vec<f64>,
    first: Vec<f64>,
}

impl Calibration {
    /// The labels of a validated manifest whose first stage has the heads `first`.
    #[must_use]
    pub fn new(manifest: &Manifest, first: &[String]) -> Self {
        let line = |label: &crate::manifest::Label| {
            let weight = |name: &str| label.weights.get(name).copied().unwrap_or(0.0);
            Line {
                label: label.label,
                bias: label.bias,
                own: manifest.heads.iter().map(|head| weight(head)).collect(),
                first: first.iter().map(|head| weight(&format!("{PREFIX}{head}"))).collect(),
            }
        };
        Self {
            labels: manifest.labels.iter().map(line).collect(),
        }
    }

    /// The scores of one text: per label, the most that any of its windows reaches. `windows` are the logits of the heads, `first` the
    /// most that the heads of the first stage reach, empty without one.
    #[must_use]
    pub fn scores(&self, windows: &[Vec<f64>], first: &[f64]) -> Scores {
        let mut scores = Scores::default();
        for line in &self.labels {
            let constant = line.bias + dot(&line.first, first);
            for logits in windows {
                let probability = round(1.0 / (1.0 + (-(constant + dot(&line.own, logits))).exp()));
                let best = scores.0.entry(line.label).or_insert(probability);
                *best = best.max(probability);
            }
        }
        scores
    }
}

fn dot(weights: &[f64], logits: &[f64]) -> f64 {
    weights.iter().zip(logits).map(|(weight, logit)| weight * logit).sum()
}

/// Four decimals: more would be noise, and make every record longer.
#[expect(clippy::cast_possible_truncation, reason = "a probability with four decimals")]
pub fn round(probability: f64) -> f32 {
    ((probability * 10_000.0).round() / 10_000.0) as f32
}
