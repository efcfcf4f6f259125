#!/usr/bin/python3
"""Checkpoint -> engine folder (model.onnx, manifest.toml, LICENSE).

The graph has BN fused, opset 12, static batch 1, every constant as an initializer, NMS left outside.
`--check` compares the file with the network in torch when onnxruntime is installed.
"""
import argparse
import hashlib
import json
import pathlib

import numpy as np
import onnx
import onnx.numpy_helper
import torch

from model import Detector, Exported

HEIGHT, WIDTH = 320, 416
ALLOWED = {"Conv", "Relu", "MaxPool", "Resize", "Concat", "Add", "Sub", "Mul", "Reshape", "Exp", "Clip", "Slice", "Sigmoid", "Div"}
LICENSE = """The weights in this folder are available under either of

- the Apache License, Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0)
- the MIT license (http://opensource.org/licenses/MIT)

at your option. They come WITHOUT WARRANTY OF ANY KIND, express or implied.
The pictures that they were trained on are not part of this project.
"""


def network(checkpoint):
    """The averaged weights of a checkpoint, ready for inference."""
    net = Detector(**checkpoint["config"])
    net.load_state_dict(checkpoint["ema"])
    return net.eval()


def settle(graph):
    """Constants become initializers: TensorRT 8.2 wants its shapes and axes there. Equal weights are there once."""
    kept, same = [], {}
    for node in graph.node:
        for i, used in enumerate(node.input):
            node.input[i] = same.get(used, used)
        if node.op_type == "Identity" and node.input[0] in {w.name for w in graph.initializer}:  # the exporter shares equal weights so
            same[node.output[0]] = node.input[0]
            continue
        if node.op_type == "Constant":
            value = onnx.numpy_helper.to_array(node.attribute[0].t)
            graph.initializer.append(onnx.numpy_helper.from_array(value, node.output[0]))
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


def to_onnx(net, path):
    net.fuse()
    wrapped = Exported(net, HEIGHT, WIDTH).eval()
    image = torch.rand(1, 3, HEIGHT, WIDTH)
    with torch.no_grad():
        want = wrapped(image).numpy()
    torch.onnx.export(wrapped, image, str(path), opset_version=12, input_names=["images"], output_names=["output0"],
                      do_constant_folding=True)
    graph_file = onnx.load(str(path))
    graph = graph_file.graph
    settle(graph)
    odd = {n.op_type for n in graph.node} - ALLOWED
    if odd:
        raise SystemExit(f"operators outside the agreed set: {sorted(odd)}")
    onnx.checker.check_model(graph_file)
    onnx.save(graph_file, str(path))
    return image.numpy(), want


def toml_string(text):
    return json.dumps(text, ensure_ascii=False)


def manifest(path, name, labels, source, score, nms_iou, sure, metrics, precision="fp32", vote=None):
    sha = hashlib.sha256((path / "model.onnx").read_bytes()).hexdigest()
    unit = repr(1 / 255)
    lines = [
        f"name = {toml_string(name)}", 'task = "detect"', 'file = "model.onnx"', f'sha256 = "{sha}"',
        'licence = "Apache-2.0 OR MIT"', f"source = {toml_string(source)}", f'precision = "{precision}"', "",
        "[input]", 'name = "images"', f"width = {WIDTH}", f"height = {HEIGHT}", 'layout = "nchw"', 'colour = "rgb"',
        "mean = [0.0, 0.0, 0.0]", f"scale = [{unit}, {unit}, {unit}]", 'fit = "letterbox"', "pad = 114", "",
        "[head]", 'kind = "yolo-v8"', 'output = "output0"', "",
        *(["[nms]", f"vote = {vote}", ""] if vote else []),
        "[thresholds]", f"score = {score}", f"nms_iou = {nms_iou}", f"sure = {sure}", "",
        "[labels]", "names = [" + ", ".join(toml_string(n) for n in labels) + "]",
    ]
    for key, value, data in metrics:
        lines += ["", "[[metrics]]", f"name = {toml_string(key)}", f"value = {value}", f"data = {toml_string(data)}"]
    (path / "manifest.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_engine(path, net, name, labels, source, score=0.25, nms_iou=0.6, sure=0.6, metrics=(), vote=None):
    path.mkdir(parents=True, exist_ok=True)
    image, want = to_onnx(net, path / "model.onnx")
    (path / "LICENSE").write_text(LICENSE)
    manifest(path, name, labels, source, score, nms_iou, sure, metrics, vote=vote)
    return image, want


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--checkpoint", type=pathlib.Path, required=True)
    p.add_argument("--engine", type=pathlib.Path, required=True, help="engine folder to write")
    p.add_argument("--report", type=pathlib.Path, help="JSON of evaluate.py: thresholds and metrics for the manifest")
    p.add_argument("--check", action="store_true", help="compare with onnxruntime")
    a = p.parse_args()
    ck = torch.load(a.checkpoint, map_location="cpu")
    r = json.loads(a.report.read_text()) if a.report else {}
    t = r.get("thresholds", {})
    image, want = write_engine(
        a.engine, network(ck), a.engine.name, ck["labels"], ck["source"], t.get("score", 0.25), t.get("nms_iou", 0.6),
        t.get("sure", 0.6), [(m["name"], m["value"], m["data"]) for m in r.get("metrics", [])], t.get("vote"))
    print(a.engine, (a.engine / "model.onnx").stat().st_size, "bytes")
    if a.check:
        import onnxruntime as ort
        got = ort.InferenceSession(str(a.engine / "model.onnx")).run(None, {"images": image})[0]
        worst = float(np.abs(got - want).max())
        print("largest difference from torch", worst)
        if worst > 2e-3:
            raise SystemExit("the exported graph disagrees with torch")


if __name__ == "__main__":
    main()
