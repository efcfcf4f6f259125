#!/usr/bin/python3
"""The study of networks: six families of detectors and two classifiers of crops, each trained from nothing on the same
pictures in the same order with the same number of steps, exported, and measured by till's own code.

    study.py --data ../shared/data/counter8 --out target/study --till target/release/till [--steps 2000] [--only fcos ...]

One command; the same command goes on where it was stopped. It writes OUT/<network>/ (an engine folder, for a classifier
model.onnx and classifier.json), OUT/results.json and OUT/table.md. Needs python3-torchvision besides what training needs.
"""
import argparse
import copy
import hashlib
import json
import math
import pathlib
import subprocess
import time

import cv2
import numpy as np
import onnx
import torch
import torch.nn as nn

import assortment
import compose
import compress
import export
import evaluate
import families
import pool
from model import Detector
from pictures import GENTLE

BATCH, CROPS = 8, 32
SCORES, LIMITS = (0.15, 0.25, 0.35, 0.45, 0.55, 0.65), (0.45, 0.6)  # of which validation chooses


def say(log, text):
    line = time.strftime("%H:%M:%S ", time.gmtime()) + text
    print(line, flush=True)
    with open(log, "a") as f:
        f.write(line + "\n")


def as_images(bgr):
    x = torch.from_numpy(np.array(bgr)).flip(-1).permute(0, 3, 1, 2).float().div(255)
    return x.contiguous(memory_format=torch.channels_last)


class Run:
    """One training: AdamW, one cosine, averaged weights; `last.pt` holds what is needed to go on."""

    def __init__(self, net, out, steps, rate):
        self.net, self.out, self.steps, self.rate = net.to(memory_format=torch.channels_last), out, steps, rate
        out.mkdir(parents=True, exist_ok=True)
        self.last, self.log, self.step, self.spent = out / "last.pt", out / "log.txt", 0, 0.0
        self.ema = copy.deepcopy(net)
        wide = [[q for q in net.parameters() if (q.ndim > 1) == w] for w in (True, False)]
        self.optimiser = torch.optim.AdamW([{"params": wide[0], "weight_decay": 0.02}, {"params": wide[1], "weight_decay": 0.0}],
                                           lr=rate, betas=(0.9, 0.99))
        if self.last.exists():
            ck = torch.load(self.last, map_location="cpu")
            net.load_state_dict(ck["net"])
            self.ema.load_state_dict(ck["ema"])
            self.optimiser.load_state_dict(ck["optimiser"])
            self.step, self.spent = ck["step"], ck["spent"]
            if self.step < steps:
                say(self.log, f"going on at step {self.step}")

    def save(self):
        tmp = self.last.with_suffix(".tmp")
        torch.save({"net": self.net.state_dict(), "ema": self.ema.state_dict(), "optimiser": self.optimiser.state_dict(),
                    "step": self.step, "spent": self.spent}, tmp)
        tmp.replace(self.last)

    def train(self, batch, loss):
        """`batch(step)` gives what `loss(net, *batch)` takes. -> the averaged network."""
        saved = tick = time.time()
        total = 0.0
        half = not any(isinstance(m, nn.ReLU6) for m in self.net.modules())  # which has no gradient in bfloat16
        self.net.train()
        while self.step < self.steps:
            rate = self.rate * (0.02 + 0.98 * (1 + math.cos(math.pi * self.step / self.steps)) / 2) * min(1.0, (self.step + 1) / 100)
            for g in self.optimiser.param_groups:
                g["lr"] = rate
            given, began = batch(self.step), time.process_time()
            with torch.cpu.amp.autocast(enabled=half, dtype=torch.bfloat16):
                value = loss(self.net, *given)
            self.optimiser.zero_grad(set_to_none=True)
            value.float().backward()
            nn.utils.clip_grad_norm_(self.net.parameters(), 10.0)
            self.optimiser.step()
            self.step += 1
            d = 0.998 * (1 - math.exp(-self.step / 150))
            with torch.no_grad():
                for e, q in zip(self.ema.state_dict().values(), self.net.state_dict().values()):
                    e.copy_(e * d + q * (1 - d) if e.dtype.is_floating_point else q)
            self.spent += time.process_time() - began
            total += float(value)
            if self.step % 100 == 0:
                say(self.log, f"{self.out.name} step {self.step} loss {total / 100:.3f} {10 * (time.time() - tick):.0f} ms a step, {self.spent:.0f} s of CPU time in all")
                total, tick = 0.0, time.time()
            if time.time() - saved > 60 or self.step == self.steps:
                self.save()
                saved = time.time()
        return self.ema.eval()


