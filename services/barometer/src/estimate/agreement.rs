//! Agreement between moderators: Cohen's κ, Gwet's AC1, positive agreement, Krippendorff's α, Fleiss' κ.
//!
//! κ alone misleads where a class is rare: κ, AC1 and positive agreement are published together. A class is published only
//! from α ≥ [`ALPHA_MIN`], and without a caveat only from [`ALPHA_GOOD`].

use super::{Estimate, EstimateError, real};

/// α below which a class is not published at all.
pub const ALPHA_MIN: f64 = 0.667;
/// α below which a class is published with a caveat.
pub const ALPHA_GOOD: f64 = 0.80;

/// Agreement of two coders on a yes/no class or on several classes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TwoCoders {
    /// Share of items on which they agree.
    pub raw: f64,
    /// Cohen's κ with its asymptotic standard error; none where chance alone gives full agreement.
    pub kappa: Option<Estimate>,
    /// Gwet's AC1.
    pub ac1: f64,
}

/// Agreement of two coders from their square table: `table[i][j]` items put in class i by the first and j by the second.
///
/// # Errors
/// A table that is empty or not square, or with fewer than two classes.
pub fn two_coders(table: &[Vec<u64>]) -> Result<TwoCoders, EstimateError> {
    let classes = table.len();
    if classes < 2 || table.iter().any(|row| row.len() != classes) {
        return Err(EstimateError::TooFew {
            what: "classes in a square table",
            have: classes,
            need: 2,
        });
    }
    let total: u64 = table.iter().flatten().sum();
    if total == 0 {
        return Err(EstimateError::Empty("the table"));
    }
    let n = real(total);
    let share = |i: usize, j: usize| real(table[i][j]) / n;
    let rows: Vec<f64> = (0..classes).map(|i| (0..classes).map(|j| share(i, j)).sum()).collect();
    let columns: Vec<f64> = (0..classes).map(|j| (0..classes).map(|i| share(i, j)).sum()).collect();
    let raw: f64 = (0..classes).map(|i| share(i, i)).sum();
    let chance: f64 = (0..classes).map(|i| rows[i] * columns[i]).sum();
    let kappa = (chance < 1.0).then(|| {
        let kappa = (raw - chance) / (1.0 - chance);
        let mut variance = -(kappa - chance * (1.0 - kappa)).powi(2);
        for i in 0..classes {
            for j in 0..classes {
                variance += if i == j {
                    share(i, i) * (1.0 - (rows[i] + columns[i]) * (1.0 - kappa)).powi(2)
                } else {
                    share(i, j) * ((columns[i] + rows[j]) * (1.0 - kappa)).powi(2)
                };
            }
        }
        Estimate::normal(kappa, (variance.max(0.0) / n).sqrt() / (1.0 - chance))
    });
    let gwet: f64 = (0..classes)
        .map(|i| f64::midpoint(rows[i], columns[i]))
        .map(|q| q * (1.0 - q))
        .sum::<f64>()
        / (real(classes as u64) - 1.0);
    Ok(TwoCoders {
        raw,
        kappa,
        ac1: (raw - gwet) / (1.0 - gwet),
    })
}

/// Agreement on the positives of a yes/no class: `2·both / (2·both + first only + second only)`. None where nobody said yes.
#[must_use]
pub fn positive_agreement(both: u64, first_only: u64, second_only: u64) -> Option<f64> {
    let said = 2 * both + first_only + second_only;
    (said > 0).then(|| real(2 * both) / real(said))
}

/// The distance between two values in Krippendorff's α.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Equal or not.
    Nominal,
    /// Ranks.
    Ordinal,
    /// Differences.
    Interval,
    /// Differences against sums.
    Ratio,
}

