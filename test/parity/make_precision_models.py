"""Small networks of other precisions: the files behind test/integration/monai/precisions.test.ts.

    python make_precision_models.py OUT.json        (needs onnx, onnxruntime)

Each is a 3D convolution of one channel to two over windows of any size: in float32, in half precision, with weights in
bfloat16, and quantised to int8 in both of ONNX Runtime's forms. The file is one JSON value: {name: base64 of the ONNX file}.
"""
import base64, json, os, sys, tempfile
import numpy as np, onnx
from onnx import TensorProto as T, helper as h, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

WEIGHTS = np.array([0.7, -0.4], np.float32).reshape(2, 1, 1, 1, 1)
DIMS = ["N", None, "X", "Y", "Z"]


def model(kind, nodes, weights):
    io = [h.make_tensor_value_info(n, kind, [d or c for d in DIMS]) for n, c in (("x", 1), ("y", 2))]
    graph = h.make_graph(nodes, "g", io[:1], io[1:], weights)
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)


def conv(weights="w"):
    return h.make_node("Conv", ["x", weights], ["y"], kernel_shape=[1, 1, 1])


class Calibration(CalibrationDataReader):
    def __init__(self):
        smooth = np.sin(np.arange(1080) / 7) * np.cos(np.arange(1080) / 31)
        self.left = [(sign * smooth).reshape(1, 1, 12, 10, 9).astype(np.float32) for sign in (1, -1)]

    def get_next(self):
        return {"x": self.left.pop()} if self.left else None


def quantised(source, form):
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("in.onnx", "out.onnx")]
        onnx.save(source, paths[0])
        quantize_static(paths[0], paths[1], Calibration(), quant_format=form, activation_type=QuantType.QUInt8,
                        weight_type=QuantType.QInt8)
        return onnx.load(paths[1])


if __name__ == "__main__":
    full = model(T.FLOAT, [conv()], [numpy_helper.from_array(WEIGHTS, "w")])
    half = model(T.FLOAT16, [conv()], [numpy_helper.from_array(WEIGHTS.astype(np.float16), "w")])
    bits = (WEIGHTS.view(np.uint32) >> 16).astype(np.uint16)
    brain = h.make_tensor("b", T.BFLOAT16, WEIGHTS.shape, bits.tobytes(), raw=True)
    brain = model(T.FLOAT, [h.make_node("Cast", ["b"], ["w"], to=T.FLOAT), conv()], [brain])
    models = {"float32": full, "float16": half, "bfloat16 weights": brain,
              "int8 QDQ": quantised(full, QuantFormat.QDQ), "int8 operators": quantised(full, QuantFormat.QOperator)}
    with open(sys.argv[1], "w") as out:
        json.dump({k: base64.b64encode(m.SerializeToString()).decode() for k, m in models.items()}, out, indent=2)
        out.write("\n")
