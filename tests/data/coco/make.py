#!/usr/bin/env python3
"""Makes golden.json: seeded boxes and what pycocotools says of them (mAP50, mmAP).  Needs pycocotools, numpy."""
import contextlib, io, json, pathlib
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

rng = np.random.default_rng(20)
images, annotations, detections = [], [], []
for image in range(1, 25):
    images.append({"id": image, "file_name": f"{image}.jpg", "width": 640, "height": 480})
    for _ in range(rng.integers(0, 9)):
        w, h = rng.uniform(20, 160, 2)
        box = [rng.uniform(0, 640 - w), rng.uniform(0, 480 - h), w, h]
        category = int(rng.integers(1, 6))
        annotations.append({"id": len(annotations) + 1, "image_id": image, "category_id": category,
                            "bbox": [round(float(v), 2) for v in box], "area": round(float(w * h), 2),
                            "iscrowd": int(rng.random() < 0.06)})
        for _ in range(rng.choice([0, 1, 1, 1, 2])):
            off = rng.normal(0, rng.choice([1, 4, 12]), 4)
            # Two decimals: many scores are equal, so that the order of equals is held too.
            detections.append({"image_id": image, "category_id": category if rng.random() < .9 else int(rng.integers(1, 6)),
                               "bbox": [round(float(v), 2) for v in np.maximum(np.array(box) + off, [-9, -9, 2, 2])],
                               "score": round(float(rng.beta(5, 2)), 2)})
    for _ in range(rng.integers(0, 4)):
        detections.append({"image_id": image, "category_id": int(rng.integers(1, 6)), "score": round(float(rng.beta(2, 5)), 2),
                           "bbox": [round(float(v), 2) for v in (*rng.uniform(0, 400, 2), *rng.uniform(10, 100, 2))]})
# One picture with more boxes of a class than the 100 that count.
for i in range(130):
    detections.append({"image_id": 1, "category_id": 1, "score": 0.01 + 0.5 * i / 130, "bbox": [i % 20 * 30, i // 20 * 40, 25, 35]})
gt = {"images": images, "annotations": annotations, "categories": [{"id": i, "name": f"c{i}"} for i in range(1, 8)]}
with contextlib.redirect_stdout(io.StringIO()):
    coco = COCO(); coco.dataset = gt; coco.createIndex()
    e = COCOeval(coco, coco.loadRes(detections), "bbox"); e.evaluate(); e.accumulate(); e.summarize()
golden = {"truth": gt, "detections": [[d["image_id"], d["category_id"], *d["bbox"], d["score"]] for d in detections],
          "mAP50": float(e.stats[1]), "mmAP": float(e.stats[0])}
(pathlib.Path(__file__).parent / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
print(golden["mAP50"], golden["mmAP"])
