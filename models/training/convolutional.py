#!/usr/bin/env python3
"""Trains the convolutional model, all of it but its embeddings, and writes its ONNX file.

    ../venv/bin/python models/training/convolutional.py --data ../shared/data --first ../shared/model-base/baseline/useperm \\
        --teacher models/abuse-fr-acts --out models/abuse-fr-use

--first names NAME.int8.onnx and NAME.tokenizer.json of the first convolutional model (multilingual Universal Sentence Encoder v3 with
twelve heads). The lines, weights and truth are those of mixing.py, each line in disguised copies besides (augmentation.py), the loss is masked
as in train.py. --teacher is a larger model: what its network says of a text is learnt besides the labels, as train.py learns from its teachers.
The twelve old heads go on saying what they said of each text.

--out gets model.onnx with the output `logits`: the twelve old heads, then one new head per label (`new:LABEL`). Its convolutions become int8
products over windows, twice as fast as the fp32 ones they were (`as_products`). The same seed gives the same draws.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in train.py

import argparse
import copy
import pathlib
import shutil
import tempfile
import time
import tomllib

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType
from onnxruntime.quantization import quantize_dynamic as quantise_dynamic
import augmentation
import convolutions
from inputs import Reader, batches
from mixing import HEADS, SOURCES, Pool
from quantise import Session
from samples import in_processes
from train import AVERAGE, LABELS_BESIDE_TEACHERS, Validation, head_weights, logits_of, masked_loss, shown, softened_loss

OLD_HEADS = 12
TOKENS, PADDED_TOKENS, PADDING = 64, 4096, 0
CHUNK = 8192  # texts sorted by length together
COPIES_MAX = 3
RARELY_DRAWN = 0.9  # sources drawn less often than this are sampled, the others read whole
RATE, HEAD_RATE, OLD_WEIGHT = 4e-4, 1e-3, 0.3


def as_products(network, path):
    """Writes `network` with each convolution over the tokens (one stride, no dilation, padded before it) as a product of the windows
    [texts, tokens, kernel * channels] with a matrix, which has int8 weights as the other matrices do."""
    model = onnx.load(str(network))
    graph, nodes, products = model.graph, [], []
    arrays = {array.name: array for array in graph.initializer}
    graph.initializer.append(numpy_helper.from_array(np.array([1]), "tokens.axis"))
    for node in graph.node:
        if node.op_type != "Conv":
            nodes.append(node)
            continue
        name, (states, weights, bias) = node.name, node.input
        filters = numpy_helper.to_array(arrays[weights])
        outputs, channels, kernel = filters.shape
        matrix = filters.transpose(2, 1, 0).reshape(kernel * channels, outputs)
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(matrix), f"{name}.matrix"))
        nodes.append(helper.make_node("Transpose", [states], [f"{name}.rows"], perm=[0, 2, 1]))
        for place in range(kernel):
            end = place + 1 - kernel
            graph.initializer.extend(
                numpy_helper.from_array(np.array([value]), f"{name}.{part}.{place}") for part, value in (("begin", place), ("end", end or np.iinfo(np.int64).max))
            )
            nodes.append(helper.make_node("Slice", [f"{name}.rows", f"{name}.begin.{place}", f"{name}.end.{place}", "tokens.axis"], [f"{name}.part.{place}"]))
        nodes.append(helper.make_node("Concat", [f"{name}.part.{place}" for place in range(kernel)], [f"{name}.windows"], axis=2))
        products.append(f"{name}/product")
        nodes.append(helper.make_node("MatMul", [f"{name}.windows", f"{name}.matrix"], [f"{name}.product"], name=products[-1]))
        nodes.append(helper.make_node("Add", [f"{name}.product", bias], [f"{name}.sum"]))
        nodes.append(helper.make_node("Transpose", [f"{name}.sum"], [node.output[0]], perm=[0, 2, 1]))
        graph.initializer.remove(arrays[weights])
    del graph.node[:]
    graph.node.extend(nodes)
    quantise_dynamic(model, path, per_channel=True, weight_type=QuantType.QInt8, nodes_to_quantize=products, op_types_to_quantize=["MatMul"])


def taught(directory, texts, processes):
    """What the network of the model in `directory` says, before calibration: float32, [texts, heads]."""
    manifest = tomllib.loads((directory / "manifest.toml").read_text(encoding="utf-8"))
    columns = [manifest["heads"].index(head) for head in HEADS]
    reader = Reader(directory / "tokenizer.json", manifest["max_tokens"], padding=1)

    def part(place):
        return Session(directory / "model.onnx").logits_of([reader.ids(text) for text in texts[place::processes]])[:, columns]

    found = np.zeros((len(texts), len(HEADS)), dtype=np.float32)
    for place, logits in enumerate(in_processes(part, processes)):
        found[place::processes] = logits
    return torch.from_numpy(found)


def drawn(pool, random):
    """Texts, truth and weight of the lines learnt from: frequent sources whole and in disguised copies, the others by lot."""
    texts, rows, weights = [], [], []
    for index, (row, draws) in enumerate(zip(pool.rows, pool.draws, strict=True)):
        copies = min(COPIES_MAX, max(1, round(draws))) if draws >= RARELY_DRAWN else int(random.random() < 2 * draws)
        for copy in range(copies):
            texts.append(augmentation.augment(row["text"], random) if copy else row["text"])
            rows.append(index)
            weights.append(pool.weights[index] * max(draws, 1.0) / copies)
    weights = np.array(weights, dtype=np.float32)
    return texts, pool.truth[rows], weights / weights.mean()


class Run:
    """The network in training, and its average over the steps, which is what counts."""

    def __init__(self, network, reader, sequences, values, row_weights, targets):
        """`targets`: wanted logits of all outputs, NaN where nobody says any."""
        self.network, self.reader, self.average = network, reader, copy.deepcopy(network)
        self.sequences, self.values, self.row_weights, self.targets = sequences, values, row_weights, targets
        heads = list(network.new.parameters())
        trunk = [weight for weight in network.parameters() if weight.requires_grad and not any(weight is other for other in heads)]
        self.groups = [{"params": trunk, "base": RATE}, {"params": heads, "base": HEAD_RATE}]
        self.optimiser = torch.optim.AdamW(self.groups, lr=RATE, weight_decay=0.02)
        self.weights = torch.cat([torch.full((OLD_HEADS,), OLD_WEIGHT), head_weights()])
        self.taught = bool((~torch.isnan(targets[:, OLD_HEADS:])).any())

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
        loss = masked_loss(logits[:, OLD_HEADS:], self.values[group], self.row_weights[group], self.weights[OLD_HEADS:])
        loss = loss * (LABELS_BESIDE_TEACHERS if self.taught else 1.0) + softened_loss(logits, self.targets[group], self.weights)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        return float(loss.detach())


def extend(new, path):
    """Gives the network in `path` the output `logits`: old heads, then new ones (a perceptron over the same features)."""
    model = onnx.load(str(path))
    graph = model.graph
    features = [node for node in graph.node if node.op_type == "DynamicQuantizeLinear"][-1].input[0]
    tensors = {"new.rise": new[1].weight.T, "new.rise.bias": new[1].bias, "new.fall": new[4].weight.T, "new.fall.bias": new[4].bias}
    graph.initializer.extend(numpy_helper.from_array(value.detach().numpy().astype(np.float32), name) for name, value in tensors.items())
    old = next(node for node in graph.node if node.op_type == "Sigmoid")
    graph.node.remove(old)
    graph.node.extend(
        [
            helper.make_node("Gemm", [features, "new.rise", "new.rise.bias"], ["new.risen"]),
            helper.make_node("Relu", ["new.risen"], ["new.active"]),
            helper.make_node("Gemm", ["new.active", "new.fall", "new.fall.bias"], ["new.logits"]),
            helper.make_node("Concat", [old.input[0], "new.logits"], ["logits"], axis=1),
        ]
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["texts", OLD_HEADS + len(HEADS)]))
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with train/ and validation/")
    parser.add_argument("--first", required=True, help="NAME.int8.onnx and NAME.tokenizer.json without their endings")
    parser.add_argument("--teacher", type=pathlib.Path, help="folder of a larger model with a head for each label")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the model")
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
    texts, values, weights = drawn(pool, random)
    print(f"{len(texts)} texts of {len(pool.rows)} lines", flush=True)
    network, sequences = convolutions.read(source, len(HEADS)), [reader.ids(text) for text in texts]
    targets = torch.from_numpy(logits_of(network, reader, sequences, PADDED_TOKENS))
    targets[:, OLD_HEADS:] = taught(arguments.teacher, texts, arguments.threads) if arguments.teacher else torch.nan
    run = Run(network, reader, sequences, torch.from_numpy(values), torch.from_numpy(weights), targets)
    validation = Validation(arguments.data, reader)
    began = time.monotonic()
    for number, loss in run.passes(arguments.passes, random):
        found = validation.measure(lambda sequences: logits_of(run.average, reader, sequences, PADDED_TOKENS)[:, OLD_HEADS:])
        print(f"pass {number}, {(time.monotonic() - began) / 60:.0f} minutes, loss {loss:.4f}: {shown(found)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        trained = pathlib.Path(folder) / "trained.onnx"
        convolutions.write(run.average, source, trained)
        as_products(trained, arguments.out / "model.onnx")
    extend(run.average.new, arguments.out / "model.onnx")
    session = Session(arguments.out / "model.onnx", arguments.threads)
    print("int8", shown(validation.measure(lambda sequences: session.logits_of(sequences)[:, OLD_HEADS:])), flush=True)


if __name__ == "__main__":
    main()
