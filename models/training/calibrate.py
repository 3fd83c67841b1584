#!/usr/bin/env python3
"""Fits the labels of a model over the outputs of its heads, chooses the thresholds, and writes both into its manifest.

    python3 -m venv ../venv && ../venv/bin/pip install -r models/training/requirements.txt
    ../venv/bin/python models/training/calibrate.py --data ../shared/data --model models/abuse-fr-e5

--data is a folder with train/*.jsonl and validation/*.jsonl: one comment a line with `text`, `labels` (1 or 0; absent is
unknown), and for sets of near-identical lines a common `twin`. The texts stay where they are: only numbers are written.

What it does. Every French text goes through the network alone, as in the service. `abusive` is Platt scaling of its head, fitted
on all French training files. Every other label is a logistic regression over the logits of all heads, fitted on the lines written
for this project (train/written_*.jsonl), which the first models have not seen; its figures come from five folds in which a twin
set stays together. Thresholds are chosen on what was not fitted on: the validation files for `abusive`, the folds for the others.
Then the manifest from the marker on and the figures in the card are replaced. The same data give the same bytes.

A network made by train.py has one head per label and has seen most of train/: give --kept-aside, and each label is Platt scaling of its
own head on the lines that train.py keeps aside (own_heads.py says how).
"""

import argparse
import hashlib
import json
import pathlib

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

import card
import own_heads
import risk
import tomllib
from graph import session_of
from inputs import Reader
from labels import AUC_MIN, EXAMPLES, FALSE_ALARMS, HIDE_DOUBT, HIDE_RISK, INSULT, LABELS, NO_ACT, POSITIVES_MIN, URGENT_FALSE_ALARMS
from mixing import PAGES, is_held_out, read_lines, written_paths

MARKER = "# From here on written by models/training/calibrate.py: run it again instead of changing a number."
PROBABILITY_MIN = 1e-6


class Corpus:
    """Rows of some files with the logits of the heads. `posts`: what they stand under is a post, not another comment."""

    def __init__(self, files, network, chosen=lambda _row: True, posts=False):
        self.rows, self.files = [], []
        for file in files:
            lines = [row for row in read_lines(file) if chosen(row)]
            self.rows += lines
            self.files += [file.stem] * len(lines)
        self.logits = network.logits([(row["text"], network.read_beside(row, posts)) for row in self.rows])
        self.groups = np.array([row.get("twin") or f"row {index}" for index, row in enumerate(self.rows)])

    def values(self, label):
        """The label of each row as float, NaN where unknown."""
        values = [label.value(row) for row in self.rows]
        return np.array([np.nan if value is None else value for value in values], dtype=float)

    def acceptable(self):
        return np.array([row["labels"].get("toxic") == 0 for row in self.rows])

    def settled(self):
        """Whether it is known if a comment is abusive."""
        return np.array([row["labels"].get("toxic") is not None for row in self.rows])


class Network:
    """The ONNX model, one text at a time: its int8 outputs would change with their neighbours. With a first stage, the logits of that
    follow, as `first:HEAD`: per head the most that any of its windows reaches, as in services/scorer."""

    def __init__(self, directory, manifest):
        self.session = session_of(directory / "model.onnx")
        self.reader = Reader(directory / "tokenizer.json", manifest["max_tokens"], padding=1)
        self.manifest, self.heads, self.first = manifest, list(manifest["heads"]), None
        if "first_stage" in manifest:
            beside = directory.resolve().parent / manifest["first_stage"]["model"]
            self.first = Network(beside, tomllib.loads((beside / "manifest.toml").read_text(encoding="utf-8")))
            self.heads += [f"first:{head}" for head in self.first.heads]

    def read_beside(self, row, posts):
        """What the service reads beside a comment: what it answers, or the post where it has few words."""
        is_short = len(row["text"].split()) <= self.manifest.get("post_words", 0)
        return row.get("parent") if is_short or not posts else None

    def logits(self, texts):
        """Of each (text, what it answers or None); the latter is read where the manifest says `context = true`."""
        inputs, output = self.manifest["inputs"], self.manifest["output"]
        results = []
        for text, parent in texts:
            ids = np.array([self.reader.ids(text, parent if self.manifest["context"] else None)], dtype=np.int64)
            results.append(self.session.run([output["name"]], {inputs["ids"]: ids, inputs["mask"]: np.ones_like(ids)})[0][0])
        results = np.array(results, dtype=float)
        if output["kind"] != "logits":
            results = np.clip(results, PROBABILITY_MIN, 1 - PROBABILITY_MIN)
            results = np.log(results / (1 - results))
        return results if self.first is None else np.concatenate([results, self.first.logits(texts)], axis=1)


