"""The detector: a small anchor-free YOLO that any of the project's backends can run.

Plain convolutions, ReLU, max pooling and nearest upsampling only, so that TensorRT 8.2, ONNX Runtime
and rten all take it. Three levels (strides 8, 16 and 32): with the last two alone the edges of packs 40 to
130 pixels wide were 2.4 pixels off in the median, whatever their size. The four distances from a cell to a
box's sides are distributions over whole strides (Li et al., "Generalized Focal Loss", NeurIPS 2020).
"""
import math

import torch
import torch.nn as nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

STRIDES = (8, 16, 32)
BINS = 16       # a side lies 0 to 15 strides from its cell
CLIP = 8.0      # of the bins' logits: exp(8) * 16 is still a number in FP16


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
        self.lateral8 = Conv(w4, w3)
        self.top8 = Csp(2 * w3, w3, 1, False)
        self.down8 = Conv(w3, w4, 3, 2)
        nn.init.zeros_(self.down8.bn.weight)  # at first it adds nothing: weights without this level can be taken up
        self.down = Conv(w4, w4, 3, 2)
        self.bottom = Csp(w4 + w4, w5, 1, False)
        self.box, self.cls = nn.ModuleDict(), nn.ModuleDict()
        peak = -0.5 * (torch.arange(BINS) - 3.0).pow(2).repeat_interleave(4) / 4
        for c, stride in zip((w3, w4, w5), STRIDES):
            h = 48 if stride == 8 else 64
            box = nn.Sequential(Conv(c, h, 3), Conv(h, h, 3) if stride > 8 else nn.Identity(), nn.Conv2d(h, 4 * BINS, 1))
            cls = nn.Sequential(Conv(c, h, 3), Conv(h, h, 3) if stride == 32 else nn.Identity(), nn.Conv2d(h, classes, 1))
            with torch.no_grad():
                box[-1].bias.copy_(peak)
            nn.init.constant_(cls[-1].bias, math.log(5 / classes / (640 / stride) ** 2))
            self.box[str(stride)], self.cls[str(stride)] = box, cls

    def features(self, x):
        c3 = self.to8(x)
        c4 = self.to16(c3)
        p5 = self.lateral(self.to32(c4))
        p4 = self.top(torch.cat((self.up(p5), c4), 1))
        p3 = self.top8(torch.cat((self.up(self.lateral8(p4)), c3), 1))
        p4 = p4 + self.down8(p3)
        return p3, p4, self.bottom(torch.cat((self.down(p4), p5), 1))

    def forward(self, x):
        """Raw maps a level: logits of the bins [B, 16 * 4, h, w] (bin by bin, then left, top, right, bottom) and of the classes."""
        return [(last(b, f), last(c, f)) for f, b, c in zip(self.features(x), self.box.values(), self.cls.values())]

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


def last(head, x):
    """A head whose last convolution counts in FP32 even where the rest is trained in bfloat16."""
    x = head[1](head[0](x))
    with torch.cpu.amp.autocast(enabled=False):
        return head[2](x if x.dtype == torch.float32 else x.float())


def flatten(maps):
    """[(B,64,h,w), (B,C,h,w)] a level -> bins [B, N, 16, 4], logits [B, N, C]."""
    box = torch.cat([b.flatten(2) for b, _ in maps], 2).transpose(1, 2)
    cls = torch.cat([c.flatten(2) for _, c in maps], 2).transpose(1, 2)
    return box.reshape(*box.shape[:2], BINS, 4), cls


def boxes_of(box, centres, strides):
    """Bins [..., N, 16, 4] -> x1 y1 x2 y2 in input pixels: each distance is the mean of its distribution."""
    p = box.clamp(-CLIP, CLIP).softmax(-2)
    d = (p * torch.arange(float(BINS))[:, None]).sum(-2) * strides
    return torch.cat((centres - d[..., :2], centres + d[..., 2:]), -1)


class Exported(nn.Module):
    """The network as it is deployed: [1, 4 + C, N] with cx, cy, w, h in pixels and scores after the sigmoid.

    The softmax is written as exp, one 1x1 convolution for numerator and denominator, and a division, because
    opset 12's Softmax flattens the axes behind its own.
    """

    def __init__(self, net, height, width):
        super().__init__()
        self.net = net
        centres, strides = cells(height, width)
        self.register_buffer("centres", centres.t()[None].contiguous())
        self.register_buffer("strides", strides.t()[None].contiguous() * BINS)
        self.cells = len(centres)
        self.mean = nn.Conv2d(BINS, 2, 1, bias=False)
        with torch.no_grad():
            self.mean.weight.copy_(torch.stack((torch.arange(float(BINS)) / BINS, torch.ones(BINS)))[:, :, None, None])

    def forward(self, images):
        maps = self.net(images)
        box = torch.cat([b.reshape(1, 4 * BINS, -1) for b, _ in maps], 2).reshape(1, BINS, 4, self.cells)
        cls = torch.cat([c.reshape(1, self.net.classes, -1) for _, c in maps], 2)
        sums = self.mean(torch.exp(torch.clamp(box, -CLIP, CLIP)))
        d = (sums[:, :1] / sums[:, 1:2]).reshape(1, 4, self.cells) * self.strides
        lt, rb = d[:, :2], d[:, 2:4]  # with ends, for TensorRT 8 takes no INT64 beyond 32 bits
        return torch.cat((self.centres + (rb - lt) * 0.5, lt + rb, torch.sigmoid(cls)), 1)
