#!/usr/bin/env python3
"""Trains the convolutional model, all of it but its embeddings, and writes its ONNX file.

    ../venv/bin/python models/training/convolutional.py --data ../shared/data --first ../shared/model-base/baseline/useperm \\
        --teacher models/abuse-fr-acts --out models/abuse-fr-use

--first names NAME.int8.onnx and NAME.tokenizer.json of the first convolutional model (multilingual Universal Sentence Encoder v3 with
twelve heads). The lines, weights and truth are those of mixing.py, each line in disguised copies besides (augmentation.py), the loss is masked
as in train.py. --teacher is a larger model with a first stage: what its network says of a text is learnt besides the labels, as train.py learns from
its teachers; of real comments what the whole model says, whose label `abusive` knows them better than any head. The last head learns by
how much that model is over a threshold at its most careful level (`flagged`): cascade.py lets go by it. The twelve old heads go on saying
what they said of each text.

--out gets model.onnx with the output `logits`: the twelve old heads, then one new head per label, then `flagged`. Its convolutions are
int8 products over windows, twice as fast as the fp32 ones they were. The same seed gives the same draws.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in train.py

import argparse
import copy
import pathlib
import shutil
import time

import numpy as np
import torch

import augmentation
import convolutions
from graph import Session
from inputs import Reader, batches
from mixing import HEADS, SOURCES, Pool, needs_parent
from samples import in_processes
from train import AVERAGE, LABELS_BESIDE_TEACHERS, QUANTISE_TEXTS, Validation, head_weights, logits_of, masked_loss, shown, softened_loss
from whole import Whole

OLD_HEADS = 12
NEW_HEADS = [*HEADS, "flagged"]
FLAGGED_LEVEL, FLAGGED_MAX = "careful", 8.0
TOKENS, PADDED_TOKENS, PADDING = 64, 4096, 0
CHUNK = 8192  # texts sorted by length together
COPIES_MAX = 3
RARELY_DRAWN = 0.9  # sources drawn less often than this are sampled, the others read whole
RATE, HEAD_RATE, OLD_WEIGHT = 4e-4, 1e-3, 0.3


def taught(whole, texts, own, processes):
    """Logits wanted of NEW_HEADS: what the network of `whole` says before calibration, but for `abusive` of the texts that are not `own`, which is that
    label of the whole model, and `flagged`: float32, [texts, heads]."""
    columns = [whole.network.heads.index(head) for head in HEADS]

    def part(place):
        logits = whole.network.logits([(text, None) for text in texts[place::processes]])
        labels = whole.values(logits)
        flagged = np.clip(whole.margin(labels, FLAGGED_LEVEL), -FLAGGED_MAX, FLAGGED_MAX)
        wanted = np.column_stack([logits[:, columns], flagged])
        real = ~own[place::processes]
        wanted[real, HEADS.index("abusive")] = labels["abusive"][real]
        return wanted

    found = np.zeros((len(texts), len(NEW_HEADS)), dtype=np.float32)
    for place, wanted in enumerate(in_processes(part, processes)):
        found[place::processes] = wanted
    return torch.from_numpy(found)


def drawn(pool, random):
    """Texts, truth and weight of the lines learnt from, and whether they were written for this project: frequent sources whole and in disguised copies,
    the others by lot. The network reads no parents, so lines that need theirs are left out."""
    texts, rows, weights = [], [], []
    for index, (row, draws) in enumerate(zip(pool.rows, pool.draws, strict=True)):
        if needs_parent(row):
            continue
        copies = min(COPIES_MAX, max(1, round(draws))) if draws >= RARELY_DRAWN else int(random.random() < 2 * draws)
        for copy in range(copies):
            texts.append(augmentation.augment(row["text"], random) if copy else row["text"])
            rows.append(index)
            weights.append(pool.weights[index] * max(draws, 1.0) / copies)
    weights = np.array(weights, dtype=np.float32)
    return texts, pool.truth[rows], weights / weights.mean(), pool.own[rows]


class Run:
    """The network in training, and its average over the steps, which is what counts."""

    def __init__(self, network, reader, sequences, values, row_weights, targets, rate=1.0):
        """`values`: truth of HEADS, NaN where unknown. `targets`: wanted logits of all outputs, NaN where nobody says any."""
        self.network, self.reader, self.average = network, reader, copy.deepcopy(network)
        self.sequences, self.values, self.row_weights, self.targets = sequences, values, row_weights, targets
        heads = list(network.new.parameters())
        trunk = [weight for weight in network.parameters() if weight.requires_grad and not any(weight is other for other in heads)]
        self.groups = [{"params": trunk, "base": rate * RATE}, {"params": heads, "base": rate * HEAD_RATE}]
        self.optimiser = torch.optim.AdamW(self.groups, lr=RATE, weight_decay=0.02)
        self.weights = torch.cat([torch.full((OLD_HEADS,), OLD_WEIGHT), head_weights(), torch.ones(1)])

    def passes(self, count, random):
        """Makes `count` passes over all texts and yields, after each, its number and mean loss."""
        steps, texts = 0, 0
        for number in range(count):
            losses = []
            self.network.train()
            for group in self.mixed(random):
                left = 1 - texts / (count * len(self.sequences))
                for part in self.optimiser.param_groups:
                    part["lr"] = part["base"] * left * min(1.0, (steps + 1) / 100)
                losses.append(self.step(group))
                steps, texts = steps + 1, texts + len(group)
                keep = min(AVERAGE, (steps + 1) / (steps + 10))
                with torch.no_grad():
                    for own, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
                        own.lerp_(new, 1 - keep)
            yield number + 1, sum(losses) / len(losses)

    def mixed(self, random):
        """Groups of texts of similar length, other ones in each pass."""
        order = random.permutation(len(self.sequences))
        for start in range(0, len(order), CHUNK):
            chunk = order[start : start + CHUNK]
            groups = [chunk[group] for group in batches([self.sequences[index] for index in chunk], PADDED_TOKENS)]
            yield from (groups[index] for index in random.permutation(len(groups)))

    def step(self, group):
        logits = self.network(*map(torch.from_numpy, self.reader.pad([self.sequences[index] for index in group])))
        known = slice(OLD_HEADS, OLD_HEADS + len(HEADS))
        loss = masked_loss(logits[:, known], self.values[group], self.row_weights[group], self.weights[known])
        loss = loss * LABELS_BESIDE_TEACHERS + softened_loss(logits, self.targets[group], self.weights)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        return float(loss.detach())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with train/ and validation/")
    parser.add_argument("--first", required=True, help="NAME.int8.onnx and NAME.tokenizer.json without their endings")
    parser.add_argument("--teacher", type=pathlib.Path, required=True, help="folder of a larger model with a head for each label and a first stage")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the model")
    parser.add_argument("--resume", type=pathlib.Path, help="go on from this model.onnx of an earlier run instead of --first")
    parser.add_argument("--rate", type=float, default=1.0, help="share of the learning rates; 0.5 to go on")
    parser.add_argument("--passes", type=int, default=3, help="passes over all texts")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=20261126)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    random = np.random.default_rng(arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(f"{arguments.first}.tokenizer.json", arguments.out / "tokenizer.json")
    source, reader = pathlib.Path(f"{arguments.first}.int8.onnx"), Reader(arguments.out / "tokenizer.json", TOKENS, PADDING)
    pool = Pool(arguments.data, SOURCES)
    texts, values, weights, own = drawn(pool, random)
    print(f"{len(texts)} texts of {len(pool.rows)} lines", flush=True)
    network, sequences = convolutions.read(source, len(NEW_HEADS)), [reader.ids(text) for text in texts]
    targets = torch.from_numpy(logits_of(network, reader, sequences, PADDED_TOKENS))
    if arguments.resume:
        convolutions.read_back(network, arguments.resume)
    targets[:, OLD_HEADS:] = taught(Whole(arguments.teacher), texts, own, arguments.threads)
    run = Run(network, reader, sequences, torch.from_numpy(values), torch.from_numpy(weights), targets, arguments.rate)
    validation = Validation(arguments.data, reader)
    began = time.monotonic()
    for number, loss in run.passes(arguments.passes, random):
        found = validation.measure(lambda sequences: logits_of(run.average, reader, sequences, PADDED_TOKENS)[:, OLD_HEADS:])
        print(f"pass {number}, {(time.monotonic() - began) / 60:.0f} minutes, loss {loss:.4f}: {shown(found)}", flush=True)
    sample = random.choice(len(sequences), QUANTISE_TEXTS, replace=False)
    convolutions.write(run.average, arguments.out / "model.onnx", [sequences[index] for index in sample])
    session = Session(arguments.out / "model.onnx", arguments.threads)
    print("int8", shown(validation.measure(lambda sequences: session.logits_of(sequences)[:, OLD_HEADS:])), flush=True)


if __name__ == "__main__":
    main()
