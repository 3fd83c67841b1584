"""Calibration of a model that has one head per label, perhaps with a first stage that has such heads too: each label is a logistic
regression over the heads that are about it, on the lines of train/ that train.py keeps aside (mixing.is_held_out), never on lines that a
network of it saw; where they rank poorly, over all heads. Used by calibrate.py with --kept-aside.

`abusive` is fitted on all French lines kept aside; the other labels on those written for this project, which alone say them. Their
thresholds rest on the same lines, with scores from five folds that keep twin sets together, and on the acceptable comments of
validation/, which have none of the abusive acts by definition; those of urgent labels on the comments of PAGES, which are as a page has them.

How much each head of `abusive` weighs is a choice of the model, made on half of the validation lines (by hash, as in train.py) and the
written lines kept aside: the first models have seen some of the other lines kept aside, on which they would weigh too much.
"""

import hashlib
import itertools

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from labels import AUC_MIN, INSULT, LABELS
from encoder import FIRST_MODEL_HEADS
from measures import auc, bootstrap, wilson
from mixing import HEADS, MASKED, TOXIC, truth

# A label with fewer lines kept aside is left out: nobody could tell how good it is.
KEPT_POSITIVES_MIN = 8
# More heads than the own one must rank better by this much, on folds; all heads by as much again.
GAIN = 0.005
# Weights of the further heads of `abusive`, against 1 for the own one.
SHARES = (0.0, 0.25, 0.5, 1.0, 2.0)
CHOOSING_SETS = ("toxifrench", "hateday_fr", "museum_ministry")
IDENTITY_FILES = (
    "written_identity", "written_identity2", "written_identity3", "written_identity4", "written_identity5", "written_counter",
    "written_counter2", "written_origin_religion", "written_sex_orientation_disability",
)  # fmt: skip
METHOD = "each label: logistic regression over the heads about it, or over all where that ranks better, on French lines of train/ that the training keeps aside"
HELD_OUT = "validation files for abusive; for the others five folds of the lines kept aside that keep twin sets together, and the acceptable validation comments; pages/ for the thresholds of urgent labels"


def platt(logits, values, regularise=1.0):
    """Weights over the columns of `logits` and bias; a little regularised, because some labels have a dozen positives."""
    mean, scale = logits.mean(axis=0), logits.std(axis=0) + 1e-9
    model = LogisticRegression(C=regularise, max_iter=5000).fit((logits - mean) / scale, values)
    weights = model.coef_[0] / scale
    return weights, float(model.intercept_[0] - (weights * mean).sum())


def probability(logits, fitted):
    return 1 / (1 + np.exp(-(logits @ fitted[0] + fitted[1])))


def folded(logits, values, groups, regularise):
    """Scores of each line from a fit on the other folds."""
    scores = np.zeros(len(values))
    for train, test in GroupKFold(5).split(logits, values, groups):
        scores[test] = probability(logits[test], platt(logits[train], values[train], regularise))
    return scores


def truths(corpus):
    return np.stack([truth(row, MASKED.get(file, ())) for row, file in zip(corpus.rows, corpus.files, strict=True)])


def related(label, heads):
    """Columns of the heads that are about a label: its own first, then those of the first stage and of the first models, and for
    `abusive` the wider notion of toxicity."""
    first, wider = FIRST_MODEL_HEADS.get(label.name), (TOXIC, f"first:{TOXIC}") if label.name == "abusive" else ()
    names = [label.name, f"first:{label.name}", f"old:{first}", f"first:old:{first}", *wider]
    return [heads.index(name) for name in names if name in heads]


def mixture(columns, validation, written):
    """Weights of `columns` for `abusive`: the best mean area over the sets, on choosing halves and written lines kept aside; those on
    groups count as a set of their own besides, or the wider heads would win forums at their cost."""
    place, sets = HEADS.index("abusive"), []
    half = np.array([hashlib.sha256(row["text"].encode("utf-8")).digest()[0] % 2 == 0 for row in validation.rows])
    for name in CHOOSING_SETS:
        chosen = half & np.array([file == name for file in validation.files])
        sets.append((validation.logits[chosen][:, columns], truths(validation)[chosen, place]))
    groups = np.isin(written.files, IDENTITY_FILES)
    for chosen in (np.ones(len(groups), dtype=bool), groups):
        if chosen.any():
            sets.append((written.logits[chosen][:, columns], truths(written)[chosen, place]))
    best = (-1.0, None)
    for shares in itertools.product(SHARES, repeat=len(columns) - 1):
        weights = np.array([1.0, *shares])
        areas = [auc(logits[~np.isnan(values)] @ weights, values[~np.isnan(values)]) for logits, values in sets]
        best = max(best, (float(np.mean(areas)), tuple(weights)))
    return np.array(best[1])


