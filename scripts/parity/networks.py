"""Small detectors, one a family, trained for a minute on painted shapes: what heads.py records and holds till's
heads to. torchvision's own RetinaNet, FCOS, SSD, SSDlite and Faster R-CNN on a small backbone; the YOLO families and
FoveaBox, which torchvision lacks, as plain networks with losses that suffice to make them see."""
import math
from collections import OrderedDict
from functools import partial

import numpy as np
import torch
from torch import nn
from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteHead
from torchvision.ops import MultiScaleRoIAlign, generalized_box_iou_loss

WIDTH, HEIGHT = 128, 96
STRIDES = [8, 16, 32]
LABELS = ["disc", "square", "cross"]
CHANNELS = 64


def picture(rng, width=WIDTH, height=HEIGHT):
    """A grey noisy picture with one to six shapes; returns it as 3 x H x W in 0..1, boxes and labels."""
    image = rng.normal(0.35, 0.06, (height, width, 3)).astype(np.float32) + rng.uniform(-0.15, 0.15)
    yy, xx = np.mgrid[0:height, 0:width].astype(np.float32)
    boxes, labels = [], []
    unit = min(width, height) / 96
    for _ in range(rng.integers(1, 7)):
        w = rng.uniform(14, 52) * unit
        h = np.clip(w * rng.uniform(0.6, 1.7), 12, 60 * unit)
        x0, y0 = rng.uniform(0, width - w), rng.uniform(0, height - h)
        label = int(rng.integers(0, 3))
        u, v = (xx - x0) / w * 2 - 1, (yy - y0) / h * 2 - 1
        inside = (abs(u) <= 1) & (abs(v) <= 1)
        shape = [u * u + v * v <= 1, inside, inside & ((abs(u) < 0.4) | (abs(v) < 0.4))][label]
        image[shape] = rng.uniform(0, 1, 3) * 0.6 + np.eye(3)[label] * 0.4
        boxes.append([x0, y0, x0 + w, y0 + h])
        labels.append(label)
    image = torch.from_numpy(np.clip(image, 0, 1)).permute(2, 0, 1).float().contiguous()
    return image, torch.tensor(boxes, dtype=torch.float32), torch.tensor(labels)


def conv(c1, c2, stride=1):
    return nn.Sequential(nn.Conv2d(c1, c2, 3, stride, 1, bias=False), nn.BatchNorm2d(c2), nn.ReLU(inplace=True))


class Backbone(nn.Module):
    """Three levels at strides 8, 16 and 32."""

    def __init__(self):
        super().__init__()
        self.out_channels = CHANNELS
        self.stem = nn.Sequential(conv(3, 16, 2), conv(16, 32, 2), conv(32, CHANNELS, 2), conv(CHANNELS, CHANNELS))
        self.p4, self.p5 = conv(CHANNELS, CHANNELS, 2), conv(CHANNELS, CHANNELS, 2)

    def forward(self, x):
        p3 = self.stem(x)
        p4 = self.p4(p3)
        return OrderedDict([("0", p3), ("1", p4), ("2", self.p5(p4))])


class SsdBackbone(Backbone):
    def __init__(self):
        super().__init__()
        self.out_channels = [CHANNELS] * 3


SIZES = dict(min_size=HEIGHT, max_size=WIDTH)
RETINA_SIZES = [[12, 15, 19], [24, 30, 38], [48, 60, 76]]
RETINA_RATIOS = [0.5, 1.0, 2.0]


def retinanet():
    anchors = AnchorGenerator(tuple(map(tuple, RETINA_SIZES)), (tuple(RETINA_RATIOS),) * 3)
    return RetinaNet(Backbone(), 3, anchor_generator=anchors, score_thresh=0.1, **SIZES)


class MiddleAnchors(AnchorGenerator):
    """EfficientDet's anchors: octave by octave, aspect by aspect, in the cell's middle (automl/efficientdet,
    `tf2/anchors.py`, `_generate_boxes`): the sides are 4 strides times 2^(octave / 3) times the aspect's."""

    ASPECTS = [(1.0, 1.0), (1.4, 0.7), (0.7, 1.4)]

    def __init__(self):
        super().__init__(((1,) * 3,) * 3, ((1.0,) * 3,) * 3)
        self.sides = [[(2.5 * s * 2 ** (o / 3) * ax, 2.5 * s * 2 ** (o / 3) * ay)
                       for o in range(3) for ax, ay in self.ASPECTS] for s in STRIDES]
        self.cell_anchors = [torch.tensor([[s / 2 - w / 2, s / 2 - h / 2, s / 2 + w / 2, s / 2 + h / 2]
                                           for w, h in sides]) for s, sides in zip(STRIDES, self.sides)]


