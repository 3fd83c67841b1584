//! The warning chart: Laney's p′, which widens the limits of the p-chart by what the proportions vary beyond chance.

use super::proportion::Sample;
use super::{EstimateError, real};

/// The base line that later periods are held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Laney {
    /// p̄: pooled proportion.
    pub centre: f64,
    /// σ_z: mean moving range of the z-scores / 1.128.
    pub overdispersion: f64,
}

impl Laney {
    /// From at least two earlier periods.
    ///
    /// # Errors
    /// Fewer than two periods, or a pooled proportion of 0 or 1.
    pub fn from_periods(periods: &[Sample]) -> Result<Self, EstimateError> {
        if periods.len() < 2 {
            return Err(EstimateError::TooFew {
                what: "earlier periods",
                have: periods.len(),
                need: 2,
            });
        }
        let positives: u64 = periods.iter().map(|period| period.positives()).sum();
        let size: u64 = periods.iter().map(|period| period.size()).sum();
        let centre = real(positives) / real(size);
        if centre <= 0.0 || centre >= 1.0 {
            return Err(EstimateError::Range {
                what: "the pooled proportion",
                value: centre,
            });
        }
        let scores: Vec<f64> = periods
            .iter()
            .map(|period| (period.proportion() - centre) / deviation(centre, period.size()))
            .collect();
        let ranges: f64 = scores.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum();
        Ok(Self {
            centre,
            overdispersion: ranges / real(scores.len() as u64 - 1) / 1.128,
        })
    }

    /// The upper limit for a period of `size` comments.
    #[must_use]
    pub fn upper_limit(self, size: u64) -> f64 {
        self.centre + 3.0 * deviation(self.centre, size) * self.overdispersion
    }

    /// The upper limit of the plain p-chart, for comparison.
    #[must_use]
    pub fn plain_upper_limit(self, size: u64) -> f64 {
        self.centre + 3.0 * deviation(self.centre, size)
    }

    /// Whether `period` is above its limit.
    #[must_use]
    pub fn signals(self, period: Sample) -> bool {
        period.proportion() > self.upper_limit(period.size())
    }
}

fn deviation(centre: f64, size: u64) -> f64 {
    (centre * (1.0 - centre) / real(size)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_a_past() -> Result<(), EstimateError> {
        assert!(Laney::from_periods(&[Sample::new(1, 10)?]).is_err());
        assert!(Laney::from_periods(&[Sample::new(0, 10)?, Sample::new(0, 10)?]).is_err());
        Ok(())
    }
}
