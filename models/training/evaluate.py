#!/usr/bin/env python3
"""Compares models on comments that none of them was trained on, as Markdown with intervals.

    ../venv/bin/python models/training/evaluate.py --data ../shared/data --models models/abuse-fr-e5 models/abuse-fr-NAME

Scores are the calibrated ones of the manifests, thresholds those of level *balanced*; the first model is what the others are compared
with. Sets: the validation files, and the written lines that train.py keeps aside. No model made by train.py was trained on them, but
calibrate.py fits on the latter: where a label is read from several heads, its area here is too good. Intervals are 95 %:
bootstrap for areas and for their paired differences, Wilson for shares. A group is named where one of its words is in the text.

With --unseen the lines of `unseen/` stand in place of the written ones kept aside: nothing was trained or fitted on them. The tables go
into the card of the last model too, where that has the two marks of the part `comparison` or `unseen`.
"""

import argparse
import pathlib
import re
import tomllib

import numpy as np

import card
from calibrate import Corpus, Network
from labels import LABELS
from measures import auc, bootstrap, recall_at, wilson
from mixing import FUNCTIONAL, HEADS, UNSEEN, is_held_out, truth, written_paths

GROUPS = {
    "origin": r"arabe|maghr|noirs?\b|noire|africain|rom\b|roms\b|gitan|asiat|chinois|migrant|immigr|réfugi|algéri|maroc|antill",
    "Muslims": r"musulm|islam|voil[ée]|mosquée|ramadan|imam",
    "Jews": r"juif|juive|synagog|shoah|rabbin|israé",
    "women": r"femme|féminis|madame|fille",
    "orientation": r"\bgays?\b|lesb|homosex|homophob|queer|\bpd\b|bisex|lgbt|gouine",
    "gender identity": r"\btrans|non.binaire|iel\b|drag",
    "disability": r"handicap|autis|sourd|aveugle|fauteuil|trisom|dyslex|\bpmr\b",
}
ACTS = ("hate", "threat", "insult", "doxxing", "harassment", "incitement", "sexual", "distress", "spam")
PROTECTED = ("criticism", "counter-speech", "vulgar")


class Scored:
    """A model with its scores on both corpora."""

    def __init__(self, directory, validation_files, written_files, chosen):
        manifest = tomllib.loads((directory / "manifest.toml").read_text(encoding="utf-8"))
        network = Network(directory, manifest)
        self.name, self.labels = manifest["name"], {label["label"]: label for label in manifest["labels"]}
        self.heads, self.thresholds = network.heads, manifest["thresholds"]["balanced"]
        self.validation, self.written = Corpus(validation_files, network), Corpus(written_files, network, chosen)

    def scores(self, corpus, label):
        """Calibrated scores, or None where the model has no such label."""
        if label not in self.labels:
            return None
        weights = np.array([self.labels[label]["weights"].get(head, 0.0) for head in self.heads])
        return 1 / (1 + np.exp(-(corpus.logits @ weights + self.labels[label]["bias"])))


def with_interval(value, interval):
    return f"{value:.3f} ({interval[0]:.3f}–{interval[1]:.3f})"


def share(hits, count):
    if count == 0:
        return "–"
    low, high = wilson(hits, count)
    return f"{hits / count:.1%} ({low:.1%}–{high:.1%})"


def area_row(name, scores, values):
    """Cells for each model's area, then the paired difference of each further model to the first."""
    cells = [name, str(len(values))]
    for own in scores:
        if own is None:
            cells.append("–")
            continue
        interval = bootstrap(lambda chosen, own=own: auc(own[chosen], values[chosen]), len(values))
        cells.append(with_interval(auc(own, values), interval))
    first = scores[0]
    for own in scores[1:]:
        if own is None or first is None:
            cells.append("–")
            continue
        low, high = bootstrap(lambda chosen, own=own: auc(own[chosen], values[chosen]) - auc(first[chosen], values[chosen]), len(values))
        cells.append(f"{auc(own, values) - auc(first, values):+.3f} ({low:+.3f} to {high:+.3f})")
    return "| " + " | ".join(cells) + " |"


