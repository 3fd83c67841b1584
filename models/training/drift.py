#!/usr/bin/env python3
r"""Freezes the score distribution of a model on ordinary comments in its manifest, as what the classifier measures drift against.

    D=../shared/data; cat $D/validation/umsab_fr_neutral.jsonl $D/validation/museum_ministry.jsonl $D/train/written_ordinary.jsonl \
        | grep '"toxic": 0' | vigie classify --config vigie.toml | python3 models/training/drift.py --model models/abuse-fr-e5 \
        --source "neutral tweets, museum and ministry comments, ordinary lines written for the project"

Standard input: verdicts as `vigie classify` writes them, made with that model and no other. A deployment whose comments differ from
these does the same with a month of its own, exported from before a change: what is measured is the change since then.

A comment that the first stage lets go has a score for `abusive` alone: it counts there and nowhere else, as in the service.

Per label: up to nine edges between ten bins of about equal counts, and the share of the comments in each bin. Scores have four
decimals; an edge lies half a step below one, so that no score stands on an edge. Shares are (count + 0.5) / (comments + bins / 2), as
in services/classifier/src/drift.rs, so that none is 0. Written between two markers; the same input gives the same bytes.
"""

import argparse
import json
import pathlib
import sys

BEGIN = "# Distribution of the scores on ordinary comments: written by models/training/drift.py."
END = "# End of the distribution."
CALIBRATION = "# From here on written by models/training/calibrate.py"
BINS = 10
COMMENTS_MIN = 500


def reference(scores):
    """Edges and shares of about equal bins; fewer where many scores are the same."""
    ordered = sorted(round(score * 10_000) for score in scores)
    cuts = sorted({ordered[len(ordered) * part // BINS] for part in range(1, BINS)} - {ordered[0]})
    counts = [0] * (len(cuts) + 1)
    for score in ordered:
        counts[sum(cut <= score for cut in cuts)] += 1
    shares = [(count + 0.5) / (len(ordered) + len(counts) / 2) for count in counts]
    return [cut / 10_000 - 0.00005 for cut in cuts], shares


def section(verdicts, source):
    labels = sorted({label for verdict in verdicts for label in verdict["scores"]})
    lines = [BEGIN, "[drift]", f"comments = {len(verdicts)}", f"source = {json.dumps(source, ensure_ascii=False)}"]
    for label in labels:
        edges, shares = reference([verdict["scores"][label] for verdict in verdicts if label in verdict["scores"]])
        lines += [f"[drift.labels.{label}]"]
        lines += ["edges = [" + ", ".join(f"{edge:.5f}" for edge in edges) + "]"]
        lines += ["shares = [" + ", ".join(f"{share:.5f}" for share in shares) + "]"]
    return "\n".join(lines + [END]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="folder of the model")
    parser.add_argument("--source", required=True, help="what the comments are, in a few words")
    arguments = parser.parse_args()
    verdicts = [verdict for verdict in map(json.loads, sys.stdin) if verdict["scores"]]
    others = {verdict["model"] for verdict in verdicts if not verdict["model"].startswith(arguments.model.resolve().name + "@")}
    if others:
        sys.exit(f"these verdicts come from {', '.join(sorted(others))}: set [classifier] model to {arguments.model}")
    if len(verdicts) < COMMENTS_MIN:
        sys.exit(f"{len(verdicts)} scored comments are too few: at least {COMMENTS_MIN}")
    path = arguments.model / "manifest.toml"
    text = path.read_text(encoding="utf-8")
    if BEGIN in text:
        before, rest = text.split(BEGIN, 1)
        text = before + rest.split(END, 1)[1].lstrip("\n")
    before, marker, after = text.partition(CALIBRATION)
    path.write_text(before.rstrip("\n") + "\n\n" + section(verdicts, arguments.source) + "\n" + marker + after, encoding="utf-8")
    print(f"{path}: {len(verdicts)} comments")


if __name__ == "__main__":
    main()
