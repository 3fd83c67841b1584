#!/usr/bin/env python3
"""Fits the lexical part of the first stage of a model: a linear regression over hashed n-grams, and writes it into the model's folder.

    ../venv/bin/python models/training/lexical.py --data ../shared/data --model models/abuse-fr-NAME

Run it after calibrate.py and before cascade.py, for a model whose manifest names a first stage. The lines are those that convolutional.py
learns from, disguised copies among them; none is kept aside. What is learnt is by how much the whole model is over a threshold at its most careful
level, whoever wrote the line: ridge regression, weighted as the lines are.

A text becomes the n-grams of two to five characters of its tokens and the n-grams of one to three tokens (services/scorer/src/lexical.rs,
which gives the same values: `examples` in the manifest are compared in a test). The value of a text is the sum of the weights over the square root of
the number of n-grams, for each of the two kinds. --model gets lexical.bin, one signed byte per bucket, and its scale and bias in the manifest.
The same seed gives the same bytes.
"""

import argparse
import hashlib
import json
import pathlib
import unicodedata

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import Ridge

CHARS, TOKENS_MAX = (2, 5), 3
BITS = 19
FNV_OFFSET, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3
KIND_CHARS, KIND_TOKENS = 1, 2
LEVEL, MARGIN_MAX = "careful", 8.0
ALPHA, ITERATIONS_MAX, TOLERANCE = 1.0, 80, 1e-3
SEED = 7
FILE = "lexical.bin"
BEGIN = "# Lexical part of the first stage: written by models/training/lexical.py."
END = "# End of the lexical part."
EXAMPLES = [
    "Très belle exposition, merci à toute l'équipe ❤️",
    "Il passe où ? Rien près de chez moi…",
    "T'ES QU'UNE GROSSE MERDE, on va te retrouver",
    "j'en peux plus, je veux que ça s'arrête",
    "½ tarif jusqu'à 26 ans (2ᵉ dimanche du mois) — œuvres de l'été",
]


def bucket(kind, ngram, bits=BITS):
    """FNV-1a of an n-gram, folded into `bits` bits."""
    value = ((FNV_OFFSET ^ kind) * FNV_PRIME) % 2**64
    for byte in ngram.encode("utf-8"):
        value = ((value ^ byte) * FNV_PRIME) % 2**64
    value ^= value >> 32
    return (value ^ value >> 16) & (2**bits - 1)


def tokens(text):
    """Runs of letters and digits, and every other visible character, in lower case without accents."""
    folded = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.category(c).startswith("M"))
    found, run = [], ""
    for c in folded + " ":
        if c.isalnum():
            run += c
            continue
        found += [run] if run else []
        found += [] if c.isspace() else [c]
        run = ""
    return found


class Features:
    """The n-grams of texts, as buckets. Remembers those that it has seen."""

    def __init__(self):
        self.chars, self.words = {}, {}

    def of(self, text):
        """Buckets of the n-grams of characters and of tokens."""
        found, chars, words = tokens(text), [], []
        for token in found:
            if token not in self.chars:
                padded = f" {token} "
                spans = [(start, length) for start in range(len(padded)) for length in range(CHARS[0], CHARS[1] + 1) if start + length <= len(padded)]
                self.chars[token] = [bucket(KIND_CHARS, padded[start : start + length]) for start, length in spans]
            chars += self.chars[token]
        for start in range(len(found)):
            for count in range(1, min(TOKENS_MAX, len(found) - start) + 1):
                ngram = " ".join(found[start : start + count])
                if ngram not in self.words:
                    self.words[ngram] = bucket(KIND_TOKENS, ngram)
                words.append(self.words[ngram])
        return chars, words

    def matrix(self, texts):
        """Float32, [texts, buckets], sparse: one over the square root of the number of n-grams of a kind, for each of them."""
        places, values, starts = [], [], [0]
        for text in texts:
            kinds = self.of(text)
            places.append(np.concatenate([np.array(kind, dtype=np.int32) for kind in kinds]))
            values.append(np.concatenate([np.full(len(kind), 1 / np.sqrt(max(len(kind), 1)), dtype=np.float32) for kind in kinds]))
            starts.append(starts[-1] + len(places[-1]))
        matrix = csr_matrix((np.concatenate(values), np.concatenate(places), np.array(starts)), shape=(len(texts), 2**BITS))
        matrix.sum_duplicates()
        return matrix


class Lexical:
    """The regression: weights of the buckets as signed bytes, what each is times, and the constant term."""

    def __init__(self, weights, scale, bias):
        self.weights, self.scale, self.bias = weights, scale, bias

    @classmethod
    def read(cls, directory, manifest):
        """That of a model's folder; None where its first stage has none."""
        part = manifest["first_stage"].get("lexical")
        return part and cls(np.frombuffer((directory / FILE).read_bytes(), dtype=np.int8), part["scale"], part["bias"])

    @classmethod
    def fit(cls, texts, wanted, weights):
        ridge = Ridge(alpha=ALPHA, solver="lsqr", max_iter=ITERATIONS_MAX, tol=TOLERANCE).fit(Features().matrix(texts), wanted, sample_weight=weights)
        scale = float(np.abs(ridge.coef_).max() / 127)
        return cls(np.round(ridge.coef_ / scale).astype(np.int8), scale, float(ridge.intercept_))

    def values(self, texts):
        """In logits: float, [texts]."""
        return Features().matrix(texts) @ (self.weights * self.scale) + self.bias


def main():
    # These load torch, which those who only read a regression do without.
    from convolutional import drawn
    from mixing import Pool
    from samples import in_processes
    from whole import Whole, put_section

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with train/ and validation/")
    parser.add_argument("--model", type=pathlib.Path, required=True, help="folder of the model, calibrated")
    parser.add_argument("--processes", type=int, default=2, help="how many read the lines with the whole model")
    arguments = parser.parse_args()
    whole = Whole(arguments.model)
    texts, _, weights, _ = drawn(Pool(arguments.data), np.random.default_rng(SEED))

    def part(place):
        logits = whole.network.logits([(text, None) for text in texts[place :: arguments.processes]])
        return np.clip(whole.margin(whole.values(logits), LEVEL), -MARGIN_MAX, MARGIN_MAX)

    wanted = np.zeros(len(texts))
    for place, margins in enumerate(in_processes(part, arguments.processes)):
        wanted[place :: arguments.processes] = margins
    fitted = Lexical.fit(texts, wanted, weights)
    (arguments.model / FILE).write_bytes(fitted.weights.tobytes())
    digest = hashlib.sha256(fitted.weights.tobytes()).hexdigest()
    lines = ["[first_stage.lexical]", f'file = {{ path = "{FILE}", sha256 = "{digest}" }}', f"scale = {fitted.scale:.9f}", f"bias = {fitted.bias:.6f}"]
    for text, value in zip(EXAMPLES, fitted.values(EXAMPLES), strict=True):
        lines += ["[[first_stage.lexical.examples]]", f"text = {json.dumps(text, ensure_ascii=False)}", f"value = {value:.4f}"]
    put_section(arguments.model, BEGIN, END, lines)
    error = fitted.values(texts) - wanted
    print(f"{len(texts)} texts, root mean square error {np.sqrt(np.average(error**2, weights=weights)):.3f} of {np.std(wanted):.3f}")


if __name__ == "__main__":
    main()
