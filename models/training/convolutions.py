"""The convolutional network in plain torch: the multilingual Universal Sentence Encoder v3 (Yang and others, 2020) with heads of its own, read
from the ONNX file of the first convolutional model and written as a graph with int8 products.

Embeddings of the pieces; three branches of two convolutions each (over 2, 3 and 5 pieces) with residual connections; sentence vector (512) from
the sum over the pieces through two residual blocks; beside it the maximum over the pieces (1,280). Embeddings keep their weights: they are most
of the file, and a few ten thousand comments hold too few of the pieces.
"""

import numpy as np
import onnx
import torch
from onnx import TensorProto, numpy_helper
from torch import nn
from torch.nn import functional

from graph import Graph, matrices_of, seen

FEATURES, WIDTH = 1792, 256
POWER = 0.5  # by which the channels of the features are evened (graph.py)
KERNELS = (2, 3, 5)
VECTOR_LENGTH, LARGEST_SHARE, FAR = 8.0, 0.5, 10_000.0
# Matrices that are int8 in the file, by their names there, and where each is here.
MATRICES = {
    "onnx::MatMul_296": "branches",
    "u.cW": "sentence",
    "u.d0": "first.rise",
    "u.p1": "first.past",
    "u.d1": "first.fall",
    "u.d2": "second.rise",
    "u.p3": "second.past",
    "u.d3": "second.fall",
    "h.weight_Transposed": "old",
}
PLAIN = {
    "u.g": "norm.weight",
    "u.b": "norm.bias",
    "u.cb": "sentence.bias",
    "onnx::Add_297": "branches.bias",
    "onnx::LayerNormalization_298": "branches_norm.weight",
    "onnx::LayerNormalization_299": "branches_norm.bias",
    "h.bias": "old.bias",
    **{f"u.{kind}{step}.{branch}": f"convolutions.{2 * branch + step - 1}.{part}" for branch in range(3) for step in (1, 2) for kind, part in (("w", "weight"), ("b", "bias"))},
}


class Block(nn.Module):
    """A residual block of the sentence vector, without its last non-linearity."""

    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.rise, self.fall, self.past = (nn.Linear(*sizes, bias=False) for sizes in ((inputs, hidden), (hidden, outputs), (inputs, outputs)))

    def forward(self, states):
        return self.past(states) + self.fall(torch.relu(self.rise(states)))


