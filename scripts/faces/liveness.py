"""Writes an engine that tells a live face from a print or a screen, out of MiniFASNet's weights: see README.md.

The weights (Apache-2.0, minivision-ai/Silent-Face-Anti-Spoofing) are not shipped with this project, so neither is the
engine: who wants it fetches them, runs this, and names the folder as `face.engine.liveness`. The nets are built anew by
`export.py`'s builder, batch normalisation folded into the layer before it; `--check` runs a plain reference in PyTorch,
with nothing folded, beside the result.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from export import Net

SIDE = 80
EPS = 1e-5
# Output steps of the stacks of blocks; the number of blocks in each is read from the weights.
PLAIN = ["conv_23", "conv_3", "conv_34", "conv_4", "conv_45", "conv_5"]
STRIDE = {"conv1": 2, "conv_23": 2, "conv_34": 2, "conv_45": 2}


def load(path):
    weights = torch.load(path, map_location="cpu")
    return {k.removeprefix("module."): v.double() for k, v in weights.items()}


def blocks(w):
    """Names of the blocks in order, and whether each adds its input."""
    for stack in PLAIN:
        if f"{stack}.conv.conv.weight" in w:
            yield stack, False
        else:
            i = 0
            while f"{stack}.model.{i}.conv.conv.weight" in w:
                yield f"{stack}.model.{i}", True
                i += 1


class Built:
    """The network as ONNX."""

    def __init__(self, w):
        self.w, self.net = w, Net("minifasnet", (3, SIDE, SIDE))

    def folded(self, weight, bn):
        """Weight and bias of a layer with the normalisation behind it."""
        g, b, m, v = (self.w[f"{bn}.{k}"] for k in ("weight", "bias", "running_mean", "running_var"))
        gain = g / torch.sqrt(v + EPS)
        weight = self.w[weight] * gain.reshape(-1, *[1] * (self.w[weight].dim() - 1))
        return [self.net.weight(x.float().numpy()) for x in (weight, b - m * gain)]

    def conv(self, x, name, stride=1, pad=0, groups=1):
        inputs = [x, *self.folded(f"{name}.conv.weight", f"{name}.bn")]
        x = self.net.add("Conv", inputs, strides=[stride] * 2, pads=[pad] * 4, group=groups)
        slope = self.w.get(f"{name}.prelu.weight")
        return x if slope is None else self.net.prelu(x, slope.float().numpy().reshape(-1, 1, 1))

    def block(self, x, name, adds):
        stride = STRIDE.get(name, 1)
        y = self.conv(x, f"{name}.conv")
        y = self.conv(y, f"{name}.conv_dw", stride, 1, self.w[f"{name}.conv_dw.conv.weight"].shape[0])
        y = self.conv(y, f"{name}.project")
        if f"{name}.se_module.fc1.weight" in self.w:
            s = f"{name}.se_module"
            z = self.net.add("GlobalAveragePool", [y])
            z = self.net.add("Relu", [self.net.add("Conv", [z, *self.folded(f"{s}.fc1.weight", f"{s}.bn1")])])
            z = self.net.add("Sigmoid", [self.net.add("Conv", [z, *self.folded(f"{s}.fc2.weight", f"{s}.bn2")])])
            y = self.net.add("Mul", [y, z])
        return self.net.add("Add", [x, y]) if adds else y

    def save(self, path):
        x = self.conv("input", "conv1", 2, 1)
        x = self.conv(x, "conv2_dw", 1, 1, self.w["conv2_dw.conv.weight"].shape[0])
        for name, adds in blocks(self.w):
            x = self.block(x, name, adds)
        x = self.conv(x, "conv_6_sep")
        x = self.conv(x, "conv_6_dw", 1, 0, self.w["conv_6_dw.conv.weight"].shape[0])
        x = self.net.add("Flatten", [x])
        x = self.net.add("Gemm", [x, *self.folded("linear.weight", "bn")], transB=1)
        none = np.zeros(3, np.float32)
        x = self.net.add("Gemm", [x, self.net.weight(self.w["prob.weight"].float().numpy()), self.net.weight(none)], transB=1)
        self.net.add("Softmax", [x], "classes", axis=1)
        self.net.save(path, [("classes", [1, 3])])


def reference(w, x):
    """The same in PyTorch, layer by layer, nothing folded, in double precision."""

    def bn(x, name):
        return F.batch_norm(x, *(w[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")), eps=EPS)

    def conv(x, name, stride=1, pad=0, groups=1):
        x = bn(F.conv2d(x, w[f"{name}.conv.weight"], stride=stride, padding=pad, groups=groups), f"{name}.bn")
        return F.prelu(x, w[f"{name}.prelu.weight"]) if f"{name}.prelu.weight" in w else x

    def own(name):
        return w[f"{name}.conv.weight"].shape[0]

    x = conv(conv(x, "conv1", 2, 1), "conv2_dw", 1, 1, own("conv2_dw"))
    for name, adds in blocks(w):
        y = conv(x, f"{name}.conv")
        y = conv(conv(y, f"{name}.conv_dw", STRIDE.get(name, 1), 1, own(f"{name}.conv_dw")), f"{name}.project")
        s = f"{name}.se_module"
        if f"{s}.fc1.weight" in w:
            z = F.relu(bn(F.conv2d(y.mean((2, 3), keepdim=True), w[f"{s}.fc1.weight"]), f"{s}.bn1"))
            y = y * torch.sigmoid(bn(F.conv2d(z, w[f"{s}.fc2.weight"]), f"{s}.bn2"))
        x = x + y if adds else y
    x = conv(conv(x, "conv_6_sep"), "conv_6_dw", 1, 0, own("conv_6_dw")).flatten(1)
    return F.softmax(bn(x @ w["linear.weight"].T, "bn") @ w["prob.weight"].T, 1)


def inputs(n):
    """Coarse noise, as a picture has: plain noise gives every net the same answer."""
    random = np.random.default_rng(1)
    return [random.integers(0, 256, (1, 3, 10, 10)).repeat(8, 2).repeat(8, 3).astype(np.float64) for _ in range(n)]


def write_truth(w, folder):
    """What the reference says of a few inputs, beside the engine: for till's own test."""
    rows = [{"input": x.ravel().tolist(), "classes": reference(w, torch.from_numpy(x))[0].tolist()} for x in inputs(5)]
    (folder / "truth.json").write_text(json.dumps(rows))


