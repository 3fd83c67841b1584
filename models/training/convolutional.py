#!/usr/bin/env python3
"""Gives the convolutional model more heads: a small perceptron per label over the features of its frozen network.

    ../venv/bin/python models/training/convolutional.py --data ../shared/data --first ../shared/model-base/baseline/useperm \\
        --out models/abuse-fr-use

--first names NAME.int8.onnx and NAME.tokenizer.json of the first convolutional model (multilingual Universal Sentence Encoder v3 with
twelve heads). Its weights stay as they are, but its convolutions become int8 products over windows, twice as fast as the fp32 ones they
were (`as_products`); the features before its heads (float32, [texts, 1792]) of every drawn line, and of disguised copies of it, are
computed once. Lines, weights and truth are those of mixing.py, masked loss as in train.py. --out gets model.onnx with
the output `logits`: the twelve old heads, then one new head per label (`new:LABEL`). Two to five minutes on one core; the same seed
gives the same draws.
"""

import argparse
import pathlib
import shutil

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType
from onnxruntime.quantization import quantize_dynamic as quantise_dynamic
from tokenizers import Tokenizer

import augmentation
from measures import auc
from mixing import HEADS, SOURCES, Pool, is_held_out, read_lines, truth, written_paths
from train import head_weights, masked_loss

FEATURES, WIDTH = 1792, 256
TOKENS = 64
COPIES_MAX = 3
RARELY_DRAWN = 0.9  # sources drawn less often than this are sampled, the others read whole
PASSES, BATCH, RATE = 6, 256, 1e-3


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


class Features:
    """The frozen network up to its heads, one text at a time as in the service."""

    def __init__(self, network, tokenizer):
        self.model = onnx.load(str(network))
        self.logits = next(node for node in self.model.graph.node if node.op_type == "Sigmoid").input[0]
        quantise = [node for node in self.model.graph.node if node.op_type == "DynamicQuantizeLinear"][-1]
        self.name = quantise.input[0]
        probe = onnx.ModelProto()
        probe.CopyFrom(self.model)
        probe.graph.output.append(helper.make_tensor_value_info(self.name, onnx.TensorProto.FLOAT, ["texts", FEATURES]))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.enable_truncation(TOKENS)
        self.tokenizer.no_padding()

    def of(self, texts):
        """float32, [texts, FEATURES]."""
        found = np.zeros((len(texts), FEATURES), dtype=np.float32)
        for row, text in enumerate(texts):
            ids = np.array([self.tokenizer.encode(text).ids], dtype=np.int64)
            found[row] = self.session.run([self.name], {"ids": ids, "mask": np.ones_like(ids)})[0][0]
        return found


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


def fit(features, values, row_weights, seed):
    """The perceptron, over standardised features, in evaluation mode."""
    torch.manual_seed(seed)
    mean, scale = features.mean(0), features.std(0) + 1e-4
    inputs, values, row_weights = torch.from_numpy((features - mean) / scale), torch.from_numpy(values), torch.from_numpy(row_weights)
    net = torch.nn.Sequential(torch.nn.Dropout(0.3), torch.nn.Linear(FEATURES, WIDTH), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(WIDTH, len(HEADS)))
    optimiser, weights = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=0.02), head_weights()
    steps, total = 0, PASSES * (len(inputs) // BATCH)
    for _ in range(PASSES):
        order = torch.randperm(len(inputs))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            for group in optimiser.param_groups:
                group["lr"] = RATE * (1 - steps / total)
            loss = masked_loss(net(inputs[chosen]), values[chosen], row_weights[chosen], weights)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            steps += 1
    net.eval()
    with torch.no_grad():  # the standardisation becomes part of the first matrix
        rise, mean, scale = net[1], torch.from_numpy(mean), torch.from_numpy(scale)
        rise.weight.div_(scale)
        rise.bias.sub_(rise.weight @ mean)
    return net


def extend(features, net, path):
    """Writes the network with the output `logits`: old heads, then new ones."""
    graph = features.model.graph
    tensors = {"new.rise": net[1].weight.T, "new.rise.bias": net[1].bias, "new.fall": net[4].weight.T, "new.fall.bias": net[4].bias}
    graph.initializer.extend(numpy_helper.from_array(value.detach().numpy().astype(np.float32), name) for name, value in tensors.items())
    old = next(node for node in graph.node if node.op_type == "Sigmoid")
    graph.node.remove(old)
    graph.node.extend(
        [
            helper.make_node("Gemm", [features.name, "new.rise", "new.rise.bias"], ["new.risen"]),
            helper.make_node("Relu", ["new.risen"], ["new.active"]),
            helper.make_node("Gemm", ["new.active", "new.fall", "new.fall.bias"], ["new.logits"]),
            helper.make_node("Concat", [features.logits, "new.logits"], ["logits"], axis=1),
        ]
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["texts", 12 + len(HEADS)]))
    onnx.checker.check_model(features.model)
    onnx.save(features.model, str(path))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with train/ and validation/")
    parser.add_argument("--first", required=True, help="NAME.int8.onnx and NAME.tokenizer.json without their endings")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the model")
    parser.add_argument("--seed", type=int, default=20261126)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    as_products(pathlib.Path(f"{arguments.first}.int8.onnx"), arguments.out / "model.onnx")
    features = Features(arguments.out / "model.onnx", pathlib.Path(f"{arguments.first}.tokenizer.json"))
    random = np.random.default_rng(arguments.seed)
    pool = Pool(arguments.data, SOURCES)
    texts, values, weights = drawn(pool, random)
    print(f"{len(texts)} texts of {len(pool.rows)} lines", flush=True)
    net = fit(features.of(texts), values, weights, arguments.seed)
    sets = {path.stem: read_lines(path) for path in sorted((arguments.data / "validation").glob("*.jsonl"))}
    sets["written, held out"] = [row for path in written_paths(arguments.data) for row in read_lines(path) if is_held_out(row)]
    for name, rows in sets.items():
        with torch.no_grad():
            logits = net(torch.from_numpy(features.of([row["text"] for row in rows]))).numpy()
        found, known = np.stack([truth(row) for row in rows]), []
        for column, head in enumerate(HEADS):
            stated = ~np.isnan(found[:, column])
            if len(set(found[stated, column])) > 1 and (head == "abusive" or name.startswith("written")):
                known.append(f"{head} {auc(logits[stated, column], found[stated, column]):.3f}")
        print(f"{name}: {', '.join(known)}", flush=True)
    extend(features, net, arguments.out / "model.onnx")
    shutil.copyfile(f"{arguments.first}.tokenizer.json", arguments.out / "tokenizer.json")


if __name__ == "__main__":
    main()
