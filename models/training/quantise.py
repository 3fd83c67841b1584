"""The encoder as ONNX: in fp32, as torch exports it, and with int8 products (graph.py), embeddings included."""

import numpy as np
import onnx
import torch
from onnx import TensorProto

from graph import CONTRIB, Graph, matrices_of, seen

# The channels before the two matrices of a feed-forward block are evened by this power of their largest value. After GELU a few of the
# channels are far larger than the others: left as they are, that alone cost .010 of area on forum comments and .008 on tweets. The error of the
# logits, on average, with the whole power after GELU and none before: .18; with the half at both places .10. At the other matrices it changes
# nothing.
POWER = 0.5
MASKED = -10000.0


def export(model, path):
    """Writes the fp32 network: inputs `ids` and `mask` (int64, [texts, tokens]), output `logits` (float32, [texts, heads])."""
    model.eval()
    ids = torch.tensor([[0, 5, 6, 2], [0, 7, 2, 1]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    axes = {0: "texts", 1: "tokens"}
    torch.onnx.export(
        model,
        (ids, mask),
        str(path),
        input_names=["ids", "mask"],
        output_names=["logits"],
        dynamic_axes={"ids": axes, "mask": axes, "logits": {0: "texts"}},
        opset_version=17,
        dynamo=False,
    )
    onnx.checker.check_model(str(path))
    return path


def embedded(graph, state):
    """Embeddings of the pieces and of their positions: [texts, tokens, hidden]."""
    rows = graph.rows("words", state["words.weight"])
    graph.array("positions", state["positions.weight"] + state["kind"])
    tokens = graph.node("Shape", ["ids"], "tokens", start=1, end=2)
    start = graph.array("start", np.array([0]))
    positions = graph.node("Slice", ["positions", start, tokens, start], "positions.rows")
    return graph.node("Add", [rows, positions], "embedded")


def pooled(graph, states):
    """Mean and maximum over the tokens: [texts, 2 * hidden]."""
    tokens, last = graph.array("tokens.axis", np.array([1])), graph.array("last.axis", np.array([2]))
    weights = graph.node("Unsqueeze", [graph.node("Cast", ["mask"], "present", to=TensorProto.FLOAT), last], "weights")
    total = graph.node("ReduceSum", [graph.node("Mul", [states, weights], "kept"), tokens], "total", keepdims=0)
    mean = graph.node("Div", [total, graph.node("ReduceSum", [weights, tokens], "count", keepdims=0)], "mean")
    absent = graph.node("Sub", [graph.array("one", np.float32(1)), weights], "absent")
    far = graph.node("Mul", [absent, graph.array("far", np.float32(MASKED))], "far.absent")
    most = graph.node("ReduceMax", [graph.node("Add", [states, far], "near")], "most", axes=[1], keepdims=0)
    return graph.node("Concat", [mean, most], "features", axis=1)


def to_int8(model, path, sequences):
    """Writes the network `model` (encoder.Classifier) with int8 products and embeddings. `sequences`: token ids of some hundred texts. Only its
    heads, a thousandth of the work, stay in fp32."""
    state = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    graph = Graph(seen(model, sequences))

    def product(codes, module):
        return graph.product(codes, module, state[f"{module}.weight"].T, state[f"{module}.bias"])

    def norm(states, module, beside=None):
        return graph.norm(states, module, state[f"{module}.weight"], state[f"{module}.bias"], model.norm.eps, beside)

    mask = graph.node("Cast", ["mask"], "mask.int32", to=TensorProto.INT32)
    states = norm(embedded(graph, state), "norm")
    for index, layer in enumerate(model.layers):
        place = f"layers.{index}"
        codes = graph.quantised(states, f"{place}.query")
        parts = [product(codes, f"{place}.{part}") for part in ("query", "key", "value")]
        heads = {"num_heads": layer.attention_heads, "mask_filter_value": MASKED}
        mixed = graph.node("MultiHeadAttention", [*parts, "", mask], f"{place}.mixed", CONTRIB, **heads)
        attended = product(graph.quantised(mixed, f"{place}.output"), f"{place}.output")
        states = norm(attended, f"{place}.attention_norm", states)
        risen = product(graph.quantised(states, f"{place}.rise", POWER), f"{place}.rise")
        active = graph.node("FastGelu", [risen], f"{place}.active", CONTRIB)
        fallen = product(graph.quantised(active, f"{place}.fall", POWER), f"{place}.fall")
        states = norm(fallen, f"{place}.output_norm", states)
    heads = [graph.array(name, state[name]) for name in ("heads.weight", "heads.bias")]
    graph.node("Gemm", [pooled(graph, states), *heads], "logits", transB=1)
    graph.save(path, len(state["heads.bias"]))
    return path


def state_of(path):
    """The layers and heads of a network that `to_int8` wrote, as float32 tensors by their names in encoder.Classifier: what the released
    model is where its checkpoints are lost. Embeddings keep the first weights and are not read."""
    found = {name: value for name, value in matrices_of(path).items() if name.startswith(("layers.", "heads."))}
    products = [name for name in found if name.startswith("layers.") and found[name].ndim == 2]
    return {name: torch.from_numpy(np.array(value.T if name in products else value, dtype=np.float32)) for name, value in found.items()}