def multiply_adds(model):
    """Multiply-adds of an exported graph's convolutions and matrix products, shapes by onnx's inference."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    shape = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.value_info, *graph.output, *graph.input)}
    weight = {w.name: list(w.dims) for w in graph.initializer}
    total = 0
    for n in graph.node:
        if n.op_type == "Conv":
            total += math.prod(shape[n.output[0]]) * math.prod(weight[n.input[1]][1:])
        elif n.op_type in ("Gemm", "MatMul") and n.input[1] in weight:
            w = weight[n.input[1]]
            total += ((shape.get(n.input[0]) or [0])[0] or families.REGIONS) * w[0] * w[1]
    return total


def to_onnx(net, image, path):
    """Opset 12, static batch 1, constants as initializers; equal weights once."""
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return tuple(net.outputs(x).values())

    with torch.no_grad():
        want = net.outputs(image)
        torch.onnx.export(Plain().eval(), image, str(path), opset_version=12, input_names=["images"], output_names=list(want), do_constant_folding=True)
    model = onnx.load(str(path))
    export.settle(model.graph)
    for output, value in zip(model.graph.output, want.values()):  # the padding makes it static, which no inference sees
        for d, n in zip(output.type.tensor_type.shape.dim, value.shape):
            d.dim_value = n
    onnx.save(model, str(path))
    return {k: v.numpy() for k, v in want.items()}


def toml(v):
    return json.dumps(v) if not isinstance(v, list) else "[" + ", ".join(map(toml, v)) + "]"


def manifest(folder, name, head, labels, score, limit, precision="fp32"):
    h, w = pool.SIZE
    sha = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    unit = repr(1 / 255)
    nms = {"method": "none"} if head["kind"] == "boxes" else {}
    lines = [f'name = "{name}"', 'task = "detect"', 'file = "model.onnx"', f'sha256 = "{sha}"', 'licence = "Apache-2.0 OR MIT"',
             'source = "scripts/training/study.py"', f'precision = "{precision}"', "", "[input]", 'name = "images"', f"width = {w}", f"height = {h}",
             'layout = "nchw"', 'colour = "rgb"', "mean = [0.0, 0.0, 0.0]", f"scale = [{unit}, {unit}, {unit}]", 'fit = "letterbox"', "pad = 114", "",
             "[head]", *(f"{k} = {toml(v)}" for k, v in head.items()), "",
             *(["[nms]", *(f"{k} = {toml(v)}" for k, v in nms.items()), ""] if nms else []),
             "[thresholds]", f"score = {score}", f"nms_iou = {limit}", "sure = 0.9", "", "[labels]", f"names = {toml(labels)}"]
    (folder / "manifest.toml").write_text("\n".join(lines) + "\n")


def till(a, *words):
    more = ["--ort-dylib", str(a.ort_dylib)] if a.ort_dylib else []
    done = subprocess.run([str(a.till), *map(str, words), *more, "--json"], capture_output=True, text=True)
    if not done.stdout.strip():
        raise SystemExit(f"till {' '.join(map(str, words))}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def carts(a, engine, data):
    r = till(a, "eval", "tray", "--engine", engine, "--data", data)
    return {**{k: v["cAcc"] for k, v in r["levels"].items() if v.get("images", 1)}, "mAP50": r["mAP50"], "mmAP": r["mmAP"]}


def smaller(source, folder, rows):
    """FP16 weights and static INT8 of a graph, for the table's sizes and times. -> {precision: path}"""
    made = {"fp32": source}
    compress.to_fp16(source, folder / "fp16.onnx")
    made["fp16"] = folder / "fp16.onnx"
    try:
        compress.to_int8(source, folder / "int8.onnx", rows)
        made["int8"] = folder / "int8.onnx"
    except Exception as e:  # a graph that the quantiser does not take is a row of the table, not the study's end
        print(f"{folder.name}: no INT8: {e}", flush=True)
    return made


