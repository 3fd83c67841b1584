#!/usr/bin/env python3
"""Fine-tunes the encoder on the labelled comments and writes the ONNX file of a model.

    python3 -m venv ../venv && ../venv/bin/pip install -r models/training/requirements.txt
    ../venv/bin/python models/training/train.py --data ../shared/data --base ../shared/model-base --work ../runs \\
        --out models/abuse-fr-NAME

--data has train/*.jsonl and validation/*.jsonl, --base has config.json, tokenizer.json and the 4-bit pack of the first weights, --work
takes checkpoints and the log (outside the repository), --out gets model.onnx and tokenizer.json. The texts stay where they are.

What it does. Samples are drawn beforehand (samples.py): lines with the weights of mixing.py, changed by augmentation.py, joined by
comments made by templates.py, cut to --tokens. Every head is a masked logistic loss: what a source does not say counts nothing. With
--first-model one more head, `old:toxic`, learns what that model calls toxic, so that it can still be asked. Embeddings and the
lowest layers keep their weights. An exponential average of the weights is what is measured, kept and exported. Every --every minutes it is
measured on the validation files; the state with the best mean stays (early stopping). After --minutes or --texts the best state is
blended with the weights it began from (the first ones, or those of a released network), which takes back what the model forgot of real
forums and tweets; the best blend is kept (blended.pt), exported, quantised (quantise.py) and compared with its int8 form. Half of the
validation lines, by hash, choose the state; the other half only report. From --french-from of the run on it sees French only.

With --teachers, blended states of earlier runs with other seeds, the network begins at their mean and learns what they say together (their
mean logits, at temperature 2) besides the labels: distillation (Hinton, Vinyals and Dean, 2015). With --own-by-labels they are asked about real
comments alone: the released network as its own teacher then learns new lines of ours without forgetting what it says of forums and tweets
(learning without forgetting, Li and Hoiem, 2016). With --layers it keeps only those; with --neurons it begins with so many in each feed-forward block
(shrinking.py). --match also holds what lies before the heads to what the teachers have there, which says more of a text than its logits
(hints: Romero and others, 2015).

It uses an accelerator where PyTorch finds one (CUDA): the largest batches that fit, all processors for drawing. Else two cores.

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
import samples
import shrinking
import templates
from encoder import OLD_TOXIC, Classifier, Shape, first_weights, load_first_model, load_first_weights
from graph import Session
from inputs import Reader, batches
from measures import auc
from mixing import HEADS, POST_WORDS_MAX, TOXIC, TRIMMED_LANGUAGES, Pool, is_held_out, needs_parent, read_lines, truth

HEAD_WEIGHTS = {"abusive": 1.0, TOXIC: 1.0, "hate": 0.7, "threat": 0.7, "insult": 0.5}
OTHER_WEIGHT, TARGET_WEIGHT = 0.3, 0.2
TEMPLATE_SHARE = 0.04
PARENT_KEPT = 0.5
POST_GIVEN = 0.35
AVERAGE = 0.99
TEMPERATURE = 2.0
LABELS_BESIDE_TEACHERS = 0.3  # weight of the labels where there are teachers
PROBE = (512, 384, 1536)  # texts' pieces, and the sides of the widest matrix of a layer
QUANTISE_TEXTS = 300
SHRINK_TEXTS = 1500  # texts whose activations say which neurons stay
CHUNK = 1536  # texts drawn together


def is_faster_in_bfloat16(device):
    """Whether products are made in bfloat16; weights, sums and losses stay in fp32. A processor may have the instructions and be slower with
    them: it is tried."""
    if device == "cuda":
        return True
    pieces, inputs, outputs = PROBE
    times = {}
    for kind in (torch.float32, torch.bfloat16):
        states, matrix = torch.ones(pieces, inputs, dtype=kind), torch.ones(outputs, inputs, dtype=kind)
        laps = []
        for _ in range(20):
            began = time.perf_counter()
            torch.nn.functional.linear(states, matrix)
            laps.append(time.perf_counter() - began)
        times[kind] = min(laps)
    return times[torch.bfloat16] < times[torch.float32]


def head_weights():
    weights = [TARGET_WEIGHT if head.startswith("target-") else HEAD_WEIGHTS.get(head, OTHER_WEIGHT) for head in HEADS]
    return torch.tensor(weights, dtype=torch.float32)


def masked_loss(logits, values, row_weights, weights):
    """Weighted logistic loss over the known labels, divided by the number of texts."""
    known = ~torch.isnan(values)
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.nan_to_num(values), reduction="none")
    return (losses * known * weights * row_weights[:, None]).sum() / len(values)


def softened_loss(logits, targets, weights):
    """What teachers say (logits, NaN where they say nothing), as a weighted logistic loss at TEMPERATURE, divided by the number of texts."""
    known = ~torch.isnan(targets)
    wanted = torch.sigmoid(torch.nan_to_num(targets) / TEMPERATURE)
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logits / TEMPERATURE, wanted, reduction="none")
    return (losses * known * weights).sum() * TEMPERATURE / len(logits)


def distance(features, targets):
    """Mean squared difference of what lies before the heads ([texts, features]) from that of the teachers, NaN where they were not asked."""
    known = ~torch.isnan(targets)
    return ((features - torch.nan_to_num(targets)).pow(2) * known).mean()


class Stream:
    """Augmented comments without end."""

    def __init__(self, pool, reader, random, foreign=None):
        self.pool, self.reader, self.random = pool, reader, random
        self.foreign = foreign or reader

    def beside(self, row, own):
        """What a line is read beside: what it answers, always or now and then; any post, now and then, where it is one of ours and answers nothing."""
        if row.get("parent"):
            return row["parent"] if needs_parent(row) or self.random.random() < PARENT_KEPT else None
        given = own and len(row["text"].split()) <= POST_WORDS_MAX and self.random.random() < POST_GIVEN
        return self.pool.posts[self.random.integers(len(self.pool.posts))] if given else None

    def chunk(self, french_only):
        """Token ids, truth of all heads and weight of each of some CHUNK texts, and whether it was written for this project."""
        sequences, values, weights, own = [], [], [], []
        for index in self.pool.draw(self.random, CHUNK, french_only):
            row = self.pool.rows[index]
            parent = self.beside(row, self.pool.own[index])
            reader = self.reader if row.get("lang", "fr") in TRIMMED_LANGUAGES else self.foreign
            sequences.append(reader.ids(augmentation.augment(row["text"], self.random), parent))
            values.append(self.pool.truth[index])
            weights.append(self.pool.weights[index])
            own.append(self.pool.own[index])
        for _ in range(int(CHUNK * TEMPLATE_SHARE)):
            text, known = templates.make(self.random)
            sequences.append(self.reader.ids(augmentation.augment(text, self.random)))
            values.append(np.array(known, dtype=np.float32))
            weights.append(np.float32(0.7))
            own.append(True)
        return sequences, values, weights, own


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
    """float32, [texts, outputs]."""
    device, groups, results = next(model.parameters()).device, list(batches(sequences, padded_tokens)), []
    model.eval()
    with torch.no_grad():
        for group in groups:
            ids, mask = reader.pad([sequences[index] for index in group])
            results.append(model(torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)).cpu().numpy())
    ordered = np.argsort(np.concatenate(groups), kind="stable")
    return np.concatenate(results)[ordered]


def parameter_groups(model, rate, decay):
    """The heads learn fastest, each layer below the top a little slower."""
    groups = [{"params": list(model.heads.parameters()), "lr": rate * 10, "base": rate * 10}]
    for depth, layer in enumerate(reversed(model.layers)):
        parameters = [parameter for parameter in layer.parameters() if parameter.requires_grad]
        if parameters:
            groups.append({"params": parameters, "lr": rate * decay**depth, "base": rate * decay**depth})
    return groups


def checkpoint(path):
    """The weights in a .pt of an earlier run, or in the model.onnx of one."""
    return quantise.state_of(path) if path.suffix == ".onnx" else torch.load(path, map_location="cpu", weights_only=True)


def mean(states):
    """The mean of the weights of several networks of one shape: a model soup (Wortsman and others, 2022)."""
    return {name: sum(state[name].float() for state in states) / len(states) for name in states[0]}


def shown(found):
    return ", ".join(f"{name} {'/'.join(f'{v:.3f}' for v in (values if isinstance(values, list) else [values]))}" for name, values in found.items())


class Run:
    """One training run: its model, average, optimiser and clock."""

    def __init__(self, arguments):
        torch.manual_seed(arguments.seed)
        torch.set_num_threads(arguments.threads)
        self.arguments, self.started = arguments, time.monotonic()
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.bfloat16 = is_faster_in_bfloat16(self.device)
        shape = Shape.read(arguments.base / "config.json")
        self.reader = Reader(arguments.base / "tokenizer.json", arguments.tokens, shape.padding)
        self.outputs = [*HEADS, OLD_TOXIC] if arguments.first_model else HEADS
        self.model = Classifier(shape, len(self.outputs), layer_dropout=arguments.layer_dropout)
        load_first_weights(self.model, arguments.base)
        if arguments.first_model:
            manifest = tomllib.loads((arguments.first_model / "manifest.toml").read_text(encoding="utf-8"))
            load_first_model(self.model, arguments.first_model / "model.onnx", manifest["heads"], self.outputs)
        foreign, languages = None, TRIMMED_LANGUAGES
        self.pieces = shape.vocabulary
        if arguments.whole_vocabulary:
            words = first_weights(arguments.whole_vocabulary)["embeddings.word_embeddings.weight"]
            foreign = Reader(arguments.whole_vocabulary / "tokenizer.json", arguments.tokens, shape.padding, self.model.widen(words))
            languages = (*TRIMMED_LANGUAGES, "de", "pt", "es")
        self.validation = Validation(arguments.data, self.reader)
        self.pool = Pool(arguments.data, languages=languages, own_share=arguments.own_share)
        self.random = np.random.default_rng(arguments.seed)
        self.stream = Stream(self.pool, self.reader, self.random, foreign)
        self.texts, self.steps, self.best, self.losses = 0, 0, -1.0, []
        self.log = (arguments.work / "log.jsonl").open("a", encoding="utf-8")
        first = self.model.to(self.device)
        self.model = copy.deepcopy(first)
        if arguments.teachers:
            self.model.load(mean([checkpoint(path) for path in arguments.teachers]))
        if arguments.resume:
            self.model.load(checkpoint(arguments.resume))
        if arguments.layers:
            if max(arguments.layers) >= len(self.model.layers):
                raise SystemExit(f"--layers counts from 0, and what it begins from has {len(self.model.layers)} layers; a shallow checkpoint needs no --layers")
            self.model.layers = torch.nn.ModuleList(self.model.layers[index] for index in arguments.layers)
        if arguments.neurons:
            texts = [self.pool.rows[index] for index in self.pool.draw(self.random, SHRINK_TEXTS, True)]
            shrinking.fewer_neurons(self.model.to("cpu"), arguments.neurons, self.reader, [self.reader.ids(row["text"], row.get("parent")) for row in texts])
            self.model.to(self.device)
        released = arguments.resume and arguments.resume.suffix == ".onnx"
        self.trained_before = bool(arguments.teachers or released)
        start = self.model if self.trained_before or arguments.layers or arguments.neurons else first
        self.start = {name: value.clone() for name, value in start.state_dict().items()}
        self.model.freeze(arguments.frozen)
        self.average = copy.deepcopy(self.model)
        if not arguments.export_only:
            self.prepare(first)

    def prepare(self, first):
        """Draws the samples and asks the teachers about them, and the first model about the last head."""
        arguments = self.arguments
        count = min(arguments.texts, arguments.samples)
        mixed = round(count * arguments.french_from)
        self.parts = [samples.draw(self.stream, size, french, arguments.processes).to(self.device) for size, french in ((mixed, False), (count - mixed, True))]
        outputs, width = len(self.outputs), self.model.heads.in_features
        self.targets = [torch.full((len(part), outputs), torch.nan, device=self.device) for part in self.parts]
        self.hints = [torch.full((len(part), width if arguments.match else 0), torch.nan, device=self.device) for part in self.parts]
        for targets, hints, part in zip(self.targets, self.hints, self.parts, strict=True):
            asked, questions = [], np.flatnonzero(~part.own) if arguments.own_by_labels else np.arange(len(part))
            for path in arguments.teachers:
                teacher = copy.deepcopy(first)
                teacher.load(checkpoint(path))
                asked.append(self.answers(teacher, part, questions))
            if asked:
                places = torch.from_numpy(questions).to(self.device)
                targets[places] = sum(logits for logits, _ in asked) / len(asked)
                part.weights[places] *= LABELS_BESIDE_TEACHERS
                hints[places] = sum(features for _, features in asked) / len(asked)
            if arguments.first_model:
                chosen = np.flatnonzero(self.random.random(len(part)) < arguments.asked)
                targets[torch.from_numpy(chosen).to(self.device), -1] = self.answers(first, part, chosen)[0][:, -1]
        self.batches = [part.batches(self.random, arguments.padded_tokens) for part in self.parts]
        self.weights = torch.cat([head_weights(), torch.ones(len(self.outputs) - len(HEADS))]).to(self.device)
        self.optimiser = torch.optim.AdamW(parameter_groups(self.model, arguments.rate, 0.95), weight_decay=0.01, fused=True)
        self.moving = [(own, new) for own, new in zip(self.average.parameters(), self.model.parameters(), strict=True) if new.requires_grad]

    def answers(self, model, part, chosen):
        """Logits of a network for the samples of a part at the indices `chosen` (float32, [samples, outputs]), and what lies before its heads, where that
        is matched (float32, [samples, features])."""
        found = torch.zeros((len(part), len(self.outputs)), device=self.device)
        features = torch.zeros((len(part), model.heads.in_features if self.arguments.match else 0), device=self.device)
        model.eval()
        with torch.no_grad(), torch.autocast(self.device, torch.bfloat16, enabled=self.bfloat16):
            for group in part.groups(chosen, 4 * self.arguments.padded_tokens):
                ids, mask, _, _ = part.batch(group)
                places, before = torch.from_numpy(group).to(self.device), model.features(ids, mask)
                found[places] = model.heads(before).float()
                if self.arguments.match:
                    features[places] = before.float()
        places = torch.from_numpy(chosen).to(self.device)
        return found[places], features[places]

    def minutes(self):
        return (time.monotonic() - self.started) / 60

    def progress(self):
        return max(self.texts / self.arguments.texts, self.minutes() / self.arguments.minutes)

    def step(self):
        progress = self.progress()
        place = 1 if progress >= self.arguments.french_from or not len(self.parts[0]) else 0
        part, chosen = self.parts[place], next(self.batches[place])
        ids, mask, values, row_weights = part.batch(chosen)
        rise = min(1.0, (self.steps + 1) / 60)
        for group in self.optimiser.param_groups:
            group["lr"] = group["base"] * rise * max(0.03, 1 - self.arguments.decay * progress)
        self.model.train()
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bfloat16):
            features = self.model.features(ids, mask)
            logits = self.model.heads(self.model.dropout(features))
        logits, known, asked = logits.float(), len(HEADS), torch.from_numpy(chosen).to(self.device)
        loss = masked_loss(logits[:, :known], values, row_weights, self.weights[:known])
        if self.arguments.teachers or self.arguments.first_model:
            loss = loss + softened_loss(logits, self.targets[place][asked], self.weights)
        if self.arguments.match:
            loss = loss + self.arguments.match * distance(features.float(), self.hints[place][asked])
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.steps += 1
        self.texts += len(chosen)
        self.losses.append(loss.detach())
        keep = min(AVERAGE, (self.steps + 1) / (self.steps + 10))
        with torch.no_grad():
            for own, new in self.moving:
                own.lerp_(new, 1 - keep)

    def state(self):
        """The averaged weights without the embeddings, which never change."""
        return {name: value for name, value in self.average.state_dict().items() if name != "words.weight"}

    def measure(self):
        # First: measuring takes minutes, and a run that is cut off meanwhile loses nothing.
        torch.save(self.state(), self.arguments.work / "last.pt")
        found = self.validation.measure(lambda sequences: logits_of(self.average, self.reader, sequences))
        better = found["choice"] > self.best
        if better:
            self.best = found["choice"]
            torch.save(self.state(), self.arguments.work / "best.pt")
        line = {"minutes": round(self.minutes(), 2), "texts": self.texts, "steps": self.steps, "loss": float(torch.stack(self.losses).mean()) if self.losses else None}
        self.losses.clear()
        self.log.write(json.dumps(line | {"found": found}) + "\n")
        self.log.flush()
        print(f"{line} best {self.best:.4f}{' *' if better else ''}: {shown(found)}", flush=True)

    def train(self):
        due = self.minutes() + self.arguments.every
        while self.progress() < 1:
            self.step()
            if self.minutes() >= due:
                self.measure()
                due = self.minutes() + self.arguments.every
        self.measure()
        if not self.arguments.last:
            self.average.load_state_dict(torch.load(self.arguments.work / "best.pt", weights_only=True), strict=False)
        return self.average

    def blend(self, model):
        """Sets `model` to the point between the first weights and its own, of those in --blend, that the choosing half likes best. Heads that
        began untrained stay as they are."""
        own, best = {name: value.clone() for name, value in model.state_dict().items()}, (-1.0, 1.0)

        def mixed(share):
            kept = () if self.trained_before else ("heads.",)
            return {name: value if name.startswith(kept) else self.start[name].lerp(value, share) for name, value in own.items()}

        for share in self.arguments.blend:
            model.load_state_dict(mixed(share))
            found = self.validation.measure(lambda sequences: logits_of(model, self.reader, sequences))
            print(f"blend {share}: {shown(found)}", flush=True)
            best = max(best, (found["choice"], share))
        model.load_state_dict(mixed(best[1]))
        torch.save({name: value for name, value in model.state_dict().items() if name != "words.weight"}, self.arguments.work / "blended.pt")
        print(f"blend {best[1]} it is", flush=True)


def arguments_of(parser):
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with train/ and validation/")
    parser.add_argument("--base", type=pathlib.Path, required=True, help="folder with config.json, tokenizer.json and the first weights")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for checkpoints and the log")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the model")
    parser.add_argument("--first-model", type=pathlib.Path, help="folder of an int8 model of the same base to begin from: models/abuse-fr-e5")
    parser.add_argument("--asked", type=float, default=1.0, help="share of the samples about which the first model is asked: on two cores a question takes half as long as a step")
    parser.add_argument("--resume", type=pathlib.Path, help="start from this checkpoint, or model.onnx, instead of the first weights")
    parser.add_argument("--teachers", type=pathlib.Path, nargs="+", default=[], help="blended.pt, or model.onnx, of earlier runs to learn from")
    parser.add_argument("--own-by-labels", action="store_true", help="ask the teachers about real comments alone; those written for this project have sure labels")
    parser.add_argument("--own-share", type=float, help="share of the draws that are lines written for this project, above 0 and below 1; else as mixing.py says, nine tenths")
    parser.add_argument("--layers", type=int, nargs="+", help="keep only these layers, counted from 0 at the bottom")
    parser.add_argument("--neurons", type=int, help="begin with so many neurons in each feed-forward block, from those of what it begins from")
    parser.add_argument("--match", type=float, default=0.0, help="weight of the squared distance to what the teachers have before their heads")
    parser.add_argument("--export-only", action="store_true", help="no training: export what --resume names")
    parser.add_argument("--blend", type=float, nargs="+", default=[1.0, 0.8, 0.65, 0.5], help="shares of the new weights to try")
    parser.add_argument("--last", action="store_true", help="blend the last state, not the best: where a small share of it is taken")
    parser.add_argument("--whole-vocabulary", type=pathlib.Path, help="folder with tokenizer.json and weights of all pieces, for other languages")
    parser.add_argument("--french-from", type=float, default=0.67, help="share of the run after which only French is seen")
    parser.add_argument("--decay", type=float, default=1.0, help="share of the learning rate that is gone at the end; 0 for a run to be resumed")
    parser.add_argument("--texts", type=int, default=200_000, help="stop after so many texts")
    parser.add_argument("--samples", type=int, default=500_000, help="how many different samples are drawn for them, at most")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="processes that draw them")
    parser.add_argument("--minutes", type=float, default=600.0, help="stop after so many minutes")
    parser.add_argument("--every", type=float, default=10.0, help="minutes between measurements")
    parser.add_argument("--tokens", type=int, default=96, help="longest input")
    parser.add_argument("--padded-tokens", type=int, default=1024, help="padded size of a batch")
    parser.add_argument("--frozen", type=int, default=3, help="layers from the bottom that keep their weights, besides the embeddings")
    parser.add_argument("--rate", type=float, default=6e-5, help="learning rate of the top layer")
    parser.add_argument("--layer-dropout", type=float, default=0.0, help="0.1 on an accelerator; on CPUs it takes a fifth of the time")
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
    model.to("cpu").trim(run.pieces)
    arguments.out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(arguments.base / "tokenizer.json", arguments.out / "tokenizer.json")
    plain = quantise.export(model, arguments.work / "fp32.onnx")
    random = np.random.default_rng(arguments.seed)
    texts = [run.pool.rows[index]["text"] for index in run.pool.draw(random, QUANTISE_TEXTS, True)]
    quantise.to_int8(model, arguments.out / "model.onnx", [run.reader.ids(text) for text in texts])
    for kind, path in (("fp32", plain), ("int8", arguments.out / "model.onnx")):
        session = Session(path, arguments.threads)
        print(kind, shown(run.validation.measure(session.logits_of)), flush=True)


if __name__ == "__main__":
    main()
