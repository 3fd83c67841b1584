//! Change between two periods: tests, intervals of the difference and of the ratio, and when an arrow may be drawn.

use statrs::function::factorial::ln_binomial;

use super::proportion::Sample;
use super::{Estimate, EstimateError, Interval, Z95, multiplicity, real, two_sided_p};

/// A statistic with its two-sided p-value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    /// The statistic.
    pub statistic: f64,
    /// Two-sided.
    pub p_value: f64,
}

/// A figure with an interval of any shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The figure.
    pub value: f64,
    /// Its interval at 95 %.
    pub interval: Interval,
}

/// The z-test with pooled variance. None where nothing or everything is positive in both.
#[must_use]
pub fn pooled_z(now: Sample, before: Sample) -> Option<Test> {
    let (n1, n2) = (real(now.size()), real(before.size()));
    let pooled = (real(now.positives()) + real(before.positives())) / (n1 + n2);
    let error = (pooled * (1.0 - pooled) * (1.0 / n1 + 1.0 / n2)).sqrt();
    (error > 0.0).then(|| {
        let statistic = (now.proportion() - before.proportion()) / error;
        Test {
            statistic,
            p_value: two_sided_p(statistic),
        }
    })
}

/// Newcombe's hybrid score interval of the difference: MOVER on two Wilson intervals.
#[must_use]
pub fn newcombe(now: Sample, before: Sample) -> Interval {
    let (now, before) = (
        Measured {
            value: now.proportion(),
            interval: now.wilson(),
        },
        Measured {
            value: before.proportion(),
            interval: before.wilson(),
        },
    );
    mover_difference(now, before).interval
}

/// The ratio of two proportions with its interval on the log scale. None where either has no positive.
#[must_use]
pub fn log_ratio(now: Sample, before: Sample) -> Option<Measured> {
    if now.positives() == 0 || before.positives() == 0 {
        return None;
    }
    let part = |sample: Sample| 1.0 / real(sample.positives()) - 1.0 / real(sample.size());
    let (ratio, half) = (now.proportion() / before.proportion(), Z95 * (part(now) + part(before)).sqrt());
    Some(Measured {
        value: ratio,
        interval: Interval {
            lower: ratio * (-half).exp(),
            upper: ratio * half.exp(),
        },
    })
}

/// Fisher's exact test, two-sided: the sum of all tables no more probable than the one seen.
#[must_use]
pub fn fisher(now: Sample, before: Sample) -> f64 {
    let (n1, n2) = (now.size(), before.size());
    let positives = now.positives() + before.positives();
    let whole = ln_binomial(n1 + n2, positives);
    let probability = |x: u64| (ln_binomial(n1, x) + ln_binomial(n2, positives - x) - whole).exp();
    let seen = probability(now.positives()) * (1.0 + 1e-7);
    let total: f64 = (positives.saturating_sub(n2)..=positives.min(n1))
        .map(probability)
        .filter(|p| *p <= seen)
        .sum();
    total.min(1.0)
}

/// The difference of two independent estimates with known standard errors.
#[must_use]
pub fn difference(now: (f64, f64), before: (f64, f64)) -> (Test, Estimate) {
    let error = now.1.hypot(before.1);
    let estimate = Estimate::normal(now.0 - before.0, error);
    let statistic = estimate.value / error;
    (
        Test {
            statistic,
            p_value: two_sided_p(statistic),
        },
        estimate,
    )
}

/// The difference of two figures with intervals of any shape.
#[must_use]
pub fn mover_difference(now: Measured, before: Measured) -> Measured {
    let value = now.value - before.value;
    let below = (now.value - now.interval.lower).hypot(before.interval.upper - before.value);
    let above = (now.interval.upper - now.value).hypot(before.value - before.interval.lower);
    Measured {
        value,
        interval: Interval {
            lower: value - below,
            upper: value + above,
        },
    }
}

/// An estimate and its standard error, now and before.
pub type Change = ((f64, f64), (f64, f64));

/// What may be said of a change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trend {
    /// Significant after Holm.
    Up,
    /// Significant after Holm.
    Down,
    /// "Pas de variation détectable", with the smallest change that could have been detected.
    NotDetectable {
        /// Smallest change detected four times out of five at 5 %.
        smallest: f64,
    },
}

/// Holds every change of one edition together: an arrow only where Holm's p-value is below 5 %.
///
/// # Errors
/// A standard error that is not positive.
pub fn trends(changes: &[Change]) -> Result<Vec<Trend>, EstimateError> {
    let mut tests = Vec::with_capacity(changes.len());
    for (now, before) in changes {
        let (test, estimate) = difference(*now, *before);
        if estimate.standard_error.is_nan() || estimate.standard_error <= 0.0 {
            return Err(EstimateError::Range {
                what: "a standard error",
                value: estimate.standard_error,
            });
        }
        tests.push((test, estimate));
    }
    let adjusted = multiplicity::holm(&tests.iter().map(|(test, _)| test.p_value).collect::<Vec<_>>());
    let trend = |(p, (_, estimate)): (f64, (Test, Estimate))| match (p < 0.05, estimate.value > 0.0) {
        (true, true) => Trend::Up,
        (true, false) => Trend::Down,
        (false, _) => Trend::NotDetectable {
            smallest: (Z95 + POWER80) * estimate.standard_error,
        },
    };
    Ok(adjusted.into_iter().zip(tests).map(trend).collect())
}

/// The 80 % quantile of the standard normal distribution.
const POWER80: f64 = 0.841_621_233_572_914_2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrow_only_after_holm() -> Result<(), EstimateError> {
        let one = trends(&[((0.0712, 0.0064), (0.0500, 0.0064))])?;
        assert_eq!(one, [Trend::Up]);
        let many = trends(&[
            ((0.0712, 0.0064), (0.0500, 0.0064)),
            ((0.05, 0.01), (0.05, 0.01)),
            ((0.05, 0.01), (0.05, 0.01)),
        ])?;
        assert!(
            matches!(many[0], Trend::NotDetectable { smallest } if (smallest - 0.025_357).abs() < 1e-5),
            "{many:?}"
        );
        assert_eq!(trends(&[((0.01, 0.001), (0.05, 0.001))])?, [Trend::Down]);
        Ok(())
    }

    #[test]
    fn without_positives_there_is_no_ratio() -> Result<(), EstimateError> {
        assert_eq!(log_ratio(Sample::new(0, 10)?, Sample::new(1, 10)?), None);
        assert_eq!(pooled_z(Sample::new(0, 10)?, Sample::new(0, 10)?), None);
        assert!((fisher(Sample::new(0, 10)?, Sample::new(0, 10)?) - 1.0).abs() < 1e-9);
        Ok(())
    }
}