def measure_detector(a, name, net, labels, images):
    folder = a.out / name
    image = torch.rand(1, 3, *pool.SIZE)
    to_onnx(net, image, folder / "model.onnx")
    rows = {}
    # The score first, then the overlap at that score; a two-stage graph has taken doubles out already.
    for score, limit in [(s, LIMITS[0]) for s in SCORES] + [(None, v) for v in LIMITS[1:] if net.head["kind"] != "boxes"]:
        score = score or max(rows, key=rows.get)[0]
        manifest(folder, name, net.head, labels, score, limit)
        rows[score, limit] = carts(a, folder, a.out / "val")["all"]
    best = max(rows, key=rows.get)
    manifest(folder, name, net.head, labels, *best)
    result = {"score": best[0], "nms_iou": best[1], "val": rows[best], **carts(a, folder, a.out / "test"),
              "parameters": sum(q.numel() for q in net.parameters()), "multiply_adds": multiply_adds(onnx.load(str(folder / "model.onnx")))}
    made = smaller(folder / "model.onnx", folder, (as_images(i[None]).contiguous().numpy() for i in images[:60]))
    return result | {"bytes": {k: p.stat().st_size for k, p in made.items()}}


def take_up(net, checkpoint):
    """Backbone and neck of a detector that was trained; the heads stay new."""
    theirs = {k: v for k, v in torch.load(checkpoint, map_location="cpu")["ema"].items() if not k.startswith(("box.", "cls."))}
    for module in net.modules():
        if isinstance(module, Detector):
            odd = module.load_state_dict(theirs, strict=False).unexpected_keys
            if odd:
                raise SystemExit(f"{checkpoint}: another network: {odd[:3]}")


def train_detector(a, name, images, boxes, labels, names):
    net = families.DETECTORS[name][1](len(names), pool.SIZE)
    if a.start:
        take_up(net, a.start)
    run = Run(net, a.out / name, a.steps, a.rate)
    h, w = pool.SIZE
    full = torch.tensor([w, h, w, h], dtype=torch.float32)

    def batch(step):
        rng = np.random.default_rng(1000 + step)  # the step decides: the same pictures for every network, also after going on
        at = np.arange(step * BATCH, (step + 1) * BATCH) % len(images)
        turned = rng.random(BATCH) < 0.5
        x = as_images(np.stack([images[i][::-1, ::-1] if t else images[i] for i, t in zip(at, turned)]))
        truth = [torch.from_numpy(boxes[i]) for i in at]
        return x, [full - b[:, [2, 3, 0, 1]] if t else b for b, t in zip(truth, turned)], [torch.from_numpy(labels[i]) for i in at]

    return run, run.train(batch, lambda net, *given: net.loss(*given))


def train_classifier(a, name, crops, labels, names):
    run = Run(families.CLASSIFIERS[name][1](len(names)), a.out / name, a.classifier_steps, 2e-3)
    share = 1 / np.bincount(labels, minlength=len(names)).clip(1)[labels]
    share /= share.sum()  # every label as often as every other

    def batch(step):
        rng = np.random.default_rng(2000 + step)
        rows = []
        for i in rng.choice(len(crops), CROPS, p=share):
            image = np.rot90(crops[i], rng.integers(4))
            gain = np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.04, 3))
            rows.append((image * gain).clip(0, 255).astype(np.uint8))
            at.append(int(labels[i]))
        return as_images(np.stack(rows)), torch.tensor(at[-CROPS:])

    at = []
    loss = lambda net, x, y: nn.functional.cross_entropy(net(x).float(), y, label_smoothing=0.05)
    return run, run.train(batch, loss)


