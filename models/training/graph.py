"""Networks as ONNX graphs with int8 products, written node by node from their weights.

Weights are signed int8, one scale per output channel. Activations are unsigned int8 with a scale and a zero that are the same for every text,
from what the network shows on some hundred texts: so the logits of a text do not depend on what it is read with, and texts are read in
batches. A scale per run (dynamic quantisation) would, and with a scale per token or block a product takes longer than texts one by one.

One scale for all channels loses those that are small beside the largest. Such channels are evened: divided by a power of their largest value,
and the rows of the matrix multiplied by it, which changes nothing in fp32 (SmoothQuant: Xiao and others, 2023).
"""

from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

CONTRIB = "com.microsoft"  # operators of ONNX Runtime itself: products, attention and norms in one node each
OPSET, CONTRIB_OPSET, IR_VERSION = 17, 1, 8
WEIGHT_MAX, CODES = 127, 255
LEAST = 1e-4  # of the largest channel: what a channel that is hardly used counts as


class Quantised(NamedTuple):
    """Activations as int8: names of their codes, scale and zero, and by what each channel was divided before (float32, [channels])."""

    codes: str
    scale: str
    zero: str
    factors: np.ndarray


def seen(network, sequences):
    """The least and the largest value that each channel of the input of each linear or convolutional module of `network` takes on `sequences` (token ids
    of some hundred texts): {module: (float32 [channels], float32 [channels])}."""
    found = {}

    def look(name, channels, states):
        flat = states.movedim(channels, -1).flatten(0, -2)
        low, high = found.get(name, (torch.inf, -torch.inf))
        found[name] = (torch.clamp(flat.amin(0), max=low), torch.clamp(flat.amax(0), min=high))

    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv1d):
            channels = 1 if isinstance(module, torch.nn.Conv1d) else -1
            hooks.append(module.register_forward_pre_hook(lambda _, inputs, name=name, channels=channels: look(name, channels, inputs[0])))
    network.eval()
    with torch.no_grad():
        for sequence in sequences:
            ids = torch.tensor([sequence])
            network(ids, torch.ones_like(ids))
    for hook in hooks:
        hook.remove()
    return {name: (low.numpy(), high.numpy()) for name, (low, high) in found.items()}


class Graph:
    """Nodes and weights in the order in which they are added. Every node is named as its only output."""

    def __init__(self, ranges):
        """`ranges`: what `seen` returns for the network."""
        self.ranges, self.nodes, self.arrays = ranges, [], {}

    def array(self, name, value):
        self.arrays[name] = np.ascontiguousarray(value)
        return name

    def node(self, kind, inputs, output, domain="", **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def rows(self, module, table):
        """Rows of `table` (float, [pieces, channels]) by their ids, kept as int8 with one scale and zero for all: float32, [texts, tokens, channels]."""
        scale = (table.max() - table.min()) / CODES
        zero = np.uint8(np.round(-table.min() / scale))
        codes = self.array(f"{module}.codes", np.clip(np.round(table / scale) + zero, 0, CODES).astype(np.uint8))
        names = self.array(f"{module}.scale", np.float32(scale)), self.array(f"{module}.zero", zero)
        return self.node("DequantizeLinear", [self.node("Gather", [codes, "ids"], f"{module}.rows"), *names], module)

    def quantised(self, states, module, power=0.0):
        """`states`, the input of `module`, as int8, channels evened by `power` of their largest value before: 0 leaves them as they are."""
        low, high = self.ranges[module]
        largest = np.maximum(np.abs(low), np.abs(high))
        factors = np.maximum(largest, largest.max() * LEAST) ** power
        if power:
            states = self.node("Mul", [states, self.array(f"{module}.even", (1 / factors).astype(np.float32))], f"{module}.evened")
        least, most = min((low / factors).min(), 0.0), max((high / factors).max(), 0.0)
        scale = (most - least) / CODES
        names = self.array(f"{module}.scale", np.float32(scale)), self.array(f"{module}.zero", np.uint8(round(-least / scale)))
        return Quantised(self.node("QuantizeLinear", [states, *names], f"{module}.codes"), *names, factors)

    def product(self, states, module, matrix, bias=None):
        """`states` ([.., inputs], quantised) times `matrix` (float, [inputs, outputs]) plus `bias`: float32, [.., outputs]."""
        matrix = matrix * np.tile(states.factors, len(matrix) // len(states.factors))[:, None]
        scale = np.abs(matrix).max(axis=0) / WEIGHT_MAX + 1e-12
        weights = [
            self.array(f"{module}.weight", np.round(matrix / scale).astype(np.int8)),
            self.array(f"{module}.weight.scale", scale.astype(np.float32)),
            self.array(f"{module}.weight.zero", np.zeros(len(scale), np.int8)),
        ]
        biases = [] if bias is None else [self.array(f"{module}.bias", bias)]
        inputs = [states.codes, weights[0], states.scale, weights[1], states.zero, weights[2], *biases]
        return self.node("MatMulIntegerToFloat", inputs, f"{module}.product", CONTRIB)

    def norm(self, states, module, weight, bias, epsilon, beside=None):
        """Layer norm of `states`, or of their sum with what is `beside` them."""
        arrays = [self.array(f"{module}.weight", weight), self.array(f"{module}.bias", bias)]
        if beside is None:
            return self.node("LayerNormalization", [states, *arrays], f"{module}.normed", axis=-1, epsilon=epsilon)
        return self.node("SkipLayerNormalization", [states, beside, *arrays], f"{module}.normed", CONTRIB, epsilon=epsilon)

    def save(self, path, heads):
        """Writes the graph: inputs `ids` and `mask` (int64, [texts, tokens]), output `logits` (float32, [texts, heads])."""
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"]) for name in ("ids", "mask")]
        output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["texts", heads])
        stored = [numpy_helper.from_array(value, name) for name, value in self.arrays.items()]
        graph = helper.make_graph(self.nodes, "classifier", inputs, [output], stored)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, CONTRIB_OPSET)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION), str(path))


def matrices_of(path):
    """The arrays of a file that Graph.save wrote; its int8 matrices as float32 [inputs, outputs], as they were before channels were evened."""
    arrays = {array.name: numpy_helper.to_array(array) for array in onnx.load(str(path)).graph.initializer}
    found = {name: value for name, value in arrays.items() if not name.endswith((".scale", ".zero", ".even"))}
    for name in [name for name in found if f"{name}.scale" in arrays and arrays[name].dtype == np.int8]:
        matrix, even = arrays[name].astype(np.float32) * arrays[f"{name}.scale"], arrays.get(f"{name.removesuffix('.weight')}.even")
        found[name] = matrix if even is None else matrix * np.tile(even, len(matrix) // len(even))[:, None]
    return found


def session_of(path, threads=1):
    """A session on the processor with exact int8 products, as in services/scorer/src/network.rs: where sums of pairs of them overflow 16 bits, scores would be
    others than on the next machine."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Session:
    """An ONNX file, one text at a time."""

    def __init__(self, path, threads=1):
        self.session = session_of(path, threads)

    def logits_of(self, sequences):
        results = []
        for sequence in sequences:
            ids = np.array([sequence], dtype=np.int64)
            results.append(self.session.run(None, {"ids": ids, "mask": np.ones_like(ids)})[0][0])
        return np.array(results, dtype=np.float32)
