//! A share of comments with its interval.

use serde::Serialize;

use super::{Z95, ranking::real};

/// `part` of `whole`, with Wilson's score interval for 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// How many.
    pub part: u64,
    /// Of how many.
    pub whole: u64,
    /// `part / whole`.
    pub share: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
}

impl Share {
    /// A share; none of an empty whole.
    #[must_use]
    pub fn new(part: u64, whole: u64) -> Option<Self> {
        if whole == 0 || part > whole {
            return None;
        }
        let (share, n, z2) = (real(part) / real(whole), real(whole), Z95 * Z95);
        let scale = 1.0 + z2 / n;
        let centre = (share + z2 / (2.0 * n)) / scale;
        let half = Z95 / scale * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
        Some(Self {
            part,
            whole,
            share,
            lower: if part == 0 { 0.0 } else { centre - half },
            upper: if part == whole { 1.0 } else { centre + half },
        })
    }
}
