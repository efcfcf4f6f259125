"""Training crops: blender -b --python crops.py -- ART OUT COUNT PART PARTS [FIRST]

Each product alone, without a background, at the place, yaw, face and light that it may have under the counter's camera,
at the scale of a 640x480 frame. OUT/<sku>/NNN.png, OUT/hand-<n>/NNN.png, OUT/_background/NNN.png.
FIRST is the number of the first view, and so the seed: from 1000 on they are for measuring, of other packs (each bag has
its own dents), the two products that no training sees among them.
"""

import math
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy  # noqa: E402
from bpy_extras.object_utils import world_to_camera_view  # noqa: E402
from PIL import Image  # noqa: E402

import goods  # noqa: E402
from products import SOLD, UNSOLD_CLIPS, UNSOLD_TRAINING  # noqa: E402

WIDE, TALL = 960, 720
MEASURING = 1000


def random_light(rng):
    warm = rng.uniform(-0.07, 0.07)
    goods.light(rng.uniform(0, 2 * math.pi), rng.uniform(1.3, 2.8), rng.uniform(0.45, 0.8),
                (min(1, 1 + warm), 1 - abs(warm) / 3, min(1, 1 - warm)), rng.uniform(0.4, 1.3))


def crop(scene, parts, path, edge):
    """Renders just the region where the parts are seen, then trims what is clear."""
    bpy.context.view_layer.update()
    seen = [world_to_camera_view(scene, scene.camera, part.matrix_world @ v.co) for part in parts for v in part.data.vertices]
    seen = [p for p in seen if p.z > 0.05]
    low, high = edge, 1 - edge
    render = scene.render
    render.use_border = render.use_crop_to_border = True
    render.border_min_x, render.border_max_x = (min(max(f(p.x for p in seen) + m, low), high) for f, m in ((min, -0.003), (max, 0.003)))
    render.border_min_y, render.border_max_y = (min(max(f(p.y for p in seen) + m, low), high) for f, m in ((min, -0.003), (max, 0.003)))
    goods.render(path)
    picture = Image.open(path)
    bounds = picture.getchannel("A").point(lambda a: 255 if a > 40 else 0).getbbox()
    if bounds is None:
        path.unlink()
    else:
        picture.crop(bounds).save(path)


def main(art, out, count, part, parts, first=0):
    measuring = first >= MEASURING
    products = SOLD + UNSOLD_TRAINING + (UNSOLD_CLIPS if measuring else [])
    scene = goods.studio(10, True, WIDE, TALL)
    jobs = [(p, i) for i in range(first, first + count) for p in products]
    things = {}
    for product in products:
        things[product.sku] = goods.build(product, art, f"{product.sku}-measured" if measuring else None)
        goods.hide(things[product.sku])
        (out / product.sku).mkdir(parents=True, exist_ok=True)
    for product, i in jobs[part::parts]:
        rng = random.Random(f"{product.sku}/{i}")
        random_light(rng)
        kinds = goods.poses(product.kind)
        thing = things[product.sku]
        goods.place(thing, rng.uniform(-2.1, 2.1), rng.uniform(-1.5, 1.5), kinds[i % len(kinds)], rng.uniform(0, 2 * math.pi), rng.uniform(0, 2 * math.pi))
        scene.cycles.seed = i
        crop(scene, [thing], out / product.sku / f"{i:03}.png", 0.0)
        goods.hide(thing)
    for n in range(4):
        if n % parts != part:
            continue
        thing = goods.hand(n, f"hand-{n}")
        (out / f"hand-{n}").mkdir(parents=True, exist_ok=True)
        for i in range(first, first + 8):
            rng = random.Random(f"hand{n}/{i}")
            random_light(rng)
            goods.place_hand(thing, rng.uniform(-1.6, 1.6), rng.uniform(-1.1, 1.3), rng.uniform(-0.9, 0.9), rng.uniform(0.5, 1.8))
            crop(scene, [thing, *thing.children], out / f"hand-{n}" / f"{i:03}.png", (1 - 640 / WIDE) / 2)
        goods.hide_hand(thing)
    if part == 0:
        background(art, out, first)


def background(art, out, first):
    goods.studio(12, False)
    goods.tray(art)
    (out / "_background").mkdir(parents=True, exist_ok=True)
    for i in range(first, first + 8):
        random_light(random.Random(f"background{i}"))
        goods.render(out / "_background" / f"{i:03}.png")


if __name__ == "__main__":
    a = sys.argv[sys.argv.index("--") + 1:]
    main(Path(a[0]), Path(a[1]), *map(int, a[2:6]))