def fit(logits, values, regularise):
    """Weights over the raw logits and bias of a logistic regression on standardised logits."""
    mean, scale = logits.mean(axis=0), logits.std(axis=0) + 1e-9
    model = LogisticRegression(C=0.1 if regularise else 1e6, max_iter=5000)
    model.fit((logits - mean) / scale, values)
    raw = model.coef_[0] / scale
    return raw, float(model.intercept_[0] - (raw * mean).sum())


def apply(logits, fitted):
    return 1 / (1 + np.exp(-(logits @ fitted[0] + fitted[1])))


def calibration_error(scores, values, bins=10):
    """Expected calibration error over bins of equal counts."""
    order = np.argsort(scores, kind="stable")
    parts = np.array_split(order, bins)
    return sum(abs(scores[part].mean() - values[part].mean()) * len(part) for part in parts if len(part)) / len(scores)


def over(scores, share):
    """The least threshold that at most `share` of `scores` reach, four decimals."""
    if len(scores) == 0:
        return 1.0
    ordered = np.sort(scores)[::-1]
    allowed = int(share * len(ordered))
    return min(1.0, float(np.floor(ordered[allowed] * 10_000) + 1) / 10_000)


def fit_label(label, heads, train, written, validation):
    """A dict with weights, figures and held-out scores of one label, or None where the data do not carry it."""
    single = label.head is not None
    columns = [heads.index(label.head)] if single else list(range(len(heads)))
    source = train if single else written
    values = source.values(label)
    known = ~np.isnan(values)
    if (values == 1).sum() < POSITIVES_MIN:
        return None
    logits, values = source.logits[known][:, columns], values[known]
    fitted = fit(logits, values, not single)
    if single:
        held = validation
        held_values = held.values(label)
        kept = ~np.isnan(held_values)
        held_scores = apply(held.logits[kept][:, columns], fitted)
        raw_scores, held_values = 1 / (1 + np.exp(-held.logits[kept][:, columns[0]])), held_values[kept]
    else:
        held, kept = source, known
        held_scores = np.zeros(len(values))
        for fold_train, fold_test in GroupKFold(5).split(logits, values, source.groups[known]):
            fold = fit(logits[fold_train], values[fold_train], True)
            held_scores[fold_test] = apply(logits[fold_test], fold)
        head = {"doxxing": "doxx"}.get(label.name, label.name)
        raw_scores = 1 / (1 + np.exp(-logits[:, heads.index(head)])) if head in heads else None
        held_values = values
    acceptable, insults = held.acceptable()[kept], held.values(INSULT)[kept] == 1
    auc = roc_auc_score(held_values, held_scores)
    if auc < AUC_MIN:
        return {"label": label, "auc": auc, "positives": int(values.sum()), "left_out": True}
    return {
        "label": label,
        "left_out": False,
        "weights": dict(zip([heads[column] for column in columns], fitted[0], strict=True)),
        "fitted": fitted,
        "columns": columns,
        "bias": fitted[1],
        "auc": auc,
        "positives": int(values.sum()),
        "prevalence": float(values.mean()),
        "before": None if raw_scores is None else calibration_error(raw_scores, held_values),
        "before_auc": None if raw_scores is None else roc_auc_score(held_values, raw_scores),
        "after": calibration_error(held_scores, held_values),
        "scores": held_scores,
        "values": held_values,
        "acceptable": acceptable,
        "risk_scores": held_scores,
        "risk_acceptable": acceptable,
        "insults": insults,
    }


