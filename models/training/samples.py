"""Augmented comments drawn before the training, by several processes, as arrays: an accelerator takes them faster than one process makes
them. The same seed and number of parts give the same samples."""

import concurrent.futures
import multiprocessing

import numpy as np
import torch


class Samples:
    """`ids` int32 [samples, tokens], `lengths` int64 [samples], `values` float32 [samples, heads], `weights` float32 [samples], `own` bool
    [samples]: written for this project."""

    def __init__(self, ids, lengths, values, weights, own, padding):
        self.ids, self.lengths, self.values, self.weights, self.own, self.padding = ids, lengths, values, weights, own, padding

    def __len__(self):
        return len(self.lengths)

    def to(self, device):
        self.ids, self.values, self.weights = (part.to(device) for part in (self.ids, self.values, self.weights))
        return self

    def batches(self, random, padded_tokens, window=65_536):
        """Indices without end, every sample once a pass, in groups of similar length."""
        while len(self):
            order = random.permutation(len(self))
            for start in range(0, len(order), window):
                groups = list(self.groups(order[start : start + window], padded_tokens))
                for index in random.permutation(len(groups)):
                    yield groups[index]

    def groups(self, part, padded_tokens):
        """`part`, indices, longest first, in groups whose padded size stays within `padded_tokens`."""
        part, begin = part[np.argsort(self.lengths[part], kind="stable")[::-1]], 0
        while begin < len(part):
            count = max(1, padded_tokens // int(self.lengths[part[begin]]))
            yield part[begin : begin + count]
            begin += count

    def batch(self, chosen):
        """ids and mask (int64, [texts, longest]), values and weights of `chosen`, on the device of the samples."""
        longest = int(self.lengths[chosen].max())
        places = torch.from_numpy(chosen).to(self.ids.device)
        ids = self.ids[places, :longest].long()
        return ids, (ids != self.padding).long(), self.values[places], self.weights[places]


def make(stream, count, french_only):
    """`count` samples of a stream of train.py."""
    width, heads = stream.reader.tokens_max, stream.pool.truth.shape[1]
    ids = np.full((count, width), stream.reader.padding, dtype=np.int32)
    lengths, values, weights = np.zeros(count, dtype=np.int64), np.zeros((count, heads), dtype=np.float32), np.zeros(count, dtype=np.float32)
    own = np.zeros(count, dtype=bool)
    done = 0
    while done < count:
        for sequence, its_values, weight, is_own in zip(*stream.chunk(french_only), strict=True):
            if done == count:
                break
            ids[done, : len(sequence)] = sequence
            lengths[done], values[done], weights[done], own[done] = len(sequence), its_values, weight, is_own
            done += 1
    return ids, lengths, values, weights, own


def draw(stream, count, french_only, processes):
    """`count` samples, drawn by `processes` copies of `stream`, each with random numbers of its own."""
    randoms = stream.random.spawn(processes)

    def part(place):
        stream.random = randoms[place]
        return make(stream, count // processes + (place < count % processes), french_only)

    parts = in_processes(part, processes)
    ids, lengths, values, weights, own = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Samples(torch.from_numpy(ids), lengths, torch.from_numpy(values), torch.from_numpy(weights), own, stream.reader.padding)


def in_processes(work, count):
    """The results of `work(0)` … `work(count - 1)`, each computed by a forked process."""
    if count == 1:
        return [work(0)]
    global _work  # forked processes find it here: a closure cannot be sent to them
    _work = work
    with concurrent.futures.ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("fork")) as pool:
        return list(pool.map(_call, range(count)))


def _call(place):
    return _work(place)