class Named(nn.Module):
    """A classifier as it is deployed: the logits of a 64x64 crop, RGB 0 to 1."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def outputs(self, x):
        return {"logits": self.net(x)}


def right(net, crops, labels):
    with torch.no_grad():
        found = torch.cat([net(as_images(crops[i:i + 64])) for i in range(0, len(crops), 64)]).argmax(1).numpy()
    return float((found == labels).mean())


def measure_classifier(a, name, net, names):
    folder = a.out / name
    to_onnx(Named(net), torch.rand(1, 3, pool.CROP, pool.CROP), folder / "model.onnx")
    model = onnx.load(str(folder / "model.onnx"))
    result = {split: right(net, *pool.folder_crops(a.out / split, names)) for split in ("val", "test")}
    result |= {"parameters": sum(q.numel() for q in net.parameters()), "multiply_adds": multiply_adds(model)}
    (folder / "classifier.json").write_text(json.dumps({
        "input": "images [1, 3, 64, 64], RGB, 0 to 1", "crop": f"square around the box's middle, side {pool.AROUND} x its longer side, grey {evaluate.PAD} outside the frame",
        "output": "logits [1, labels]", "labels": names, **result}, indent=1))
    rows = (as_images(c[None]).numpy() for c in pool.load_crops(a.out, a.data, a.crops)[0][:400:2])
    made = smaller(folder / "model.onnx", folder, rows)
    return result | {"bytes": {k: p.stat().st_size for k, p in made.items()}}


def folders(a):
    """Trays that no training saw, at RPC's levels: thresholds come from `val`, figures from `test`."""
    for split, each in (("val", 50), ("test", 200)):
        out = a.out / split
        if not (out / "annotations.json").exists():
            (out / "images").mkdir(parents=True, exist_ok=True)
            doc = compose.trays(assortment.load("", a.data, split), out, each, 7, GENTLE)
            (out / "annotations.json").write_text(json.dumps(doc))


def times(a, results):
    """Every network on every backend in one run: `till engine bench` for till's backends, and ONNX Runtime's CPU time of
    the three precisions, all taking turns in this process."""
    # rten has no RoIAlign: a two-stage network runs on ONNX Runtime only.
    both = [name for name in results if name in families.DETECTORS and families.DETECTORS[name][1] is not families.Faster]
    for engine in till(a, "engine", "bench", "--runs", 40, *(a.out / name for name in both))["engines"] if both else []:
        results[engine["name"]]["bench"] = engine["backends"]
    try:
        import onnxruntime as ort
    except ImportError:
        return
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    sessions, took = [], {}
    for name, r in results.items():
        size = pool.SIZE if name in families.DETECTORS else (pool.CROP, pool.CROP)
        for precision in r["bytes"]:
            file = a.out / name / ("model.onnx" if precision == "fp32" else f"{precision}.onnx")
            sessions.append((name, precision, ort.InferenceSession(str(file), options), np.random.default_rng(3).random((1, 3, *size), np.float32)))
    for _ in range(60):
        for name, precision, session, x in sessions:
            began = time.process_time()
            session.run(None, {"images": x})
            took.setdefault((name, precision), []).append(1000 * (time.process_time() - began))
    for (name, precision), ms in took.items():
        results[name].setdefault("ms", {})[precision] = {"least": min(ms), "median": float(np.median(ms))}


def steps(a, name):
    return a.steps if name in families.DETECTORS else a.classifier_steps


def done(a, name):
    """What was measured of a network that had all its steps, or None."""
    file = a.out / name / "result.json"
    result = json.loads(file.read_text()) if file.exists() else {}
    return result if result.get("steps") == steps(a, name) else None


