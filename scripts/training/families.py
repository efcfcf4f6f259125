"""The study's networks: this project's own backbone and neck under the heads of six families of detectors, and two
classifiers of crops. torchvision's heads, anchors, assignments and losses are taken as they are; YOLOv5's, which it
lacks, are written after github.com/ultralytics/yolov5 (`models/yolo.py`, `utils/loss.py`).

Each family has `loss(images, boxes, labels)` for training and `outputs(images)`, which is what the exported graph gives
and what the manifest's `head` reads.
"""
import math
from collections import OrderedDict

import torch
import torch.nn as nn
import torch.nn.functional as F
from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.fcos import FCOSClassificationHead, FCOSHead, FCOSRegressionHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.models.detection.ssd import SSD
from torchvision.models.mobilenetv2 import MobileNetV2
from torchvision.models.resnet import BasicBlock
from torchvision.ops import MultiScaleRoIAlign

from loss import ciou, detection_loss
from model import STRIDES, Conv, Detector, Exported, cells, flatten

WIDTHS = (64, 128, 192)  # channels of the neck's three levels
CHANNELS = 64            # of the levels where a family wants the same number on each
REGIONS = 100            # that a second stage looks at
ROWS = 100               # boxes that a two-stage network ends in
# Anchors in pixels of the 288x224 input, after the pool's boxes: the square root of the area is 35 to 138 in nine of ten,
# YOLOv5's are their nine medians.
SIZES = [[27, 34, 43], [50, 60, 74], [90, 112, 145]]
RATIOS = [0.5, 1.0, 2.0]
YOLO_ANCHORS = [[[34, 33], [59, 38], [43, 55]], [[64, 56], [58, 92], [76, 74]], [[106, 69], [95, 104], [142, 137]]]
SSD_SCALES = [0.13, 0.22, 0.36, 0.57]
SSD_RATIOS = [[2], [2, 3], [2, 3]]


class Body(nn.Module):
    """The detector's backbone and neck without its heads."""

    def __init__(self, equal):
        super().__init__()
        self.net = Detector(1)
        del self.net.box, self.net.cls
        self.out_channels = CHANNELS if equal else list(WIDTHS)
        self.equal = nn.ModuleList(Conv(c, CHANNELS) if equal else nn.Identity() for c in WIDTHS)

    def forward(self, x):
        return OrderedDict((str(i), to(f)) for i, (to, f) in enumerate(zip(self.equal, self.net.features(x))))


class AsItIs(nn.Module):
    """In the place of torchvision's transform: the pictures have their size and range already."""

    def forward(self, images, targets=None):
        return ImageList(images, [tuple(images.shape[-2:])] * len(images)), targets

    def postprocess(self, result, *_):
        return result


def to_float(_module, _inputs, outputs):
    """Losses count in FP32 where the convolutions count in bfloat16."""
    if isinstance(outputs, torch.Tensor):
        return outputs.float()
    if isinstance(outputs, dict):
        return type(outputs)((k, to_float(None, None, v)) for k, v in outputs.items())
    return type(outputs)(to_float(None, None, v) for v in outputs)


class Norm(nn.GroupNorm):
    """torchvision's for heads that all levels share; batch statistics would differ from level to level."""

    def __init__(self, channels):
        super().__init__(16, channels)

    def forward(self, x):
        return super().forward(x.float())


class Torchvision(nn.Module):
    first_label = 0

    def __init__(self, net):
        super().__init__()
        net.transform = AsItIs()
        self.net = net
        for part in (net.head,) if hasattr(net, "head") else (net.backbone, net.rpn.head, net.roi_heads.box_predictor):
            part.register_forward_hook(to_float)

    def loss(self, images, boxes, labels):
        targets = [{"boxes": b, "labels": n + self.first_label} for b, n in zip(boxes, labels)]
        return sum(self.net(images, targets).values())

    def outputs(self, images):
        return OrderedDict((k, v) for k, v in self.net.head(list(self.net.backbone(images).values())).items())


