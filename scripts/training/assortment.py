"""Where an assortment's cutouts and backgrounds lie, and which of them training may see.

Two layouts are read: `counter8` (photographs with boxes plus cutouts; the names kept from training stand in
`counter8/test.txt` and `counter8/val.txt`) and any folder of cutouts `<folder>/<label>/*.png|webp`, in which
folders named `unknown*` are goods that are not sold, `hand*` are hands and `_background` holds backgrounds; every fifth view of a product, by a hash of its name,
validates.
"""
import json
import pathlib
import zlib

import cv2
import numpy as np

import props
from pictures import HAND, UNKNOWN, Cutout, Store, clean_tables, read_cutouts

HERE = pathlib.Path(__file__).parent


def number(name):
    """`monaco/1770571329.webp` or `images/monaco-1770571329.jpg` -> the photograph's number."""
    return pathlib.PurePath(name).stem.split("-")[-1]


def kept(split):
    path = HERE / "counter8" / f"{split}.txt"
    return {line.strip() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")}


def write_split(data):
    """Per product in the order taken, every fourth photograph is kept: first for test, then for val, in turn."""
    test, val = [], []
    for folder in sorted(p for p in (data / "cutouts").iterdir() if p.is_dir()):
        for i, f in enumerate(sorted(folder.iterdir(), key=lambda f: number(f.name))[3::4]):
            (test, val)[i % 2].append(f"{folder.name}-{number(f.name)}")
    for name, rows in (("test", test), ("val", val)):
        (HERE / "counter8" / f"{name}.txt").write_text(f"# photographs kept from training ({name})\n" + "\n".join(rows) + "\n")


def frames(data, split):
    """[(path, [x, y, w, h], sku)] of the photographs of a split."""
    doc = json.loads((data / "annotations.json").read_text())
    sku = {c["id"]: c["name"] for c in doc["categories"]}
    test, val = kept("test"), kept("val")
    images = {i["id"]: i["file_name"] for i in doc["images"]}
    out = []
    for a in doc["annotations"]:
        key = f"{sku[a['category_id']]}-{number(images[a['image_id']])}"
        part = "test" if key in test else "val" if key in val else "train"
        if part == split:
            out.append((data / images[a["image_id"]], a["bbox"], sku[a["category_id"]]))
    return out


def counter8(data, split, extra=None, seed=1):
    test, val = kept("test"), kept("val")
    skus = sorted(p.name for p in (data / "cutouts").iterdir() if p.is_dir())
    labels = skus + [UNKNOWN, HAND]
    raw = []
    for sku in skus:
        raw.append([])
        for name, img in read_cutouts(data / "cutouts" / sku):
            key = f"{sku}-{number(name)}"
            part = "test" if key in test else "val" if key in val else "train"
            if part == split or (split == "held" and part != "train"):
                raw[-1].append(img)
    # Tables come from the training photographs only: one median a product, since exposure follows the product.
    shots = [(cv2.imread(str(p)), b, s) for p, b, s in frames(data, "train")]
    tables = [clean_tables([(i, b) for i, b, s in shots if s == sku]) for sku in skus]
    real = [(i, b, skus.index(s)) for i, b, s in shots] if split == "train" else ()
    return build(labels, raw, extra, tables, real, seed, split)


def folder(data, split, extra=None, seed=1):
    dirs = sorted(p for p in pathlib.Path(data).iterdir() if p.is_dir())
    skus = [d.name for d in dirs if not d.name.startswith(("unknown", "hand", "_"))]
    mine = lambda name: split == "all" or (zlib.crc32(name.encode()) % 5 == 0) == (split != "train")
    raw = [[img for name, img in read_cutouts(d) if mine(f"{d.name}/{name}")] for d in dirs if d.name in skus]
    unknown = [[img for name, img in read_cutouts(d) if mine(f"{d.name}/{name}")] for d in dirs if d.name.startswith("unknown")]
    hands = [img for d in dirs if d.name.startswith("hand") for _, img in read_cutouts(d)]
    tables = [cv2.imread(str(f)) for d in dirs if d.name.startswith("_background") for f in sorted(d.iterdir())]
    return build(skus + [UNKNOWN, HAND], raw, extra, tables, (), seed, split, unknown, hands)


def build(labels, raw, extra, tables, real, seed, split, unknown=(), hands=()):
    rng = np.random.default_rng(seed + {"train": 0, "val": 1, "test": 2, "held": 3, "all": 4}[split])
    many = 400 if split == "train" else 60
    groups = [[Cutout(c) for c in g] for g in unknown if g]
    # Few real strangers must stand for all goods of the world: the invented ones outweigh them.
    groups += [[Cutout(props.pack(rng)) for _ in range(many)]] * 3
    shapes = raw + [g for g in unknown if g]
    some = [g[rng.integers(len(g))] for g in (shapes[i] for i in rng.integers(len(shapes), size=many))]
    groups += [[Cutout(props.reprint(rng, c)) for c in some]] * 4
    if extra:
        for d in sorted(p for p in pathlib.Path(extra).iterdir() if p.is_dir()):
            if not d.name.startswith(("hand", "_")):
                groups.append([Cutout(c) for _, c in read_cutouts(d)])
    drawn = [Cutout(props.hand(rng)) for _ in range(80 if split == "train" else 20)]
    return Store(labels, [[Cutout(c) for c in g] for g in raw], groups, drawn, tables, real, [Cutout(c) for c in hands])


def load(name, data, split, extra=None):
    if (pathlib.Path(data) / "annotations.json").exists():
        return counter8(pathlib.Path(data), split, extra)
    return folder(pathlib.Path(data), split, extra)


if __name__ == "__main__":
    import sys
    write_split(pathlib.Path(sys.argv[1]))
