//! PPI++: prediction-powered inference with a 0/1 prediction and a tuned weight λ.
//!
//! Its interval is a normal one: to be used only with at least [`POSITIVES_MIN`] labelled positives, else the stratified estimate.

use super::{Estimate, EstimateError, real};

/// Labelled positives below which the normal interval cannot be trusted.
pub const POSITIVES_MIN: u64 = 50;

/// Labelled units by (label, prediction).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labelled {
    /// Label 1, prediction 1.
    pub both: u64,
    /// Label 1, prediction 0.
    pub missed: u64,
    /// Label 0, prediction 1.
    pub false_alarm: u64,
    /// Label 0, prediction 0.
    pub neither: u64,
}

/// Units with a prediction only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unlabelled {
    /// N.
    pub size: u64,
    /// Those predicted 1.
    pub predicted: u64,
}

/// The weight of the predictions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weight {
    /// As given, in [0, 1]; 0 ignores the model, 1 is plain PPI.
    Fixed(f64),
    /// The one that minimises the variance.
    Tuned,
}

/// The estimate, and the λ it used.
///
/// # Errors
/// No labelled or no unlabelled units, or more predictions than units.
pub fn estimate(labelled: Labelled, unlabelled: Unlabelled, weight: Weight) -> Result<(f64, Estimate), EstimateError> {
    let labelled_size = labelled.both + labelled.missed + labelled.false_alarm + labelled.neither;
    if labelled_size == 0 || unlabelled.size == 0 {
        return Err(EstimateError::Empty("the labelled or the unlabelled sample"));
    }
    if unlabelled.predicted > unlabelled.size {
        return Err(EstimateError::Excess {
            positives: unlabelled.predicted,
            size: unlabelled.size,
        });
    }
    let (n, big_n) = (real(labelled_size), real(unlabelled.size));
    let mean_label = real(labelled.both + labelled.missed) / n;
    let predicted = labelled.both + labelled.false_alarm;
    let mean_prediction = real(predicted) / n;
    let covariance = real(labelled.both) / n - mean_label * mean_prediction;
    let lambda = match weight {
        Weight::Fixed(lambda) => lambda,
        Weight::Tuned => {
            let all = n + big_n;
            let pooled = real(predicted + unlabelled.predicted) / all;
            let variance = pooled * (1.0 - pooled) * all / (all - 1.0);
            if variance > 0.0 {
                (covariance / ((1.0 + n / big_n) * variance)).clamp(0.0, 1.0)
            } else {
                0.0
            }
        }
    };
    let share = real(unlabelled.predicted) / big_n;
    let value = lambda * share + mean_label - lambda * mean_prediction;
    let label_variance = mean_label * (1.0 - mean_label);
    let prediction_variance = mean_prediction * (1.0 - mean_prediction);
    let residual_variance = label_variance + lambda * lambda * prediction_variance - 2.0 * lambda * covariance;
    let variance = lambda * lambda * share * (1.0 - share) / big_n + residual_variance / n;
    Ok((lambda, Estimate::normal(value, variance.max(0.0).sqrt())))
}

/// Whether there are labelled positives enough for this method.
#[must_use]
pub const fn is_applicable(labelled: Labelled) -> bool {
    labelled.both + labelled.missed >= POSITIVES_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_positives_are_not_for_this_method() {
        let labelled = Labelled {
            both: 38,
            missed: 11,
            false_alarm: 30,
            neither: 920,
        };
        assert!(!is_applicable(labelled) && is_applicable(Labelled { missed: 12, ..labelled }));
    }

    #[test]
    fn useless_predictions_are_given_no_weight() -> Result<(), EstimateError> {
        let labelled = Labelled {
            both: 0,
            missed: 50,
            false_alarm: 0,
            neither: 950,
        };
        let (lambda, tuned) = estimate(labelled, Unlabelled { size: 1000, predicted: 0 }, Weight::Tuned)?;
        assert!(lambda.abs() < f64::EPSILON && (tuned.value - 0.05).abs() < 1e-12);
        Ok(())
    }
}
