//! Whether the scores are still distributed as on ordinary comments: the population stability index per label. Pure.
//!
//! The reference is the `[drift]` table of the model's manifest: ten bins of about equal counts, frozen by `models/training/drift.py`.
//! Against it stand the last [`WINDOW_COMMENTS`] scored comments of this process. By convention an index below 0.1 is no change and one
//! above 0.25 a change to look into: another kind of comments, a raid, a broken collection, or a model that no longer fits.
//!
//! Chance alone gives about (bins − 1) × (1/n + 1/m) for n comments against a reference of m: .02 at [`COMMENTS_MIN`], .01 for a full
//! window. Below [`COMMENTS_MIN`] there is no index, because chance could pass for a change.

use std::collections::VecDeque;

use vigie_domain::{ScoreLabel, Scores};
use vigie_scorer::manifest::{Bins, Drift};

/// The comments compared, at most.
pub const WINDOW_COMMENTS: usize = 5_000;

/// The comments compared, at least.
pub const COMMENTS_MIN: usize = 500;

/// The latest scores of every label of a reference.
#[derive(Debug, Clone)]
pub struct DriftMeter {
    labels: Vec<Watched>,
}

#[derive(Debug, Clone)]
struct Watched {
    label: ScoreLabel,
    reference: Bins,
    counts: Vec<usize>,
    /// Bins of the latest comments, the oldest first.
    window: VecDeque<usize>,
}

impl DriftMeter {
    /// An empty window against a reference.
    #[must_use]
    pub fn new(reference: &Drift) -> Self {
        let labels = reference.labels.iter().map(|(label, bins)| Watched {
            label: *label,
            counts: vec![0; bins.shares.len()],
            reference: bins.clone(),
            window: VecDeque::new(),
        });
        Self { labels: labels.collect() }
    }

    /// Takes one comment in, and the oldest out where the window is full. Labels without a score (deletions have none) do not count.
    pub fn observe(&mut self, scores: &Scores) {
        for watched in &mut self.labels {
            let Some(score) = scores.get(watched.label) else {
                continue;
            };
            let bin = watched.reference.edges.partition_point(|edge| *edge <= f64::from(score));
            if watched.window.len() == WINDOW_COMMENTS
                && let Some(oldest) = watched.window.pop_front()
            {
                watched.counts[oldest] -= 1;
            }
            watched.window.push_back(bin);
            watched.counts[bin] += 1;
        }
    }

    /// The index of every label that has enough comments.
    pub fn indices(&self) -> impl Iterator<Item = (ScoreLabel, f64)> {
        self.labels
            .iter()
            .filter_map(|watched| Some((watched.label, stability_index(&watched.reference.shares, &watched.counts)?)))
    }
}

/// Σ (p − q) · ln(p / q) over the bins, p being the share of `counts` and q that of the reference. Half a comment is added to every
/// bin, so that an empty one is no infinity. None below [`COMMENTS_MIN`].
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "at most 5,000 comments")]
pub fn stability_index(reference: &[f64], counts: &[usize]) -> Option<f64> {
    let comments: usize = counts.iter().sum();
    if comments < COMMENTS_MIN {
        return None;
    }
    let total = comments as f64 + counts.len() as f64 / 2.0;
    let terms = reference.iter().zip(counts).map(|(reference, count)| {
        let share = (*count as f64 + 0.5) / total;
        (share - reference) * (share / reference).ln()
    });
    Some(terms.sum())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[track_caller]
    fn check(counts: [usize; 4], expected: Option<f64>) {
        let found = stability_index(&[0.25; 4], &counts);
        match (found, expected) {
            (Some(found), Some(expected)) => assert!((found - expected).abs() < 5e-4, "{counts:?}: {found}"),
            (found, expected) => assert_eq!(found, expected, "{counts:?}"),
        }
    }

    #[test]
    fn the_index_of_known_distributions() {
        check([500; 4], Some(0.0));
        // (.4 − .25) ln(.4 / .25) + (.1 − .25) ln(.1 / .25) = .0705 + .1374; shifted by the half comments in the fourth decimal.
        check([4_000, 2_500, 2_500, 1_000], Some(0.2079));
        check([0, 2_500, 2_500, 5_000], Some(2.3021));
        check([124, 125, 125, 125], None);
        check([125; 4], Some(0.0));
        check([0; 4], None);
    }

    fn meter() -> DriftMeter {
        let bins = Bins {
            edges: vec![0.25, 0.5, 0.75],
            shares: vec![0.25; 4],
        };
        DriftMeter::new(&Drift {
            comments: 1_000,
            source: "a test".to_owned(),
            labels: BTreeMap::from([(ScoreLabel::Abusive, bins.clone()), (ScoreLabel::Hate, bins)]),
        })
    }

    fn observe(meter: &mut DriftMeter, scores: impl IntoIterator<Item = f32>) {
        for score in scores {
            meter.observe(&Scores([(ScoreLabel::Abusive, score)].into()));
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn even(count: usize) -> impl Iterator<Item = f32> {
        (0..count).map(|index| (index % 100) as f32 / 100.0)
    }

    #[test]
    fn a_shift_shows_and_passes_with_the_window() {
        let mut meter = meter();
        observe(&mut meter, even(COMMENTS_MIN - 1));
        meter.observe(&Scores::default());
        assert_eq!(meter.indices().count(), 0, "not enough comments yet");
        observe(&mut meter, even(101));
        let index = |meter: &DriftMeter| meter.indices().next().map_or(f64::NAN, |(_, index)| index);
        assert!(index(&meter) < 0.001, "{}", index(&meter));
        assert_eq!(meter.indices().count(), 1, "a label without scores has no index");

        observe(&mut meter, even(WINDOW_COMMENTS).map(|score| 0.5 + score / 2.0));
        assert!(index(&meter) > 0.25, "{}", index(&meter));
        observe(&mut meter, even(WINDOW_COMMENTS));
        assert!(index(&meter) < 0.001, "what left the window does not count: {}", index(&meter));
    }
}
