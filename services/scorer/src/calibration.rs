//! From the outputs of the heads to calibrated probabilities per label. Pure.

use vigie_domain::{ScoreLabel, Scores};

use crate::manifest::{Manifest, OutputKind};

/// Probabilities closer than this to 0 or 1 are brought back to it, so that a logit is finite. `calibrate.py` has the same.
const PROBABILITY_MIN: f64 = 1e-6;

/// The labels of a model over its heads.
#[derive(Debug, Clone)]
pub struct Calibration {
    kind: OutputKind,
    labels: Vec<(ScoreLabel, f64, Vec<f64>)>,
}

impl Calibration {
    /// The labels of a validated manifest.
    #[must_use]
    pub fn new(manifest: &Manifest) -> Self {
        let row = |label: &crate::manifest::Label| {
            let weights = manifest
                .heads
                .iter()
                .map(|head| label.weights.get(head).copied().unwrap_or(0.0))
                .collect();
            (label.label, label.bias, weights)
        };
        Self {
            kind: manifest.output.kind,
            labels: manifest.labels.iter().map(row).collect(),
        }
    }

    /// The scores of one text: per label, the most that any of its windows reaches.
    #[must_use]
    pub fn scores<'a>(&self, windows: impl Iterator<Item = &'a [f32]>) -> Scores {
        let mut scores = Scores::default();
        for outputs in windows {
            let logits: Vec<f64> = outputs.iter().map(|output| self.logit(*output)).collect();
            for (label, bias, weights) in &self.labels {
                let sum: f64 = weights.iter().zip(&logits).map(|(weight, logit)| weight * logit).sum();
                let probability = round(1.0 / (1.0 + (-(bias + sum)).exp()));
                let best = scores.0.entry(*label).or_insert(probability);
                *best = best.max(probability);
            }
        }
        scores
    }

    fn logit(&self, output: f32) -> f64 {
        match self.kind {
            OutputKind::Logits => f64::from(output),
            OutputKind::Probabilities => {
                let probability = f64::from(output).clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN);
                (probability / (1.0 - probability)).ln()
            }
        }
    }
}

/// Four decimals: more would be noise, and make every record longer.
#[expect(clippy::cast_possible_truncation, reason = "a probability with four decimals")]
fn round(probability: f64) -> f32 {
    ((probability * 10_000.0).round() / 10_000.0) as f32
}
