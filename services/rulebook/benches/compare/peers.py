"""Python's re and pyahocorasick on the comments and terms of compare: python3 peers.py COMMENTS TERMS.

One comment and one term a line. Writes a line per way: its name, a tab, and the seconds of processor time that the whole corpus
takes, the best of three runs each. The alternation of re is so slow that it gets every fiftieth comment, and its time is scaled up.
"""

import re
import sys
import time

try:
    import ahocorasick
except ImportError:
    sys.exit("no pyahocorasick; pip install pyahocorasick")

ROUNDS = 3
RE_SHARE = 50


def seconds(run):
    """The least processor time that `run` takes."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def lines(path):
    with open(path, encoding="utf-8") as file:
        return file.read().split("\n")


def main():
    comments, terms = lines(sys.argv[1]), lines(sys.argv[2])
    alternation = re.compile(r"\b(?:" + "|".join(map(re.escape, terms)) + r")\b", re.IGNORECASE)
    sample = comments[::RE_SHARE]

    def with_re():
        return sum(1 for comment in sample for _ in alternation.finditer(comment))

    automaton = ahocorasick.Automaton()
    for term in terms:
        automaton.add_word(term, len(term))
    automaton.make_automaton()

    def with_automaton():
        found = 0
        for comment in comments:
            text = comment.lower()
            for last, length in automaton.iter(text):
                start, end = last - length + 1, last + 1
                if (start == 0 or not text[start - 1].isalnum()) and (end == len(text) or not text[end].isalnum()):
                    found += 1
        return found

    print(f"alternation, Python's re\t{seconds(with_re) * len(comments) / len(sample)}")
    print(f"pyahocorasick\t{seconds(with_automaton)}")


main()
