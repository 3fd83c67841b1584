#!/usr/bin/env python3
"""Fine-tunes the encoder on the labelled comments and writes the ONNX file of a model.

    python3 -m venv ../venv && ../venv/bin/pip install -r models/training/requirements.txt
    ../venv/bin/python models/training/train.py --data ../shared/data --base ../shared/model-base --work ../work \\
        --out models/abuse-fr-NAME

--data has train/*.jsonl and validation/*.jsonl, --base has config.json, tokenizer.json and the 4-bit pack of the first weights, --work
takes checkpoints and the log (outside the repository), --out gets model.onnx and tokenizer.json. The texts stay where they are.

What it does. Lines are drawn with the weights of mixing.py, changed by augmentation.py, joined by comments made by templates.py, and
cut to --tokens. Every head is a masked logistic loss: what a source does not say counts nothing. Embeddings and the lowest layers
keep their weights. An exponential average of the weights is what is measured, kept and exported. Every --every minutes it is measured
on the validation files; the state with the best mean stays (early stopping). After --minutes or --texts the best state is blended with
the first weights, which takes back what the model forgot of real forums and tweets; the best blend is exported, quantised (quantise.py)
and compared with its int8 form. Half of the validation lines, by hash, choose the state; the other half only
report. From --french-from of the run on it sees French only.

--whole-vocabulary DIR holds tokenizer.json and an .npz of the same network with all its pieces (250,037): German, Portuguese and Spanish
lines are then read with it. Embeddings keep their weights, so that the exported model has the small vocabulary again. French and English
are always read as the model will read them.

The same seed gives the same draws; a run that --minutes ends is not repeatable to the bit, because the clock shapes its learning rate.
"""

import os

# Waiting threads that spin take the time of the working ones where the cores are shared: four times slower, measured.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import copy
import hashlib
import json
import pathlib
import shutil
import time
import tomllib

import numpy as np
import torch

import augmentation
import mixing
import quantise
import templates
from encoder import Classifier, Shape, first_weights, load_first_model, load_first_weights
from inputs import Reader, batches
from measures import auc
from mixing import HEADS, TRIMMED_LANGUAGES, Pool, is_held_out, read_lines, truth

HEAD_WEIGHTS = {"abusive": 1.0, "hate": 0.7, "threat": 0.7, "insult": 0.5}
OTHER_WEIGHT, TARGET_WEIGHT = 0.3, 0.2
TEMPLATE_SHARE = 0.04
PARENT_KEPT = 0.5
AVERAGE = 0.99
# Products in bfloat16 where the processor has them, twice as fast; weights, sums and losses stay in fp32. Elsewhere it is slower.
BFLOAT16 = torch.cpu.get_capabilities().get("avx512_bf16", False)
QUANTISE_TEXTS = 300
CHUNK = 1536  # texts drawn, augmented and sorted by length together


def head_weights():
    weights = [TARGET_WEIGHT if head.startswith("target-") else HEAD_WEIGHTS.get(head, OTHER_WEIGHT) for head in HEADS]
    return torch.tensor(weights, dtype=torch.float32)


def masked_loss(logits, values, row_weights, weights):
    """Weighted logistic loss over the known labels, divided by the number of texts."""
    known = ~torch.isnan(values)
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.nan_to_num(values), reduction="none")
    return (losses * known * weights * row_weights[:, None]).sum() / len(values)


