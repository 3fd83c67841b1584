//! Comments under one post resemble each other: the ratio estimator over clusters, with Student's t.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{Estimate, EstimateError, Interval, real};

/// One cluster: a post. Weights of an unequal audit may stand in both numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cluster {
    /// `m_g`: comments.
    pub size: f64,
    /// `h_g`: positives among them.
    pub positives: f64,
}

/// A proportion over clusters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clustered {
    /// Proportion, standard error, t interval with G-1 degrees of freedom (not cut to [0, 1]).
    pub estimate: Estimate,
    /// The standard error if the comments were independent.
    pub independent_error: f64,
    /// `(se / independent se)²`; none where the proportion is 0 or 1.
    pub design_effect: Option<f64>,
}

/// `p = Σh/Σm`, `Var = G/(G-1) · Σ(h_g - p·m_g)² / (Σm)²`.
///
/// # Errors
/// Fewer than two clusters, or no comments.
pub fn ratio(clusters: &[Cluster]) -> Result<Clustered, EstimateError> {
    if clusters.len() < 2 {
        return Err(EstimateError::TooFew {
            what: "posts",
            have: clusters.len(),
            need: 2,
        });
    }
    let size: f64 = clusters.iter().map(|cluster| cluster.size).sum();
    if size.is_nan() || size <= 0.0 {
        return Err(EstimateError::Empty("every post"));
    }
    let groups = real(clusters.len() as u64);
    let p = clusters.iter().map(|cluster| cluster.positives).sum::<f64>() / size;
    let spread: f64 = clusters.iter().map(|cluster| (cluster.positives - p * cluster.size).powi(2)).sum();
    let standard_error = (groups / (groups - 1.0) * spread).sqrt() / size;
    let half = t_quantile(groups - 1.0, 0.975) * standard_error;
    let independent_error = (p * (1.0 - p) / size).sqrt();
    Ok(Clustered {
        estimate: Estimate {
            value: p,
            standard_error,
            interval: Interval::around(p, half),
        },
        independent_error,
        design_effect: (independent_error > 0.0).then(|| (standard_error / independent_error).powi(2)),
    })
}

/// The quantile of Student's t, by bisection on the distribution function.
fn t_quantile(freedom: f64, probability: f64) -> f64 {
    let student = StudentsT::new(0.0, 1.0, freedom).expect("at least one degree of freedom: two clusters were asked for");
    let (mut low, mut high) = (0.0_f64, 1000.0_f64);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if student.cdf(middle) < probability {
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
    fn one_post_says_nothing_of_the_spread() {
        assert!(matches!(
            ratio(&[Cluster {
                size: 10.0,
                positives: 1.0
            }]),
            Err(EstimateError::TooFew { .. })
        ));
    }

    #[test]
    fn t_is_wider_than_normal_and_tends_to_it() {
        assert!((t_quantile(1.0, 0.975) - 12.706_204_736).abs() < 1e-6);
        assert!((t_quantile(1e6, 0.975) - super::super::Z95).abs() < 1e-4);
    }
}