def thresholds(results):
    """Per caution level and label: review, and hide where the data allow it."""
    sets = {}
    for level, shares in FALSE_ALARMS.items():
        sets[level] = {}
        for result in results:
            label = result["label"]
            if label.use == "descriptive":
                continue
            share, against = shares.get(label.name, shares[label.use]), result["insults"] if label.use == "protected" else result["acceptable"]
            against = result["scores"][against & (result["values"] == 0)]
            if label.use == "urgent" and "page_scores" in result:
                share, against = URGENT_FALSE_ALARMS[level][label.name], result["page_scores"]
            review = over(against, share)
            entry = {"review": review, "caught": float((result["scores"][result["values"] == 1] >= review).mean())}
            if label.use == "signal" and label.name not in NO_ACT and HIDE_RISK[level]:
                scores, acceptable = result["risk_scores"], result["risk_acceptable"]
                found = risk.hide_threshold(scores, acceptable, HIDE_RISK[level], HIDE_DOUBT)
                if found and found[0] >= review:
                    prevalence = risk.least_prevalence(scores, acceptable, found[0], HIDE_RISK[level], HIDE_DOUBT)
                    entry |= {"hide": found[0], "hidden": found[1], "wrong": found[2], "prevalence": prevalence}
            sets[level][label.name] = entry
    return sets


METHOD = "abusive: Platt scaling of its head on all French training files; other labels: logistic regression over all heads on the written lines"
HELD_OUT = "validation files for abusive; five folds that keep twin sets together for the others"


def manifest_sections(results, sets, files, network, method, held_out):
    heads = network.heads
    lines = [MARKER, "", "[calibration]"]
    lines += [f"method = {json.dumps(method)}"]
    lines += [f"held_out = {json.dumps(held_out)}"]
    lines += ["[calibration.data]"]
    lines += [f'"{file.parent.name}/{file.name}" = "{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"' for file in files]
    for result in results:
        lines += ["", "[[labels]]", f'label = "{result["label"].name}"', f"bias = {result['bias']:.6f}", f"auc = {result['auc']:.3f}"]
        lines += ["weights = { " + ", ".join(f"{json.dumps(head)} = {result['weights'][head]:.6f}" for head in heads if head in result["weights"]) + " }"]
    for level, entries in sets.items():
        lines += ["", f"[thresholds.{level}]"]
        for name, entry in entries.items():
            hide = f", hide = {entry['hide']:.4f}" if "hide" in entry else ""
            lines += [f"{name} = {{ review = {entry['review']:.4f}{hide} }}"]
    for (text, parent), logits in zip(EXAMPLES, network.logits(EXAMPLES), strict=True):
        scores = ", ".join(f"{result['label'].name} = {apply(logits[result['columns']], result['fitted']):.4f}" for result in results)
        lines += ["", "[[examples]]", f"text = {json.dumps(text, ensure_ascii=False)}"]
        lines += [f"parent = {json.dumps(parent, ensure_ascii=False)}"] if parent else []
        lines += [f"scores = {{ {scores} }}"]
    return "\n".join(lines) + "\n"


def number(value):
    return "" if value is None else f"{value:.3f}"