class Stream:
    """Batches of augmented comments without end."""

    def __init__(self, pool, reader, random, padded_tokens, foreign=None):
        self.pool, self.reader, self.random, self.padded_tokens = pool, reader, random, padded_tokens
        self.foreign = foreign or reader

    def chunk(self, french_only):
        sequences, values, weights = [], [], []
        for index in self.pool.draw(self.random, CHUNK, french_only):
            row = self.pool.rows[index]
            parent = row.get("parent") if self.random.random() < PARENT_KEPT else None
            reader = self.reader if row.get("lang", "fr") in TRIMMED_LANGUAGES else self.foreign
            sequences.append(reader.ids(augmentation.augment(row["text"], self.random), parent))
            values.append(self.pool.truth[index])
            weights.append(self.pool.weights[index])
        for _ in range(int(CHUNK * TEMPLATE_SHARE)):
            text, known = templates.make(self.random)
            sequences.append(self.reader.ids(augmentation.augment(text, self.random)))
            values.append(np.array(known, dtype=np.float32))
            weights.append(np.float32(0.7))
        groups = list(batches(sequences, self.padded_tokens))
        self.random.shuffle(groups)
        for group in groups:
            ids, mask = self.reader.pad([sequences[index] for index in group])
            yield ids, mask, np.stack([values[index] for index in group]), np.array([weights[index] for index in group])


class Validation:
    """The validation files and the lines of train/ that are kept for calibration, with the truth of every head."""

    SETS = ("toxifrench", "hateday_fr", "museum_ministry")

    def __init__(self, folder, reader):
        self.parts = {}
        for name in self.SETS:
            self.parts[name] = read_lines(folder / "validation" / f"{name}.jsonl")
        for name, paths in (("written", (folder / "train").glob("written_*.jsonl")), ("written here", mixing.WRITTEN.glob("written_*.tsv"))):
            held = [row for path in sorted(paths) for row in read_lines(path) if is_held_out(row)]
            if held:
                self.parts[f"{name}, held out"] = held
        self.sequences = {name: [reader.ids(row["text"]) for row in rows] for name, rows in self.parts.items()}
        self.truths = {name: np.stack([truth(row) for row in rows]) for name, rows in self.parts.items()}
        self.choosing = {
            name: np.array([hashlib.sha256(row["text"].encode("utf-8")).digest()[0] % 2 == 0 for row in rows])
            for name, rows in self.parts.items()
        }

    def measure(self, logits_of):
        """Area under the curve of `abusive` per set (all, choosing half, reporting half) and of other heads on the written lines."""
        found = {}
        for name, sequences in self.sequences.items():
            logits, values, half = logits_of(sequences), self.truths[name], self.choosing[name]
            place = HEADS.index("abusive")
            found[name] = [auc(logits[keep, place], values[keep, place]) for keep in (np.ones(len(half), bool), half, ~half)]
            if name.startswith("written,"):
                for head in ("hate", "threat", "insult", "doxxing", "distress", "spam", "criticism", "counter-speech"):
                    column = HEADS.index(head)
                    known = ~np.isnan(values[:, column])
                    found[head] = [auc(logits[known, column], values[known, column])]
        found["choice"] = float(np.nanmean([found[name][1] for name in self.sequences]))
        return found


