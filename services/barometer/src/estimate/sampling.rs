//! Audits with unequal, known inclusion probabilities: Horvitz-Thompson, Hájek and the difference estimator.
//!
//! The probabilities have a floor that is written down before anybody labels; reports and moderators' flags never enter the
//! random sample.

use super::{Estimate, EstimateError, real};

/// One audited unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    /// Inclusion probability in (0, 1].
    pub probability: f64,
    /// The label: 1 or 0.
    pub label: f64,
    /// What the model said, in [0, 1].
    pub score: f64,
}

/// A total and the mean that follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HorvitzThompson {
    /// `Σ y/π`.
    pub total: f64,
    /// `total / N`.
    pub mean: Estimate,
}

/// Horvitz-Thompson: unbiased for the mean over `population` units.
///
/// # Errors
/// An empty population or sample, or a probability outside (0, 1].
pub fn horvitz_thompson(units: &[Unit], population: u64) -> Result<HorvitzThompson, EstimateError> {
    check(units)?;
    let population = positive(population)?;
    let total: f64 = units.iter().map(|unit| unit.label / unit.probability).sum();
    let variance: f64 = units.iter().map(|unit| spread(unit, unit.label)).sum();
    Ok(HorvitzThompson {
        total,
        mean: Estimate::normal(total / population, variance.sqrt() / population),
    })
}

/// Hájek: the ratio estimator, for when the population's size is itself estimated. Returns (`N̂`, mean).
///
/// # Errors
/// An empty sample, or a probability outside (0, 1].
pub fn hajek(units: &[Unit]) -> Result<(f64, Estimate), EstimateError> {
    check(units)?;
    let size: f64 = units.iter().map(|unit| 1.0 / unit.probability).sum();
    let mean = units.iter().map(|unit| unit.label / unit.probability).sum::<f64>() / size;
    let variance: f64 = units.iter().map(|unit| spread(unit, unit.label - mean)).sum();
    Ok((size, Estimate::normal(mean, variance.sqrt() / size)))
}

/// The difference estimator (active inference): the model's scores over everybody, corrected by what the audit found.
///
/// # Errors
/// An empty population or sample, or a probability outside (0, 1].
pub fn difference(units: &[Unit], population: u64, score_total: f64) -> Result<Estimate, EstimateError> {
    check(units)?;
    let population = positive(population)?;
    let correction: f64 = units.iter().map(|unit| (unit.label - unit.score) / unit.probability).sum();
    let variance: f64 = units.iter().map(|unit| spread(unit, unit.label - unit.score)).sum();
    Ok(Estimate::normal(
        (score_total + correction) / population,
        variance.sqrt() / population,
    ))
}

fn spread(unit: &Unit, value: f64) -> f64 {
    (1.0 - unit.probability) * value * value / (unit.probability * unit.probability)
}

fn check(units: &[Unit]) -> Result<(), EstimateError> {
    if units.is_empty() {
        return Err(EstimateError::Empty("the audit"));
    }
    match units.iter().find(|unit| !(unit.probability > 0.0 && unit.probability <= 1.0)) {
        Some(unit) => Err(EstimateError::Range {
            what: "an inclusion probability",
            value: unit.probability,
        }),
        None => Ok(()),
    }
}

const fn positive(population: u64) -> Result<f64, EstimateError> {
    if population == 0 {
        Err(EstimateError::Empty("the population"))
    } else {
        Ok(real(population))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_census_has_no_error() -> Result<(), EstimateError> {
        let units: Vec<Unit> = [1.0, 0.0, 1.0, 0.0]
            .map(|label| Unit {
                probability: 1.0,
                label,
                score: 0.5,
            })
            .to_vec();
        for estimate in [horvitz_thompson(&units, 4)?.mean, hajek(&units)?.1, difference(&units, 4, 2.0)?] {
            assert!((estimate.value - 0.5).abs() < 1e-12 && estimate.standard_error.abs() < 1e-12);
        }
        Ok(())
    }

    #[test]
    fn refuses_a_unit_that_could_not_be_drawn() {
        let unit = Unit {
            probability: 0.0,
            label: 1.0,
            score: 0.5,
        };
        assert!(matches!(hajek(&[unit]), Err(EstimateError::Range { .. })));
        assert!(matches!(horvitz_thompson(&[], 3), Err(EstimateError::Empty(_))));
    }
}
