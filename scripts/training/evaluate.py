#!/usr/bin/python3
"""Decode, NMS, mAP50 and cart metrics in Python: what validation and the choice of thresholds use.

`till eval tray` is what counts; this gives training its figures with the same decoding and the same NMS.
"""
import argparse
import json
import pathlib

import cv2
import numpy as np

from pictures import HAND, UNKNOWN

HEIGHT, WIDTH, PAD = 320, 416, 114
ACROSS = 0.75  # boxes of two labels with more overlap are one pack, as at the counter; hands (the last label) apart
VOTE = 0.7     # a kept box becomes the mean of those of its label that overlap it by more: the manifest's `[nms] vote`


def letterbox(img, size=(HEIGHT, WIDTH)):
    """BGR picture -> (RGB 1x3xHxW float32 0..1, scale, dx, dy)."""
    h, w = img.shape[:2]
    height, width = size
    k = min(width / w, height / h)
    nw, nh = round(w * k), round(h * k)
    dx, dy = (width - nw) // 2, (height - nh) // 2
    out = np.full((height, width, 3), PAD, np.uint8)
    out[dy:dy + nh, dx:dx + nw] = img if (nw, nh) == (w, h) else cv2.resize(img, (nw, nh), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(out[..., ::-1].transpose(2, 0, 1)[None], np.float32) / np.float32(255), k, dx, dy


def iou(a, b):
    lt, rb = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.clip(rb - lt, 0, None).prod(-1)
    area = lambda x: (x[:, 2] - x[:, 0]) * (x[:, 3] - x[:, 1])
    return inter / (area(a)[:, None] + area(b)[None] - inter + 1e-9)


def nms(boxes, scores, classes, limit, hand):
    """Greedy: `limit` within a class, ACROSS between classes other than `hand`."""
    order = np.argsort(-scores, kind="stable")
    keep = []
    m = iou(boxes, boxes)
    for i in order:
        same = lambda j: m[i, j] > (limit if classes[i] == classes[j] else 2 if hand in (classes[i], classes[j]) else max(ACROSS, limit))
        if not any(same(j) for j in keep):
            keep.append(i)
    return np.array(keep, int)


def decode(out, score, nms_iou, vote_score=None):
    """[4 + C, N] -> boxes x1 y1 x2 y2 in input pixels, scores, classes; one class a cell (the best).

    With `vote_score`, boxes of at least that score vote on where a kept one lies.
    """
    cls, s = out[4:].argmax(0), out[4:].max(0)
    at = np.flatnonzero(s >= score)
    if len(at) > 300:
        at = at[np.argsort(-s[at])[:300]]
    c, wh = out[:2, at].T, out[2:4, at].T
    boxes = np.concatenate((c - wh / 2, c + wh / 2), 1)
    s, cls = s[at], cls[at]
    k = nms(boxes, s, cls, nms_iou, len(out) - 5)
    kept = boxes[k]
    if vote_score is not None and len(k):
        voters = (iou(kept, boxes) > VOTE) & (cls[k][:, None] == cls) & (s >= vote_score)
        weights = voters * s
        some = weights.any(1)
        kept[some] = (weights @ boxes)[some] / weights[some].sum(1, keepdims=True)
    return kept, s[k], cls[k]


def average_precision(found, truths, label, limit=0.5):
    """COCO's 101 points for one class. found: per picture (boxes, scores, classes)."""
    rows, total = [], 0
    for (b, s, c), (tb, tl) in zip(found, truths):
        t = tb[tl == label]
        total += len(t)
        used = np.zeros(len(t), bool)
        mine = np.flatnonzero(c == label)
        m = iou(b[mine], t) if len(t) and len(mine) else np.zeros((len(mine), len(t)))
        for j in np.argsort(-s[mine], kind="stable"):
            free = np.where(used, -1, m[j]) if len(t) else np.array([])
            hit = len(free) and free.max() >= limit
            if hit:
                used[free.argmax()] = True
            rows.append((s[mine][j], bool(hit)))
    if not total:
        return None
    if not rows:
        return 0.0
    rows.sort(key=lambda r: -r[0])
    tp = np.cumsum([r[1] for r in rows])
    recall, precision = tp / total, tp / np.arange(1, len(rows) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    return float(np.mean([precision[i] if i < len(precision) else 0.0 for i in at]))


def carts(found, truths, labels, score):
    """Cart accuracy: a picture counts when every sold product's number is right. -> list of (right, error, size)."""
    sold = [i for i, n in enumerate(labels) if n not in (UNKNOWN, HAND)]
    out = []
    for (b, s, c), (_, tl) in zip(found, truths):
        want = np.bincount(tl, minlength=len(labels))[sold]
        got = np.bincount(c[s >= score].astype(int), minlength=len(labels))[sold]
        out.append((bool((want == got).all()), int(np.abs(want - got).sum()), int(want.sum())))
    return out


def fit(raw, truths, labels):
    """Thresholds that get most carts right: (score, nms_iou) on a grid."""
    best = None
    for n in (0.4, 0.45, 0.5, 0.55, 0.6, 0.7):
        found = [decode(o, 0.15, n) for o in raw]
        for s in (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55):
            right = np.mean([r for r, _, _ in carts(found, truths, labels, s)])
            if best is None or right > best[0] + 1e-9:
                best = (right, s, n)
    return best


def fit_sure(found, truths, labels, score, wrong=0.015, most=0.8):
    """The least score above which at most the share `wrong` of the carts is charged wrongly, but no more than `most`:
    the counter compares it with the mean over a track's frames, which varies less than one picture does."""
    rows = []  # of carts that are wrong and have no strangers: what the least box scores
    for (right, _, _), (_, s, c) in zip(carts(found, truths, labels, score), found):
        seen = [(s[j], labels[int(c[j])]) for j in range(len(s)) if s[j] >= score]
        if not right and seen and all(n not in (UNKNOWN, HAND) for _, n in seen):
            rows.append(min(v for v, _ in seen))
    for t in np.arange(max(score, 0.3), most, 0.01):
        if sum(v >= t for v in rows) <= wrong * len(found):
            return round(float(t), 2)
    return most


def summary(found, truths, labels, score):
    aps = {labels[i]: average_precision(found, truths, i) for i in range(len(labels))}
    c = carts(found, truths, labels, score)
    strict = [average_precision(found, truths, i, t) for i, n in enumerate(labels) if n not in (UNKNOWN, HAND) for t in np.arange(0.5, 0.96, 0.05)]
    strict = [v for v in strict if v is not None]
    sold = [v for k, v in aps.items() if v is not None and k not in (UNKNOWN, HAND)]
    return {"cAcc": float(np.mean([r for r, _, _ in c])), "mAP50": float(np.mean(sold)) if sold else 0.0,
            "mmAP": float(np.mean(strict)) if strict else 0.0,
            "wrong_items": sum(e for _, e, _ in c) / max(1, sum(n for *_, n in c)), "pictures": len(c),
            "ap50": {k: round(v, 4) for k, v in aps.items() if v is not None}}


def read_folder(path):
    """COCO folder -> [(picture path, boxes x1y1x2y2, class names, level or None)]"""
    doc = json.loads((path / "annotations.json").read_text())
    name = {c["id"]: c["name"] for c in doc["categories"]}
    rows = {i["id"]: (path / i["file_name"], [], [], i.get("level")) for i in doc["images"]}
    for a in doc["annotations"]:
        x, y, w, h = a["bbox"]
        rows[a["image_id"]][1].append((x, y, x + w, y + h))
        rows[a["image_id"]][2].append(name[a["category_id"]])
    return list(rows.values())


def session(engine):
    """An engine folder -> function from 1x3xHxW to [4 + C, N]: onnxruntime if installed, else OpenCV."""
    path = str(engine / "model.onnx")
    try:
        import onnxruntime as ort
        o = ort.SessionOptions()
        o.intra_op_num_threads = 1
        s = ort.InferenceSession(path, o)
        return lambda x: s.run(None, {"images": x})[0][0]
    except ImportError:
        net = cv2.dnn.readNetFromONNX(path)

        def run(x):
            net.setInput(x)
            return net.forward()[0].copy()
        return run


def labels_of(engine):
    line = next(r for r in (engine / "manifest.toml").read_text(encoding="utf-8").splitlines() if r.startswith("names = "))
    return json.loads(line[len("names = "):])


def run_folder(engine, data):
    """Raw outputs, truths in input pixels, levels."""
    run, labels = session(engine), labels_of(engine)
    raw, truths, levels = [], [], []
    for path, boxes, names, level in read_folder(data):
        x, k, dx, dy = letterbox(cv2.imread(str(path)))
        raw.append(run(x))
        truths.append((np.array(boxes, np.float32).reshape(-1, 4) * k + [dx, dy, dx, dy], np.array([labels.index(n) for n in names], int)))
        levels.append(level or "-")
    return raw, truths, levels, labels


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--engine", type=pathlib.Path, required=True)
    p.add_argument("--val", type=pathlib.Path, help="COCO folder that thresholds are fitted on")
    p.add_argument("--data", type=pathlib.Path, nargs="+", required=True, help="COCO folders that are measured")
    p.add_argument("--name", nargs="+", help="what each folder is, for the manifest")
    p.add_argument("--score", type=float)
    p.add_argument("--nms", type=float, default=0.6)
    p.add_argument("--json", type=pathlib.Path)
    a = p.parse_args()
    score, nms_iou, sure = a.score or 0.3, a.nms, 0.6
    if a.val:
        raw, truths, _, labels = run_folder(a.engine, a.val)
        acc, score, nms_iou = fit(raw, truths, labels)
        sure = fit_sure([decode(o, 0.05, nms_iou, score) for o in raw], truths, labels, score)
        print(f"val {a.val}: cAcc {acc:.4f} at score {score}, nms_iou {nms_iou}; sure {sure}")
    report = {"thresholds": {"score": score, "nms_iou": nms_iou, "sure": sure, "vote": VOTE}, "metrics": [], "folders": []}
    for i, d in enumerate(a.data):
        raw, truths, levels, labels = run_folder(a.engine, d)
        found = [decode(o, 0.01, nms_iou, score) for o in raw]
        s = summary(found, truths, labels, score)
        for level in sorted(set(levels)):
            at = [j for j, v in enumerate(levels) if v == level]
            r = summary([found[j] for j in at], [truths[j] for j in at], labels, score)
            s[f"cAcc {level}"] = r["cAcc"]
        what = a.name[i] if a.name else str(d)
        report["folders"].append({"data": what, **s})
        report["metrics"] += [{"name": n, "value": round(v, 4), "data": what} for n, v in s.items() if n.startswith(("cAcc", "mAP", "mmAP"))]
        print(json.dumps({"data": what, **s}, indent=1))
    if a.json:
        a.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
