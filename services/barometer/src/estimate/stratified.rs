//! The score-stratified audit: the headline method of the barometer.
//!
//! Strata h by model score, a simple random sample of `n_h` of the `N_h` comments of each, labelled blind; `W_h = N_h / N`.
//! The interval is MOVER-Wilson, which keeps its coverage where positives are rare. The sample is one of comments out of the
//! finite population of received comments, so the grouping of comments under posts does not invalidate it; [`super::clusters`]
//! says what it costs when a wider population is meant.

use super::proportion::Sample;
use super::{Estimate, EstimateError, Interval, Z95, real};

/// One stratum: its population and what the audit found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stratum {
    /// `N_h`: comments received.
    pub population: u64,
    /// `x_h` of `n_h`: positives among the audited.
    pub sample: Sample,
}

/// Which interval the strata contribute to MOVER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Wilson: the headline.
    Wilson,
    /// Jeffreys: the cross-check.
    Jeffreys,
}

/// Strata that an estimate can be made from: at least one, none audited beyond its population, two audited in each (or all of it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stratified {
    strata: Vec<Stratum>,
}

impl Stratified {
    /// Checks and keeps the strata.
    ///
    /// # Errors
    /// No stratum, a sample beyond its population, or a stratum with fewer than two audited comments that is not audited whole.
    pub fn new(strata: Vec<Stratum>) -> Result<Self, EstimateError> {
        if strata.is_empty() {
            return Err(EstimateError::Empty("the audit"));
        }
        for (index, stratum) in strata.iter().enumerate() {
            let size = stratum.sample.size();
            if size > stratum.population {
                return Err(EstimateError::Oversampled {
                    stratum: index,
                    sample: size,
                    population: stratum.population,
                });
            }
            if size < 2 && size < stratum.population {
                return Err(EstimateError::TooFew {
                    what: "audited comments in a stratum",
                    have: 1,
                    need: 2,
                });
            }
        }
        Ok(Self { strata })
    }

    /// The strata.
    #[must_use]
    pub fn strata(&self) -> &[Stratum] {
        &self.strata
    }

    /// N: comments received.
    #[must_use]
    pub fn population(&self) -> u64 {
        self.strata.iter().map(|stratum| stratum.population).sum()
    }

    /// n: comments audited.
    #[must_use]
    pub fn audited(&self) -> u64 {
        self.strata.iter().map(|stratum| stratum.sample.size()).sum()
    }

    /// `Σ W_h p̂_h`.
    #[must_use]
    pub fn estimate(&self) -> f64 {
        self.weighted().map(|(weight, stratum)| weight * stratum.sample.proportion()).sum()
    }

    /// `√Σ W_h² (1 - n_h/N_h) p̂_h(1-p̂_h)/(n_h - 1)`. Falsely zero where no stratum has both kinds: never the headline's width.
    #[must_use]
    pub fn standard_error(&self) -> f64 {
        self.weighted()
            .map(|(weight, stratum)| weight * weight * variance(stratum))
            .sum::<f64>()
            .sqrt()
    }

    /// `p̂ ± z·se`: for comparison only, falsely tight when a stratum has no positive.
    #[must_use]
    pub fn wald(&self) -> Interval {
        Interval::around(self.estimate(), Z95 * self.standard_error())
    }

    /// MOVER: `p̂ - √Σ W_h²(p̂_h - l_h)²` to `p̂ + √Σ W_h²(u_h - p̂_h)²`, with `(l_h, u_h)` by `method`.
    #[must_use]
    pub fn mover(&self, method: Method) -> Interval {
        let (mut below, mut above) = (0.0, 0.0);
        for (weight, stratum) in self.weighted() {
            let p = stratum.sample.proportion();
            let interval = match method {
                Method::Wilson => stratum.sample.wilson(),
                Method::Jeffreys => stratum.sample.jeffreys(),
            };
            below += (weight * (p - interval.lower)).powi(2);
            above += (weight * (interval.upper - p)).powi(2);
        }
        let p = self.estimate();
        Interval {
            lower: p - below.sqrt(),
            upper: p + above.sqrt(),
        }
        .clipped()
    }

    /// The number of positives received, with its standard error.
    #[must_use]
    pub fn total(&self) -> Estimate {
        let population = real(self.population());
        Estimate::normal(self.estimate() * population, self.standard_error() * population)
    }

    /// Variance against that of a simple random sample of the same size; none where the estimate is 0 or 1.
    #[must_use]
    pub fn design_effect(&self) -> Option<f64> {
        let p = self.estimate();
        let simple = p * (1.0 - p) / real(self.audited());
        (simple > 0.0).then(|| self.standard_error().powi(2) / simple)
    }

    /// The size of the simple random sample that would say as much.
    #[must_use]
    pub fn effective_size(&self) -> Option<f64> {
        self.design_effect()
            .filter(|effect| *effect > 0.0)
            .map(|effect| real(self.audited()) / effect)
    }