def logits_of(model, reader, sequences, padded_tokens=2048):
    results = np.zeros((len(sequences), len(HEADS)), dtype=np.float32)
    model.eval()
    with torch.no_grad():
        for group in batches(sequences, padded_tokens):
            ids, mask = reader.pad([sequences[index] for index in group])
            results[group] = model(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    return results


def parameter_groups(model, rate, decay):
    """The heads learn fastest, each layer below the top a little slower."""
    groups = [{"params": list(model.heads.parameters()), "lr": rate * 10, "base": rate * 10}]
    for depth, layer in enumerate(reversed(model.layers)):
        parameters = [parameter for parameter in layer.parameters() if parameter.requires_grad]
        if parameters:
            groups.append({"params": parameters, "lr": rate * decay**depth, "base": rate * decay**depth})
    return groups


def shown(found):
    return ", ".join(f"{name} {'/'.join(f'{v:.3f}' for v in (values if isinstance(values, list) else [values]))}" for name, values in found.items())


class Run:
    """One training run: its model, average, optimiser and clock."""

    def __init__(self, arguments):
        torch.manual_seed(arguments.seed)
        torch.set_num_threads(arguments.threads)
        self.arguments, self.started = arguments, time.monotonic()
        shape = Shape.read(arguments.base / "config.json")
        self.reader = Reader(arguments.base / "tokenizer.json", arguments.tokens, shape.padding)
        self.model = Classifier(shape, len(HEADS))
        load_first_weights(self.model, arguments.base)
        if arguments.first_model:
            manifest = tomllib.loads((arguments.first_model / "manifest.toml").read_text(encoding="utf-8"))
            load_first_model(self.model, arguments.first_model / "model.onnx", manifest["heads"], HEADS)
        foreign, languages = None, TRIMMED_LANGUAGES
        self.pieces = shape.vocabulary
        if arguments.whole_vocabulary:
            words = first_weights(arguments.whole_vocabulary)["embeddings.word_embeddings.weight"]
            foreign = Reader(arguments.whole_vocabulary / "tokenizer.json", arguments.tokens, shape.padding, self.model.widen(words))
            languages = (*TRIMMED_LANGUAGES, "de", "pt", "es")
        self.model.freeze(arguments.frozen)
        self.start = {name: value.clone() for name, value in self.model.state_dict().items()}
        if arguments.resume:
            state = torch.load(arguments.resume, weights_only=True)
            state["words.weight"] = self.model.words.weight.detach()
            self.model.load_state_dict(state)
        self.average = copy.deepcopy(self.model)
        self.optimiser = torch.optim.AdamW(parameter_groups(self.model, arguments.rate, 0.9), weight_decay=0.01, fused=True)
        self.validation = Validation(arguments.data, self.reader)
        self.pool = Pool(arguments.data, languages=languages)
        self.stream = Stream(self.pool, self.reader, np.random.default_rng(arguments.seed), arguments.padded_tokens, foreign)
        self.weights = head_weights()
        self.texts, self.steps, self.best, self.losses = 0, 0, -1.0, []
        self.log = (arguments.work / "log.jsonl").open("a", encoding="utf-8")

    def minutes(self):
        return (time.monotonic() - self.started) / 60

    def progress(self):
        return max(self.texts / self.arguments.texts, self.minutes() / self.arguments.minutes)

    def step(self, ids, mask, values, row_weights):
        progress = self.progress()
        rise = min(1.0, (self.steps + 1) / 60)
        for group in self.optimiser.param_groups:
            group["lr"] = group["base"] * rise * max(0.03, 1 - self.arguments.decay * progress)
        self.model.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=BFLOAT16):
            logits = self.model(torch.from_numpy(ids), torch.from_numpy(mask))
        loss = masked_loss(logits.float(), torch.from_numpy(values), torch.from_numpy(row_weights), self.weights)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.steps += 1
        self.texts += len(ids)
        self.losses.append(loss.item())
        keep = min(AVERAGE, (self.steps + 1) / (self.steps + 10))
        with torch.no_grad():
            for own, new in zip(self.average.parameters(), self.model.parameters(), strict=True):
                if new.requires_grad:
                    own.lerp_(new, 1 - keep)

    def state(self):
        """The averaged weights without the embeddings, which never change."""
        return {name: value for name, value in self.average.state_dict().items() if name != "words.weight"}

    def measure(self):
        found = self.validation.measure(lambda sequences: logits_of(self.average, self.reader, sequences))
        better = found["choice"] > self.best
        if better:
            self.best = found["choice"]
            torch.save(self.state(), self.arguments.work / "best.pt")
        torch.save(self.state(), self.arguments.work / "last.pt")
        line = {"minutes": round(self.minutes(), 2), "texts": self.texts, "steps": self.steps, "loss": float(np.mean(self.losses[-200:]))}
        self.log.write(json.dumps(line | {"found": found}) + "\n")
        self.log.flush()
        print(f"{line} best {self.best:.4f}{' *' if better else ''}: {shown(found)}", flush=True)

    def train(self):
        due = self.arguments.every
        while self.progress() < 1:
            for batch in self.stream.chunk(self.progress() >= self.arguments.french_from):
                self.step(*batch)
                if self.progress() >= 1:
                    break
                if self.minutes() >= due:
                    self.measure()
                    due = self.minutes() + self.arguments.every
        self.measure()
        self.average.load_state_dict(torch.load(self.arguments.work / "best.pt", weights_only=True), strict=False)
        return self.average

    def blend(self, model):
        """Sets `model` to the point between the first weights and its own, of those in --blend, that the choosing half likes best."""
        own, best = {name: value.clone() for name, value in model.state_dict().items()}, (-1.0, 1.0)
        for share in self.arguments.blend:
            model.load_state_dict({name: self.start[name].lerp(own[name], share) for name in own})
            found = self.validation.measure(lambda sequences: logits_of(model, self.reader, sequences))
            print(f"blend {share}: {shown(found)}", flush=True)
            best = max(best, (found["choice"], share))
        model.load_state_dict({name: self.start[name].lerp(own[name], best[1]) for name in own})
        print(f"blend {best[1]} it is", flush=True)


