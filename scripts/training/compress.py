#!/usr/bin/python3
"""Makes a smaller engine out of one: FP16 or INT8.

    compress.py --engine engines/counter8 --out DIR --precision fp16
    compress.py --engine engines/counter8 --out DIR --precision int8 --data ../shared/data/counter8 [--symmetric]
    evaluate.py --engine DIR --val VAL --data TEST --json R && compress.py ... --report R      # its own thresholds

fp16 stores the weights in half precision and casts them when the model is loaded: half the file, and every backend
still counts in FP32. (TensorRT counts in FP16 from the FP32 file by itself.)

int8 is static: Q/DQ nodes, weights a channel at a time, ranges of the activations from pictures of the training split.
The first two convolutions, the heads' last ones and the decoding stay FP32. Activations are UINT8, which ONNX Runtime fuses with the ReLUs;
`--symmetric` makes them INT8 with zero points of 0, which is what TensorRT takes. Needs onnxruntime and a recent onnx
(`pip install onnx onnxruntime "numpy<2"`), the rest only what training needs.
"""
import argparse
import json
import pathlib
import shutil
import tomllib
from dataclasses import replace

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

import export

CALIBRATION = 150  # pictures
STEM = 2           # convolutions at the beginning
LEAST = 1024       # weights below this size stay as they are: constants of the decoding, biases


def to_fp16(source, out):
    model = onnx.load(str(source))
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        value = onnx.numpy_helper.to_array(tensor)
        if value.dtype != np.float32 or value.size < LEAST or value.ndim not in (2, 4):
            continue
        if np.abs(value).max() > np.finfo(np.float16).max:
            raise SystemExit(f"{tensor.name}: a weight is beyond FP16")
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(value.astype(np.float16), name + ".fp16"))
        casts.append(onnx.helper.make_node("Cast", [name + ".fp16"], [name], to=onnx.TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + nodes)
    onnx.checker.check_model(model)
    onnx.save(model, str(out))


def pictures(data, count, size=None):
    """Network inputs: composed trays of the training split, a fifth as wide as training's own."""
    import assortment
    import evaluate
    from pictures import FRAME, GENTLE, LEVELS, Composer, Style

    store = assortment.load("", data, "train")
    composer, levels = Composer(store, FRAME, seed=5), list(LEVELS.values())
    for i in range(count):
        composer.style = Style() if i % 5 == 0 else replace(GENTLE)
        yield evaluate.letterbox(composer.picture(levels[i % 3])[0], size or (evaluate.HEIGHT, evaluate.WIDTH))[0]


def last_convolutions(graph):
    """From the outputs back to the heads' last convolutions: what stays FP32."""
    made = {o: n for n in graph.node for o in n.output}
    exact, todo = set(), [o.name for o in graph.output]
    while todo:
        node = made.get(todo.pop())
        if node is not None and node.name not in exact:
            exact.add(node.name)
            if node.op_type not in ("Conv", "Gemm") or node.input[1].endswith("mean.weight"):
                todo += node.input
    return exact


def first_convolutions(graph):
    """The stem stays FP32 as well: three channels at full size lose most by rounding and gain no time."""
    return {n.name for n in [n for n in graph.node if n.op_type == "Conv"][:STEM]}


def to_int8(source, out, rows, symmetric=False, method="MinMax"):
    """`rows` are network inputs; their number decides how well the ranges are known."""
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def get_next(self):
            row = next(rows, None)
            return None if row is None else {"images": row}

    rows = iter(rows)
    model = onnx.load(str(source))
    if model.opset_import[0].version < 13:  # a DequantizeLinear a channel at a time came with 13
        model = onnx.version_converter.convert_version(model, 13)
    model = onnx.shape_inference.infer_shapes(model)
    staged = out.with_suffix(".opset13.onnx")
    onnx.save(model, str(staged))
    quantize_static(
        str(staged), str(out), Reader(), quant_format=QuantFormat.QDQ, per_channel=True, weight_type=QuantType.QInt8,
        activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8, nodes_to_exclude=sorted(last_convolutions(model.graph) | first_convolutions(model.graph)),
        op_types_to_quantize=["Conv", "Add", "Concat", "MaxPool", "Resize"], calibrate_method=CalibrationMethod[method],
        extra_options={"ActivationSymmetric": symmetric, "WeightSymmetric": True, "QuantizeBias": not symmetric})
    staged.unlink()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--engine", type=pathlib.Path, required=True)
    p.add_argument("--out", type=pathlib.Path, required=True, help="engine folder to write")
    p.add_argument("--precision", choices=["fp16", "int8"], required=True)
    p.add_argument("--data", type=pathlib.Path, help="assortment that calibrates int8")
    p.add_argument("--symmetric", action="store_true", help="zero points of 0, for TensorRT")
    p.add_argument("--method", default="MinMax", choices=["MinMax", "Entropy", "Percentile"])
    p.add_argument("--report", type=pathlib.Path, help="JSON of evaluate.py on the engine that lies in --out: its thresholds and metrics go into the manifest, the model stays")
    a = p.parse_args()
    m = tomllib.loads((a.engine / "manifest.toml").read_text(encoding="utf-8"))
    a.out.mkdir(parents=True, exist_ok=True)
    if a.report and (a.out / "model.onnx").exists():
        pass
    elif a.precision == "fp16":
        to_fp16(a.engine / m["file"], a.out / "model.onnx")
    elif a.data is None:
        p.error("int8 needs --data")
    else:
        to_int8(a.engine / m["file"], a.out / "model.onnx", pictures(a.data, CALIBRATION), a.symmetric, a.method)
    shutil.copyfile(a.engine / "LICENSE", a.out / "LICENSE")
    report = json.loads(a.report.read_text()) if a.report else {}
    metrics, t = report.get("metrics", []), report.get("thresholds", m["thresholds"])
    export.manifest(a.out, a.out.name, m["labels"]["names"], f"{m['name']}, compressed by scripts/training/compress.py", t["score"],
                    t["nms_iou"], t["sure"], [(r["name"], r["value"], r["data"]) for r in metrics], a.precision,
                    m.get("nms", {}).get("vote"))
    print(a.out, (a.out / "model.onnx").stat().st_size, "bytes,", (a.engine / m["file"]).stat().st_size, "before")


if __name__ == "__main__":
    main()
