"""The network as ONNX: export in fp32, then dynamic int8, signed, per channel, embeddings included."""

import hashlib

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

SECOND = "/fall/"  # in the name of the nodes of those matrices


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


def even(plain, path, sequences):
    """A copy in which the inputs of the second matrix of every feed-forward block have the same largest value in each channel.

    Dynamic int8 gives all activations of a run one scale. After GELU a few of the 1,536 channels are far larger than the others, which
    then round to nothing: that alone cost .010 of area on forum comments and .008 on tweets. Dividing each channel by its largest value on
    `sequences` (token ids) and multiplying the row of the matrix by it changes nothing in fp32 and keeps the area in int8 (SmoothQuant with
    all of the difficulty moved to the weights: Xiao et al., 2023). It costs a product per activation.
    """
    network = onnx.load(str(plain))
    arrays = {array.name: array for array in network.graph.initializer}
    products = [node for node in network.graph.node if node.op_type == "MatMul" and node.input[1] in arrays and SECOND in node.name]
    probe = onnx.ModelProto()
    probe.CopyFrom(network)
    probe.graph.output.extend(helper.make_tensor_value_info(node.input[0], onnx.TensorProto.FLOAT, None) for node in products)
    session = onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    most = [np.zeros(arrays[node.input[1]].dims[0], dtype=np.float32) for node in products]
    for sequence in sequences:
        ids = np.array([sequence], dtype=np.int64)
        found = session.run([node.input[0] for node in products], {"ids": ids, "mask": np.ones_like(ids)})
        most = [np.maximum(old, np.abs(new).reshape(-1, new.shape[-1]).max(axis=0)) for old, new in zip(most, found, strict=True)]
    nodes = list(network.graph.node)
    for node, scale in zip(products, most, strict=True):
        scale = np.maximum(scale, scale.max() * 1e-4)
        array = arrays[node.input[1]]
        array.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(array) * scale[:, None], array.name))
        name = f"{node.name}.evened"
        network.graph.initializer.append(numpy_helper.from_array(1 / scale, f"{name}.scale"))
        nodes.insert(nodes.index(node), helper.make_node("Mul", [node.input[0], f"{name}.scale"], [name], name=name))
        node.input[0] = name
    del network.graph.node[:]
    network.graph.node.extend(nodes)
    onnx.save(network, str(path))
    return path


def to_int8(plain, path, sequences):
    """Weights per output channel, signed; activations get one scale per run. `sequences`: token ids of some hundred texts."""
    quantize_dynamic(
        even(plain, plain.with_suffix(".even.onnx"), sequences),
        path,
        per_channel=True,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gemm", "Gather"],
        extra_options={"MatMulConstBOnly": True},
    )
    return path


def state_of(path):
    """The layers and heads of a network that `to_int8` wrote, as float32 tensors by their names in encoder.Classifier: what the released
    model is where its checkpoints are lost. Embeddings keep the first weights and are not read."""
    graph = onnx.load(str(path)).graph
    arrays = {array.name: numpy_helper.to_array(array) for array in graph.initializer}
    state = {name: array for name, array in arrays.items() if name.startswith(("layers.", "heads.")) and name.endswith((".weight", ".bias"))}
    for node in graph.node:
        place = node.name.strip("/").split("/")
        if node.op_type != "MatMulInteger" or not place[0].startswith(("layers.", "heads")):
            continue
        name = node.input[1].removesuffix("_quantized")
        matrix = (arrays[node.input[1]].astype(np.float32) - arrays[f"{name}_zero_point"]) * arrays[f"{name}_scale"]
        even_scale = arrays.get(f"{node.name.removesuffix('_quant')}.evened.scale")
        if even_scale is not None:
            matrix = matrix * even_scale[:, None]
        state[".".join([*place[:-1], "weight"])] = matrix.T
    return {name: torch.from_numpy(np.array(array, dtype=np.float32)) for name, array in state.items()}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Session:
    """An ONNX file, one text at a time as in the service: int8 outputs would change with their neighbours."""

    def __init__(self, path, threads=1):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def logits_of(self, sequences):
        results = []
        for sequence in sequences:
            ids = np.array([sequence], dtype=np.int64)
            results.append(self.session.run(None, {"ids": ids, "mask": np.ones_like(ids)})[0][0])
        return np.array(results, dtype=np.float32)
