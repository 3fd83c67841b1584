"""The network: a BERT-like encoder, mean and maximum over the tokens, one logit per head, in plain torch, and how its first weights
are read. The maximum lets one insult count in a long text.

`config.json`, `tokenizer.json` and a 4-bit pack `*.npz` lie in one folder. In the pack a matrix `name` is `name::q` (two 4-bit values a
byte, blocks of 32: low halves first), `name::d` (scale per block) and `name::s` (shape); vectors are as they are.
"""

import json
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn


@dataclass(frozen=True)
class Shape:
    vocabulary: int
    hidden: int
    layers: int
    attention_heads: int
    intermediate: int
    positions: int
    padding: int

    @classmethod
    def read(cls, path):
        config = json.loads(path.read_text(encoding="utf-8"))
        names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings", "pad_token_id")
        return cls(*(config[name] for name in names))


class Layer(nn.Module):
    def __init__(self, shape, dropout):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.attention_heads = shape.attention_heads
        self.query, self.key, self.value, self.output = (nn.Linear(shape.hidden, shape.hidden) for _ in range(4))
        self.attention_norm, self.output_norm = (nn.LayerNorm(shape.hidden, eps=1e-12) for _ in range(2))
        self.rise, self.fall = nn.Linear(shape.hidden, shape.intermediate), nn.Linear(shape.intermediate, shape.hidden)

    def set_neurons(self, neurons):
        """Makes the feed-forward block so wide: new weights where it was not."""
        if neurons != self.rise.out_features:
            hidden = self.rise.in_features
            self.rise, self.fall = nn.Linear(hidden, neurons), nn.Linear(neurons, hidden)

    def forward(self, states, bias):
        texts, tokens, hidden = states.shape
        query, key, value = (
            part(states).view(texts, tokens, self.attention_heads, hidden // self.attention_heads).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        weights = torch.softmax(query @ key.transpose(-1, -2) * (hidden // self.attention_heads) ** -0.5 + bias, dim=-1)
        mixed = (weights @ value).transpose(1, 2).reshape(texts, tokens, hidden)
        states = self.attention_norm(states + self.dropout(self.output(mixed)))
        return self.output_norm(states + self.dropout(self.fall(nn.functional.gelu(self.rise(states)))))


class Classifier(nn.Module):
    """Token ids and mask (int64, [texts, tokens]) to logits ([texts, heads]).

    `dropout` is before the heads, `layer_dropout` inside the layers: on CPUs it takes a fifth of the time.
    """

    def __init__(self, shape, heads, dropout=0.1, layer_dropout=0.0):
        super().__init__()
        self.words, self.positions = nn.Embedding(shape.vocabulary, shape.hidden), nn.Embedding(shape.positions, shape.hidden)
        self.kind = nn.Parameter(torch.zeros(shape.hidden))
        self.norm = nn.LayerNorm(shape.hidden, eps=1e-12)
        self.layers = nn.ModuleList(Layer(shape, layer_dropout) for _ in range(shape.layers))
        self.dropout, self.heads = nn.Dropout(dropout), nn.Linear(2 * shape.hidden, heads)

    def embed(self, ids):
        return self.norm(self.words(ids) + self.positions.weight[: ids.shape[1]] + self.kind)

    def bias(self, mask):
        """What attention adds for each piece that is looked at: float32, [texts, 1, 1, tokens]."""
        return (1.0 - mask.to(torch.float32))[:, None, None, :] * -10000.0

    def features(self, ids, mask):
        """Mean and maximum over the tokens: [texts, 2 * hidden]."""
        states, bias = self.embed(ids), self.bias(mask)
        for layer in self.layers:
            states = layer(states, bias)
        weights = mask.to(torch.float32)[:, :, None]
        mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1.0)
        most = (states + (1.0 - weights) * -10000.0).amax(1)
        return torch.cat([mean, most], 1)

    def forward(self, ids, mask):
        return self.heads(self.dropout(self.features(ids, mask)))

    def load(self, state):
        """Takes the weights of `state`, and from it how many layers there are and how many neurons each has in its feed-forward block."""
        count = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("layers."))
        self.layers = nn.ModuleList(self.layers[index] for index in range(count))
        for index, layer in enumerate(self.layers):
            layer.set_neurons(len(state[f"layers.{index}.rise.bias"]))
        self.load_state_dict(self.state_dict() | state)

    def widen(self, words):
        """Appends the frozen embeddings of another vocabulary ([pieces, hidden]); returns the offset of its ids."""
        offset = self.words.num_embeddings
        self.words = nn.Embedding.from_pretrained(torch.cat([self.words.weight.detach(), words]), freeze=True)
        return offset

    def trim(self, pieces):
        """Takes what `widen` appended off again."""
        self.words = nn.Embedding.from_pretrained(self.words.weight.detach()[:pieces].clone(), freeze=True)

    def freeze(self, layers):
        """Embeddings and the lowest `layers` keep their weights; autograd then stops there."""
        for part in (self.words, self.positions, self.norm, *self.layers[:layers]):
            part.requires_grad_(False)
        self.kind.requires_grad_(False)


