#!/usr/bin/env python3
"""Comments of `written/`, `unseen/` or --data as the JSON lines that `vigie evaluate --data` reads; `functionality` is the name of the file, or
in `unseen_functional` what the line tests. What a line stands under is a post in the files whose lines all stand under one, else what it answers. The wider notion of toxicity, which is no label of the service, is left out.

    ../venv/bin/python models/training/lines.py models/training/unseen/*.tsv > ../unseen.jsonl
"""

import json
import pathlib
import sys

from mixing import FUNCTIONAL, POSTED_FILES, WIDE, read_lines


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    for path in map(pathlib.Path, sys.argv[1:]):
        for row in read_lines(path):
            row["labels"].pop(WIDE, None)
            if path.stem in POSTED_FILES:
                row["post_text"] = row.pop("parent")
            print(json.dumps(row | {"functionality": row["twin"] if path.stem == FUNCTIONAL else path.stem}, ensure_ascii=False))


if __name__ == "__main__":
    main()
