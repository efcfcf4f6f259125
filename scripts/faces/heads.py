"""Writes FaceNet's and ArcFace's networks with random weights as engines, and what PyTorch says of a picture's face: what
holds the heads that read their exports to their framework (tests/it/networks.rs). Random weights recognise nobody; the path
of a pixel through template, prewhitening and layout is the same.

Inception-ResNet v1 as David Sandberg's FaceNet has it (C. Szegedy et al., AAAI 2017), 160x160, prewhitened; IResNet-18 as
ArcFace's (J. Deng et al., CVPR 2019), 112x112, (x - 127.5) / 127.5.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

TEMPLATE = [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]


def conv(c1, c2, kernel, stride=1, pad=0):
    return nn.Sequential(nn.Conv2d(c1, c2, kernel, stride, pad, bias=False), nn.BatchNorm2d(c2, eps=1e-3), nn.ReLU())


class Residual(nn.Module):
    """Branches side by side, brought back to the input's channels and added to it."""

    def __init__(self, channels, scale, branches, relu=True):
        super().__init__()
        self.branches = nn.ModuleList(branches)
        wide = sum(b[-1][0].out_channels for b in branches)
        self.up, self.scale, self.relu = nn.Conv2d(wide, channels, 1), scale, relu

    def forward(self, x):
        y = x + self.scale * self.up(torch.cat([b(x) for b in self.branches], 1))
        return torch.relu(y) if self.relu else y


class Reduction(nn.Module):
    def __init__(self, branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([b(x) for b in self.branches], 1)


def seq(*layers):
    return nn.Sequential(*layers)


def block35():
    one = seq(conv(256, 32, 1))
    two = seq(conv(256, 32, 1), conv(32, 32, 3, 1, 1))
    return Residual(256, 0.17, [one, two, seq(conv(256, 32, 1), conv(32, 32, 3, 1, 1), conv(32, 32, 3, 1, 1))])


def block17():
    long = seq(conv(896, 128, 1), conv(128, 128, (1, 7), 1, (0, 3)), conv(128, 128, (7, 1), 1, (3, 0)))
    return Residual(896, 0.10, [seq(conv(896, 128, 1)), long])


def block8(scale=0.20, relu=True):
    long = seq(conv(1792, 192, 1), conv(192, 192, (1, 3), 1, (0, 1)), conv(192, 192, (3, 1), 1, (1, 0)))
    return Residual(1792, scale, [seq(conv(1792, 192, 1)), long], relu)


def facenet():
    pool = nn.MaxPool2d(3, 2)
    six = Reduction([conv(256, 384, 3, 2), seq(conv(256, 192, 1), conv(192, 192, 3, 1, 1), conv(192, 256, 3, 2)), pool])
    seven = Reduction(
        [
            seq(conv(896, 256, 1), conv(256, 384, 3, 2)),
            seq(conv(896, 256, 1), conv(256, 256, 3, 2)),
            seq(conv(896, 256, 1), conv(256, 256, 3, 1, 1), conv(256, 256, 3, 2)),
            pool,
        ]
    )
    stem = [conv(3, 32, 3, 2), conv(32, 32, 3), conv(32, 64, 3, 1, 1), pool, conv(64, 80, 1), conv(80, 192, 3)]
    return seq(
        *stem,
        conv(192, 256, 3, 2),
        *[block35() for _ in range(5)],
        six,
        *[block17() for _ in range(10)],
        seven,
        *[block8() for _ in range(5)],
        block8(1.0, False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(1792, 512, bias=False),
        nn.BatchNorm1d(512, eps=1e-3),
    )


class IBlock(nn.Module):
    def __init__(self, c1, c2, stride):
        super().__init__()
        self.way = seq(
            nn.BatchNorm2d(c1),
            nn.Conv2d(c1, c2, 3, 1, 1, bias=False),
            nn.BatchNorm2d(c2),
            nn.PReLU(c2),
            nn.Conv2d(c2, c2, 3, stride, 1, bias=False),
            nn.BatchNorm2d(c2),
        )
        short = seq(nn.Conv2d(c1, c2, 1, stride, bias=False), nn.BatchNorm2d(c2))
        self.short = short if stride != 1 or c1 != c2 else nn.Identity()

    def forward(self, x):
        return self.way(x) + self.short(x)


def arcface():
    sizes = [64, 64, 128, 256, 512]
    blocks = [b for c1, c2 in zip(sizes, sizes[1:]) for b in (IBlock(c1, c2, 2), IBlock(c2, c2, 1))]
    stem = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)]
    return seq(*stem, *blocks, nn.BatchNorm2d(512), nn.Flatten(), nn.Linear(512 * 49, 512), nn.BatchNorm1d(512))