class Convolutional(nn.Module):
    """Piece ids and mask (int64, [texts, pieces]) to logits ([texts, 12 old heads and one head per label])."""

    def __init__(self, pieces, heads, dropout=0.2):
        super().__init__()
        self.embeddings = nn.Embedding(pieces, 512)
        self.branches, self.branches_norm = nn.Linear(512, 768), nn.LayerNorm(768, eps=1e-12)
        self.convolutions = nn.ModuleList(nn.Conv1d(256, 256, kernel) for kernel in KERNELS for _ in range(2))
        self.norm = nn.LayerNorm(1280, eps=1e-12)
        self.sentence = nn.Linear(1280, 512)
        self.first, self.second = Block(512, 320, 320), Block(320, 512, 512)
        self.old = nn.Linear(FEATURES, 12)
        self.new = nn.Sequential(nn.Dropout(dropout), nn.Linear(FEATURES, WIDTH), nn.ReLU(), nn.Dropout(dropout), nn.Linear(WIDTH, heads))

    def features(self, ids, mask):
        """float32, [texts, FEATURES]."""
        present = mask.to(torch.float32)
        embedded = self.embeddings(ids)
        branches = self.branches_norm(self.branches(embedded)).transpose(1, 2).split(256, dim=1)
        parts = [embedded]
        for branch, states in enumerate(branches):
            for convolution in self.convolutions[2 * branch : 2 * branch + 2]:
                states, kernel = states * present[:, None, :], convolution.kernel_size[0]
                padded = functional.pad(states, ((kernel - 1) // 2, kernel // 2))
                states = torch.relu(convolution(padded)) + states
            parts.append(states.transpose(1, 2))
        states = self.norm(torch.cat(parts, dim=2))
        count = present.sum(1, keepdim=True)
        summed = (states * present[:, :, None]).sum(1)
        sentence = self.sentence(summed / count) * count.sqrt()
        vector = torch.tanh(self.second(torch.relu(self.first(sentence))))
        vector = vector / vector.square().sum(1, keepdim=True).clamp(min=1e-12).sqrt() * VECTOR_LENGTH
        largest = (states + (present[:, :, None] - 1.0) * FAR).amax(1) * LARGEST_SHARE
        return torch.cat([vector, largest], dim=1)

    def forward(self, ids, mask):
        features = self.features(ids, mask)
        return torch.cat([self.old(features), self.new(features)], dim=1)


def read(path, heads):
    """The network of the ONNX file `path`, with new heads that have learnt nothing."""
    arrays = {array.name: numpy_helper.to_array(array) for array in onnx.load(str(path)).graph.initializer}

    def whole(name):
        return (arrays[f"{name}_quantized"].astype(np.float32) - arrays[f"{name}_zero_point"].astype(np.float32)) * arrays[f"{name}_scale"]

    embeddings = whole("u.emb.weight")
    network = Convolutional(len(embeddings), heads)
    state = {f"{place}.weight": whole(name).T for name, place in MATRICES.items()} | {place: arrays[name] for name, place in PLAIN.items()}
    state["embeddings.weight"] = embeddings
    network.load_state_dict(network.state_dict() | {name: torch.from_numpy(np.array(array, dtype=np.float32)) for name, array in state.items()})
    network.embeddings.weight.requires_grad_(False)
    return network


def read_back(network, path):
    """Gives `network` the weights of a file that `write` wrote, but for its embeddings, which are the same; matrices come back from int8."""
    arrays, state = matrices_of(path), network.state_dict()
    for name, value in state.items():
        if name == "embeddings.weight":
            continue
        array = arrays[name]
        if name.startswith("convolutions.") and name.endswith(".weight"):
            array = array.reshape(value.shape[::-1]).transpose(2, 1, 0)
        elif array.ndim == 2 and name != "new.4.weight":
            array = array.T
        state[name] = torch.from_numpy(np.array(array, dtype=np.float32))
    network.load_state_dict(state)


def windows(graph, codes, zero, name, kernel):
    """For each token the `kernel` tokens around it, beside each other: [texts, tokens, kernel * channels], of codes [texts, tokens, channels]."""
    axis = graph.array("tokens.axis", np.array([1]))
    around = graph.array(f"around.{kernel}", np.array([0, (kernel - 1) // 2, 0, 0, kernel // 2, 0]))
    padded = graph.node("Pad", [codes, around, zero], f"{name}.padded")
    parts = []
    for place in range(kernel):
        end = place + 1 - kernel or np.iinfo(np.int64).max
        ends = graph.array(f"from.{place}", np.array([place])), graph.array(f"to.{kernel}.{place}", np.array([end]))
        parts.append(graph.node("Slice", [padded, *ends, axis], f"{name}.part.{place}"))
    return graph.node("Concat", parts, f"{name}.windows", axis=2)


def convolved(graph, state, embedded, branches, present):
    """What `Convolutional.features` does between the embeddings and the norm of all parts: [texts, tokens, 1280]."""
    split = graph.array("split", np.array([256, 256, 256]))
    names = [f"branch.{branch}" for branch in range(len(KERNELS))]
    graph.nodes.append(onnx.helper.make_node("Split", [branches, split], names, name="split.branches", axis=2))
    parts = [embedded]
    for branch, states in enumerate(names):
        for place in (2 * branch, 2 * branch + 1):
            module, kernel = f"convolutions.{place}", KERNELS[branch]
            states = graph.node("Mul", [states, present], f"{module}.present")
            codes = graph.quantised(states, module)
            around = codes._replace(codes=windows(graph, codes.codes, codes.zero, module, kernel))
            matrix = state[f"{module}.weight"].transpose(2, 1, 0).reshape(-1, 256)
            active = graph.node("Relu", [graph.product(around, module, matrix, state[f"{module}.bias"])], f"{module}.active")
            states = graph.node("Add", [active, states], f"{module}.states")
        parts.append(states)
    return graph.node("Concat", parts, "parts", axis=2)


def write(network, path, sequences):
    """Writes `network` with int8 products (graph.py); its embeddings, one scale and zero for all as they came, and the last matrix of its new heads,
    which is small, in fp32. `sequences`: token ids of some hundred texts."""
    state = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    graph = Graph(seen(network, sequences))

    def product(states, module, power=0.0):
        return graph.product(graph.quantised(states, module, power), module, state[f"{module}.weight"].T, state.get(f"{module}.bias"))

    def norm(states, module):
        return graph.norm(states, module, state[f"{module}.weight"], state[f"{module}.bias"], getattr(network, module).eps)

    def number(name, value):
        return graph.array(name, np.float32(value))

    def block(states, module):
        risen = graph.node("Relu", [product(states, f"{module}.rise")], f"{module}.risen")
        return graph.node("Add", [product(states, f"{module}.past"), product(risen, f"{module}.fall")], module)

    tokens, last = graph.array("tokens.axis", np.array([1])), graph.array("last.axis", np.array([2]))
    present = graph.node("Unsqueeze", [graph.node("Cast", ["mask"], "present", to=TensorProto.FLOAT), last], "present.column")
    embedded = graph.rows("embeddings", state["embeddings.weight"])
    branches = norm(product(embedded, "branches"), "branches_norm")
    states = norm(convolved(graph, state, embedded, branches, present), "norm")
    count = graph.node("ReduceSum", [present, tokens], "count", keepdims=0)
    summed = graph.node("ReduceSum", [graph.node("Mul", [states, present], "kept"), tokens], "summed", keepdims=0)
    sentence = product(graph.node("Div", [summed, count], "mean"), "sentence")
    sentence = graph.node("Mul", [sentence, graph.node("Sqrt", [count], "count.root")], "sentence.scaled")
    vector = graph.node("Tanh", [block(graph.node("Relu", [block(sentence, "first")], "first.active"), "second")], "vector")
    length = graph.node("ReduceL2", [vector], "length", axes=[1], keepdims=1)
    vector = graph.node("Mul", [graph.node("Div", [vector, length], "direction"), number("vector.length", VECTOR_LENGTH)], "vector.scaled")
    absent = graph.node("Mul", [graph.node("Sub", [present, number("one", 1.0)], "absent"), number("far", FAR)], "absent.far")
    largest = graph.node("ReduceMax", [graph.node("Add", [states, absent], "near")], "largest", axes=[1], keepdims=0)
    largest = graph.node("Mul", [largest, number("largest.share", LARGEST_SHARE)], "largest.scaled")
    features = graph.node("Concat", [vector, largest], "features", axis=1)
    risen = graph.node("Relu", [product(features, "new.1", POWER)], "new.active")
    new = graph.node("Gemm", [risen, graph.array("new.4.weight", state["new.4.weight"]), graph.array("new.4.bias", state["new.4.bias"])], "new.logits", transB=1)
    graph.node("Concat", [product(features, "old", POWER), new], "logits", axis=1)
    graph.save(path, len(state["old.bias"]) + len(state["new.4.bias"]))
