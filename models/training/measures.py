"""Figures of a classifier with their uncertainty: area under the ROC curve, bootstrap intervals, Wilson intervals."""

import numpy as np


def auc(scores, values):
    """Area under the ROC curve by ranks, ties shared; NaN where one class is missing."""
    scores, values = np.asarray(scores, dtype=float), np.asarray(values)
    positives = int((values == 1).sum())
    negatives = len(values) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[values == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def bootstrap(measure, count, seed=20261126, repeats=1000, level=0.95):
    """Percentile interval of `measure(indices)` over `repeats` samples with replacement of `count` comments."""
    random = np.random.default_rng(seed)
    found = np.array([measure(random.integers(count, size=count)) for _ in range(repeats)])
    low, high = np.nanquantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def wilson(hits, count, z=1.959964):
    """Wilson interval of a share."""
    if count == 0:
        return 0.0, 1.0
    share = hits / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def recall_at(scores, values, false_alarms):
    """Share of the positives over the least threshold that at most `false_alarms` of the negatives reach."""
    scores, values = np.asarray(scores), np.asarray(values)
    negatives = np.sort(scores[values == 0])[::-1]
    allowed = int(false_alarms * len(negatives))
    return float((scores[values == 1] > negatives[allowed]).mean()) if len(negatives) and (values == 1).any() else float("nan")
