//! The exact binomial test, and Holm's correction where many tests are made at once.

use statrs::function::factorial::ln_binomial;

/// P(X ≥ `hits`) for X binomial with `trials` and `share`.
#[must_use]
pub fn upper_tail(hits: u64, trials: u64, share: f64) -> f64 {
    if hits == 0 {
        return 1.0;
    }
    if hits > trials {
        return 0.0;
    }
    // On the near side of the mean the other tail is the short one.
    if real(hits) <= real(trials) * share {
        return 1.0 - upper_tail(trials - hits + 1, trials, 1.0 - share);
    }
    let first = (ln_binomial(trials, hits) + real(hits) * share.ln() + real(trials - hits) * (-share).ln_1p()).exp();
    let odds = share / (1.0 - share);
    let (mut term, mut sum) = (first, first);
    for reached in hits..trials {
        term *= real(trials - reached) / real(reached + 1) * odds;
        let before = sum;
        sum += term;
        // Terms only shrink from here on: the first that changes nothing is the last that could.
        if sum <= before {
            break;
        }
    }
    sum.min(1.0)
}

/// P(X ≤ `hits`) for X binomial with `trials` and `share`.
#[must_use]
pub fn lower_tail(hits: u64, trials: u64, share: f64) -> f64 {
    if hits >= trials {
        return 1.0;
    }
    upper_tail(trials - hits, trials, 1.0 - share)
}

/// Twice the smaller tail, at most 1.
#[must_use]
pub fn two_sided(hits: u64, trials: u64, share: f64) -> f64 {
    let smaller = upper_tail(hits, trials, share).min(lower_tail(hits, trials, share));
    (2.0 * smaller).min(1.0)
}

/// The places of the p-values that Holm's procedure rejects at `level`, the smallest first. With a chance of at most `level` one of
/// them is wrong, however the tests depend on each other.
#[must_use]
pub fn rejected(p_values: &[f64], level: f64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|left, right| p_values[*left].total_cmp(&p_values[*right]));
    let count = order
        .iter()
        .enumerate()
        .take_while(|(rank, index)| p_values[**index] * real((p_values.len() - rank) as u64) <= level)
        .count();
    order.truncate(count);
    order
}

/// Counts stay far below 2⁵³.
#[expect(clippy::cast_precision_loss, reason = "exact below 2⁵³")]
pub(super) const fn real(count: u64) -> f64 {
    count as f64
}
