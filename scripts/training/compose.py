#!/usr/bin/python3
"""Makes a COCO folder (images/ + annotations.json, each image with its `level`) for `till eval tray --data`.

    compose.py --data D --split test --out DIR            trays out of unseen cutouts, RPC's levels
    compose.py --data D --split test --real --out DIR     the photographs of the split themselves
    compose.py --data D --split test --clips --out DIR    short clips for `till eval tray --clips`: goods are put down one
                                                          by one, a hand passes, light and sensor vary; the last picture
                                                          is annotated and names those before it
"""
import argparse
import json
import pathlib
import shutil
from dataclasses import replace

import cv2
import numpy as np

import assortment
from pictures import FRAME, GENTLE, LEVELS, Composer, Style


def coco(labels):
    return {"images": [], "annotations": [], "categories": [{"id": i + 1, "name": n} for i, n in enumerate(labels)]}


def add(doc, file_name, boxes, labels, **more):
    image = len(doc["images"]) + 1
    doc["images"].append({"id": image, "file_name": file_name, "width": FRAME[0], "height": FRAME[1], **more})
    for (x1, y1, x2, y2), label in zip(boxes, labels):
        w, h = float(x2 - x1), float(y2 - y1)
        doc["annotations"].append({"id": len(doc["annotations"]) + 1, "image_id": image, "category_id": int(label) + 1,
                                   "bbox": [float(x1), float(y1), w, h], "area": w * h, "iscrowd": 0})


def enough(draw, count):
    """A pack that found no room is missing: draws again until the level's least is there."""
    while True:
        img, boxes, labels = draw(count)
        if len(labels) >= count[0]:
            return img, boxes, labels


def trays(store, out, per_level, seed, style, levels):
    doc = coco(store.labels)
    for n, (level, count) in enumerate(levels.items()):
        composer = Composer(store, FRAME, style, seed=seed * 1000 + n)
        for i in range(per_level):
            img, boxes, labels = enough(composer.picture, count)
            name = f"images/{level}-{i:04}.jpg"
            cv2.imwrite(str(out / name), img, [cv2.IMWRITE_JPEG_QUALITY, 92])
            add(doc, name, boxes, labels, **({"level": level} if level in LEVELS else {}))
    return doc


class Filmed(Composer):
    """Keeps the counter as it was after each pack was put down."""

    def draw(self, img, patch, x, y, label, boxes, labels, light=1.0):
        super().draw(img, patch, x, y, label, boxes, labels, light)
        self.steps.append(img.copy())

    def scene(self, count=None, products=None):
        self.steps = []
        return super().scene(count, products)

    def film(self, last, frames):
        """The packs but two for four frames, but one for four, then all of them; `frames` pictures of one camera."""
        rng = self.rng
        steps, hand = self.steps[-3:-1], None
        if rng.random() < 0.5:
            hand = last.copy()
            keep = self.steps, self.top.copy(), list(self.full)
            self.reach(hand, [], [], 1.0)
            self.steps, self.top, self.full = keep
        blur, gain, sigma = rng.uniform(0.0, 0.8), np.exp(rng.normal(0, 0.08)) * np.exp(rng.normal(0, 0.025, 3)), rng.uniform(1.0, 4.0)
        quality, phase = int(rng.integers(70, 95)), rng.uniform(0, 6.283)
        for t in range(frames):
            picture = steps[t // 4] if t // 4 < len(steps) else hand if hand is not None and 9 <= t < 13 else last
            picture = cv2.GaussianBlur(picture, (0, 0), blur) if blur > 0.3 else picture
            flicker = 1 + 0.02 * np.sin(t * 0.6 + phase) + rng.normal(0, 0.006)
            noise = rng.standard_normal(picture.shape, np.float32) * np.float32(sigma)
            yield np.uint8(np.clip(picture * np.float32(gain * flicker) + noise, 0, 255)), quality


def clips(store, out, per_level, seed, style, frames):
    doc = coco(store.labels)
    for n, (level, count) in enumerate(LEVELS.items()):
        composer = Filmed(store, FRAME, style, seed=seed * 1000 + n)
        for i in range(per_level):
            img, boxes, labels = enough(composer.scene, count)
            names = [f"images/{level}-{i:04}-{t:02}.jpg" for t in range(frames)]
            for name, (picture, quality) in zip(names, composer.film(img, frames)):
                cv2.imwrite(str(out / name), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
            add(doc, names[-1], boxes, labels, level=level, clip=names[:-1])
    return doc


def photographs(data, split, labels, out):
    doc = coco(labels)
    for path, (x, y, w, h), sku in assortment.frames(data, split):
        name = f"images/{path.name}"
        shutil.copyfile(path, out / name)
        add(doc, name, [(x, y, x + w, y + h)], [labels.index(sku)])
    return doc


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=pathlib.Path, required=True, help="assortment: counter8 or a folder of cutouts")
    p.add_argument("--split", choices=["train", "val", "test", "held", "all"], default="test",
                   help="held = val and test together; all = every view, of a folder that training never read")
    p.add_argument("--out", type=pathlib.Path, required=True)
    p.add_argument("--real", action="store_true", help="the photographs instead of compositions")
    p.add_argument("--wide", action="store_true", help="training's variety, with unknown goods and hands")
    p.add_argument("--scale", type=float, nargs=2, help="limits of a pack's size against its cutout")
    p.add_argument("--unknown", type=float, help="share of pictures with goods that are not sold")
    p.add_argument("--hands", type=float, help="share of pictures with hands")
    p.add_argument("--clips", action="store_true", help="short clips instead of single pictures")
    p.add_argument("--frames", type=int, default=28, help="pictures of a clip, at 15 a second")
    p.add_argument("--items", type=int, nargs=2, help="fewest and most packs of a picture, instead of RPC's levels")
    p.add_argument("--per-level", type=int, default=200)
    p.add_argument("--seed", type=int, default=7)
    a = p.parse_args()
    (a.out / "images").mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    store = assortment.load("", a.data, a.split)
    style = Style() if a.wide else GENTLE
    style = replace(style, **{k: v for k, v in (("scale", a.scale and tuple(a.scale)), ("unknown", a.unknown), ("hand", a.hands)) if v is not None})
    if a.real:
        doc = photographs(a.data, a.split, store.labels, a.out)
    elif a.clips:
        doc = clips(store, a.out, a.per_level, a.seed, style, a.frames)
    else:
        doc = trays(store, a.out, a.per_level, a.seed, style, {"items": tuple(a.items)} if a.items else LEVELS)
    (a.out / "annotations.json").write_text(json.dumps(doc))
    print(a.out, len(doc["images"]), "pictures", len(doc["annotations"]), "boxes")


if __name__ == "__main__":
    main()
