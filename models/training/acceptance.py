#!/usr/bin/env python3
"""Where rules, model and routing together send acceptance sentences, as a Markdown table with Wilson intervals (95 %).

    ../venv/bin/python models/training/acceptance.py --vigie target/release/vigie [--failures] [FILE ...]

A file has one sentence a line, tab separated: category, action that a moderator would take, text, what it tests; without any, those of acceptance/
that nothing was made after. What must hold: threats, doxxing, harassment, praise of terrorism and distress reach a person at once; criticism, vulgar
words, traps and ambiguous comments are never hidden by the machine; hate and insults are hidden or reviewed. --failures lists what does not.
"""

import argparse
import json
import pathlib
import subprocess

from measures import wilson

HERE = pathlib.Path(__file__).resolve().parent
AT_ONCE = ("threat", "doxxing", "harassment", "terror_apology", "distress")
NEVER_HIDDEN = ("criticism", "vulgar", "trap", "ambiguous")


def sentences(path):
    """(category, text) of each line."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line]
    return [(row[0], row[2]) for row in rows]


def verdicts(vigie, config, texts):
    lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    options = ["--config", config.resolve()] if config else []
    found = subprocess.run([vigie, "classify", "--stop", *options], input=lines, capture_output=True, text=True, check=False, cwd=HERE.parent.parent)
    if found.returncode:
        raise SystemExit(f"{vigie} classify failed: {found.stderr}")
    return [json.loads(line) for line in found.stdout.splitlines()]


def holds(category, verdict):
    if category in AT_ONCE:
        return bool(verdict.get("escalate"))
    return verdict["route"] != "hide" if category in NEVER_HIDDEN else verdict["route"] != "keep"


def share(hits, count):
    low, high = wilson(hits, count)
    return f"{hits} of {count}, {hits / count:.0%} ({low:.0%}–{high:.0%})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vigie", required=True, type=lambda path: pathlib.Path(path).resolve(), help="the program")
    parser.add_argument("--config", type=pathlib.Path, help="configuration that names another model")
    parser.add_argument("--failures", action="store_true", help="list the sentences of which it does not hold")
    parser.add_argument("files", type=pathlib.Path, nargs="*", help="files of sentences")
    arguments = parser.parse_args()
    rows = [row for path in arguments.files or sorted((HERE / "acceptance").glob("blind*.tsv")) for row in sentences(path)]
    judged = [(category, text, verdict) for (category, text), verdict in zip(rows, verdicts(arguments.vigie, arguments.config, [text for _, text in rows]), strict=True)]
    print("| category | as it must be | at once | to a person or hidden | hidden |", "|---|---|---|---|---|", sep="\n")
    for category in dict.fromkeys(category for category, _ in rows):
        own = [verdict for known, _, verdict in judged if known == category]
        held = sum(holds(category, verdict) for verdict in own)
        routes = [sum(bool(v.get("escalate")) for v in own), sum(v["route"] != "keep" for v in own), sum(v["route"] == "hide" for v in own)]
        print("| " + " | ".join([category, share(held, len(own)), *map(str, routes)]) + " |")
    if arguments.failures:
        print("", *(f"{category}: {verdict['route']}: {text}" for category, text, verdict in judged if not holds(category, verdict)), sep="\n")


if __name__ == "__main__":
    main()
