//! Whether a score means what it says: comments in ten bins of about equal counts, mean score against frequency.

use serde::Serialize;

use super::proportion::Share;
use super::ranking::{Ranking, real};

const BINS: u64 = 10;

/// A bin of the reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// Mean of the scores.
    pub score: f64,
    /// Share of comments that have the label.
    pub frequency: Share,
}

/// The bins in ascending order of score. Equal scores share a bin: the bins do not depend on the order of the comments, and there are
/// fewer than ten where scores repeat.
pub(super) fn bins(ranking: &Ranking) -> Vec<Bin> {
    let total = ranking.positives() + ranking.negatives();
    let mut bins = Vec::new();
    let (mut seen, mut count, mut positives, mut sum) = (0, 0, 0, 0.0);
    for step in ranking.steps().iter().rev() {
        let here = step.positives + step.negatives;
        seen += here;
        count += here;
        positives += step.positives;
        sum += f64::from(step.score) * real(here);
        // The end of the bin that began at `seen - count`.
        let end = ((seen - count) * BINS / total + 1) * total;
        if seen * BINS >= end {
            bins.extend(Share::new(positives, count).map(|frequency| Bin {
                score: sum / real(count),
                frequency,
            }));
            (count, positives, sum) = (0, 0, 0.0);
        }
    }
    bins
}

/// The expected calibration error: the mean over comments of the distance between score and frequency of their bin.
pub(super) fn error(bins: &[Bin]) -> Option<f64> {
    let total: u64 = bins.iter().map(|bin| bin.frequency.whole).sum();
    let distance = |bin: &Bin| real(bin.frequency.whole) * (bin.score - bin.frequency.share).abs();
    (total > 0).then(|| bins.iter().map(distance).sum::<f64>() / real(total))
}
