//! One proportion from a simple random sample: Wilson, Jeffreys and Clopper-Pearson intervals.

use statrs::distribution::{Beta, ContinuousCDF};

use super::{EstimateError, Interval, Z95, real};

/// `positives` among `size` units, with `positives <= size` and `size > 0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    positives: u64,
    size: u64,
}

impl Sample {
    /// A sample.
    ///
    /// # Errors
    /// Empty, or more positives than units.
    pub const fn new(positives: u64, size: u64) -> Result<Self, EstimateError> {
        if size == 0 {
            return Err(EstimateError::Empty("the sample"));
        }
        if positives > size {
            return Err(EstimateError::Excess { positives, size });
        }
        Ok(Self { positives, size })
    }

    /// Positives.
    #[must_use]
    pub const fn positives(self) -> u64 {
        self.positives
    }

    /// Units.
    #[must_use]
    pub const fn size(self) -> u64 {
        self.size
    }

    /// Positives / units.
    #[must_use]
    pub fn proportion(self) -> f64 {
        real(self.positives) / real(self.size)
    }

    /// Wilson's score interval: `(p + z²/2n ± z√(p(1-p)/n + z²/4n²)) / (1 + z²/n)`.
    #[must_use]
    pub fn wilson(self) -> Interval {
        let (p, n, z2) = (self.proportion(), real(self.size), Z95 * Z95);
        let scale = 1.0 + z2 / n;
        let centre = (p + z2 / (2.0 * n)) / scale;
        let half = Z95 / scale * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
        Interval {
            lower: if self.positives == 0 { 0.0 } else { centre - half },
            upper: if self.positives == self.size { 1.0 } else { centre + half },
        }
    }

    /// Jeffreys' interval: quantiles of Beta(x + ½, n - x + ½), open-ended at x = 0 and x = n.
    #[must_use]
    pub fn jeffreys(self) -> Interval {
        let (x, rest) = (real(self.positives), real(self.size - self.positives));
        Interval {
            lower: if self.positives == 0 {
                0.0
            } else {
                beta_quantile(x + 0.5, rest + 0.5, 0.025)
            },
            upper: if self.positives == self.size {
                1.0
            } else {
                beta_quantile(x + 0.5, rest + 0.5, 0.975)
            },
        }
    }

    /// The exact interval of Clopper and Pearson.
    #[must_use]
    pub fn clopper_pearson(self) -> Interval {
        let (x, rest) = (real(self.positives), real(self.size - self.positives));
        Interval {
            lower: if self.positives == 0 {
                0.0
            } else {
                beta_quantile(x, rest + 1.0, 0.025)
            },
            upper: if self.positives == self.size {
                1.0
            } else {
                beta_quantile(x + 1.0, rest, 0.975)
            },
        }
    }
}

/// The quantile by bisection on the distribution function, to the last bits: the generic search of the library stops earlier.
fn beta_quantile(a: f64, b: f64, probability: f64) -> f64 {
    let beta = Beta::new(a, b).expect("both shapes are positive: they are counts plus a half or one");
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if beta.cdf(middle) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_sample() {
        assert_eq!(Sample::new(0, 0), Err(EstimateError::Empty("the sample")));
        assert_eq!(Sample::new(3, 2), Err(EstimateError::Excess { positives: 3, size: 2 }));
    }

    #[test]
    fn intervals_mirror_each_other() -> Result<(), EstimateError> {
        for (x, n) in [(0, 1), (1, 1), (3, 40), (20, 40)] {
            let (one, other) = (Sample::new(x, n)?, Sample::new(n - x, n)?);
            for (left, right) in [
                (one.wilson(), other.wilson()),
                (one.jeffreys(), other.jeffreys()),
                (one.clopper_pearson(), other.clopper_pearson()),
            ] {
                assert!(
                    (left.lower - (1.0 - right.upper)).abs() < 1e-9 && (left.upper - (1.0 - right.lower)).abs() < 1e-9,
                    "{x}/{n}"
                );
                assert!(left.contains(one.proportion()), "{x}/{n}: {left:?}");
            }
        }
        Ok(())
    }
}
