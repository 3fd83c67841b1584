//! Which texts are run together. Pure: the same lengths give the same batches, so the same call gives the same scores.

use crate::manifest::Batching;

/// What reading one text more in a batch saves, in tokens: more padding than that takes longer than reading it in a batch of its own.
const SAVED_TOKENS: usize = 5;

/// Indices of texts to run together, every index once: the oldest text that is left, and its nearest neighbours in length, up to
/// the limits and as long as little is padding. Batching in order of arrival pads more than it gains.
#[must_use]
pub fn plan(lengths: &[usize], limits: Batching) -> Vec<Vec<usize>> {
    if limits.texts_max == 1 {
        return (0..lengths.len()).map(|index| vec![index]).collect();
    }
    let mut by_length: Vec<usize> = (0..lengths.len()).collect();
    by_length.sort_by_key(|index| (lengths[*index], *index));
    let mut taken = vec![false; lengths.len()];
    let mut batches = Vec::new();
    for oldest in 0..lengths.len() {
        if taken[oldest] {
            continue;
        }
        by_length.retain(|index| !taken[*index]);
        let at = by_length.partition_point(|index| (lengths[*index], *index) < (lengths[oldest], oldest));
        let (mut low, mut high) = (at, at + 1);
        let mut tokens = lengths[oldest];
        while high - low < limits.texts_max {
            let distance = |candidate: Option<&usize>| candidate.map(|index| lengths[*index].abs_diff(lengths[oldest]));
            let below = low.checked_sub(1).and_then(|index| distance(by_length.get(index)));
            let above = distance(by_length.get(high));
            let take_below = match (below, above) {
                (None, None) => break,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some(below), Some(above)) => below <= above,
            };
            let next = lengths[by_length[if take_below { low - 1 } else { high }]];
            let longest = lengths[by_length[high - 1]].max(next);
            let padded = longest * (high - low + 1);
            tokens += next;
            if padded > limits.padded_tokens_max || padded > tokens + SAVED_TOKENS * (high - low) {
                break;
            }
            if take_below { low -= 1 } else { high += 1 }
        }
        let mut batch = by_length[low..high].to_vec();
        batch.sort_unstable();
        for index in &batch {
            taken[*index] = true;
        }
        batches.push(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lengths: &[usize], texts_max: usize, padded_tokens_max: usize, expected: &[&[usize]]) {
        let batches = plan(
            lengths,
            Batching {
                texts_max,
                padded_tokens_max,
            },
        );
        assert_eq!(batches, expected, "{lengths:?}");
        let mut all: Vec<usize> = batches.concat();
        all.sort_unstable();
        assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>(), "every text once");
    }

    #[test]
    fn oldest_first_with_its_neighbours_in_length() {
        check(&[], 8, 512, &[]);
        check(&[10, 60, 11, 59], 2, 512, &[&[0, 2], &[1, 3]]);
        check(&[60, 60, 60], 8, 120, &[&[0, 1], &[2]]);
        check(&[64, 5, 5, 5], 8, 64, &[&[0], &[1, 2, 3]]);
        check(&[8, 64, 9, 10, 30], 8, 512, &[&[0, 2, 3], &[1], &[4]]);
        check(&[5; 10], 8, 512, &[&[0, 1, 2, 3, 4, 5, 6, 7], &[8, 9]]);
        check(&[9, 3, 7], 1, 512, &[&[0], &[1], &[2]]);
    }
}