def efficientdet():
    return RetinaNet(Backbone(), 3, anchor_generator=MiddleAnchors(), score_thresh=0.1, **SIZES)


def fcos():
    anchors = AnchorGenerator(tuple((s,) for s in STRIDES), ((1.0,),) * 3)
    return FCOS(Backbone(), 3, anchor_generator=anchors, score_thresh=0.2, **SIZES)


SSD_SCALES = [0.14, 0.3, 0.5, 0.8]
SSD_RATIOS = [[2], [2, 3], [2]]


def ssd():
    anchors = DefaultBoxGenerator(SSD_RATIOS, scales=SSD_SCALES)
    return SSD(SsdBackbone(), anchors, (WIDTH, HEIGHT), 4, score_thresh=0.1, topk_candidates=4000)


def ssdlite():
    """SSDlite's own head and priors, on the small backbone."""
    anchors = DefaultBoxGenerator([[2, 3]] * 3, min_ratio=0.2, max_ratio=0.95)
    head = SSDLiteHead([CHANNELS] * 3, anchors.num_anchors_per_location(), 4, partial(nn.BatchNorm2d, momentum=0.03))
    return SSD(SsdBackbone(), anchors, (WIDTH, HEIGHT), 4, head=head, score_thresh=0.1, nms_thresh=0.55,
               topk_candidates=4000)


def faster_rcnn():
    backbone = Backbone()
    return FasterRCNN(
        backbone, rpn_anchor_generator=AnchorGenerator(((16,), (32,), (56,)), ((0.7, 1.4),) * 3),
        box_roi_pool=MultiScaleRoIAlign(["0", "1", "2"], 7, 2), box_head=TwoMLPHead(CHANNELS * 49, 128),
        box_predictor=FastRCNNPredictor(128, 4), box_score_thresh=0.05, rpn_pre_nms_top_n_train=200,
        rpn_post_nms_top_n_train=100, rpn_pre_nms_top_n_test=200, rpn_post_nms_top_n_test=100,
        rpn_batch_size_per_image=64, box_batch_size_per_image=48, **SIZES)


class Maps(nn.Module):
    """Backbone and one 1x1 convolution a level: what the YOLO families and FoveaBox have in common."""

    def __init__(self, channels):
        super().__init__()
        self.backbone = Backbone()
        self.heads = nn.ModuleList(nn.Sequential(conv(CHANNELS, CHANNELS), nn.Conv2d(CHANNELS, channels, 1))
                                   for _ in STRIDES)

    def forward(self, x):
        return [head(f) for head, f in zip(self.heads, self.backbone(x).values())]


class Points(Maps):
    """A box and its labels at each cell's middle. `bins` > 1: DFL; `exp`: FoveaBox's exponentials."""

    def __init__(self, bins=1, exp=False):
        super().__init__(4 * bins + 3)
        self.bins, self.exp = bins, exp
        for head in self.heads:
            nn.init.constant_(head[1].bias[4 * bins:], -4.0)
            nn.init.constant_(head[1].bias[:4 * bins], 0.0 if bins > 1 or exp else 1.5)

    def boxes(self, maps):
        """(B, N, 4) boxes, (B, N, 3) logits, (N, 3) points with stride."""
        boxes, logits, points = [], [], []
        for m, s in zip(maps, STRIDES):
            b, _, h, w = m.shape
            m = m.flatten(2).transpose(1, 2)
            raw = m[..., :4 * self.bins]
            if self.bins > 1:
                raw = raw.reshape(b, -1, 4, self.bins).softmax(-1) @ torch.arange(self.bins).float()
            if self.exp:
                raw = raw.exp() * BASE_LENGTHS[STRIDES.index(s)] / s
            y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
            c = torch.stack([x, y], -1).reshape(-1, 2) * s
            raw = raw * s
            boxes.append(torch.cat([c - raw[..., :2], c + raw[..., 2:]], -1))
            logits.append(m[..., 4 * self.bins:])
            points.append(torch.cat([c, torch.full((len(c), 1), float(s))], 1))
        return torch.cat(boxes, 1), torch.cat(logits, 1), torch.cat(points)

    def loss(self, images, targets):
        boxes, logits, points = self.boxes(self(images))
        want = torch.zeros_like(logits)
        total = 0.0
        for i, t in enumerate(targets):
            gt = t["boxes"]
            size = (gt[:, 2:] - gt[:, :2]).max(1).values
            level = torch.where(size < 28, 8.0, torch.where(size < 44, 16.0, 32.0))
            middle = (gt[:, :2] + gt[:, 2:]) / 2
            near = (points[:, None, :2] - middle).abs() <= (gt[:, 2:] - gt[:, :2]) * 0.3
            hit = near.all(-1) & (points[:, None, 2] == level)
            p, g = hit.nonzero(as_tuple=True)
            want[i, p, t["labels"][g]] = 1.0
            total = total + generalized_box_iou_loss(boxes[i, p], gt[g], reduction="sum")
        cls = torchvision_focal(logits, want)
        return (cls + total) / max(1.0, float(want.sum()))


