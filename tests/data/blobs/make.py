#!/usr/bin/env python3
"""Makes model.onnx and manifest.toml of the test engine "blobs": a detector of coloured 16x16 squares.

It averages 16x16 windows at a stride of 8 and answers, for each window, its box and a probability for
"red", "green", "blue", unknown goods (white) and a hand (yellow). No training: the weights are
written down below. Needs python3-onnx.  make.py [folder]
"""
import hashlib, pathlib, sys
import numpy as np
import onnx
from onnx import TensorProto as T, helper as h, numpy_helper as nh

here = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
side, k, s = 64, 16, 8
n = (side - k) // s + 1
# Rows: what the mean of R, G, B must be for the class; score = sigmoid(20 * (w . mean + b)).
w = np.array([[1, -1, -1], [-1, 1, -1], [-1, -1, 1], [.33, .33, .33], [.5, .5, -1]], np.float32)
b = np.array([-.75, -.75, -.75, -.8, -.75], np.float32)
w, b = 20 * w, 20 * b
c = np.arange(n, dtype=np.float32) * s + k / 2
boxes = np.stack([np.tile(c, n), np.repeat(c, n), np.full(n * n, k), np.full(n * n, k)]).astype(np.float32)[None]
init = [
    nh.from_array(w.reshape(5, 3, 1, 1), "w"), nh.from_array(b, "b"), nh.from_array(boxes, "boxes"),
    nh.from_array(np.array([1, 5, n * n], np.int64), "flat"),
]
nodes = [
    h.make_node("AveragePool", ["images"], ["mean"], kernel_shape=[k, k], strides=[s, s]),
    h.make_node("Conv", ["mean", "w", "b"], ["logits"], kernel_shape=[1, 1], strides=[1, 1], pads=[0] * 4, dilations=[1, 1]),
    h.make_node("Sigmoid", ["logits"], ["scores"]),
    h.make_node("Reshape", ["scores", "flat"], ["rows"]),
    h.make_node("Concat", ["boxes", "rows"], ["output0"], axis=1),
]
graph = h.make_graph(nodes, "blobs", [h.make_tensor_value_info("images", T.FLOAT, [1, 3, side, side])],
                     [h.make_tensor_value_info("output0", T.FLOAT, [1, 9, n * n])], init)
model = h.make_model(graph, opset_imports=[h.make_opsetid("", 13)], producer_name="make.py")
model.ir_version = 8
onnx.checker.check_model(model)
data = model.SerializeToString()
(here / "model.onnx").write_bytes(data)
scale = 1 / 255
(here / "manifest.toml").write_text(f'''name = "blobs"
task = "detect"
file = "model.onnx"
sha256 = "{hashlib.sha256(data).hexdigest()}"
licence = "Apache-2.0 OR MIT"
source = "tests/data/blobs/make.py, weights written down by hand"
precision = "fp32"

[input]
name = "images"
width = {side}
height = {side}
layout = "nchw"
colour = "rgb"
scale = [{scale:.9f}, {scale:.9f}, {scale:.9f}]
fit = "letterbox"
pad = 0

[head]
kind = "yolo-v8"
output = "output0"

[thresholds]
score = 0.5
nms_iou = 0.1
sure = 0.6

[labels]
names = ["red", "green", "blue", "__unknown__", "__hand__"]
''')