def table(*columns):
    return ["", "| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]


def of_file(corpus, test):
    return np.array([test(file) for file in corpus.files])


def pooled(corpus, abusive):
    """The lines of the files that hold abuse and acceptable comments (bool, [lines]): with easy comments alone added, the same share of false alarms
    would reach further into the look-alikes of the others."""
    files = np.array(corpus.files)
    return np.isin(files, [file for file in set(corpus.files) if {0, 1} <= set(abusive[files == file])])


def report(models, kept):
    """`kept` names the written lines: kept aside, or unseen; with the latter the validation files are left out."""
    names, place = [model.name for model in models], HEADS.index("abusive")
    changes = [f"{name} minus {names[0]}" for name in names[1:]]
    first = models[0]
    validation = np.stack([truth(row) for row in first.validation.rows])
    written = np.stack([truth(row) for row in first.written.rows])
    mixed = pooled(first.written, written[:, place])
    lines = ["Area under the ROC curve of `abusive`:"] + table("comments", "n", *names, *changes)
    shown_files = [] if kept == "unseen" else sorted(set(first.validation.files))
    sets = [(file, "validation") for file in shown_files] + [(file, "written") for file in sorted(set(first.written.files))]
    for file, kind in [*sets, (None, "written")]:
        values = (validation if kind == "validation" else written)[:, place]
        chosen = (mixed if file is None else of_file(getattr(first, kind), lambda own, file=file: file == own)) & ~np.isnan(values)
        if len(set(values[chosen])) > 1:
            shown = file or f"all written lines {kept}"
            lines.append(area_row(shown, [model.scores(getattr(model, kind), "abusive")[chosen] for model in models], values[chosen]))
    lines += ["", f"Area under the ROC curve of other labels, written lines {kept}:"] + table("label", "n", *names, *changes)
    for label in (*ACTS, *PROTECTED, *(own.name for own in LABELS if own.target)):
        values = written[:, HEADS.index(label)]
        known = mixed & ~np.isnan(values)
        if (values[known] == 1).sum() >= 5:
            scores = [None if (own := model.scores(model.written, label)) is None else own[known] for model in models]
            lines.append(area_row(f"{label} ({int((values[known] == 1).sum())} positive)", scores, values[known]))
    lines += ["", f"Recall at 5 % false alarms, written lines {kept}:"] + table("label", *names)
    for label in ("abusive", *ACTS):
        values = written[:, HEADS.index(label)]
        known = mixed & ~np.isnan(values)
        cells = [f"{recall_at(own[known], values[known], 0.05):.0%}" if (own := model.scores(model.written, label)) is not None else "–" for model in models]
        lines.append("| " + " | ".join([f"{label} ({int((values[known] == 1).sum())})", *cells]) + " |")
    lines += ["", "Acceptable comments over the review threshold of `abusive` (balanced):"] + table("comments", *names)
    rows = [(file, first.validation, file, None) for file in shown_files]
    rows += [(file, first.written, file, None) for file in sorted(set(first.written.files)) if kept == "unseen"]
    rows += [("written, counter-speech", first.written, "", "counter-speech"), ("written, criticism", first.written, "", "criticism"), ("written, vulgar", first.written, "", "vulgar")]
    for shown, corpus, prefix, label in rows:
        kind = "validation" if corpus is first.validation else "written"
        truths = validation if kind == "validation" else written
        chosen = (truths[:, place] == 0) & of_file(corpus, lambda own, prefix=prefix: own.startswith(prefix))
        if label:
            chosen &= truths[:, HEADS.index(label)] == 1
        lines.append(over_threshold(shown, models, kind, chosen))
    texts = [row["text"].lower() for row in first.written.rows]
    for group, pattern in GROUPS.items():
        named = np.array([re.search(pattern, text) is not None for text in texts])
        lines.append(over_threshold(f"written, naming {group}", models, "written", named & (written[:, place] == 0)))
    if kept == "unseen":
        lines += ["", f"Functional tests (`{FUNCTIONAL}`), over the review threshold of `abusive`:"] + table("functionality", *names)
        tests = np.array([row["twin"] if file == FUNCTIONAL else "" for row, file in zip(first.written.rows, first.written.files, strict=True)])
        for abusive, kind in ((0, "acceptable"), (1, "abusive")):
            of_kind = (written[:, place] == abusive) & (tests != "")
            for test in sorted(set(tests[of_kind])):
                lines.append(over_threshold(f"{kind}: {test}", models, "written", of_kind & (tests == test)))
    return "\n".join(lines)


def over_threshold(shown, models, kind, chosen):
    cells = []
    for model in models:
        over = model.scores(getattr(model, kind), "abusive")[chosen] >= model.thresholds["abusive"]["review"]
        cells.append(share(int(over.sum()), len(over)))
    return "| " + " | ".join([f"{shown} ({int(chosen.sum())})", *cells]) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with train/ and validation/")
    parser.add_argument("--models", type=pathlib.Path, nargs="+", required=True, help="folders of models; the first is compared with")
    parser.add_argument("--unseen", action="store_true", help="use the lines of unseen/ instead of the written ones kept aside")
    arguments = parser.parse_args()
    validation = sorted((arguments.data / "validation").glob("*.jsonl"))
    kept, files, chosen = ("unseen", sorted(UNSEEN.glob("*.tsv")), lambda _row: True) if arguments.unseen else ("kept aside", written_paths(arguments.data), is_held_out)
    tables = report([Scored(directory, validation, files, chosen) for directory in arguments.models], kept)
    card.fill(arguments.models[-1], "unseen" if arguments.unseen else "comparison", "evaluate.py", tables)
    print(tables)


if __name__ == "__main__":
    main()
