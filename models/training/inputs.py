"""Texts to token ids and padded batches. A comment comes first, what it answers after it, as the pair template of the tokenizer says."""

import numpy as np
from tokenizers import Tokenizer

PARENT_TOKENS_MAX = 32


class Reader:
    """One vocabulary. `offset` is added to the ids of its pieces, where the embeddings of several vocabularies stand in one matrix."""

    def __init__(self, path, tokens_max, padding, offset=0):
        self.tokenizer = Tokenizer.from_file(str(path))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.tokens_max, self.padding, self.offset = tokens_max, padding, offset
        probe = self.tokenizer.encode("a")
        special = probe.special_tokens_mask
        self.first, self.last = probe.ids[0], probe.ids[-1]
        if not (special[0] and special[-1]):
            raise SystemExit(f"{path}: the tokenizer must put a special token before and after a text")

    def ids(self, text, parent=None):
        """At most `tokens_max` ids: the comment, then as much of what it answers as there is room for."""
        content = self.pieces(text)[: self.tokens_max - 2]
        ids = [self.first, *content, self.last]
        room = min(PARENT_TOKENS_MAX, self.tokens_max - len(ids) - 2)
        if parent and room >= 4:
            ids += [self.last, *self.pieces(parent)[:room], self.last]
        return ids

    def pieces(self, text):
        return [piece + self.offset for piece in self.tokenizer.encode(text, add_special_tokens=False).ids]

    def pad(self, sequences):
        """int64 ids and mask of shape [texts, longest]."""
        longest = max(map(len, sequences))
        ids = np.full((len(sequences), longest), self.padding, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence)] = sequence
            mask[row, : len(sequence)] = 1
        return ids, mask


def batches(sequences, padded_tokens):
    """Indices in groups of similar length whose padded size stays within `padded_tokens`."""
    group = []
    for index in sorted(range(len(sequences)), key=lambda index: len(sequences[index])):
        if group and len(sequences[index]) * (len(group) + 1) > padded_tokens:
            yield group
            group = []
        group.append(index)
    if group:
        yield group
