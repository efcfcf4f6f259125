#!/usr/bin/env python3
"""Records what till's heads are held to: raw outputs of small trained networks, and what their own framework's
post-processing makes of them. Writes tests/data/heads/<case>.{toml,f32,json}; tests/it/heads.rs reads them.

    sudo apt-get install python3-torch python3-torchvision python3-numpy
    scripts/parity/heads.py                    # all, about 15 minutes on one core
    scripts/parity/heads.py fcos yolo-v5       # cases whose name begins so

torchvision's post-processing is called as it is. Ultralytics' YOLO, EfficientDet, MMDetection's FoveaBox, soft-NMS
and DIoU-NMS are written here in numpy from the papers' formulas, apart from till's code. The seeds are fixed; another
version of torch gives other numbers and the same agreement.
"""
import json
import os
import pathlib
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np  # noqa: E402
import torch  # noqa: E402
from torchvision.ops import nms as torchvision_nms  # noqa: E402

import networks as nets  # noqa: E402

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/data/heads"
MARGIN = 2e-4
torch.set_num_threads(1)


# ---- what the papers say, in numpy --------------------------------------------------------------------------------

def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def iou(a, b):
    w = np.clip(np.minimum(a[2], b[:, 2]) - np.maximum(a[0], b[:, 0]), 0, None)
    h = np.clip(np.minimum(a[3], b[:, 3]) - np.maximum(a[1], b[:, 1]), 0, None)
    area = lambda v: (v[..., 2] - v[..., 0]) * (v[..., 3] - v[..., 1])  # noqa: E731
    return w * h / (area(a) + area(b) - w * h)


def greedy(boxes, scores, limit, diou=False):
    """Indices that remain. DIoU-NMS (arXiv 1911.08287): IoU less the squared distance of the middles over the squared
    diagonal of the box around both."""
    order, keep = np.argsort(-scores, kind="stable"), []
    while len(order):
        best, order = order[0], order[1:]
        keep.append(best)
        overlap = iou(boxes[best], boxes[order])
        if diou:
            a, b = boxes[best], boxes[order]
            rho = (((a[:2] + a[2:]) - (b[:, :2] + b[:, 2:])) ** 2).sum(1) / 4
            around = np.maximum(a[2:], b[:, 2:]) - np.minimum(a[:2], b[:, :2])
            overlap = overlap - rho / (around ** 2).sum(1)
        order = order[overlap <= limit]
    return keep


def soft(boxes, scores, limit, floor, sigma=None):
    """Soft-NMS (arXiv 1704.04503), linear or, with `sigma`, Gaussian: indices and scores that remain."""
    scores, left, keep = scores.copy(), list(range(len(scores))), []
    while left:
        best = max(left, key=lambda i: scores[i])
        if scores[best] < floor:
            break
        keep.append((best, scores[best]))
        left.remove(best)
        overlap = iou(boxes[best], boxes[left])
        scores[left] *= np.exp(-overlap ** 2 / sigma) if sigma else np.where(overlap > limit, 1 - overlap, 1)
    return keep


def suppress(boxes, scores, labels, limit, floor, method="greedy", agnostic=False, vote=None):
    """Rows (label, score, box) that remain, class by class unless `agnostic`; with `vote`, a box is the mean of
    those that overlap it by more."""
    rows = []
    for label in [None] if agnostic else np.unique(labels):
        at = np.arange(len(labels)) if label is None else np.flatnonzero(labels == label)
        b, s = boxes[at], scores[at]
        if method in ("greedy", "diou"):
            kept = [(i, s[i]) for i in greedy(b, s, limit, method == "diou")]
            if method == "greedy" and len(b):
                theirs = torchvision_nms(torch.from_numpy(b), torch.from_numpy(s), limit).tolist()
                assert theirs == [i for i, _ in kept], "this NMS is not torchvision's"
        else:
            kept = soft(b, s, limit, floor, 0.5 if method == "soft-gaussian" else None)
        for i, score in kept:
            voters = iou(b[i], b) > vote if vote else np.arange(len(b)) == i
            box = np.average(b[voters], 0, s[voters])
            rows.append((int(labels[at[i]]), float(score), box.tolist()))
    return sorted(rows, key=lambda r: -r[1])


def best_label(boxes, scores, floor):
    """Ultralytics' `non_max_suppression` with multi_label=False, up to the suppression itself."""
    at = scores.max(1) >= floor
    return boxes[at], scores[at].max(1), scores[at].argmax(1)


def corners(boxes):
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)


