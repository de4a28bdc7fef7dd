"""Networks for bundles whose weights are not here: small, fixed, and smooth enough that label borders are not noise.

The same ONNX file runs on both sides, so that whatever differs is the transforms' or the inferer's.
"""
import numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper

HIDDEN = 6


def stub(path, dims, channels_in, channels_out, kind="image", names=("image", "pred")):
    """Writes a network: a convolution of 3, tanh, one of 1; zero padding makes it depend on the place in the window.

    kind "image" answers on the grid of its input, "classes" with one value a channel (the mean over the image).
    """
    random = np.random.RandomState(7)
    first = random.normal(0, 1, (HIDDEN, channels_in, *[3] * dims)) * 4 / np.sqrt(channels_in * 3**dims)
    second = random.normal(0, 1, (channels_out, HIDDEN, *[1] * dims)) * 1.5
    weights = {
        "w1": first, "b1": random.normal(0, 0.4, HIDDEN),
        "w2": second, "b2": random.normal(0, 0.4, channels_out),
    }
    nodes = [
        helper.make_node("Conv", [names[0], "w1", "b1"], ["c1"], pads=[1] * (2 * dims)),
        helper.make_node("Tanh", ["c1"], ["t1"]),
        helper.make_node("Conv", ["t1", "w2", "b2"], [names[1] if kind == "image" else "c2"]),
    ]
    grid = [f"s{i}" for i in range(dims)]
    shape_out = ["n", channels_out, *grid]
    if kind == "classes":
        nodes.append(helper.make_node("ReduceMean", ["c2"], [names[1]], axes=list(range(2, 2 + dims)), keepdims=0))
        shape_out = ["n", channels_out]
    graph = helper.make_graph(
        nodes, "stub",
        [helper.make_tensor_value_info(names[0], TensorProto.FLOAT, ["n", channels_in, *grid])],
        [helper.make_tensor_value_info(names[1], TensorProto.FLOAT, shape_out)],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
