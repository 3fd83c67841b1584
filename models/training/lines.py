#!/usr/bin/env python3
"""Comments of `written/`, `unseen/`, `acceptance/` or --data as the JSON lines that `vigie evaluate --data` reads; `functionality` is the name of the
file, in `unseen_functional` what the line tests, in `acceptance/` the category. What a line stands under is a post in the files whose lines all stand
under one, else what it answers. The wider notion of toxicity, which is no label of the service, is left out.

    ../venv/bin/python models/training/lines.py models/training/unseen/*.tsv > ../unseen.jsonl

A sentence of `acceptance/` (category, what a moderator would do, text, what it tests) has the label that its category is, and no other is known of it;
a trap is acceptable, and nothing is known of an ambiguous one.
"""

import json
import pathlib
import sys

from mixing import FUNCTIONAL, HERE, POSTED_FILES, WIDE, read_lines

ACCEPTANCE = HERE / "acceptance"
KEYS = {"doxxing": "doxx"}
KNOWN = {"trap": {"toxic": 0}, "ambiguous": {}}


def sentence(line):
    category, _, text, _ = line.split("\t")
    return {"text": text, "labels": KNOWN.get(category, {KEYS.get(category, category): 1}), "functionality": category}


def comment(row, path):
    row["labels"].pop(WIDE, None)
    if path.stem in POSTED_FILES:
        row["post_text"] = row.pop("parent")
    return row | {"functionality": row["twin"] if path.stem == FUNCTIONAL else path.stem}


def comments(path):
    if path.resolve().parent == ACCEPTANCE:
        return [sentence(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [comment(row, path) for row in read_lines(path)]


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    for path in map(pathlib.Path, sys.argv[1:]):
        for row in comments(path):
            print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()