def arguments_of(parser):
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with train/ and validation/")
    parser.add_argument("--base", type=pathlib.Path, required=True, help="folder with config.json, tokenizer.json and the first weights")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for checkpoints and the log")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the model")
    parser.add_argument("--first-model", type=pathlib.Path, help="folder of an int8 model of the same base to begin from: models/abuse-fr-e5")
    parser.add_argument("--resume", type=pathlib.Path, help="start from this checkpoint instead of the first weights")
    parser.add_argument("--export-only", action="store_true", help="no training: export what --resume names")
    parser.add_argument("--blend", type=float, nargs="+", default=[1.0, 0.8, 0.65, 0.5], help="shares of the new weights to try")
    parser.add_argument("--whole-vocabulary", type=pathlib.Path, help="folder with tokenizer.json and weights of all pieces, for other languages")
    parser.add_argument("--french-from", type=float, default=0.67, help="share of the run after which only French is seen")
    parser.add_argument("--decay", type=float, default=1.0, help="share of the learning rate that is gone at the end; 0 for a run to be resumed")
    parser.add_argument("--texts", type=int, default=200_000, help="stop after so many texts")
    parser.add_argument("--minutes", type=float, default=600.0, help="stop after so many minutes")
    parser.add_argument("--every", type=float, default=10.0, help="minutes between measurements")
    parser.add_argument("--tokens", type=int, default=96, help="longest input")
    parser.add_argument("--padded-tokens", type=int, default=1024, help="padded size of a batch")
    parser.add_argument("--frozen", type=int, default=3, help="layers from the bottom that keep their weights, besides the embeddings")
    parser.add_argument("--rate", type=float, default=6e-5, help="learning rate of the top layer")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=20261126)
    return parser.parse_args()


def main():
    arguments = arguments_of(argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter))
    arguments.work.mkdir(parents=True, exist_ok=True)
    run = Run(arguments)
    print(f"{len(run.pool.rows)} lines to draw from, {int(run.pool.draws.sum())} draws in one pass", flush=True)
    model = run.average if arguments.export_only else run.train()
    run.blend(model)
    model.trim(run.pieces)
    arguments.out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(arguments.base / "tokenizer.json", arguments.out / "tokenizer.json")
    plain = quantise.export(model, arguments.work / "fp32.onnx")
    random = np.random.default_rng(arguments.seed)
    texts = [run.pool.rows[index]["text"] for index in run.pool.draw(random, QUANTISE_TEXTS, True)]
    quantise.to_int8(plain, arguments.out / "model.onnx", [run.reader.ids(text) for text in texts])
    for kind, path in (("fp32", plain), ("int8", arguments.out / "model.onnx")):
        session = quantise.Session(path, arguments.threads)
        print(kind, shown(run.validation.measure(session.logits_of)), flush=True)


if __name__ == "__main__":
    main()
