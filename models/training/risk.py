"""Thresholds for hiding with a stated risk and a stated confidence: risk control by testing, one threshold after the other.

What is controlled is the share of acceptable comments among those hidden. For a threshold that hides n comments of the calibration set,
k of them acceptable, the hypothesis "more than `risk` of what it hides is acceptable" has the exact binomial p-value P(X <= k),
X ~ Binomial(n, risk). Thresholds are tested from the strictest down, each only if the one before was rejected at `doubt`: then with
probability 1 - `doubt` over calibration sets, none that is accepted breaks the promise (fixed-sequence testing in Learn then Test:
Angelopoulos, Bates, Candès, Jordan, Lei, "Learn then Test: Calibrating Predictive Algorithms to Achieve Risk Control", 2021; the
conformal risk control of Angelopoulos et al. 2022 needs a risk that falls monotonically, which this share does not).

The promise is about comments like those of the calibration set. Where less is abusive, more of what is hidden is acceptable:
`least_prevalence` says down to which share of abusive comments the promise still holds.
"""

import numpy as np
from scipy.stats import beta, binom

STEP = 10  # comments between two thresholds tested


def hide_threshold(scores, acceptable, risk, doubt):
    """The least accepted threshold and how many it hides, or None: at most `risk` acceptable among what it hides, with confidence 1 - `doubt`."""
    order = np.argsort(-scores, kind="stable")
    ordered, wrong = scores[order], np.cumsum(acceptable[order])
    first = int(np.ceil(np.log(doubt) / np.log1p(-risk)))  # below this many hidden even no error proves nothing
    accepted = None
    for hidden in range(first, len(ordered), STEP):
        if ordered[hidden - 1] == ordered[hidden]:
            continue  # no threshold between equal scores
        if binom.cdf(wrong[hidden - 1], hidden, risk) > doubt:
            break
        threshold = float(np.ceil(ordered[hidden - 1] * 10_000 - 1e-6) / 10_000)
        taken = scores >= threshold
        if taken.sum() >= first:
            accepted = (threshold, int(taken.sum()), int(acceptable[taken].sum()))
    return accepted


def least_prevalence(scores, acceptable, threshold, risk, doubt):
    """The least share of abusive comments for which the bounds of both error rates, each at `doubt` / 2, keep the promise."""
    hidden_acceptable, all_acceptable = int((scores[acceptable] >= threshold).sum()), int(acceptable.sum())
    hidden_abusive, all_abusive = int((scores[~acceptable] >= threshold).sum()), int((~acceptable).sum())
    false_hides = float(beta.ppf(1 - doubt / 2, hidden_acceptable + 1, all_acceptable - hidden_acceptable))
    caught = float(beta.ppf(doubt / 2, hidden_abusive, all_abusive - hidden_abusive + 1)) if hidden_abusive else 0.0
    # prevalence * caught * risk >= (1 - prevalence) * false_hides * (1 - risk)
    odds = false_hides * (1 - risk) / max(caught * risk, 1e-12)
    return odds / (1 + odds)