def aligned(picture, landmarks, side):
    """The square that the template lies in, by least squares and bilinear sampling, H x W x 3."""
    points = (np.array(TEMPLATE) + 0.5) * side / 112 - 0.5
    rows = [[[u, -v, 1, 0], [v, u, 0, 1]] for u, v in points]
    a, b, x, y = np.linalg.lstsq(np.array(rows).reshape(10, 4), np.array(landmarks).reshape(10), rcond=None)[0]
    v, u = np.mgrid[0:side, 0:side].astype(np.float64)
    px, py = a * u - b * v + x, b * u + a * v + y
    fx, fy = np.floor(px).astype(int), np.floor(py).astype(int)
    wx, wy = (px - fx)[..., None], (py - fy)[..., None]
    assert fx.min() >= 0 and fy.min() >= 0 and fx.max() + 1 < picture.shape[1] and fy.max() + 1 < picture.shape[0]
    upper = picture[fy, fx] * (1 - wx) + picture[fy, fx + 1] * wx
    lower = picture[fy + 1, fx] * (1 - wx) + picture[fy + 1, fx + 1] * wx
    return upper * (1 - wy) + lower * wy


def prewhitened(x):
    return (x - x.mean()) / max(x.std(), 1 / np.sqrt(x.size))


MANIFEST = """name = "{name}"
task = "face-embed"
file = "model.onnx"
sha256 = "{sha256}"
licence = "none: random weights"
source = "scripts/faces/heads.py"
precision = "fp32"

[input]
name = "input"
width = {side}
height = {side}
layout = "nchw"
colour = "rgb"
mean = [{mean}, {mean}, {mean}]
scale = [{scale}, {scale}, {scale}]
fit = "stretch"

[head]
kind = "face-vector"
output = "embedding"
flip = {flip}
prewhiten = {prewhiten}
"""


def engine(name, net, side, prepare, mean, scale, flip, prewhiten, out, picture, landmarks):
    net.eval()
    for layer in net.modules():
        # As training leaves them: neither mean 0 nor variance 1, which would hide a layer left out.
        if isinstance(layer, (nn.BatchNorm2d, nn.BatchNorm1d)):
            nn.init.normal_(layer.running_mean, 0, 0.1)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    face = aligned(picture, landmarks, side)
    faces = [face, face[:, ::-1]] if flip else [face]
    with torch.no_grad():
        vector = sum(net(torch.from_numpy(prepare(f).transpose(2, 0, 1).copy()).float()[None])[0] for f in faces)
    (out / name).mkdir(parents=True, exist_ok=True)
    path = out / name / "model.onnx"
    torch.onnx.export(net, torch.zeros(1, 3, side, side), str(path), opset_version=13, input_names=["input"], output_names=["embedding"])
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    text = MANIFEST.format(
        name=name, sha256=sha256, side=side, mean=mean, scale=scale, flip=str(flip).lower(), prewhiten=str(prewhiten).lower()
    )
    (out / name / "manifest.toml").write_text(text)
    (out / name / "vector.json").write_text(json.dumps((vector / vector.norm()).tolist()))


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--picture", type=Path, required=True, help="RGB bytes, row by row")
    p.add_argument("--width", type=int, required=True)
    p.add_argument("--landmarks", type=json.loads, required=True, help="[[x, y], ...]: eyes, nose, corners of the mouth")
    p.add_argument("--out", type=Path, required=True)
    args = p.parse_args()
    torch.manual_seed(1)
    picture = np.frombuffer(args.picture.read_bytes(), np.uint8).reshape(-1, args.width, 3).astype(np.float64)
    rest = args.out, picture, args.landmarks
    engine("facenet", facenet(), 160, prewhitened, 0.0, 1.0, False, True, *rest)
    engine("arcface", arcface(), 112, lambda x: (x - 127.5) / 127.5, 127.5, 1 / 127.5, True, False, *rest)