class Ssd(Torchvision):
    first_label = 1

    def __init__(self, classes, size):
        priors = DefaultBoxGenerator(SSD_RATIOS, scales=SSD_SCALES)
        super().__init__(SSD(Body(False), priors, (size[1], size[0]), classes + 1))
        self.head = dict(kind="ssd", boxes=["bbox_regression"], scores=["cls_logits"], grids=[[size[1] // s, size[0] // s] for s in STRIDES],
                         scales=SSD_SCALES, aspect_ratios=SSD_RATIOS)

    def outputs(self, images):
        return self.net.head(list(self.net.backbone(images).values()))


class Retina(Torchvision):
    def __init__(self, classes, _size):
        anchors = AnchorGenerator(tuple(map(tuple, SIZES)), (tuple(RATIOS),) * 3)
        head = RetinaNetHead(CHANNELS, 9, classes, norm_layer=Norm)
        super().__init__(RetinaNet(Body(True), classes, anchor_generator=anchors, head=head))
        self.head = dict(kind="retinanet", boxes=["bbox_regression"], scores=["cls_logits"], strides=list(STRIDES), sizes=SIZES,
                         aspect_ratios=RATIOS, round_anchors=True, offset=0.0)


class Fcos(Torchvision):
    def __init__(self, classes, _size):
        anchors = AnchorGenerator(tuple((s,) for s in STRIDES), ((1.0,),) * 3)
        head = FCOSHead(CHANNELS, 1, classes)
        head.classification_head = FCOSClassificationHead(CHANNELS, 1, classes, norm_layer=Norm)
        head.regression_head = FCOSRegressionHead(CHANNELS, 1, norm_layer=Norm)
        super().__init__(FCOS(Body(True), classes, anchor_generator=anchors, head=head))
        self.head = dict(kind="fcos", boxes=["bbox_regression"], scores=["cls_logits"], centerness=["bbox_ctrness"],
                         strides=list(STRIDES), offset=0.0)


class Faster(Torchvision):
    first_label = 1

    def __init__(self, classes, _size):
        super().__init__(FasterRCNN(
            Body(True), rpn_anchor_generator=AnchorGenerator(tuple((s[1],) for s in SIZES), (tuple(RATIOS),) * 3),
            box_roi_pool=MultiScaleRoIAlign(["0", "1", "2"], 7, 2), box_head=TwoMLPHead(CHANNELS * 49, 256),
            box_predictor=FastRCNNPredictor(256, classes + 1), box_score_thresh=0.05, box_nms_thresh=0.5, box_detections_per_img=ROWS,
            rpn_pre_nms_top_n_train=500, rpn_post_nms_top_n_train=200, rpn_pre_nms_top_n_test=300,
            rpn_post_nms_top_n_test=REGIONS, rpn_batch_size_per_image=128, box_batch_size_per_image=96))
        self.head = dict(kind="boxes", boxes="boxes", scores="scores", labels="labels", label_base=1)

    def outputs(self, images):
        features = self.net.backbone(images)
        proposals, _ = self.net.rpn(self.net.transform(images)[0], features)
        found, _ = self.net.roi_heads(features, proposals, [tuple(images.shape[-2:])])
        rows = torch.cat((found[0]["boxes"], found[0]["scores"][:, None], found[0]["labels"][:, None].float()), 1)
        rows = torch.cat((rows, torch.zeros(ROWS, 6)))[:ROWS][None]  # the padding, which is what makes the shape static
        return OrderedDict(boxes=rows[..., :4], scores=rows[..., 4], labels=rows[..., 5])


class Yolo8(nn.Module):
    """The detector that ships, at the study's size."""

    def __init__(self, classes, size):
        super().__init__()
        self.net, self.size, self.exported = Detector(classes), size, None
        self.head = dict(kind="yolo-v8", output="output0")
        self.centres, self.strides = cells(*size)

    def loss(self, images, boxes, labels):
        most = max(1, max(len(b) for b in boxes))
        truth, classes = torch.zeros(len(boxes), most, 4), torch.zeros(len(boxes), most, dtype=torch.int64)
        valid = torch.zeros(len(boxes), most, dtype=torch.bool)
        for i, (b, n) in enumerate(zip(boxes, labels)):
            truth[i, :len(b)], classes[i, :len(b)], valid[i, :len(b)] = b, n, True
        box, cls = flatten(self.net(images))
        with torch.cpu.amp.autocast(enabled=False):
            return detection_loss(box, cls, self.centres, self.strides, truth, classes, valid)[0]

    def outputs(self, images):
        if self.exported is None:  # not before the training, whose checkpoints it does not belong in
            self.exported = Exported(self.net, *self.size)
        return OrderedDict(output0=self.exported(images))


class Yolo5(nn.Module):
    """Three anchors a cell, each with a box, an object's score and the classes'."""

    def __init__(self, classes, size):
        super().__init__()
        self.classes, self.size, self.body = classes, size, Body(False)
        self.heads = nn.ModuleList(nn.Sequential(Conv(c, h, 3), nn.Conv2d(h, 3 * (5 + classes), 1)) for c, h in zip(WIDTHS, (64, 128, 192)))
        for head, s in zip(self.heads, STRIDES):
            b = head[1].bias.data.view(3, -1)
            b[:, 4] += math.log(8 / (640 / s) ** 2)
            b[:, 5:] += math.log(0.6 / (classes - 0.99))
        self.head = dict(kind="yolo-v5-maps", outputs=[f"p{s}" for s in STRIDES], strides=list(STRIDES), anchors=YOLO_ANCHORS)

    def forward(self, images):
        maps = []
        for head, f in zip(self.heads, self.body(images).values()):
            x = head[0](f)
            with torch.cpu.amp.autocast(enabled=False):
                maps.append(head[1](x.float()))
        return maps

    def outputs(self, images):
        return OrderedDict(zip(self.head["outputs"], self(images)))

    def loss(self, images, boxes, labels):
        maps = self(images)
        which = torch.cat([torch.full((len(b),), i) for i, b in enumerate(boxes)])
        truth, label = torch.cat(boxes), torch.cat(labels)
        middle, wh = (truth[:, :2] + truth[:, 2:]) / 2, truth[:, 2:] - truth[:, :2]
        box_loss = obj_loss = cls_loss = maps[0].sum() * 0
        for m, s, anchors, balance in zip(maps, STRIDES, YOLO_ANCHORS, (4.0, 1.0, 0.4)):
            b, _, h, w = m.shape
            m = m.view(b, 3, 5 + self.classes, h, w).permute(0, 1, 3, 4, 2)
            anchors = torch.tensor(anchors, dtype=torch.float32)
            goal = torch.zeros(m.shape[:4])
            # An anchor answers where its sides and the box's are within four times each other, in the middle's own cell
            # and in the nearest ones beside and above or below it.
            ratio = wh[None] / anchors[:, None]
            a, t = (torch.max(ratio, 1 / ratio).amax(2) < 4.0).nonzero(as_tuple=True)
            at = middle[t] / s
            part = at % 1.0
            cell, owner = [at.floor()], [torch.arange(len(t))]
            for axis, size in ((0, w), (1, h)):
                step = torch.zeros(1, 2)
                step[0, axis] = 1.0
                low = (part[:, axis] < 0.5) & (at[:, axis] > 1.0)
                high = (part[:, axis] >= 0.5) & (at[:, axis] < size - 1.0)
                cell += [at[low].floor() - step, at[high].floor() + step]
                owner += [low.nonzero()[:, 0], high.nonzero()[:, 0]]
            cell, owner = torch.cat(cell), torch.cat(owner)
            if len(owner):
                a, t = a[owner], t[owner]
                x, y = cell[:, 0].long().clamp(0, w - 1), cell[:, 1].long().clamp(0, h - 1)
                p = m[which[t], a, y, x]
                xy = p[:, :2].sigmoid() * 2 - 0.5 + torch.stack((x, y), 1)
                side = (p[:, 2:4].sigmoid() * 2) ** 2 * anchors[a] / s
                overlap = ciou(torch.cat((xy - side / 2, xy + side / 2), 1), truth[t] / s)
                box_loss = box_loss + (1 - overlap).mean()
                goal[which[t], a, y, x] = overlap.detach().clamp(min=0)
                cls_loss = cls_loss + F.binary_cross_entropy_with_logits(p[:, 5:], F.one_hot(label[t], self.classes).float())
            obj_loss = obj_loss + balance * F.binary_cross_entropy_with_logits(m[..., 4], goal)
        # YOLOv5's gains: 0.05, 1 and 0.5 * classes / 80 for 80 classes at 640 pixels, times the batch.
        return (0.05 * box_loss + obj_loss * (self.size[0] * self.size[1] / 640 ** 2) + 0.5 * self.classes / 80 * cls_loss) * len(boxes)


DETECTORS = {
    "yolo-v8": ("YOLO, anchor-free with distributions (ours)", Yolo8),
    "yolo-v5": ("YOLOv5 type, anchors", Yolo5),
    "ssd": ("SSD", Ssd),
    "retinanet": ("RetinaNet type", Retina),
    "fcos": ("FCOS type", Fcos),
    "faster-rcnn": ("Faster R-CNN type, two stages", Faster),
}


class SmallResNet(nn.Sequential):
    """A stem and four residual blocks, one a stage, of half of ResNet-18's width."""

    def __init__(self, classes, width=(32, 64, 128, 256)):
        blocks = [Conv(3, width[0], 3, 2)]
        for i, (a, b) in enumerate(zip((width[0], *width), width)):
            shorter = nn.Sequential(nn.Conv2d(a, b, 1, 2, bias=False), nn.BatchNorm2d(b)) if i else None
            blocks.append(BasicBlock(a, b, 2 if i else 1, shorter))
        super().__init__(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width[-1], classes))


CLASSIFIERS = {  # MobileNetV2 and not 3: TensorRT 8.2 does not read HardSwish
    "resnet": ("ResNet type, a block a stage", SmallResNet),
    "mobilenet": ("MobileNetV2, half the width", lambda classes: MobileNetV2(classes, width_mult=0.5, dropout=0.1)),
}
