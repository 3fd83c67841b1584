//! Rogan-Gladen: prevalence from a classifier's positives, its sensitivity and its specificity. A cross-check only, never published
//! as the headline: it leans on the classifier behaving in the field as on the test sets.

use super::proportion::Sample;
use super::{Estimate, EstimateError, Interval, Z95, real};

/// What is known: the positives in the field, and the classifier on labelled sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classified {
    /// Flagged among all.
    pub flagged: Sample,
    /// Flagged among true positives: sensitivity.
    pub sensitivity: Sample,
    /// Passed among true negatives: specificity.
    pub specificity: Sample,
}

/// The Rogan-Gladen estimate with its normal interval; neither is cut to [0, 1].
///
/// # Errors
/// A classifier no better than chance (Se + Sp ≤ 1).
pub fn rogan_gladen(data: Classified) -> Result<Estimate, EstimateError> {
    let (p, se, sp) = (
        data.flagged.proportion(),
        data.sensitivity.proportion(),
        data.specificity.proportion(),
    );
    let j = youden(se, sp)?;
    let prevalence = (p + sp - 1.0) / j;
    let variance = p * (1.0 - p) / real(data.flagged.size())
        + (1.0 - prevalence).powi(2) * sp * (1.0 - sp) / real(data.specificity.size())
        + prevalence.powi(2) * se * (1.0 - se) / real(data.sensitivity.size());
    Ok(Estimate::normal(prevalence, variance.sqrt() / j))
}

/// The interval of Lang and Reiczigel, not cut to [0, 1] (see [`Interval::clipped`]).
///
/// # Errors
/// A classifier no better than chance (Se + Sp ≤ 1).
pub fn lang_reiczigel(data: Classified) -> Result<Interval, EstimateError> {
    let z2 = Z95 * Z95;
    let n = real(data.flagged.size()) + z2;
    let p = (real(data.flagged.positives()) + z2 / 2.0) / n;
    let (n_se, n_sp) = (real(data.sensitivity.size()) + 2.0, real(data.specificity.size()) + 2.0);
    let se = (real(data.sensitivity.positives()) + 1.0) / n_se;
    let sp = (real(data.specificity.positives()) + 1.0) / n_sp;
    let j = youden(se, sp)?;
    let prevalence = (p + sp - 1.0) / j;
    let (spread_se, spread_sp) = (se * (1.0 - se) / n_se, sp * (1.0 - sp) / n_sp);
    let shift = 2.0 * z2 * (prevalence * spread_se - (1.0 - prevalence) * spread_sp);
    let variance = p * (1.0 - p) / n + (1.0 - prevalence).powi(2) * spread_sp + prevalence.powi(2) * spread_se;
    Ok(Interval::around(prevalence + shift, Z95 * variance.sqrt() / j))
}

fn youden(sensitivity: f64, specificity: f64) -> Result<f64, EstimateError> {
    let j = sensitivity + specificity - 1.0;
    if j > 0.0 {
        Ok(j)
    } else {
        Err(EstimateError::Range {
            what: "sensitivity + specificity - 1",
            value: j,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coin_is_no_classifier() -> Result<(), EstimateError> {
        let data = Classified {
            flagged: Sample::new(5, 10)?,
            sensitivity: Sample::new(5, 10)?,
            specificity: Sample::new(5, 10)?,
        };
        assert!(rogan_gladen(data).is_err() && lang_reiczigel(data).is_err());
        Ok(())
    }
}