def fit_label(label, heads, kept, written, validation, pages, calibration_error):
    """As calibrate.fit_label; None where the network has no such head."""
    if label.name not in heads:
        return None
    column, place = heads.index(label.name), HEADS.index(label.name)
    source = kept if label.name == "abusive" else written
    values = truths(source)[:, place]
    known = ~np.isnan(values)
    values, groups = values[known], source.groups[known]
    positives = int(values.sum())
    if positives < KEPT_POSITIVES_MIN:
        return {"label": label, "auc": float("nan"), "positives": positives, "left_out": True}
    alone = auc(source.logits[known, column], values)
    columns = related(label, heads)
    if label.name == "abusive":
        weights = mixture(columns, validation, written)
        mixed = (source.logits[known][:, columns] @ weights)[:, None]
        folds, (slope, bias) = folded(mixed, values, groups, 1.0), platt(mixed, values)
        fitted, found = (weights * slope[0], bias), auc(folds, values)
    else:
        found, folds, fitted = -1.0, None, None
        for tried, regularise in (([column], 1.0), (columns, 1.0), (list(range(len(heads))), 0.1)):
            scores = folded(source.logits[known][:, tried], values, groups, regularise)
            area = auc(scores, values)
            if area > found + (GAIN if folds is not None else 0.0):
                found, folds, columns, fitted = area, scores, tried, platt(source.logits[known][:, tried], values, regularise)
    held_values, acceptable = truths(validation)[:, place], validation.acceptable()
    if label.use != "protected":
        # Nobody said whether an acceptable comment is spam or distress: for a threshold it counts as neither.
        held_values = np.where(np.isnan(held_values) & acceptable, 0.0, held_values)
    # What may be hidden wrongly: acceptable comments of all sets. An abusive one is hidden rightly, whatever its act.
    settled, written_settled = validation.settled(), source.settled()[known]
    risk_scores = np.concatenate([folds[written_settled], probability(validation.logits[settled][:, columns], fitted)])
    risk_acceptable = np.concatenate([source.acceptable()[known][written_settled], acceptable[settled]])
    held_known = ~np.isnan(held_values)
    held_values, acceptable = held_values[held_known], acceptable[held_known]
    scores = probability(validation.logits[held_known][:, columns], fitted)
    insults = np.zeros(len(scores), dtype=bool)
    if label.name == "abusive":
        measured_logits, measured, measured_scores, ranked = validation.logits[held_known, column], held_values, scores, scores
        found, alone = auc(ranked, measured), auc(measured_logits, measured)
    else:
        measured_logits, measured, measured_scores = source.logits[known, column], values, folds
        ranked = folds if len(columns) > 1 else measured_logits
        scores, held_values = np.concatenate([folds, scores]), np.concatenate([values, held_values])
        acceptable = np.concatenate([source.acceptable()[known], acceptable])
        insults = np.concatenate([source.values(INSULT)[known] == 1, insults])
    if found < AUC_MIN:
        return {"label": label, "auc": found, "positives": positives, "left_out": True}
    interval = bootstrap(lambda chosen: auc(ranked[chosen], measured[chosen]), len(measured))
    raw = 1 / (1 + np.exp(-measured_logits))
    return {
        "label": label, "left_out": False, "weights": {heads[own]: weight for own, weight in zip(columns, fitted[0], strict=True)}, "fitted": fitted, "columns": columns, "bias": fitted[1],
        "auc": found, "interval": interval, "positives": positives, "prevalence": float(values.mean()),
        "before": calibration_error(raw, measured), "before_auc": alone, "after": calibration_error(measured_scores, measured),
        "scores": scores, "values": held_values, "acceptable": acceptable, "page_scores": probability(pages.logits[:, columns], fitted), "insults": insults, "risk_scores": risk_scores, "risk_acceptable": risk_acceptable,
        "measured": measured, "measured_scores": measured_scores,
    }  # fmt: skip


