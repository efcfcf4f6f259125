"""Task-aligned assignment and the losses (CIoU and distribution focal loss for boxes, BCE against aligned targets for classes)."""
import math

import torch
import torch.nn.functional as F

from model import BINS, CLIP, boxes_of


def iou_matrix(a, b):
    """[B, M, 4] x [B, N, 4] -> [B, M, N]"""
    lt = torch.max(a[:, :, None, :2], b[:, None, :, :2])
    rb = torch.min(a[:, :, None, 2:], b[:, None, :, 2:])
    inter = (rb - lt).clamp(min=0).prod(-1)
    area = lambda x: (x[..., 2] - x[..., 0]) * (x[..., 3] - x[..., 1])
    return inter / (area(a)[:, :, None] + area(b)[:, None] - inter + 1e-7)


def ciou(a, b):
    """Complete IoU of boxes pairwise, [K, 4] x [K, 4] -> [K]."""
    w1, h1 = a[:, 2] - a[:, 0], a[:, 3] - a[:, 1] + 1e-7
    w2, h2 = b[:, 2] - b[:, 0], b[:, 3] - b[:, 1] + 1e-7
    inter = (torch.min(a[:, 2:], b[:, 2:]) - torch.max(a[:, :2], b[:, :2])).clamp(min=0).prod(-1)
    iou = inter / (w1 * h1 + w2 * h2 - inter + 1e-7)
    hull = torch.max(a[:, 2:], b[:, 2:]) - torch.min(a[:, :2], b[:, :2])
    diagonal = hull.pow(2).sum(-1) + 1e-7
    apart = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) ** 2).sum(-1) / 4
    v = (4 / math.pi ** 2) * (torch.atan(w2 / h2) - torch.atan(w1 / h1)) ** 2
    with torch.no_grad():
        alpha = v / (v - iou + 1 + 1e-7)
    return iou - apart / diagonal - v * alpha


@torch.no_grad()
def assign(scores, boxes, centres, strides, truth, classes, valid, k=10, alpha=0.5, beta=6.0):
    """Which cell answers for which pack: the `k` cells inside a box that are best at class and place together.

    scores [B,N,C], boxes [B,N,4], truth [B,M,4], classes [B,M], valid [B,M] -> owner [B,N] (index into M),
    positive [B,N] bool, target [B,N] (aligned score, 0..1)
    """
    b, n, _ = scores.shape
    m = truth.shape[1]
    lt = centres[None, None] - truth[:, :, None, :2]
    rb = truth[:, :, None, 2:] - centres[None, None]
    inside = torch.cat((lt, rb), -1).amin(-1) > 1e-3
    inside &= valid[:, :, None]
    iou = iou_matrix(truth, boxes).clamp(min=0)
    score = scores.gather(2, classes[:, None, :].expand(b, n, m)).transpose(1, 2)
    metric = score.pow(alpha) * iou.pow(beta) * inside
    top = metric.topk(min(k, n), -1)
    chosen = torch.zeros_like(metric).scatter_(2, top.indices, (top.values > 1e-12).float()).bool() & inside
    # A pack too small to hold a cell's centre gets the nearest cell.
    none = valid & ~chosen.any(-1)
    if none.any():
        mid = (truth[..., :2] + truth[..., 2:]) / 2
        near = ((mid[:, :, None] - centres[None, None]) ** 2).sum(-1).argmin(-1)
        chosen |= none[..., None] & F.one_hot(near, n).bool()
    # A cell that several packs want goes to the one that it covers best.
    twice = chosen.sum(1) > 1
    best = F.one_hot((iou * chosen).argmax(1), m).transpose(1, 2).bool()
    chosen = torch.where(twice[:, None], best & chosen, chosen)
    positive = chosen.any(1)
    owner = chosen.float().argmax(1)
    metric = metric * chosen
    peak = metric.amax(-1, keepdim=True)
    best_iou = (iou * chosen).amax(-1, keepdim=True)
    target = (metric / (peak + 1e-9) * best_iou).amax(1)
    return owner, positive, target


def distribution_loss(bins, distances):
    """Cross entropy against the two whole strides on either side of each distance; [K, 16, 4], [K, 4] -> [K]."""
    logp = bins.clamp(-CLIP, CLIP).log_softmax(1)
    distances = distances.clamp(0, BINS - 1.01)
    low = distances.floor().long()
    part = distances - low
    at = lambda i: logp.gather(1, i[:, None]).squeeze(1)
    return -(at(low) * (1 - part) + at(low + 1) * part).mean(1)


def detection_loss(box, cls, centres, strides, truth, classes, valid):
    """-> (loss, parts {box, dfl, cls}); `truth` in input pixels."""
    boxes = boxes_of(box, centres, strides)
    owner, positive, target = assign(cls.detach().sigmoid(), boxes.detach(), centres, strides, truth, classes, valid)
    goal = torch.zeros_like(cls)
    bi, ni = positive.nonzero(as_tuple=True)
    who = owner[bi, ni]
    goal[bi, ni, classes[bi, who]] = target[bi, ni]
    norm = max(1.0, float(target.sum()))
    cls_loss = F.binary_cross_entropy_with_logits(cls, goal, reduction="sum") / norm
    if len(bi):
        want, weight = truth[bi, who], target[bi, ni]
        box_loss = ((1 - ciou(boxes[bi, ni], want)) * weight).sum() / norm
        sides = torch.cat((centres[ni] - want[:, :2], want[:, 2:] - centres[ni]), 1) / strides[ni]
        dfl = (distribution_loss(box[bi, ni], sides) * weight).sum() / norm
    else:
        box_loss = dfl = box.sum() * 0
    return 7.5 * box_loss + 1.5 * dfl + cls_loss, {"box": float(box_loss), "dfl": float(dfl), "cls": float(cls_loss)}
