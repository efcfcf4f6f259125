#!/usr/bin/env python3
"""Makes model.onnx and manifest.toml of the second look of the test engine "blobs": it names a 32x32 crop by its mean
colour, red, green, blue, white (unknown goods) or yellow (a hand). No training: the weights are written down below.
Needs python3-onnx.  make.py [folder]
"""
import hashlib, pathlib, sys
import numpy as np
import onnx
from onnx import TensorProto as T, helper as h, numpy_helper as nh

here = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
side = 32
w = 20 * np.array([[1, -1, -1], [-1, 1, -1], [-1, -1, 1], [.33, .33, .33], [.5, .5, -1]], np.float32)
b = 20 * np.array([0, 0, 0, -.2, -.1], np.float32)
init = [nh.from_array(w.reshape(5, 3, 1, 1), "w"), nh.from_array(b, "b"), nh.from_array(np.array([1, 5], np.int64), "flat")]
nodes = [
    h.make_node("GlobalAveragePool", ["images"], ["mean"]),
    h.make_node("Conv", ["mean", "w", "b"], ["maps"], kernel_shape=[1, 1], strides=[1, 1], pads=[0] * 4, dilations=[1, 1]),
    h.make_node("Reshape", ["maps", "flat"], ["logits"]),
]
graph = h.make_graph(nodes, "blobs-second", [h.make_tensor_value_info("images", T.FLOAT, [1, 3, side, side])],
                     [h.make_tensor_value_info("logits", T.FLOAT, [1, 5])], init)
model = h.make_model(graph, opset_imports=[h.make_opsetid("", 13)], producer_name="make.py")
model.ir_version = 8
onnx.checker.check_model(model)
data = model.SerializeToString()
(here / "model.onnx").write_bytes(data)
scale = 1 / 255
(here / "manifest.toml").write_text(f'''name = "blobs-second"
task = "classify"
file = "model.onnx"
sha256 = "{hashlib.sha256(data).hexdigest()}"
licence = "Apache-2.0 OR MIT"
source = "tests/data/blobs-second/make.py, weights written down by hand"
precision = "fp32"

[input]
name = "images"
width = {side}
height = {side}
layout = "nchw"
colour = "rgb"
scale = [{scale:.9f}, {scale:.9f}, {scale:.9f}]
fit = "stretch"
pad = 0

[head]
kind = "classes"
output = "logits"

[labels]
names = ["red", "green", "blue", "__unknown__", "__hand__"]
''')