def share(hits, count):
    if count == 0:
        return ""
    low, high = wilson(hits, count)
    return f"{hits / count:.0%} ({low:.0%}–{high:.0%})"


def hidden_by(entry):
    if "hide" not in entry:
        return "none"
    return f"{entry['hide']:.3f}: {entry['hidden']} hidden, {entry['wrong']} acceptable; holds from {entry['prevalence']:.0%} abuse on"


def figures(results, left_out, sets, validation, written, apply):
    """Tables of the card: labels, reliability, sources. Intervals are 95 %: bootstrap for areas, Wilson for shares."""
    lines = ["Labels on comments that were not trained on. AUC: `abusive` on the validation files, the others on the written lines kept aside. Intervals: 95 %.", ""]
    lines += ["| label | positives kept aside | AUC | calibration error before | after | review threshold (balanced) | caught there | acceptable validation comments over it | hide threshold (balanced) | hide threshold (firm) |"]
    lines += ["|---|---|---|---|---|---|---|---|---|---|"]
    acceptable = validation.acceptable()
    for result in results:
        name, entry = result["label"].name, sets["balanced"].get(result["label"].name)
        low, high = result["interval"]
        cells = [name, str(result["positives"]), f"{result['auc']:.3f} ({low:.3f}–{high:.3f})", f"{result['before']:.3f}", f"{result['after']:.3f}"]
        if entry:
            positive = result["values"] == 1
            over = apply(validation.logits[acceptable][:, result["columns"]], result["fitted"]) >= entry["review"]
            cells += [f"{entry['review']:.3f}", share(int((result["scores"][positive] >= entry["review"]).sum()), int(positive.sum()))]
            cells += [share(int(over.sum()), len(over))]
        else:
            cells += ["", "", ""]
        cells += [hidden_by(own) for own in (sets["balanced"].get(name, {}), sets["firm"].get(name, {}))]
        lines += ["| " + " | ".join(cells) + " |"]
    lines += ["", f"Left out, because fewer than {KEPT_POSITIVES_MIN} lines kept aside have it or the AUC is too low: " + (", ".join(r["label"].name for r in left_out) or "none") + ".", ""]
    abusive = next(result for result in results if result["label"].name == "abusive")
    lines += ["Reliability of `abusive` on the validation files, ten bins of equal counts:", "", "| mean score | abusive among them |", "|---|---|"]
    for part in np.array_split(np.argsort(abusive["measured_scores"], kind="stable"), 10):
        hits = int(abusive["measured"][part].sum())
        lines += [f"| {abusive['measured_scores'][part].mean():.3f} | {share(hits, len(part))} |"]
    lines += ["", "`abusive` by source:", "", "| source | comments | AUC | acceptable comments over the review threshold | abusive comments over it |", "|---|---|---|---|---|"]
    threshold, place = sets["balanced"]["abusive"]["review"], HEADS.index("abusive")
    for corpus in (validation, written):
        values = truths(corpus)[:, place]
        scores = apply(corpus.logits[:, abusive["columns"]], abusive["fitted"])
        for source in sorted(set(corpus.files)):
            chosen = np.array([file == source for file in corpus.files]) & ~np.isnan(values)
            own, truth_of = scores[chosen], values[chosen]
            area = ""
            if len(set(truth_of)) > 1:
                low, high = bootstrap(lambda part, own=own, truth_of=truth_of: auc(own[part], truth_of[part]), len(own))
                area = f"{auc(own, truth_of):.3f} ({low:.3f}–{high:.3f})"
            over = own >= threshold
            cells = [share(int(over[truth_of == value].sum()), int((truth_of == value).sum())) for value in (0, 1)]
            lines += [f"| {source}{', kept aside' if corpus is written else ''} | {len(own)} | {area} | {cells[0]} | {cells[1]} |"]
    return lines


def labels_of(heads):
    return [label for label in LABELS if label.name in heads]
