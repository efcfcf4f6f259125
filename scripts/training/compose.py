#!/usr/bin/python3
"""Makes a COCO folder (images/ + annotations.json, each image with its `level`) for `till eval tray --data`.

    compose.py --data D --split test --out DIR            trays out of unseen cutouts, RPC's levels
    compose.py --data D --split test --real --out DIR     the photographs of the split themselves
"""
import argparse
import json
import pathlib
import shutil
from dataclasses import replace

import cv2

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


def trays(store, out, per_level, seed, style):
    doc = coco(store.labels)
    for n, (level, count) in enumerate(LEVELS.items()):
        composer = Composer(store, FRAME, style, seed=seed * 1000 + n)
        for i in range(per_level):
            # A pack that found no room is missing: draw again until the level's least is there.
            while True:
                img, boxes, labels = composer.picture(count)
                if len(labels) >= count[0]:
                    break
            name = f"images/{level}-{i:04}.jpg"
            cv2.imwrite(str(out / name), img, [cv2.IMWRITE_JPEG_QUALITY, 92])
            add(doc, name, boxes, labels, level=level)
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
    p.add_argument("--split", choices=["train", "val", "test", "held"], default="test", help="held = val and test together")
    p.add_argument("--out", type=pathlib.Path, required=True)
    p.add_argument("--real", action="store_true", help="the photographs instead of compositions")
    p.add_argument("--wide", action="store_true", help="training's variety, with unknown goods and hands")
    p.add_argument("--scale", type=float, nargs=2, help="limits of a pack's size against its cutout")
    p.add_argument("--unknown", type=float, help="share of pictures with goods that are not sold")
    p.add_argument("--hands", type=float, help="share of pictures with hands")
    p.add_argument("--per-level", type=int, default=200)
    p.add_argument("--seed", type=int, default=7)
    a = p.parse_args()
    (a.out / "images").mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    store = assortment.load("", a.data, a.split)
    style = Style() if a.wide else GENTLE
    style = replace(style, **{k: v for k, v in (("scale", a.scale and tuple(a.scale)), ("unknown", a.unknown), ("hand", a.hands)) if v is not None})
    doc = photographs(a.data, a.split, store.labels, a.out) if a.real else trays(store, a.out, a.per_level, a.seed, style)
    (a.out / "annotations.json").write_text(json.dumps(doc))
    print(a.out, len(doc["images"]), "pictures", len(doc["annotations"]), "boxes")


if __name__ == "__main__":
    main()