/// Krippendorff's α over `units`, each the values its coders gave (missing ones left out). None where nothing varies.
///
/// # Errors
/// No unit with two values.
pub fn krippendorff(units: &[Vec<f64>], level: Level) -> Result<Option<f64>, EstimateError> {
    let pairable: Vec<&Vec<f64>> = units.iter().filter(|unit| unit.len() > 1).collect();
    if pairable.is_empty() {
        return Err(EstimateError::Empty("every unit with two values"));
    }
    let mut values: Vec<f64> = pairable.iter().flat_map(|unit| unit.iter().copied()).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let place = |value: f64| values.partition_point(|known| *known < value);
    let size = values.len();
    let mut coincidence = vec![vec![0.0; size]; size];
    for unit in pairable {
        let pairs = real(unit.len() as u64) - 1.0;
        for (i, left) in unit.iter().enumerate() {
            for (_, right) in unit.iter().enumerate().filter(|(j, _)| *j != i) {
                coincidence[place(*left)][place(*right)] += 1.0 / pairs;
            }
        }
    }
    let marginals: Vec<f64> = coincidence.iter().map(|row| row.iter().sum()).collect();
    let total: f64 = marginals.iter().sum();
    let (mut observed, mut expected) = (0.0, 0.0);
    for c in 0..size {
        for k in 0..size {
            let distance = squared_distance(level, &values, &marginals, c, k);
            observed += coincidence[c][k] * distance;
            expected += marginals[c] * marginals[k] * distance;
        }
    }
    Ok((expected > 0.0).then(|| 1.0 - (total - 1.0) * observed / expected))
}

fn squared_distance(level: Level, values: &[f64], marginals: &[f64], c: usize, k: usize) -> f64 {
    let (low, high) = (c.min(k), c.max(k));
    let distance = match level {
        Level::Nominal => f64::from(u8::from(c != k)),
        Level::Ordinal => marginals[low..=high].iter().sum::<f64>() - f64::midpoint(marginals[low], marginals[high]),
        Level::Interval => values[high] - values[low],
        Level::Ratio => {
            let sum = values[high] + values[low];
            if sum == 0.0 { 0.0 } else { (values[high] - values[low]) / sum }
        }
    };
    if low == high { 0.0 } else { distance * distance }
}

/// Fleiss' κ: `table[i][j]` coders put item i in class j, the same number of coders for every item. None where nothing varies.
///
/// # Errors
/// No item, fewer than two coders, or items with different numbers of coders.
pub fn fleiss(table: &[Vec<u64>]) -> Result<Option<f64>, EstimateError> {
    let coders: u64 = table.first().ok_or(EstimateError::Empty("the table"))?.iter().sum();
    if coders < 2
        || table
            .iter()
            .any(|row| row.iter().sum::<u64>() != coders || row.len() != table[0].len())
    {
        return Err(EstimateError::TooFew {
            what: "coders, the same number for every item",
            have: usize::try_from(coders).unwrap_or(usize::MAX),
            need: 2,
        });
    }
    let (items, m) = (real(table.len() as u64), real(coders));
    let agreement = |row: &Vec<u64>| (row.iter().map(|count| real(*count).powi(2)).sum::<f64>() - m) / (m * (m - 1.0));
    let observed = table.iter().map(agreement).sum::<f64>() / items;
    let class = |j: usize| table.iter().map(|row| real(row[j])).sum::<f64>() / (items * m);
    let chance: f64 = (0..table[0].len()).map(|j| class(j).powi(2)).sum();
    Ok((chance < 1.0).then(|| (observed - chance) / (1.0 - chance)))
}

/// Whether a class may be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// α below [`ALPHA_MIN`], or unknown.
    Closed,
    /// α between the two: with a caveat.
    Caveat,
    /// α at least [`ALPHA_GOOD`].
    Open,
}

/// The gate of a class whose α is `alpha`.
#[must_use]
pub fn gate(alpha: Option<f64>) -> Gate {
    match alpha {
        Some(alpha) if alpha >= ALPHA_GOOD => Gate::Open,
        Some(alpha) if alpha >= ALPHA_MIN => Gate::Caveat,
        _ => Gate::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_open_at_their_bounds() {
        assert_eq!(
            [None, Some(0.6), Some(0.667), Some(0.80)].map(gate),
            [Gate::Closed, Gate::Closed, Gate::Caveat, Gate::Open]
        );
    }

    #[test]
    fn what_cannot_disagree_has_no_coefficient() -> Result<(), EstimateError> {
        assert_eq!(krippendorff(&[vec![1.0, 1.0]], Level::Nominal)?, None);
        assert_eq!(fleiss(&[vec![2, 0], vec![2, 0]])?, None);
        assert_eq!(two_coders(&[vec![5, 0], vec![0, 0]])?.kappa, None);
        assert_eq!(positive_agreement(0, 0, 0), None);
        assert!(krippendorff(&[vec![1.0]], Level::Nominal).is_err());
        Ok(())
    }
}
