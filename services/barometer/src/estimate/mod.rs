//! The estimators of the barometer: pure functions from counts to figures. No IO, no clock, no randomness.
//!
//! The estimators are checked against vectors computed with scipy, statsmodels, ppi-python and krippendorff
//! (`tests/vectors.json`), gates, arrows and disclosure by the tests beside them. Two rules hold throughout: a proportion never
//! gets the normal interval as its headline (at 1 % prevalence it covers 80-92 % instead of 95 %), and counts of what was reported
//! or removed are never prevalence.
//! Nothing here decides what may be published: see [`disclosure`] and the edition.

pub mod agreement;
pub mod change;
pub mod chart;
pub mod clusters;
pub mod disclosure;
pub mod misclassification;
pub mod multiplicity;
pub mod ppi;
pub mod proportion;
pub mod sampling;
pub mod stratified;

use statrs::distribution::{ContinuousCDF, Normal};

/// The 97.5 % quantile of the standard normal distribution: 95 % two-sided.
pub const Z95: f64 = 1.959_963_984_540_054;

/// Why there is no figure.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EstimateError {
    /// Nothing was counted.
    #[error("{0} is empty: there is nothing to estimate from")]
    Empty(&'static str),
    /// More positives than units.
    #[error("{positives} positives among {size}: positives cannot exceed the sample")]
    Excess {
        /// Positives given.
        positives: u64,
        /// Units given.
        size: u64,
    },
    /// A sample larger than the population it was drawn from.
    #[error("stratum {stratum}: {sample} units audited out of {population}")]
    Oversampled {
        /// Place of the stratum, from 0.
        stratum: usize,
        /// Units audited.
        sample: u64,
        /// Units received.
        population: u64,
    },
    /// Too few units for a variance.
    #[error("{what}: {have} given, at least {need} are needed")]
    TooFew {
        /// Of what.
        what: &'static str,
        /// How many there are.
        have: usize,
        /// How many it takes.
        need: usize,
    },
    /// A number outside its range.
    #[error("{what} is {value}, which is outside its range")]
    Range {
        /// Of what.
        what: &'static str,
        /// The number.
        value: f64,
    },
}

/// An interval, lower bound first.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
}

impl Interval {
    /// The symmetrical interval `centre ± half_width`.
    #[must_use]
    pub fn around(centre: f64, half_width: f64) -> Self {
        Self {
            lower: centre - half_width,
            upper: centre + half_width,
        }
    }

    /// The interval cut to [0, 1].
    #[must_use]
    pub fn clipped(self) -> Self {
        Self {
            lower: self.lower.clamp(0.0, 1.0),
            upper: self.upper.clamp(0.0, 1.0),
        }
    }

    /// Whether `value` lies inside, bounds included.
    #[must_use]
    pub fn contains(self, value: f64) -> bool {
        self.lower <= value && value <= self.upper
    }
}

/// A figure with its standard error and its interval at 95 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Its interval at 95 %.
    pub interval: Interval,
}

impl Estimate {
    /// A figure whose interval is `value ± z·se` at 95 %.
    #[must_use]
    pub fn normal(value: f64, standard_error: f64) -> Self {
        Self {
            value,
            standard_error,
            interval: Interval::around(value, Z95 * standard_error),
        }
    }
}

/// Two-sided p-value of a standard normal statistic.
#[must_use]
pub fn two_sided_p(statistic: f64) -> f64 {
    2.0 * Normal::standard().sf(statistic.abs())
}

/// Counts are exact in a double up to 2^53, which no barometer reaches.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) const fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constant_is_the_quantile() {
        assert!((Normal::standard().inverse_cdf(0.975) - Z95).abs() < 1e-9);
        assert!((two_sided_p(Z95) - 0.05).abs() < 1e-9);
    }
}
