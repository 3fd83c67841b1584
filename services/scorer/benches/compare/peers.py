"""Python's onnxruntime on the comments of compare: python3 peers.py MODEL COMMENTS.

One comment a line, read one at a time by one thread, tokens included. Writes the seconds of processor time that they take (the best of three runs),
the products of int8 that the network makes for them, and how many a second onnxruntime makes with large matrices.
"""

import os
import pathlib
import sys
import time

# Threads that wait must not spin: their time would count.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
    from tokenizers import Tokenizer
except ImportError as error:
    sys.exit(f"no {error.name}; pip install -r models/training/requirements.txt")

ROUNDS = 3
ROWS, INNER, COLUMNS = 1024, 1536, 1536


def session(network):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")  # as the scorer: see services/scorer/src/network.rs
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


def least_seconds(run):
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def products_per_token(network):
    """Elements of the int8 matrices that every token is multiplied with."""
    graph = onnx.load(network).graph
    sizes = {array.name: int(np.prod(array.dims)) for array in graph.initializer}
    return sum(sizes.get(node.input[1], 0) for node in graph.node if node.op_type == "MatMulInteger")


def peak():
    """Products a second of an unsigned and a signed int8 matrix, the best of ten runs."""
    weights = np.random.default_rng(1).integers(-127, 127, (INNER, COLUMNS)).astype(np.int8)
    node = helper.make_node("MatMulInteger", ["a", "b"], ["c"])
    ends = [helper.make_tensor_value_info("a", TensorProto.UINT8, [ROWS, INNER])], [helper.make_tensor_value_info("c", TensorProto.INT32, [ROWS, COLUMNS])]
    graph = helper.make_graph([node], "product", *ends, [numpy_helper.from_array(weights, "b")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    run, values = session(model.SerializeToString()), np.random.default_rng(2).integers(0, 255, (ROWS, INNER)).astype(np.uint8)
    times = []
    for _ in range(10):
        start = time.process_time()
        run.run(None, {"a": values})
        times.append(time.process_time() - start)
    return ROWS * INNER * COLUMNS / min(times)


def main():
    folder, comments = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).read_text(encoding="utf-8").split("\n")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    network = session(str(folder / "model.onnx"))

    def read():
        for comment in comments:
            ids = np.array([tokenizer.encode(comment).ids], dtype=np.int64)
            network.run(None, {"ids": ids, "mask": np.ones_like(ids)})

    tokens = sum(len(tokenizer.encode(comment).ids) for comment in comments)
    print(least_seconds(read), tokens * products_per_token(str(folder / "model.onnx")), peak())


main()
