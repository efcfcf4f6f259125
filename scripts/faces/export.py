"""Writes the face engines' models from the packages that carry the weights: see README.md beside this file.

Each network is built anew with static shapes, batch 1, planar input (NCHW) and rows before columns: MTCNN's nets
were trained on transposed pictures, so their kernels are transposed here once instead of every crop at run time.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Net:
    """Nodes and weights of one graph, in the order they are added."""

    def __init__(self, name, shape):
        self.name, self.nodes, self.weights, self.values = name, [], [], 0
        self.input = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, *shape])

    def weight(self, array):
        self.values += 1
        name = f"w{self.values}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, kind, inputs, output=None, **attributes):
        self.values += 1
        output = output or f"t{self.values}"
        if kind == "Conv":  # rten wants what the standard lets out
            attributes = {"strides": [1, 1], "dilations": [1, 1], "pads": [0, 0, 0, 0], **attributes}
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def prelu(self, x, slope):
        """relu(x) + slope * (x - relu(x)): ONNX Runtime's PRelu takes twice the time of a whole MobileFaceNet without."""
        positive = self.add("Relu", [x])
        negative = self.add("Sub", [x, positive])
        return self.add("Add", [positive, self.add("Mul", [negative, self.weight(slope)])])

    def save(self, path, outputs):
        values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs]
        graph = helper.make_graph(self.nodes, self.name, [self.input], values, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, path)
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path)


def weights_of(path):
    return {w.name: numpy_helper.to_array(w) for w in onnx.load(path).graph.initializer}


class Mtcnn:
    """The cascade's nets. Keras numbers its layers through all three nets: `conv` and `relu` say which come next."""

    def __init__(self, path, name, shape, conv, relu):
        self.w, self.net, self.conv_at, self.relu_at = weights_of(path), Net(name, shape), conv, relu

    def key(self, stem, at):
        return f"{stem}_{at}" if at else stem

    def kernel(self, at):
        key = self.key("conv2d", at)
        return self.net.weight(self.w[f"{key}/kernel:0"].transpose(0, 1, 3, 2)), self.net.weight(self.w[f"{key}/bias:0"])

    def conv(self, x):
        x = self.net.add("Conv", [x, *self.kernel(self.conv_at)])
        stem = self.key("p_re_lu", self.relu_at) + "_initializer"
        slope = next(v for k, v in self.w.items() if k.startswith(stem))
        self.conv_at, self.relu_at = self.conv_at + 1, self.relu_at + 1
        return self.net.prelu(x, slope.reshape(-1, 1, 1))

    def pool(self, x, side, same):
        pads = [0, 0, 1, 1] if same else [0, 0, 0, 0]
        return self.net.add("MaxPool", [x], kernel_shape=[side, side], strides=[2, 2], pads=pads)

    def dense(self, x, at, shape=None, output=None):
        key = self.key("dense", at)
        w = self.w[f"{key}/kernel:0"]
        if shape:  # The input was flattened column by column, channels last.
            side, channels = shape
            w = w.reshape(side, side, channels, -1).transpose(2, 1, 0, 3).reshape(side * side * channels, -1)
        return self.net.add("Gemm", [x, self.net.weight(w), self.net.weight(self.w[f"{key}/bias:0"])], output)


def pnet(source, out, width, height):
    m = Mtcnn(source / "pnet.onnx", "pnet", (3, height, width), 0, 0)
    x = m.conv("input")
    x = m.conv(m.conv(m.pool(x, 2, False)))
    m.net.add("Conv", [x, *m.kernel(4)], "boxes")
    m.net.add("Softmax", [m.net.add("Conv", [x, *m.kernel(3)])], "scores", axis=1)
    h, w = (height - 10) // 2, (width - 10) // 2
    m.net.save(out, [("boxes", [1, 4, h, w]), ("scores", [1, 2, h, w])])


