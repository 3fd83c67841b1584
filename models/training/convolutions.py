"""The convolutional network in plain torch: the multilingual Universal Sentence Encoder v3 (Yang and others, 2020) with heads of its own, read
from the ONNX file of the first convolutional model and written back into it.

Embeddings of the pieces; three branches of two convolutions each (over 2, 3 and 5 pieces) with residual connections; sentence vector (512) from
the sum over the pieces through two residual blocks; beside it the maximum over the pieces (1,280). Embeddings keep their weights: they are most
of the file, and a few ten thousand comments hold too few of the pieces.
"""

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional

FEATURES, WIDTH = 1792, 256
KERNELS = (2, 3, 5)
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
        sentence = (summed @ self.sentence.weight.T + count * self.sentence.bias) / count.sqrt()
        vector = torch.tanh(self.second(torch.relu(self.first(sentence))))
        vector = vector / vector.square().sum(1, keepdim=True).clamp(min=1e-12).sqrt() * 8.0
        largest = (states + (present[:, :, None] - 1.0) * 10_000.0).amax(1) * 0.5
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


def write(network, source, path):
    """Writes the weights of `network`, all but its new heads, into a copy of the ONNX file `source`: matrices as signed int8 per output channel."""
    model, state = onnx.load(str(source)), {name: value.detach().numpy() for name, value in network.state_dict().items()}
    new = {name: state[place] for name, place in PLAIN.items()}
    for name, place in MATRICES.items():
        matrix = state[f"{place}.weight"].T
        scale = np.abs(matrix).max(axis=0) / 127.0 + 1e-12
        new |= {f"{name}_quantized": np.round(matrix / scale).astype(np.int8), f"{name}_scale": scale, f"{name}_zero_point": np.zeros(len(scale), np.int8)}
    for array in model.graph.initializer:
        if array.name in new:
            kind = numpy_helper.to_array(array).dtype
            array.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(new[array.name], dtype=kind), array.name))
    onnx.save(model, str(path))