def card_figures(results, left_out, sets, validation, written):
    lines = ["Labels on comments that were not fitted on (`abusive`: validation files; others: five folds of the written lines).", ""]
    lines += ["| label | positives fitted | AUC of the head alone | AUC | calibration error before | after | review threshold (balanced) | caught there | acceptable validation comments over it | hide threshold (balanced) |"]
    lines += ["|---|---|---|---|---|---|---|---|---|---|"]
    for result in results:
        name = result["label"].name
        entry = sets["balanced"].get(name, {})
        cells = [name, str(result["positives"]), number(result["before_auc"]), number(result["auc"]), number(result["before"]), number(result["after"])]
        scores = apply(validation.logits[validation.acceptable()][:, result["columns"]], result["fitted"])
        cells += [number(entry.get("review")), f"{entry['caught']:.0%}" if entry else ""]
        cells += [f"{(scores >= entry['review']).mean():.1%}" if entry else "", number(entry.get("hide"))]
        lines += ["| " + " | ".join(cells) + " |"]
    lines += ["", f"Left out, because the AUC stays below {AUC_MIN}: " + (", ".join(f"{r['label'].name} ({r['auc']:.2f})" for r in left_out) or "none") + ".", ""]
    lines += ["`abusive` by source:", "", "| source | comments | AUC | acceptable comments over the review threshold | abusive comments over it |", "|---|---|---|---|---|"]
    abusive = next(result for result in results if result["label"].name == "abusive")
    threshold = sets["balanced"]["abusive"]["review"]
    for corpus in (validation, written):
        for source in sorted(set(corpus.files)):
            chosen = np.array([file == source for file in corpus.files])
            values = corpus.values(abusive["label"])[chosen]
            known = ~np.isnan(values)
            values, scores = values[known], apply(corpus.logits[chosen][known][:, abusive["columns"]], abusive["fitted"])
            auc = number(roc_auc_score(values, scores)) if len(set(values)) > 1 else ""
            caught = f"{(scores[values == 1] >= threshold).mean():.0%}" if (values == 1).any() else ""
            lines += [f"| {source} | {len(values)} | {auc} | {(scores[values == 0] >= threshold).mean():.1%} | {caught} |"]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with train/ and validation/")
    parser.add_argument("--model", type=pathlib.Path, required=True, help="folder of the model")
    parser.add_argument("--kept-aside", action="store_true", help="the network was trained by train.py: fit on what it keeps aside")
    arguments = parser.parse_args()
    path = arguments.model / "manifest.toml"
    written_by_hand = path.read_text(encoding="utf-8").split(MARKER)[0].rstrip()
    manifest = tomllib.loads(written_by_hand)
    network = Network(arguments.model, manifest)
    heads = network.heads
    train_files = sorted((arguments.data / "train").glob("*.jsonl"))
    written_files = written_paths(arguments.data)
    real_files = [file for file in train_files if file.stem.endswith("_fr") or file.stem == "toxifrench_agree"]
    validation_files = sorted((arguments.data / "validation").glob("*.jsonl"))
    chosen = is_held_out if arguments.kept_aside else lambda _row: True
    train, written = (Corpus(files, network, chosen) for files in (real_files + written_files, written_files))
    validation = Corpus(validation_files, network)
    page_files = sorted(PAGES.glob("*.tsv")) if arguments.kept_aside else []
    if arguments.kept_aside:
        pages = Corpus(page_files, network, posts=True)
        fitted = [own_heads.fit_label(label, heads, train, written, validation, pages, calibration_error) for label in own_heads.labels_of(heads)]
        method, held_out = own_heads.METHOD, own_heads.HELD_OUT
    else:
        fitted = [fit_label(label, heads, train, written, validation) for label in LABELS]
        method, held_out = METHOD, HELD_OUT
    results = [result for result in fitted if result and not result["left_out"]]
    left_out = [result for result in fitted if result and result["left_out"]]
    sets = thresholds(results)
    sections = manifest_sections(results, sets, real_files + written_files + validation_files + page_files, network, method, held_out)
    path.write_text(written_by_hand + "\n\n" + sections, encoding="utf-8")
    if arguments.kept_aside:
        figures = "\n".join(own_heads.figures(results, left_out, sets, validation, written, apply))
    else:
        figures = card_figures(results, left_out, sets, validation, written)
    card.fill(arguments.model, "figures", "calibrate.py", figures)
    print(figures)


if __name__ == "__main__":
    main()