BASE_LENGTHS = [16.0, 32.0, 64.0]


def torchvision_focal(logits, want):
    from torchvision.ops import sigmoid_focal_loss
    return sigmoid_focal_loss(logits, want, reduction="sum")


YOLO_ANCHORS = [[[14, 18], [20, 16], [24, 26]], [[28, 36], [36, 28], [36, 44]], [[46, 34], [42, 56], [52, 54]]]


class Anchored(Maps):
    """YOLOv5: box, object and labels for each of three anchors in a cell."""

    def __init__(self):
        super().__init__(3 * 8)
        for head in self.heads:
            head[1].bias.data.view(3, 8)[:, 4] = -4.0

    def boxes(self, maps):
        """(B, N, 4) boxes as centre and sides, (B, N, 4) logits of object and labels; level, anchor, row, column."""
        boxes, logits = [], []
        for m, s, anchors in zip(maps, STRIDES, YOLO_ANCHORS):
            b, _, h, w = m.shape
            m = m.view(b, 3, 8, h, w).permute(0, 1, 3, 4, 2)
            y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
            t = m[..., :4].sigmoid()
            xy = (t[..., :2] * 2 - 0.5 + torch.stack([x, y], -1)) * s
            wh = (t[..., 2:] * 2) ** 2 * torch.tensor(anchors).float()[:, None, None]
            boxes.append(torch.cat([xy, wh], -1).reshape(b, -1, 4))
            logits.append(m[..., 4:].reshape(b, -1, 4))
        return torch.cat(boxes, 1), torch.cat(logits, 1)

    def loss(self, images, targets):
        boxes, logits = self.boxes(self(images))
        want = torch.zeros_like(logits)
        corners = torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], -1)
        total, hits = 0.0, 0
        for i, t in enumerate(targets):
            for gt, label in zip(t["boxes"], t["labels"]):
                base = 0
                for s, anchors in zip(STRIDES, YOLO_ANCHORS):
                    w, h = WIDTH // s, HEIGHT // s
                    x, y = int((gt[0] + gt[2]) / 2 / s), int((gt[1] + gt[3]) / 2 / s)
                    for a, (aw, ah) in enumerate(anchors):
                        rw, rh = float(gt[2] - gt[0]) / aw, float(gt[3] - gt[1]) / ah
                        if max(rw, rh, 1 / rw, 1 / rh) < 1.6:
                            at = base + (a * h + min(y, h - 1)) * w + min(x, w - 1)
                            want[i, at] = 0.0
                            want[i, at, 0] = want[i, at, 1 + label] = 1.0
                            total = total + generalized_box_iou_loss(corners[i, at], gt)
                            hits += 1
                    base += 3 * w * h
        sure = want[..., 0] > 0
        obj = torchvision_focal(logits[..., 0], want[..., 0])
        cls = nn.functional.binary_cross_entropy_with_logits(logits[..., 1:][sure], want[..., 1:][sure], reduction="sum")
        return (obj + cls + total) / max(1, hits)


def train(net, seed, steps, batch=8, size=(WIDTH, HEIGHT), label_base=0, lr=2e-3):
    """The same steps for every family; returns the network in evaluation mode."""
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(net.parameters(), lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    net.train()
    for step in range(steps):
        images, targets = [], []
        for _ in range(batch):
            image, boxes, labels = picture(rng, *size)
            images.append(image)
            targets.append({"boxes": boxes, "labels": labels + label_base})
        loss = net.loss(torch.stack(images), targets) if isinstance(net, Maps) else sum(net(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"  step {step}: loss {float(loss):.3f}", flush=True)
    assert math.isfinite(float(loss))
    return net.eval()