def check(w, path):
    import onnxruntime

    session, worst = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]), 0.0
    for x in inputs(20):
        truth = reference(w, torch.from_numpy(x)).numpy()
        worst = max(worst, np.abs(session.run(None, {"input": x.astype(np.float32)})[0] - truth).max())
    print(f"{path}: at most {worst:.1e} from the reference over 20 inputs")
    assert worst < 1e-4


MANIFEST = """name = "{name}"
task = "face-liveness"
file = "model.onnx"
sha256 = "{sha256}"
licence = "Apache-2.0"
source = "minivision-ai/Silent-Face-Anti-Spoofing, {weights}, by scripts/faces/liveness.py"
precision = "fp32"
{stages}
[input]
name = "input"
width = {side}
height = {side}
layout = "nchw"
colour = "bgr"
fit = "stretch"

[head]
kind = "face-liveness"
output = "classes"
live = 1
crop = {crop}

[thresholds]
score = 0.5
nms_iou = 0.0
sure = 0.5
"""


def engine(weights, crop, folder, stages, args):
    w, path = load(weights), folder / "model.onnx"
    Built(w).save(path)
    if args.check:
        check(w, path)
    if args.truth:
        write_truth(w, folder)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    name = "face-minifasnet" if stages else "face-minifasnet-wide"
    text = MANIFEST.format(name=name, sha256=sha256, weights=weights.name, stages=stages, side=SIDE, crop=crop)
    (folder / "manifest.toml").write_text(text)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--near", type=Path, required=True, help="2.7_80x80_MiniFASNetV2.pth")
    p.add_argument("--wide", type=Path, required=True, help="4_0_0_80x80_MiniFASNetV1SE.pth")
    p.add_argument("--out", type=Path, default=Path("engines/face-minifasnet"))
    p.add_argument("--check", action="store_true", help="compare with the reference; wants onnxruntime")
    p.add_argument("--truth", action="store_true", help="write the reference's answers beside the engines, too")
    args = p.parse_args()
    engine(args.near, 2.7, args.out, 'stages = ["wide"]\n', args)
    engine(args.wide, 4.0, args.out / "wide", "", args)
