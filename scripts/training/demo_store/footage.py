"""Renders the clips' distinct frames: blender -b --python footage.py -- ART OUT PART PARTS [CLIP]

OUT/<clip>/NNN.png, and OUT/<clip>/order.json: the picture of each frame. A clip whose order.json exists is kept.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy  # noqa: E402
from bpy_extras.object_utils import world_to_camera_view  # noqa: E402
from mathutils import Vector  # noqa: E402
from PIL import Image, ImageFilter  # noqa: E402

import goods  # noqa: E402
import stage  # noqa: E402
from products import BY_SKU  # noqa: E402

EMPTY, MOVING, STILL = 3, 4, 10
FEATHER = 5


class Set:
    """One clip's things, and the pictures made so far of the goods at rest.

    Only what differs from a picture that exists is rendered: the moving things' rectangle with their shadows, laid over it
    with a soft edge. That is about five times faster than whole frames.
    """

    def __init__(self, clip, art, folder):
        self.clip, self.folder = clip, folder
        self.scene = goods.studio(EMPTY, False)
        goods.tray(art)
        azimuth, strength, room = clip.light
        goods.light(azimuth, strength, room)
        bpy.context.view_layer.update()
        self.sun = bpy.data.objects["lamp"].matrix_world.to_quaternion() @ Vector((0, 0, -1))
        self.things = [goods.build(BY_SKU[actor.sku], art, f"{clip.name}-{i}") for i, actor in enumerate(clip.actors)]
        self.hand = goods.hand(clip.hand, f"{clip.name}-hand") if clip.hands else None
        self.known = {}

    def show(self, packs, hand):
        for thing, actor, place in zip(self.things, self.clip.actors, packs):
            if place:
                goods.place(thing, place[0], place[1], actor.pose, place[2], actor.spin, place[3])
            else:
                goods.hide(thing)
        if self.hand:
            goods.place_hand(self.hand, *hand) if hand else goods.hide_hand(self.hand)
        bpy.context.view_layer.update()

    def rectangle(self, parts):
        """Where the parts and their shadows are seen, in pixels; None when out of the picture."""
        xs, ys = [], []
        for part in parts:
            for v in part.data.vertices:
                p = part.matrix_world @ v.co
                soft = 0.08 + 0.22 * max(p.z, 0)
                ground = p - self.sun * (p.z / self.sun.z)
                for q, margin in ((p, 0.04), (ground, soft)):
                    seen = world_to_camera_view(self.scene, self.scene.camera, q)
                    xs += [seen.x * goods.FRAME_W - margin * 115, seen.x * goods.FRAME_W + margin * 115]
                    ys += [seen.y * goods.FRAME_H - margin * 115, seen.y * goods.FRAME_H + margin * 115]
        x0, x1 = max(0, int(min(xs))), min(goods.FRAME_W, int(max(xs)) + 1)
        y0, y1 = max(0, int(min(ys))), min(goods.FRAME_H, int(max(ys)) + 1)
        return (x0, y0, x1, y1) if x1 - x0 > 2 and y1 - y0 > 2 else None

    def shot(self, rectangle, samples):
        render, (x0, y0, x1, y1) = self.scene.render, rectangle
        render.use_border = render.use_crop_to_border = True
        render.border_min_x, render.border_max_x = (x0 + 0.01) / goods.FRAME_W, (x1 + 0.01) / goods.FRAME_W
        render.border_min_y, render.border_max_y = (y0 + 0.01) / goods.FRAME_H, (y1 + 0.01) / goods.FRAME_H
        self.scene.cycles.samples = samples
        self.scene.cycles.seed += 1
        path = self.folder / "part.png"
        goods.render(path)
        return Image.open(path).convert("RGB")

    def lay(self, base, parts, samples):
        rectangle = self.rectangle(parts)
        if rectangle is None:
            return base
        x0, y0, x1, y1 = rectangle
        part = self.shot(rectangle, samples)
        mask = Image.new("L", part.size, 0)
        edges = [0 if at_edge else FEATHER for at_edge in (x0 == 0, y1 == goods.FRAME_H, x1 == goods.FRAME_W, y0 == 0)]
        mask.paste(255, (edges[0], edges[1], part.width - edges[2], part.height - edges[3]))
        wide = Image.new("L", (part.width + 40, part.height + 40), 0)
        wide.paste(mask, (20, 20))
        for at, box in ((edges[0], (0, 0, 20, wide.height)), (edges[1], (0, 0, wide.width, 20)),
                        (edges[2], (wide.width - 20, 0, wide.width, wide.height)), (edges[3], (0, wide.height - 20, wide.width, wide.height))):
            if at == 0:
                wide.paste(255, box)
        mask = wide.filter(ImageFilter.BoxBlur(FEATHER // 2)).crop((20, 20, 20 + part.width, 20 + part.height))
        picture = base.copy()
        picture.paste(part, (x0, goods.FRAME_H - y1), mask)
        return picture

    def resting(self, packs):
        """The goods at rest, without a hand."""
        if packs in self.known:
            return self.known[packs]
        self.show(packs, None)
        fits = [k for k in self.known if all(b in (None, a) for a, b in zip(packs, k))]
        if not fits:
            nothing = tuple(None for _ in packs)
            self.show(nothing, None)
            self.known[nothing] = self.shot((0, 0, goods.FRAME_W, goods.FRAME_H), EMPTY)
            return self.resting(packs)
        best = max(fits, key=lambda k: sum(b is not None for b in k))
        picture = self.known[best]
        for thing, a, b in zip(self.things, packs, best):
            if a != b:
                picture = self.lay(picture, [thing], STILL)
        self.known[packs] = picture
        return picture

    def frame(self, packs, hand, rest):
        picture = self.resting(rest)
        movers = [thing for thing, a, b in zip(self.things, packs, rest) if a != b]
        if hand:
            movers += [self.hand, *self.hand.children]
        if movers:
            self.show(packs, hand)
            picture = self.lay(picture, movers, MOVING)
        return picture


def film(clip, art, out):
    folder = out / clip.name
    if (folder / "order.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    stage_set = Set(clip, art, folder)
    frames = [stage.state(clip, frame) for frame in range(round(clip.seconds * stage.FPS))]
    pictures, order = {}, []
    for frame, now in enumerate(frames):
        if now not in pictures:
            beside = [frames[max(frame - 1, 0)][0], frames[min(frame + 1, len(frames) - 1)][0]]
            rest = tuple(place if any(other[i] == place for other in beside) else None for i, place in enumerate(now[0]))
            pictures[now] = f"{frame:03}.png"
            stage_set.frame(*now, rest).save(folder / pictures[now])
        order.append(pictures[now])
    (folder / "part.png").unlink(missing_ok=True)
    (folder / "order.json").write_text(json.dumps(order))


if __name__ == "__main__":
    a = sys.argv[sys.argv.index("--") + 1:]
    every = stage.clips()
    mine = [c for c in every if c.name in a[4:]] if a[4:] else every[int(a[2])::int(a[3])]
    for clip in mine:
        film(clip, Path(a[0]), Path(a[1]))
        print("clip", clip.name, flush=True)