def rnet(source, out):
    m = Mtcnn(source / "rnet.onnx", "rnet", (3, 24, 24), 5, 3)
    x = m.pool(m.conv("input"), 3, True)
    x = m.conv(m.pool(m.conv(x), 3, False))
    x = m.dense(m.net.add("Flatten", [x]), 0, (3, 64))
    x = m.net.prelu(x, m.w["slope"])
    m.dense(x, 2, output="boxes")
    m.net.add("Softmax", [m.dense(x, 1)], "scores", axis=1)
    m.net.save(out, [("boxes", [1, 4]), ("scores", [1, 2])])


def onet(source, out):
    m = Mtcnn(source / "onet.onnx", "onet", (3, 48, 48), 8, 7)
    x = m.pool(m.conv("input"), 3, True)
    x = m.pool(m.conv(x), 3, False)
    x = m.conv(m.pool(m.conv(x), 2, False))
    x = m.dense(m.net.add("Flatten", [x]), 3, (3, 128))
    x = m.net.prelu(x, m.w["slope"])
    m.dense(x, 5, output="boxes")
    m.dense(x, 6, output="landmarks")
    m.net.add("Softmax", [m.dense(x, 4)], "scores", axis=1)
    m.net.save(out, [("boxes", [1, 4]), ("landmarks", [1, 10]), ("scores", [1, 2])])


def mobilefacenet(converted, out):
    """The converted TFLite graph, batch 1, planar; its PReLU was written as relu(x) + slope / 2 * (x - |x|)."""
    model = onnx.load(converted)
    w = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    made_by = {o: n for n in model.graph.node for o in n.output}
    net, name = Net("mobilefacenet", (3, 112, 112)), {}
    for n in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in n.attribute}
        if n.op_type == "Transpose":
            name[n.output[0]] = "input"
        elif n.op_type == "Conv":
            inputs = [name[n.input[0]], *(net.weight(w[i]) for i in n.input[1:])]
            name[n.output[0]] = net.add("Conv", inputs, **attributes)
        elif n.op_type == "Add":
            relu, mul = (made_by.get(i) for i in n.input)
            if relu.op_type == "Relu" and mul.op_type == "Mul":
                slope = 2 * w[mul.input[1]].reshape(-1, 1, 1)
                name[n.output[0]] = net.prelu(name[relu.input[0]], slope)
            else:
                name[n.output[0]] = net.add("Add", [name[i] for i in n.input])
        elif n.op_type == "Reshape":
            name[n.output[0]] = name[n.input[0]]
        else:
            assert n.op_type in ("Relu", "Abs", "Sub", "Mul"), n.op_type
    net.add("Flatten", [name[model.graph.output[0].name]], "embedding")
    net.save(out, [("embedding", [1, 192])])


def blazeface(converted, out):
    """The converted TFLite graph, its weights and nodes as they are, named input and outputs."""
    model = onnx.load(converted)
    del model.metadata_props[:]
    model.producer_name = model.doc_string = ""
    onnx.checker.check_model(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, out)
    print(hashlib.sha256(out.read_bytes()).hexdigest(), out)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--mtcnn", type=Path, help="folder with pnet.onnx, rnet.onnx and onet.onnx")
    p.add_argument("--mobilefacenet", type=Path, help="MobileFaceNet.tflite converted by tf2onnx")
    p.add_argument("--blazeface", type=Path, help="face_detection_front.tflite converted by tf2onnx")
    p.add_argument("--pnet-size", type=int, nargs=2, default=(112, 288), metavar=("W", "H"), help="of the mosaic")
    p.add_argument("--out", type=Path, default=Path("engines"))
    args = p.parse_args()
    if args.mtcnn:
        pnet(args.mtcnn, args.out / "face-mtcnn/model.onnx", *args.pnet_size)
        rnet(args.mtcnn, args.out / "face-mtcnn/rnet/model.onnx")
        onet(args.mtcnn, args.out / "face-mtcnn/onet/model.onnx")
    if args.mobilefacenet:
        mobilefacenet(args.mobilefacenet, args.out / "face-mobilefacenet/model.onnx")
    if args.blazeface:
        blazeface(args.blazeface, args.out / "face-blazeface/model.onnx")
