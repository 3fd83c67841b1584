#!/usr/bin/env python3
"""Fits when the first stage of a model lets a comment go, and writes it into the manifest.

    ../venv/bin/python models/training/cascade.py --data ../shared/data --model models/abuse-fr-NAME --vigie target/release/vigie

Run it after lexical.py and before drift.py, for a model whose manifest names a first stage. A logistic regression over the logits of the first
stage and the value of its lexical part learns which comments the whole model would send to a person at its most careful level: lines kept
aside and validation files, in ten folds that keep twin sets together. The head `flagged` and the lexical part learnt that themselves from ten
times as many texts. Only what could be let go is learnt from and counts as lost: the classifier never lets go what a rule finds or what
answers another comment. --vigie says what the rules of this repository find; a deployment that takes rules out loses more than the tables say,
and fits the cut anew.

The cut is the highest value below which at most a share of the comments lie that the whole model rightly finds at level *balanced*
(abusive, distress or spam by their labels), by values they got from folds that did not hold them: LOST_MAX of the real ones, URGENT_LOST_MAX of
those that are urgent, HARD_LOST_MAX of those written for this project, which hold far more veiled abuse than a page does. The urgent ones weigh
more in the fit: without that, one found distress in five would have been let go. A comment that is let go gets a score for `abusive` alone,
from a line fitted to what the whole model says.

It prints, as tables for the card (part `first stage`), what is lost of what the whole model rightly finds, the exact paired test (McNemar)
of the comments rightly judged with and without the first stage, and which acceptable comments are let go, with Wilson intervals.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

import numpy as np
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

import card
from calibrate import Corpus
from lexical import Lexical
from measures import wilson
from mixing import is_held_out, written_paths
from whole import Whole, put_section

LEXICAL = "lexical"  # the value of lexical.py, beside the heads
LOST_MAX, URGENT_LOST_MAX, HARD_LOST_MAX = 0.004, 0.002, 0.01
FOUND_WEIGHT = 3.0
URGENT_WEIGHTS = {"threat": 4.0, "doxxing": 4.0, "harassment": 4.0, "terror_apology": 4.0, "distress": 20.0}  # besides, by key of the label
ANY_MODEL = "models/abuse-fr-use"
LOGIT_MAX = 9.2  # a score of .0001
FOLDS = 10
BEGIN = "# When the first stage lets a comment go: written by models/training/cascade.py."
END = "# End of the first stage."


def fit(logits, flagged, weights):
    """Weights over the raw logits and bias."""
    mean, scale = logits.mean(axis=0), logits.std(axis=0) + 1e-9
    model = LogisticRegression(C=0.1, max_iter=5000).fit((logits - mean) / scale, flagged, sample_weight=weights)
    raw = model.coef_[0] / scale
    return raw, float(model.intercept_[0] - (raw * mean).sum())


def line(values, logits):
    """Slope and bias of `logits` over `values`, least squares."""
    slope, bias = np.polyfit(values, np.clip(logits, -LOGIT_MAX, LOGIT_MAX), 1)
    return float(slope), float(bias)


def found_by_rules(vigie, rows):
    """Whether a rule finds something in each row: bool, [rows]. Asks `vigie classify` with the first models, whose scores are not used."""
    lines = "".join(json.dumps({"text": row["text"]}) + "\n" for row in rows)
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
        config.write(f'[classifier]\nmodel = "{ANY_MODEL}"\n')
        config.flush()
        verdicts = subprocess.run([vigie, "classify", "--stop", "--config", config.name], input=lines, capture_output=True, text=True, check=False)
    if verdicts.returncode:
        raise SystemExit(f"{vigie} classify failed: {verdicts.stderr}")
    return np.array([bool(json.loads(verdict)["rules"]) for verdict in verdicts.stdout.splitlines()])


def share(hits, count):
    low, high = wilson(hits, count)
    return f"{hits} of {count}, {hits / max(count, 1):.2%} ({low:.2%}–{high:.2%})"


def section(heads, fitted, cut, abusive):
    weights = dict(zip([*heads, LEXICAL], fitted[0], strict=False))
    lexical = [f"lexical = {weights.pop(LEXICAL):.6f}"] if LEXICAL in weights else []
    named = ", ".join(f"{json.dumps(head)} = {weight:.6f}" for head, weight in weights.items())
    lines = ["[first_stage.let_go]", f"weights = {{ {named} }}", *lexical, f"bias = {fitted[1]:.6f}", f"below = {cut:.4f}"]
    return [*lines, f"abusive = {{ slope = {abusive[0]:.6f}, bias = {abusive[1]:.6f} }}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with train/ and validation/")
    parser.add_argument("--model", type=pathlib.Path, required=True, help="folder of the model, calibrated")
    parser.add_argument("--vigie", required=True, help="the program, run in the root of the repository")
    arguments = parser.parse_args()
    whole = Whole(arguments.model)
    train = arguments.data / "train"
    french = [path for path in sorted(train.glob("*.jsonl")) if path.stem.endswith("_fr") or path.stem == "toxifrench_agree"]
    corpora = [Corpus(sorted((arguments.data / "validation").glob("*.jsonl")), whole.network)]
    corpora.append(Corpus(french + written_paths(arguments.data), whole.network, is_held_out))
    logits, rows = np.concatenate([corpus.logits for corpus in corpora]), [row for corpus in corpora for row in corpus.rows]
    files = np.array([file for corpus in corpora for file in corpus.files])
    groups = np.array([row.get("twin") or row["text"] for row in rows])
    heads = whole.network.first.heads
    first = logits[:, [whole.network.heads.index(f"first:{head}") for head in heads]]
    if lexical := Lexical.read(arguments.model, whole.manifest):
        first = np.column_stack([first, lexical.values([row["text"] for row in rows])])
    labels = whole.values(logits)
    careful, balanced = (whole.margin(labels, level) >= 0 for level in ("careful", "balanced"))
    urgent = np.array([max((weight for key, weight in URGENT_WEIGHTS.items() if row["labels"].get(key) == 1), default=1.0) for row in rows])
    weights = np.where(balanced, FOUND_WEIGHT * urgent, 1.0)
    may_go = ~found_by_rules(arguments.vigie, rows) & np.array([not row.get("parent") for row in rows])
    values = np.zeros(len(rows))
    for learnt, tested in GroupKFold(FOLDS).split(first, careful, groups):
        learnt = learnt[may_go[learnt]]
        weight, bias = fit(first[learnt], careful[learnt], weights[learnt])
        values[tested] = first[tested] @ weight + bias
    wanted = np.array([any(row["labels"].get(key) == 1 for key in ("toxic", "distress", "spam")) for row in rows])
    written = np.array([file.startswith("written_") for file in files])
    lowest = []
    for part, lost_max in ((~written, LOST_MAX), (written, HARD_LOST_MAX), (urgent > 1, URGENT_LOST_MAX)):
        found = balanced & wanted & part
        lowest.append(np.sort(values[found & may_go])[int(lost_max * found.sum())])
    cut = float(np.floor(min(lowest) * 1e4) / 1e4)
    fitted = fit(first[may_go], careful[may_go], weights[may_go])
    gone = (values < cut) & may_go
    validation = np.arange(len(rows)) < len(corpora[0].rows)
    parts = [("validation files", validation), ("real comments", ~written), ("written for this project", written), ("urgent", urgent > 1)]
    tables = ["| comments | rightly found, then let go | false alarms spared | exact paired test |", "|---|---|---|---|"]
    for name, part in parts:
        lost, spared = int((gone & balanced & wanted & part).sum()), int((gone & balanced & ~wanted & part).sum())
        paired = binomtest(lost, lost + spared).pvalue if lost + spared else 1.0
        tables.append(f"| {name} | {share(lost, int((balanced & wanted & part).sum()))} | {spared} | p = {paired:.3f} |")
    tables += ["", "| file | acceptable comments let go |", "|---|---|"]
    for file in sorted(set(files)):
        here = (files == file) & ~wanted
        tables.append(f"| {file} | {share(int((here & gone).sum()), int(here.sum()))} |")
    card.fill(arguments.model, "first stage", "cascade.py", "\n".join(tables))
    print(f"let go below {cut}", *tables, sep="\n")
    near = gone & ~balanced
    put_section(arguments.model, BEGIN, END, section(heads, fitted, cut, line(values[near], labels["abusive"][near])))


if __name__ == "__main__":
    main()
