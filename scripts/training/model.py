"""The detector: a small anchor-free YOLO that any of the project's backends can run.

Plain convolutions, ReLU, max pooling and nearest upsampling only, so that TensorRT 8.2, ONNX Runtime
and rten all take it. Two levels (strides 16 and 32): a pack on the counter is at least 30 pixels wide
in the network's input, so a level at stride 8 would only cost time.
"""
import math

import torch
import torch.nn as nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

STRIDES = (16, 32)


class Conv(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, cin, cout, k=1, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, k, stride, k // 2, bias=False)
        self.bn = nn.BatchNorm2d(cout, eps=1e-3, momentum=0.03)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))

    def fuse(self):
        self.conv = fuse_conv_bn_eval(self.conv, self.bn)
        self.bn = nn.Identity()


class Bottleneck(nn.Module):
    def __init__(self, c, shortcut):
        super().__init__()
        self.a, self.b, self.shortcut = Conv(c, c, 3), Conv(c, c, 3), shortcut

    def forward(self, x):
        y = self.b(self.a(x))
        return x + y if self.shortcut else y


class Csp(nn.Module):
    """Cross-stage block: half of the channels go through the bottlenecks, half go past them."""

    def __init__(self, cin, cout, n=1, shortcut=True):
        super().__init__()
        h = cout // 2
        self.main, self.past, self.out = Conv(cin, h), Conv(cin, h), Conv(2 * h, cout)
        self.blocks = nn.Sequential(*(Bottleneck(h, shortcut) for _ in range(n)))

    def forward(self, x):
        return self.out(torch.cat((self.blocks(self.main(x)), self.past(x)), 1))


class Pool(nn.Module):
    """Three chained 5x5 max pools, which see 5, 9 and 13 cells."""

    def __init__(self, c):
        super().__init__()
        self.a, self.b = Conv(c, c // 2), Conv(c * 2, c)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x):
        x = self.a(x)
        p = self.pool(x)
        q = self.pool(p)
        return self.b(torch.cat((x, p, q, self.pool(q)), 1))


class Detector(nn.Module):
    def __init__(self, classes, width=(16, 32, 64, 128, 192), depth=(1, 2, 2, 1)):
        super().__init__()
        w1, w2, w3, w4, w5 = width
        self.config = {"classes": classes, "width": list(width), "depth": list(depth)}
        self.classes = classes
        self.to8 = nn.Sequential(
            Conv(3, w1, 3, 2), Conv(w1, w2, 3, 2), Csp(w2, w2, depth[0]),
            Conv(w2, w3, 3, 2), Csp(w3, w3, depth[1]),
        )
        self.to16 = nn.Sequential(Conv(w3, w4, 3, 2), Csp(w4, w4, depth[2]))
        self.to32 = nn.Sequential(Conv(w4, w5, 3, 2), Csp(w5, w5, depth[3]), Pool(w5))
        self.lateral = Conv(w5, w4)
        self.up = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.top = Csp(2 * w4, w4, 1, False)
        self.down = Conv(w4, w4, 3, 2)
        self.bottom = Csp(w4 + w4, w5, 1, False)
        h = 64
        self.box = nn.ModuleList()
        self.cls = nn.ModuleList()
        for c, stride in zip((w4, w5), STRIDES):
            box = nn.Sequential(Conv(c, h, 3), nn.Conv2d(h, 4, 1))
            cls = nn.Sequential(Conv(c, h, 3), Conv(h, h, 3) if stride == 32 else nn.Identity(), nn.Conv2d(h, classes, 1))
            nn.init.constant_(box[-1].bias, math.log(3.0))
            nn.init.constant_(cls[-1].bias, math.log(5 / classes / (640 / stride) ** 2))
            self.box.append(box)
            self.cls.append(cls)

    def features(self, x):
        c4 = self.to16(self.to8(x))
        p5 = self.lateral(self.to32(c4))
        p4 = self.top(torch.cat((self.up(p5), c4), 1))
        return p4, self.bottom(torch.cat((self.down(p4), p5), 1))

    def forward(self, x):
        """Raw maps: per level ltrb distances as logarithms of strides, and class logits."""
        return [(b(f), c(f)) for f, b, c in zip(self.features(x), self.box, self.cls)]

    def fuse(self):
        self.eval()
        for m in self.modules():
            if isinstance(m, Conv) and not isinstance(m.bn, nn.Identity):
                m.fuse()
        return self


def cells(height, width, device="cpu"):
    """Centres [N, 2] in input pixels and strides [N, 1] of all cells, level by level."""
    centres, strides = [], []
    for s in STRIDES:
        h, w = height // s, width // s
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        centres.append((torch.stack((x, y), -1).reshape(-1, 2) + 0.5) * s)
        strides.append(torch.full((h * w, 1), float(s)))
    return torch.cat(centres).float().to(device), torch.cat(strides).to(device)


def flatten(maps):
    """[(B,4,h,w), (B,C,h,w)] a level -> distances [B, N, 4] (log strides), logits [B, N, C]."""
    box = torch.cat([b.flatten(2) for b, _ in maps], 2).transpose(1, 2)
    cls = torch.cat([c.flatten(2) for _, c in maps], 2).transpose(1, 2)
    return box, cls


def boxes_of(box, centres, strides):
    """Log distances [..., N, 4] -> x1 y1 x2 y2 in input pixels."""
    d = torch.exp(box.clamp(-6.0, 4.0)) * strides
    return torch.cat((centres - d[..., :2], centres + d[..., 2:]), -1)


class Exported(nn.Module):
    """The network as it is deployed: [1, 4 + C, N] with cx, cy, w, h in pixels and scores after the sigmoid."""

    def __init__(self, net, height, width):
        super().__init__()
        self.net = net
        centres, strides = cells(height, width)
        self.register_buffer("centres", centres.t()[None].contiguous())
        self.register_buffer("strides", strides.t()[None].contiguous())

    def forward(self, images):
        maps = self.net(images)
        box = torch.cat([b.reshape(1, 4, -1) for b, _ in maps], 2)
        cls = torch.cat([c.reshape(1, self.net.classes, -1) for _, c in maps], 2)
        d = torch.exp(torch.clamp(box, -6.0, 4.0)) * self.strides
        lt, rb = d[:, :2], d[:, 2:]
        return torch.cat((self.centres + (rb - lt) * 0.5, lt + rb, torch.sigmoid(cls)), 1)