def lines(results):
    """The table, in Markdown."""
    mb = lambda r, k: f"{r['bytes'][k] / 1e6:.1f}" if k in r["bytes"] else "-"
    ms = lambda r, k: f"{r['ms'][k]['median']:.1f}" if k in r.get("ms", {}) else "-"
    share = lambda v: f"{100 * v:.1f}"
    head = ["network", "parameters", "multiply-adds", "FP32, FP16, INT8, MB", "ONNX Runtime FP32, FP16, INT8, ms", "till: ONNX Runtime, ms", "till: rten, ms"]
    rows = ["| " + " | ".join([*head, "mAP50 %", "mmAP %", "cAcc % (easy, medium, hard)", "validation", "score, nms_iou", "CPU s of training"]) + " |", "|---" * (len(head) + 6) + "|"]
    for name, r in results.items():
        cost = [f"{r['parameters'] / 1e6:.2f} M", f"{r['multiply_adds'] / 1e6:.0f} M", ", ".join(mb(r, k) for k in ("fp32", "fp16", "int8")),
                ", ".join(ms(r, k) for k in ("fp32", "fp16", "int8"))]
        if name in families.DETECTORS:
            cost += [f"{r['bench'][b]['p50_ms']:.1f}" if "bench" in r else "-" for b in ("onnxruntime", "rten")]
            found = [share(r["mAP50"]), share(r["mmAP"]), f"{share(r['all'])} ({', '.join(share(r[k]) for k in ('easy', 'medium', 'hard') if k in r)})", share(r["val"]),
                     f"{r['score']}, {r['nms_iou']}"]
            title = families.DETECTORS[name][0]
        else:
            cost += ["-", "-"]
            found = ["-", "-", f"{share(r['test'])} of the crops", share(r["val"]), "-"]
            title = families.CLASSIFIERS[name][0]
        rows.append("| " + " | ".join([title, *cost, *found, f"{r['cpu_s']:.0f}"]) + " |")
    return rows


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=pathlib.Path, required=True, help="counter8 or a folder of cutouts")
    p.add_argument("--out", type=pathlib.Path, required=True)
    p.add_argument("--till", type=pathlib.Path, required=True, help="the binary; a release build, for the times")
    p.add_argument("--steps", type=int, default=2000, help="a detector's, of 8 pictures")
    p.add_argument("--rate", type=float, default=2e-3)
    p.add_argument("--from", dest="start", type=pathlib.Path, help="a checkpoint of train.py: every family begins with its backbone and neck")
    p.add_argument("--classifier-steps", type=int, default=1000, help="of 32 crops")
    p.add_argument("--pool", type=int, default=8000, help="pictures that are drawn; more steps see them again, turned by a half circle")
    p.add_argument("--ort-dylib", type=pathlib.Path, help="ONNX Runtime's library for till")
    p.add_argument("--crops", type=int, default=2400, help="pictures that crops are cut from")
    p.add_argument("--only", nargs="+", default=[*families.CLASSIFIERS, *families.DETECTORS])
    p.add_argument("--train-only", action="store_true", help="no times and no table: for several at once")
    p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    cv2.setNumThreads(1)
    a.out.mkdir(parents=True, exist_ok=True)
    folders(a)
    for name in a.only:
        if done(a, name):
            continue
        torch.manual_seed(1)
        if name in families.DETECTORS:
            *rows, names = pool.load_pool(a.out, a.data, a.pool)
            run, net = train_detector(a, name, *rows, names)
            result = measure_detector(a, name, net, names, rows[0])
        else:
            *rows, names = pool.load_crops(a.out, a.data, a.crops)
            run, net = train_classifier(a, name, *rows, names)
            result = measure_classifier(a, name, net, names)
        result |= {"steps": steps(a, name), "cpu_s": run.spent}
        (a.out / name / "result.json").write_text(json.dumps(result, indent=1))
        say(run.log, f"{name}: " + json.dumps(result))
    if a.train_only:
        return
    results = {name: r for name in (*families.DETECTORS, *families.CLASSIFIERS) if (r := done(a, name))}
    times(a, results)
    (a.out / "results.json").write_text(json.dumps(results, indent=1))
    table = "\n".join(lines(results))
    (a.out / "table.md").write_text(table + "\n")
    print(table)


if __name__ == "__main__":
    main()
