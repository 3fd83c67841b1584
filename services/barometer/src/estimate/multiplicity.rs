//! Many comparisons at once: adjusted p-values of Holm (family-wise) and of Benjamini and Hochberg (false discoveries).

/// Holm's adjusted p-values, in the order given.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let order = ascending(p_values);
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        let left = super::real((p_values.len() - rank) as u64);
        largest = largest.max((p_values[index] * left).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

/// Adjusted p-values of Benjamini and Hochberg, in the order given.
#[must_use]
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let order = ascending(p_values);
    let count = super::real(p_values.len() as u64);
    let mut adjusted = vec![0.0; p_values.len()];
    let mut smallest: f64 = 1.0;
    for (rank, &index) in order.iter().enumerate().rev() {
        smallest = smallest.min(p_values[index] * count / super::real(rank as u64 + 1));
        adjusted[index] = smallest;
    }
    adjusted
}

fn ascending(p_values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&left, &right| p_values[left].total_cmp(&p_values[right]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_given_is_kept() {
        let adjusted = holm(&[0.2, 0.001]);
        assert!((adjusted[0] - 0.2).abs() < 1e-12 && (adjusted[1] - 0.002).abs() < 1e-12);
        assert!(holm(&[]).is_empty() && benjamini_hochberg(&[]).is_empty());
        assert!(holm(&[0.9, 0.8]).iter().all(|p| *p <= 1.0));
    }
}