def cells(shape, stride, offset=0.5):
    y, x = np.mgrid[0:shape[0], 0:shape[1]]
    return (np.stack([x, y], -1).reshape(-1, 2) + offset) * stride


def yolo_v8(maps, bins):
    """Ultralytics `Detect.forward`: `dist2bbox(dfl(box), anchors) * strides`, sigmoid of the rest."""
    boxes, scores = [], []
    for m, s in zip(maps, nets.STRIDES):
        m = m[0].astype(np.float64)
        c = cells(m.shape[1:], s)
        m = m.reshape(len(m), -1).T
        raw = m[:, :4 * bins].reshape(-1, 4, bins)
        if bins > 1:
            p = np.exp(raw - raw.max(-1, keepdims=True))
            raw = (p / p.sum(-1, keepdims=True) * np.arange(bins)).sum(-1, keepdims=True)
        d = raw[..., 0] * s
        boxes.append(np.concatenate([c - d[:, :2], c + d[:, 2:]], 1))
        scores.append(sigmoid(m[:, 4 * bins:]))
    return np.concatenate(boxes), np.concatenate(scores)


def yolo_v5(maps):
    """Ultralytics YOLOv5 `Detect.forward`: (N, 8) of centre, sides, object, labels."""
    rows = []
    for m, s, anchors in zip(maps, nets.STRIDES, nets.YOLO_ANCHORS):
        _, _, h, w = m.shape
        y = sigmoid(m.reshape(3, 8, h, w).transpose(0, 2, 3, 1))
        grid = np.stack(np.meshgrid(np.arange(w), np.arange(h)), -1)
        xy = (y[..., :2] * 2 - 0.5 + grid) * s
        wh = (y[..., 2:4] * 2) ** 2 * np.array(anchors)[:, None, None]
        rows.append(np.concatenate([xy, wh, y[..., 4:]], -1).reshape(-1, 8))
    return np.concatenate(rows)


def fovea(maps):
    """MMDetection `FoveaHead._predict_by_feat_single`: middles at half a cell, sides base_len * exp(t), clipped."""
    boxes, scores = [], []
    for m, s, base in zip(maps, nets.STRIDES, nets.BASE_LENGTHS):
        m = m[0].astype(np.float64)
        c = cells(m.shape[1:], s)
        m = m.reshape(len(m), -1).T
        d = base * np.exp(m[:, :4])
        boxes.append(np.concatenate([c - d[:, :2], c + d[:, 2:]], 1))
        scores.append(sigmoid(m[:, 4:]))
    size = [nets.WIDTH, nets.HEIGHT] * 2
    return np.clip(np.concatenate(boxes), 0, size), np.concatenate(scores)