    /// The share of all positives that lies in the strata for which `flagged` holds: the recall of "everything in these strata is
    /// flagged". Delta method, `se = √[(1-R)²v_flagged + R²v_rest] / T`. None where no positive was found at all.
    #[must_use]
    pub fn recall(&self, flagged: impl Fn(usize) -> bool) -> Option<Estimate> {
        let (mut inside, mut total, mut variance_inside, mut variance_outside) = (0.0, 0.0, 0.0, 0.0);
        for (index, stratum) in self.strata.iter().enumerate() {
            let population = real(stratum.population);
            let positives = population * stratum.sample.proportion();
            let spread = population * population * variance(stratum);
            total += positives;
            if flagged(index) {
                inside += positives;
                variance_inside += spread;
            } else {
                variance_outside += spread;
            }
        }
        if total <= 0.0 {
            return None;
        }
        let recall = inside / total;
        let spread = (1.0 - recall).powi(2) * variance_inside + recall.powi(2) * variance_outside;
        Some(Estimate::normal(recall, spread.sqrt() / total))
    }

    fn weighted(&self) -> impl Iterator<Item = (f64, &Stratum)> {
        let population = real(self.population());
        self.strata
            .iter()
            .map(move |stratum| (real(stratum.population) / population, stratum))
    }
}

/// Variance of `p̂_h` with the finite population correction; zero where the whole stratum was audited.
fn variance(stratum: &Stratum) -> f64 {
    let (n, p) = (real(stratum.sample.size()), stratum.sample.proportion());
    if stratum.sample.size() == stratum.population {
        return 0.0;
    }
    (1.0 - n / real(stratum.population)) * p * (1.0 - p) / (n - 1.0)
}

/// Neyman's allocation of `size` labels: `n_h ∝ N_h √(p_h(1-p_h))` for strata given as (`N_h`, expected `p_h`), with at least
/// `floor` in the first (the lowest scores: that is where the missed hate is). Not rounded.
///
/// # Errors
/// No stratum, or none with any expected variance.
pub fn neyman(strata: &[(u64, f64)], size: f64, floor: f64) -> Result<Vec<f64>, EstimateError> {
    let spread: Vec<f64> = strata
        .iter()
        .map(|(population, p)| real(*population) * (p * (1.0 - p)).sqrt())
        .collect();
    let total: f64 = spread.iter().sum();
    if total.is_nan() || total <= 0.0 {
        return Err(EstimateError::Empty("the plan"));
    }
    let plain: Vec<f64> = spread.iter().map(|share| size * share / total).collect();
    let lowest = plain.first().copied().unwrap_or_default();
    if lowest >= floor {
        return Ok(plain);
    }
    let others = total - spread.first().copied().unwrap_or_default();
    let left = (size - floor).max(0.0);
    let rest = spread
        .iter()
        .skip(1)
        .map(|share| if others > 0.0 { left * share / others } else { 0.0 });
    Ok(std::iter::once(floor.min(size)).chain(rest).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stratum(population: u64, positives: u64, size: u64) -> Result<Stratum, EstimateError> {
        Ok(Stratum {
            population,
            sample: Sample::new(positives, size)?,
        })
    }

    #[test]
    fn refuses_samples_that_allow_no_variance() -> Result<(), EstimateError> {
        assert!(matches!(Stratified::new(vec![]), Err(EstimateError::Empty(_))));
        assert!(matches!(
            Stratified::new(vec![stratum(10, 0, 11)?]),
            Err(EstimateError::Oversampled { .. })
        ));
        assert!(matches!(
            Stratified::new(vec![stratum(10, 0, 1)?]),
            Err(EstimateError::TooFew { .. })
        ));
        assert!(Stratified::new(vec![stratum(1, 1, 1)?]).is_ok());
        Ok(())
    }

    #[test]
    fn one_stratum_is_a_plain_proportion() -> Result<(), EstimateError> {
        let audit = Stratified::new(vec![stratum(100_000, 17, 1000)?])?;
        let plain = Sample::new(17, 1000)?;
        assert!((audit.estimate() - plain.proportion()).abs() < 1e-15);
        let (mover, wilson) = (audit.mover(Method::Wilson), plain.wilson());
        assert!((mover.lower - wilson.lower).abs() < 1e-12 && (mover.upper - wilson.upper).abs() < 1e-12);
        Ok(())
    }

    #[test]
    fn the_floor_goes_to_the_lowest_stratum() -> Result<(), EstimateError> {
        let plan = neyman(&[(90_000, 0.000_1), (8000, 0.22), (2000, 0.76)], 1000.0, 300.0)?;
        assert!(
            (plan[0] - 300.0).abs() < 1e-9 && (plan.iter().sum::<f64>() - 1000.0).abs() < 1e-9,
            "{plan:?}"
        );
        Ok(())
    }
}
