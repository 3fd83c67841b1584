//! How well scores put comments with a label above those without: curves, areas, and the interval of the area.
//!
//! Equal scores are one step: no figure depends on the order of the comments.

use serde::Serialize;

use super::Z95;
use super::proportion::Share;

/// Scored comments in descending order of score.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    steps: Vec<Step>,
    positives: u64,
    negatives: u64,
}

/// The comments of one score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    pub(super) score: f32,
    pub(super) positives: u64,
    pub(super) negatives: u64,
}

/// An estimate with its interval for 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The estimate.
    pub estimate: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// `delong-logit`, or `newcombe` where the variance of `DeLong` is zero.
    pub method: &'static str,
}

/// The recall where at most a given share of the negatives is found too.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RecallAt {
    /// The share of negatives allowed.
    pub false_alarms: f64,
    /// The lowest threshold that keeps to it; none where even the highest score does not.
    pub threshold: Option<f32>,
    /// Positives from that threshold on. The interval takes the threshold as given.
    pub recall: Share,
}

impl Ranking {
    /// From (score, has the label). Scores are numbers.
    #[must_use]
    pub fn new(mut points: Vec<(f32, bool)>) -> Self {
        points.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let mut ranking = Self {
            steps: Vec::new(),
            positives: 0,
            negatives: 0,
        };
        for (score, positive) in points {
            let (yes, no) = (u64::from(positive), u64::from(!positive));
            ranking.positives += yes;
            ranking.negatives += no;
            match ranking.steps.last_mut() {
                Some(step) if step.score.total_cmp(&score).is_eq() => {
                    step.positives += yes;
                    step.negatives += no;
                }
                _ => ranking.steps.push(Step {
                    score,
                    positives: yes,
                    negatives: no,
                }),
            }
        }
        ranking
    }

    /// Comments with the label.
    #[must_use]
    pub const fn positives(&self) -> u64 {
        self.positives
    }

    /// Comments without it.
    #[must_use]
    pub const fn negatives(&self) -> u64 {
        self.negatives
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The area under the ROC curve: how often a positive scores above a negative, ties counting half. With the interval of `DeLong` on
    /// the logit scale, which stays within 0 and 1; with that of Newcombe (method 5) where the classes do not overlap.
    #[must_use]
    pub fn auc(&self) -> Option<Estimate> {
        if self.positives == 0 || self.negatives == 0 {
            return None;
        }
        let (m, n) = (real(self.positives), real(self.negatives));
        // Placements: for a positive the share of negatives below it, for a negative the share of positives above it.
        let placements = || {
            let (mut above_yes, mut above_no) = (0, 0);
            self.steps.iter().map(move |step| {
                let below = real(self.negatives - above_no) - real(step.negatives) / 2.0;
                let above = real(above_yes) + real(step.positives) / 2.0;
                above_yes += step.positives;
                above_no += step.negatives;
                (step, below / n, above / m)
            })
        };
        let area = placements().map(|(step, below, _)| real(step.positives) * below).sum::<f64>() / m;
        let (mut yes, mut no) = (0.0, 0.0);
        for (step, below, above) in placements() {
            yes += real(step.positives) * (below - area).powi(2);
            no += real(step.negatives) * (above - area).powi(2);
        }
        let variance = yes / (m * (m - 1.0)) + no / (n * (n - 1.0));
        Some(if variance.is_finite() && variance > 0.0 && area > 0.0 && area < 1.0 {
            let centre = (area / (1.0 - area)).ln();
            let half = Z95 * variance.sqrt() / (area * (1.0 - area));
            Estimate {
                estimate: area,
                lower: logistic(centre - half),
                upper: logistic(centre + half),
                method: "delong-logit",
            }
        } else {
            Estimate {
                estimate: area,
                lower: newcombe(area, m, n, 0.0),
                upper: newcombe(area, m, n, 1.0),
                method: "newcombe",
            }
        })
    }

    /// The sum over thresholds of the precision there times the recall gained there, without interpolation.
    #[must_use]
    pub fn average_precision(&self) -> Option<f64> {
        if self.positives == 0 {
            return None;
        }
        let (mut yes, mut all, mut sum) = (0, 0, 0.0);
        for step in &self.steps {
            yes += step.positives;
            all += step.positives + step.negatives;
            sum += real(step.positives) * real(yes) / real(all);
        }
        Some(sum / real(self.positives))
    }

    /// The recall at the lowest threshold that at most a share `false_alarms` of the negatives reaches.
    #[must_use]
    pub fn recall_at(&self, false_alarms: f64) -> Option<RecallAt> {
        if self.negatives == 0 {
            return None;
        }
        let (mut yes, mut no, mut threshold) = (0, 0, None);
        for step in &self.steps {
            if real(no + step.negatives) > false_alarms * real(self.negatives) {
                break;
            }
            yes += step.positives;
            no += step.negatives;
            threshold = Some(step.score);
        }
        Some(RecallAt {
            false_alarms,
            threshold,
            recall: Share::new(yes, self.positives)?,
        })
    }

    /// The ROC curve: (share of negatives, share of positives) found, from (0, 0) to (1, 1).
    #[must_use]
    pub fn roc(&self) -> Vec<(f64, f64)> {
        let (mut yes, mut no) = (0, 0);
        let mut curve = vec![(0.0, 0.0)];
        for step in &self.steps {
            yes += step.positives;
            no += step.negatives;
            curve.push((real(no) / real(self.negatives.max(1)), real(yes) / real(self.positives.max(1))));
        }
        curve
    }

    /// The curve of (recall, precision), in ascending order of recall.
    #[must_use]
    pub fn precision_recall(&self) -> Vec<(f64, f64)> {
        let (mut yes, mut all) = (0, 0);
        let mut curve = Vec::new();
        for step in &self.steps {
            yes += step.positives;
            all += step.positives + step.negatives;
            curve.push((real(yes) / real(self.positives.max(1)), real(yes) / real(all)));
        }
        curve
    }
}

/// A count as a real number.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(super) const fn real(count: u64) -> f64 {
    count as f64
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// One end of Newcombe's interval for an area under the curve (method 5): the areas whose distance from the estimate is z standard
/// errors, with the variance of Hanley and McNeil under an exponential model and class sizes averaged. `end` is 0 or 1.
fn newcombe(area: f64, m: f64, n: f64, end: f64) -> f64 {
    let mean = f64::midpoint(m, n) - 1.0;
    let variance = |t: f64| t * (1.0 - t) * (1.0 + mean * ((1.0 - t) / (2.0 - t) + t / (1.0 + t))) / (m * n);
    let (mut inside, mut outside) = (area, end);
    for _ in 0..60 {
        let middle = f64::midpoint(inside, outside);
        if (middle - area).abs() <= Z95 * variance(middle).sqrt() {
            inside = middle;
        } else {
            outside = middle;
        }
    }
    inside
}