def efficientdet(offsets, logits, sides):
    """automl/efficientdet `tf2/anchors.py`, `decode_box_outputs`: offsets y, x, h, w; then clipped."""
    boxes, first = [], 0
    for s, level in zip(nets.STRIDES, sides):
        c = np.repeat(cells((nets.HEIGHT // s, nets.WIDTH // s), s), len(level), 0)
        a = np.tile(np.array(level), (len(c) // len(level), 1))
        ty, tx, th, tw = offsets[first:first + len(c)].astype(np.float64).T
        first += len(c)
        middle = np.stack([tx, ty], 1) * a + c
        wh = np.exp(np.stack([tw, th], 1)) * a
        boxes.append(corners(np.concatenate([middle, wh], 1)))
    return np.clip(np.concatenate(boxes), 0, [nets.WIDTH, nets.HEIGHT] * 2), sigmoid(logits)


# ---- files --------------------------------------------------------------------------------------------------------

def toml(v):
    if isinstance(v, bool):
        return str(v).lower()
    if isinstance(v, str):
        return json.dumps(v)
    if isinstance(v, (list, tuple)):
        return "[" + ", ".join(map(toml, v)) + "]"
    return repr(v)


def write(case, head, outputs, rows, score, nms_iou, nms=None, raw=None):
    """`outputs` maps names to arrays; with `raw`, those of that case serve and are not written again."""
    table = lambda name, d: [f"[{name}]"] + [f"{k} = {toml(v)}" for k, v in d.items()] + [""]  # noqa: E731
    lines = [f"name = {toml(case)}", 'task = "detect"', 'file = "none"', f'sha256 = "{"0" * 64}"',
             'licence = "Apache-2.0 OR MIT"', 'source = "scripts/parity/heads.py"', 'precision = "fp32"', ""]
    lines += table("input", dict(name="images", width=nets.WIDTH, height=nets.HEIGHT, layout="nchw", colour="rgb",
                                 fit="stretch"))
    lines += table("head", head) + table("nms", {"across_iou": 1.0, **(nms or {})})
    lines += table("thresholds", dict(score=score, nms_iou=nms_iou, sure=0.5)) + table("labels", dict(names=nets.LABELS))
    (OUT / f"{case}.toml").write_text("\n".join(lines).strip() + "\n")
    if raw is None:
        np.concatenate([v.astype("<f4").ravel() for v in outputs.values()]).tofile(OUT / f"{case}.f32")
    data = {"raw": raw or case, "outputs": [{"name": k, "shape": list(v.shape)} for k, v in outputs.items()],
            "detections": [{"label": n, "score": round(s, 6), "bbox": [round(x, 4) for x in b]} for n, s, b in rows]}
    (OUT / f"{case}.json").write_text(json.dumps(data, indent=0) + "\n")
    print(f"{case}: {len(rows)} boxes of labels {sorted({r[0] for r in rows})}", flush=True)


def settle(seed, run, differs=None):
    """The first of the seed's pictures with at least five boxes of two labels on which no limit is nearer than
    MARGIN to a score or an overlap: there rounding decides, and no implementation is right. `run(image, ds, di)`
    gives raw outputs and rows with limits moved by `ds` and `di`; `differs(image)` rows that must be other ones."""
    rng = np.random.default_rng(seed)
    for _ in range(200):
        image = nets.picture(rng)[0]
        with torch.no_grad():
            raw, rows = run(image, 0.0, 0.0)
            if differs and differs(image) == rows:
                continue
            same = all(shape(run(image, ds, di)[1]) == shape(rows)
                       for ds, di in [(MARGIN, 0), (-MARGIN, 0), (0, MARGIN), (0, -MARGIN)])
        if same and len(rows) >= 5 and len({r[0] for r in rows}) >= 2:
            return raw, rows
    raise SystemExit("no picture is clear enough: train longer")


def shape(rows):
    return [(r[0], [round(x) for x in r[2]]) for r in rows]


# ---- torchvision's families ---------------------------------------------------------------------------------------

def captured(model, score_name, iou_name):
    """A `run` for `settle`: torchvision's own forward, the head's raw outputs caught on the way."""
    caught = {}
    model.head.register_forward_hook(lambda _m, _i, out: caught.update(out))
    score, limit = getattr(model, score_name), getattr(model, iou_name)

    def run(image, ds, di):
        setattr(model, score_name, score + ds)
        setattr(model, iou_name, limit + di)
        found = model([image])[0]
        base = 1 if "bbox_ctrness" not in caught and model.__class__.__name__ == "SSD" else 0
        b, s, n = found["boxes"].numpy(), found["scores"].numpy(), found["labels"].numpy() - base
        solid = (b[:, 2] > b[:, 0]) & (b[:, 3] > b[:, 1])  # a box without an area is none at a counter
        rows = [(int(n[i]), float(s[i]), b[i].tolist()) for i in np.flatnonzero(solid)]
        return {k: v.numpy() for k, v in caught.items()}, rows
    return run


MULTI = dict(multi_label=True)


def case_retinanet():
    model = nets.train(nets.retinanet(), 11, 400)
    raw, rows = settle(12, captured(model, "score_thresh", "nms_thresh"))
    head = dict(kind="retinanet", boxes=["bbox_regression"], scores=["cls_logits"], strides=nets.STRIDES,
                sizes=nets.RETINA_SIZES, aspect_ratios=nets.RETINA_RATIOS, round_anchors=True, offset=0.0)
    raw = {k: raw[k] for k in ("bbox_regression", "cls_logits")}
    write("retinanet-torchvision", head, raw, rows, model.score_thresh, 0.5, MULTI)


def case_fcos():
    model = nets.train(nets.fcos(), 21, 400)
    raw, rows = settle(22, captured(model, "score_thresh", "nms_thresh"))
    head = dict(kind="fcos", boxes=["bbox_regression"], scores=["cls_logits"], centerness=["bbox_ctrness"],
                strides=nets.STRIDES, offset=0.0)
    raw = {k: raw[k] for k in ("bbox_regression", "cls_logits", "bbox_ctrness")}
    write("fcos-torchvision", head, raw, rows, 0.2, 0.6, MULTI)


def case_ssd():
    model = nets.train(nets.ssd(), 31, 500, label_base=1)
    raw, rows = settle(32, captured(model, "score_thresh", "nms_thresh"))
    grids = [[nets.WIDTH // s, nets.HEIGHT // s] for s in nets.STRIDES]
    head = dict(kind="ssd", boxes=["bbox_regression"], scores=["cls_logits"], grids=grids, scales=nets.SSD_SCALES,
                aspect_ratios=nets.SSD_RATIOS)
    raw = {k: raw[k] for k in ("bbox_regression", "cls_logits")}
    write("ssd-torchvision", head, raw, rows, 0.1, 0.45, MULTI)


def case_ssdlite():
    model = nets.train(nets.ssdlite(), 41, 400, label_base=1)
    raw, rows = settle(42, captured(model, "score_thresh", "nms_thresh"))
    generator = model.anchor_generator
    grids = [[nets.WIDTH // s, nets.HEIGHT // s] for s in nets.STRIDES]
    head = dict(kind="ssd", boxes=["bbox_regression"], scores=["cls_logits"], grids=grids,
                scales=[float(s) for s in generator.scales], aspect_ratios=generator.aspect_ratios)
    raw = {k: raw[k] for k in ("bbox_regression", "cls_logits")}
    write("ssdlite-torchvision", head, raw, rows, 0.1, 0.55, MULTI)


def case_faster_rcnn():
    model = nets.train(nets.faster_rcnn(), 51, 250, batch=4, label_base=1)
    size = 100  # detections_per_img, and the fixed number of rows of an export

    def run(image, ds, di):
        model.roi_heads.score_thresh, model.roi_heads.nms_thresh = 0.05 + ds, 0.5 + di
        found = {k: v.numpy().astype(np.float32) for k, v in model([image])[0].items()}
        n = len(found["scores"])
        raw = {k: np.pad(found[k], [(0, size - n)] + [(0, 0)] * (found[k].ndim - 1))[None]
               for k in ("boxes", "scores", "labels")}
        rows = [(int(found["labels"][i]) - 1, float(found["scores"][i]), found["boxes"][i].tolist()) for i in range(n)]
        return raw, rows
    raw, rows = settle(52, run)
    head = dict(kind="boxes", boxes="boxes", scores="scores", labels="labels", label_base=1)
    write("faster-rcnn-torchvision", head, raw, rows, 0.05, 0.5, dict(method="none"))


# ---- the others ---------------------------------------------------------------------------------------------------

def case_efficientdet():
    model = nets.train(nets.efficientdet(), 61, 400)
    forward = captured(model, "score_thresh", "nms_thresh")
    sides = model.anchor_generator.sides

    def run(image, ds, di):
        raw, _ = forward(image, 0, 0)
        # The order of EfficientDet's offsets, and maps as its heads give them.
        offsets, logits = raw["bbox_regression"][0][:, [1, 0, 3, 2]], raw["cls_logits"][0]
        boxes, scores = efficientdet(offsets, logits, sides)
        at, label = np.nonzero(scores >= 0.1 + ds)
        rows = suppress(boxes[at], scores[at, label], label, 0.5 + di, 0.1)
        maps, first = {}, 0
        for s in nets.STRIDES:
            h, w = nets.HEIGHT // s, nets.WIDTH // s
            n = h * w * 9
            for key, v in (("box", offsets), ("class", logits)):
                part = v[first:first + n].reshape(h, w, -1).transpose(2, 0, 1)[None]
                maps[f"{key}{s}"] = part
            first += n
        return maps, rows
    raw, rows = settle(62, run)
    head = dict(kind="retinanet", boxes=[f"box{s}" for s in nets.STRIDES], scores=[f"class{s}" for s in nets.STRIDES],
                strides=nets.STRIDES, anchors=[[list(a) for a in level] for level in sides], offset=0.5,
                box_order="yxhw")
    write("efficientdet", head, raw, rows, 0.1, 0.5, MULTI)


def maps_of(net, image):
    return {f"p{s}": m.numpy() for s, m in zip(nets.STRIDES, net(image[None]))}


MAPS = [f"p{s}" for s in nets.STRIDES]


def case_fovea():
    net = nets.train(nets.Points(exp=True), 71, 400)

    def run(image, ds, di):
        raw = maps_of(net, image)
        boxes, scores = fovea(raw.values())
        at, label = np.nonzero(scores >= 0.1 + ds)
        split = {f"{k}-{p}": v for k, m in raw.items() for p, v in (("box", m[:, :4]), ("class", m[:, 4:]))}
        return split, suppress(boxes[at], scores[at, label], label, 0.5 + di, 0.1)
    raw, rows = settle(72, run)
    head = dict(kind="fcos", boxes=[f"{m}-box" for m in MAPS], scores=[f"{m}-class" for m in MAPS],
                strides=nets.STRIDES, units=nets.BASE_LENGTHS, distance="exp", offset=0.5)
    write("foveabox", head, raw, rows, 0.1, 0.5, MULTI)


def case_yolo_v8():
    net = nets.train(nets.Points(bins=16), 81, 400)

    def run(image, ds, di, method="greedy", agnostic=False):
        raw = maps_of(net, image)
        boxes, scores = yolo_v8(raw.values(), 16)
        found = best_label(boxes, scores, 0.1 + ds)
        return raw, suppress(*found, 0.5 + di, 0.1 + ds, method, agnostic)
    raw, rows = settle(82, run)
    head = dict(kind="yolo-v8-maps", outputs=MAPS, strides=nets.STRIDES, bins=16)
    write("yolo-v8-maps", head, raw, rows, 0.1, 0.5)
    # The same network with its decoding in the graph.
    boxes, scores = yolo_v8(raw.values(), 16)
    centres = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)
    decoded = {"output0": np.concatenate([centres, scores], 1).T[None]}
    write("yolo-v8", dict(kind="yolo-v8", output="output0"), decoded, rows, 0.1, 0.5)
    # The same boxes under each other suppression.
    for case, method, agnostic in [("diou", "diou", False), ("soft-linear", "soft-linear", False),
                                   ("soft-gaussian", "soft-gaussian", False), ("agnostic", "greedy", True)]:
        # A picture that shows the difference to plain suppression.
        found, rows = settle(83, lambda i, ds, di: run(i, ds, di, method, agnostic),
                             differs=lambda i: run(i, 0, 0)[1])
        nms = dict(method=method, class_agnostic=agnostic)
        boxes, scores = yolo_v8(found.values(), 16)
        centres = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)
        decoded = {"output0": np.concatenate([centres, scores], 1).T[None]}
        if agnostic:
            del nms["method"]
        write(f"nms-{case}", dict(kind="yolo-v8", output="output0"), decoded, rows, 0.1, 0.5, nms)


def case_nms_vote():
    """On the raw output of `yolo-v8`, whose network need not be trained again for it."""
    out = np.fromfile(OUT / "yolo-v8.f32", "<f4").astype(np.float64).reshape(4 + len(nets.LABELS), -1).T
    found = best_label(corners(out[:, :4]), out[:, 4:], 0.1)
    rows = suppress(*found, 0.5, 0.1, vote=0.6)
    assert rows != suppress(*found, 0.5, 0.1), "no box has a voter"
    write("nms-vote", dict(kind="yolo-v8", output="output0"), {"output0": out.T[None]}, rows, 0.1, 0.5,
          {"vote": 0.6}, raw="yolo-v8")


def case_yolo_no_dfl():
    net = nets.train(nets.Points(), 91, 400)

    def run(image, ds, di):
        raw = maps_of(net, image)
        return raw, suppress(*best_label(*yolo_v8(raw.values(), 1), 0.1 + ds), 0.5 + di, 0.1)
    raw, rows = settle(92, run)
    write("yolo-no-dfl", dict(kind="yolo-v8-maps", outputs=MAPS, strides=nets.STRIDES, bins=1), raw, rows, 0.1, 0.5)


def case_yolo_v5():
    net = nets.train(nets.Anchored(), 101, 400)

    def run(image, ds, di):
        raw = maps_of(net, image)
        y = yolo_v5(raw.values())
        return raw, suppress(*best_label(corners(y[:, :4]), y[:, 5:] * y[:, 4:5], 0.1 + ds), 0.5 + di, 0.1)
    raw, rows = settle(102, run)
    head = dict(kind="yolo-v5-maps", outputs=MAPS, strides=nets.STRIDES, anchors=nets.YOLO_ANCHORS)
    write("yolo-v5-maps", head, raw, rows, 0.1, 0.5)
    write("yolo-v5", dict(kind="yolo-v5", output="output"), {"output": yolo_v5(raw.values())[None]}, rows, 0.1, 0.5)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    cases = {n[5:].replace("_", "-"): f for n, f in globals().items() if n.startswith("case_")}
    asked = sys.argv[1:]
    chosen = [n for n in cases if not asked or any(n.startswith(a) for a in asked)]
    if not chosen:
        raise SystemExit(f"cases: {', '.join(cases)}")
    for i, name in enumerate(chosen):
        print(f"[{i + 1}/{len(chosen)}] {name}", flush=True)
        torch.manual_seed(1)
        cases[name]()


if __name__ == "__main__":
    main()
