#!/usr/bin/python3
"""Cuts goods out of photographs of the counter, given photographs of the empty counter: the first step from a store's
own pictures to a training folder.

    cutout.py --photos photos --out crops

    photos/_background/*.png|jpg    the empty counter, one or more (hands off, the light as it is in business)
    photos/<sku>/*.png|jpg          one pack a photograph, anywhere in the picture, every face of it up in turn
    crops/<sku>/*.png               written: RGBA, cropped to the pack
    crops/_background/*             the empty counter, as it was
    crops/sheet.jpg                 all cutouts on green, to look through before training

All photographs come from the counter's own camera in its own size (`till snap --collect` takes them), so that a pack
has the size in which the counter will see it. A photograph in which nothing, too much or more than one thing differs
from the empty counter is named and left out. Exit code 1 when a product has no cutout at all.
"""
import argparse
import pathlib
import shutil
import sys

import cv2
import numpy as np

PICTURES = {".png", ".jpg", ".jpeg"}
LEAST, MOST = 0.002, 0.6  # shares of the picture that a pack may cover
MARGIN = 3
THUMB = 120


def pictures(folder):
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in PICTURES)
    for f in files:
        image = cv2.imread(str(f), cv2.IMREAD_COLOR)
        if image is None:
            raise SystemExit(f"{f}: not a picture")
        yield f, image


def difference(image, tables):
    """How far each pixel is from the nearest empty counter, noise being 1. Lightness counts less than colour: a shadow
    is no pack."""
    def lab(v):
        v = cv2.cvtColor(cv2.GaussianBlur(v, (5, 5), 0), cv2.COLOR_BGR2LAB).astype(np.float32)
        return v * np.float32([0.55, 1.3, 1.3])
    distance = np.min([np.linalg.norm(lab(image) - lab(t), axis=2) for t in tables], axis=0)
    return distance / (1.5 + np.median(distance))


def mask(image, tables):
    """The pack's mask (0/1), or the reason why there is none."""
    far = difference(image, tables)
    seed = (far > 7).astype(np.uint8)
    seed = cv2.morphologyEx(seed, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    seed = cv2.morphologyEx(seed, cv2.MORPH_CLOSE, np.ones((25, 25), np.uint8))
    n, parts, stats, _ = cv2.connectedComponentsWithStats(seed)
    if n < 2:
        return None, "nothing differs from the empty counter"
    areas = stats[1:, cv2.CC_STAT_AREA]
    best = int(areas.argmax()) + 1
    share = areas.max() / seed.size
    if share < LEAST:
        return None, "nothing differs from the empty counter"
    if share > MOST:
        return None, "almost everything differs: another camera, light or size than the empty counter's?"
    if (areas > 0.35 * areas.max()).sum() > 1:
        return None, "more than one thing lies there"
    body = fill((parts == best).astype(np.uint8))
    # The edge is drawn where the colours part: sure inside, sure outside, and a seam between.
    trimap = np.full(body.shape, cv2.GC_BGD, np.uint8)
    trimap[cv2.dilate(body, np.ones((9, 9), np.uint8)) > 0] = cv2.GC_PR_BGD
    trimap[body > 0] = cv2.GC_PR_FGD
    trimap[cv2.erode(body, np.ones((11, 11), np.uint8)) > 0] = cv2.GC_FGD
    if (trimap == cv2.GC_FGD).any():
        cv2.setRNGSeed(1)
        cv2.grabCut(image, trimap, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    cut = fill(((trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)).astype(np.uint8))
    cut = cv2.morphologyEx(cut, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    n, parts, stats, _ = cv2.connectedComponentsWithStats(cut)
    if n < 2:
        return None, "no edge was found"
    return (parts == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8), None


def fill(m):
    """Holes closed: a pack has none."""
    outlines, _ = cv2.findContours(m, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(m), outlines, -1, 1, cv2.FILLED)


def cutout(image, m):
    """The pack as RGBA, its edge soft by one pixel and without the counter's colour."""
    x, y, w, h = cv2.boundingRect(m)
    y0, y1 = max(0, y - MARGIN), min(m.shape[0], y + h + MARGIN)
    x0, x1 = max(0, x - MARGIN), min(m.shape[1], x + w + MARGIN)
    inner = cv2.erode(m, np.ones((3, 3), np.uint8))
    alpha = cv2.GaussianBlur(inner.astype(np.float32) * 255, (3, 3), 0)
    return np.dstack([image, alpha.astype(np.uint8)])[y0:y1, x0:x1]


def thumb(rgba):
    k = THUMB / max(rgba.shape[:2])
    small = cv2.resize(rgba, None, fx=k, fy=k, interpolation=cv2.INTER_AREA).astype(np.float32)
    a = small[..., 3:] / 255
    tile = np.full((THUMB, THUMB, 3), (0, 160, 0), np.float32)
    tile[:small.shape[0], :small.shape[1]] = small[..., :3] * a + tile[:small.shape[0], :small.shape[1]] * (1 - a)
    return tile.astype(np.uint8)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--photos", type=pathlib.Path, required=True)
    p.add_argument("--out", type=pathlib.Path, required=True)
    a = p.parse_args()
    if not (a.photos / "_background").is_dir():
        raise SystemExit(f"{a.photos / '_background'}: a folder with photographs of the empty counter is needed")
    tables = [image for _, image in pictures(a.photos / "_background")]
    if not tables or len({t.shape for t in tables}) > 1:
        raise SystemExit("_background: one photograph at least, all of one size")
    shutil.copytree(a.photos / "_background", a.out / "_background", dirs_exist_ok=True)
    tiles, empty = [], []
    for folder in sorted(f for f in a.photos.iterdir() if f.is_dir() and f.name != "_background"):
        (a.out / folder.name).mkdir(parents=True, exist_ok=True)
        cut = refused = 0
        for f, image in pictures(folder):
            reason = None
            if image.shape != tables[0].shape:
                reason = f"is {image.shape[1]}x{image.shape[0]}, the empty counter {tables[0].shape[1]}x{tables[0].shape[0]}"
            else:
                m, reason = mask(image, tables)
            if reason:
                print(f"{f}: left out: {reason}", file=sys.stderr)
                refused += 1
                continue
            rgba = cutout(image, m)
            cv2.imwrite(str(a.out / folder.name / f"{f.stem}.png"), rgba)
            tiles.append(thumb(rgba))
            cut += 1
        print(f"{folder.name}: {cut} cut out, {refused} left out")
        if not cut:
            empty.append(folder.name)
    if tiles:
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 10)
        sheet = np.vstack([np.hstack(tiles[i:i + 10]) for i in range(0, len(tiles), 10)])
        cv2.imwrite(str(a.out / "sheet.jpg"), sheet)
    if empty:
        raise SystemExit(f"no cutout of: {', '.join(empty)}")


if __name__ == "__main__":
    main()
