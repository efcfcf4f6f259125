"""The study's data, drawn once and then the same for every network: composed pictures with boxes at the detectors' input
size, and crops of single goods out of compositions at the camera's own size for the classifiers."""
import json
import pathlib

import cv2
import numpy as np

import assortment
import evaluate
from pictures import FRAME, Composer, Style
from train import Stream

SIZE, INNER = (224, 288), (288, 216)  # network input (h, w), picture inside it (w, h)
CROP = 64
AROUND = 1.15  # a crop is a square, its side this much longer than the box's longer side, grey where the frame ends


def load_pool(out, data, count, seed=11):
    """-> images [n, h, w, 3] BGR uint8 on disk, boxes [(m, 4)], labels [(m,)], names of the labels."""
    images_file, rows_file = out / "pool.npy", out / "pool.json"
    if not rows_file.exists():
        store = assortment.load("", data, "train")
        images = np.lib.format.open_memmap(images_file, "w+", np.uint8, (count, *SIZE, 3))
        rows = []
        for i, (image, truth, classes, valid) in zip(range(count), Stream(store, (1, SIZE, INNER, 1), seed, Style())):
            images[i] = image[0]
            rows.append({"boxes": truth[0][valid[0]].round(2).tolist(), "labels": classes[0][valid[0]].tolist()})
            if i % 1000 == 999:
                print(f"pool: {i + 1} of {count} pictures", flush=True)
        images.flush()
        rows_file.write_text(json.dumps({"labels": store.labels, "rows": rows}))
    doc = json.loads(rows_file.read_text())
    boxes = [np.array(r["boxes"], np.float32).reshape(-1, 4) for r in doc["rows"]]
    return np.load(images_file, mmap_mode="r"), boxes, [np.array(r["labels"], np.int64) for r in doc["rows"]], doc["labels"]


def crop(image, box, shift=(0.0, 0.0), around=AROUND, side=CROP):
    """The square around a box, `shift` in shares of its side."""
    x1, y1, x2, y2 = box
    s = max(x2 - x1, y2 - y1, 4.0) * around
    cx, cy = (x1 + x2) / 2 + shift[0] * s, (y1 + y2) / 2 + shift[1] * s
    k = side / s
    m = np.float32([[k, 0, side / 2 - k * cx], [0, k, side / 2 - k * cy]])
    flags = cv2.INTER_AREA if k < 1 else cv2.INTER_LINEAR
    return cv2.warpAffine(image, m, (side, side), flags=flags, borderValue=(evaluate.PAD,) * 3)


def load_crops(out, data, pictures, seed=12):
    """-> crops [n, 64, 64, 3] BGR uint8, labels [n] and their names, of composed pictures of the training split."""
    file = out / "crops.npz"
    if not file.exists():
        store, rng = assortment.load("", data, "train"), np.random.default_rng(seed)
        composer = Composer(store, FRAME, Style(), seed=seed)
        crops, labels = [], []
        for i in range(pictures):
            image, boxes, mine = composer.picture()
            for b, label in zip(boxes, mine):
                crops.append(crop(image, b, rng.uniform(-0.06, 0.06, 2), AROUND * rng.uniform(0.9, 1.15)))
                labels.append(label)
            if i % 500 == 499:
                print(f"crops: {i + 1} of {pictures} pictures, {len(crops)} crops", flush=True)
        tmp = out / "crops.tmp.npz"
        np.savez(tmp, crops=np.stack(crops), labels=np.array(labels), names=np.array(store.labels))
        tmp.replace(file)
    with np.load(file) as f:
        return f["crops"], f["labels"], f["names"].tolist()


def folder_crops(folder, names):
    """Crops of the boxes of a COCO folder, as the annotations have them."""
    crops, labels = [], []
    for path, boxes, mine in [r[:3] for r in evaluate.read_folder(pathlib.Path(folder))]:
        image = cv2.imread(str(path))
        crops += [crop(image, b) for b in boxes]
        labels += [names.index(n) for n in mine]
    return np.stack(crops), np.array(labels)