def unpack(path):
    """The arrays of a 4-bit pack in float32."""
    packed, state = np.load(path), {}
    for key in packed.files:
        if key.endswith("::q"):
            name = key.removesuffix("::q")
            blocks, scale, shape = packed[key], packed[name + "::d"].astype(np.float32), tuple(packed[name + "::s"])
            low, high = (blocks & 15).astype(np.float32) - 8, (blocks >> 4).astype(np.float32) - 8
            state[name] = (np.concatenate([low, high], 1) * scale[:, None]).reshape(shape)
        elif not key.endswith(("::d", "::s")):
            state[key] = packed[key]
    return state


LAYER_NAMES = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "rise": "intermediate.dense",
    "fall": "output.dense",
    "output_norm": "output.LayerNorm",
}


def first_weights(folder):
    """The arrays of the only pack in `folder`."""
    packs = sorted(folder.glob("*.npz"))
    if len(packs) != 1:
        raise SystemExit(f"{folder} must hold exactly one .npz with the first weights, it holds {len(packs)}")
    return {name: torch.from_numpy(np.array(value, dtype=np.float32)) for name, value in unpack(packs[0]).items()}


def load_first_weights(model, folder):
    """Fills everything but the heads from the pack in `folder`."""
    given = first_weights(folder)
    state = {
        "words.weight": given["embeddings.word_embeddings.weight"],
        "positions.weight": given["embeddings.position_embeddings.weight"],
        "kind": given["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": given["embeddings.LayerNorm.weight"],
        "norm.bias": given["embeddings.LayerNorm.bias"],
    }
    for index in range(len(model.layers)):
        for own, theirs in LAYER_NAMES.items():
            for part in ("weight", "bias"):
                state[f"layers.{index}.{own}.{part}"] = given[f"encoder.layer.{index}.{theirs}.{part}"]
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or set(missing) != {"heads.weight", "heads.bias"}:
        raise SystemExit(f"the first weights do not fit: missing {missing}, too many {unexpected}")


FIRST_MODEL_NAMES = {"query": "q", "key": "k", "value": "v", "output": "o", "rise": "fi", "fall": "fo", "attention_norm": "ln1", "output_norm": "ln2"}
# Which head of the first models a head begins from.
OLD_TOXIC = "old:toxic"  # a head that goes on saying what the first model calls toxic
FIRST_MODEL_HEADS = {
    "toxic": "toxic", OLD_TOXIC: "toxic",
    "abusive": "toxic", "hate": "hate", "threat": "threat", "insult": "toxic", "doxxing": "doxx", "sexual": "sexual", "spam": "spam",
    "target-origin": "race", "target-religion": "religion", "target-sex": "gender", "target-orientation": "orientation",
    "target-disability": "disability", "target-political": "political",
}  # fmt: skip


def load_first_model(model, path, first_heads, heads):
    """Takes layers and heads from the int8 network of the first model, which was fine-tuned from the same first weights."""
    graph = onnx.load(str(path)).graph
    arrays = {array.name: numpy_helper.to_array(array) for array in graph.initializer}

    def matrix(node):
        quantised = node.input[1]
        name = quantised.removesuffix("_quantized")
        value = (arrays[quantised].astype(np.float32) - arrays[f"{name}_zero_point"]) * arrays[f"{name}_scale"]
        return torch.from_numpy(np.ascontiguousarray(value.T))

    products = {node.name: node for node in graph.node if node.op_type == "MatMulInteger"}
    state = {}
    for index in range(len(model.layers)):
        for own, theirs in FIRST_MODEL_NAMES.items():
            place = f"m.layers.{index}.{theirs}"
            state[f"layers.{index}.{own}.bias"] = torch.from_numpy(arrays[f"{place}.bias"].copy())
            if own.endswith("norm"):
                state[f"layers.{index}.{own}.weight"] = torch.from_numpy(arrays[f"{place}.weight"].copy())
            else:
                state[f"layers.{index}.{own}.weight"] = matrix(products[f"/m/layers.{index}/{theirs}/MatMul_quant"])
    weight, bias = model.heads.weight.detach().clone() * 0.1, torch.zeros(len(heads))
    last = matrix(products["/h/Gemm_MatMul_quant"])
    for place, head in enumerate(heads):
        if head in FIRST_MODEL_HEADS:
            source = first_heads.index(FIRST_MODEL_HEADS[head])
            weight[place], bias[place] = last[source], float(arrays["h.bias"][source])
    state |= {"heads.weight": weight, "heads.bias": bias}
    _, unexpected = model.load_state_dict(state, strict=False)
    if unexpected:
        raise SystemExit(f"{path} does not fit: {unexpected}")
