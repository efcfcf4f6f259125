"""Composes counter pictures with exact boxes out of cutouts and backgrounds.

Sizes of cutouts are counted in pixels of a 640x480 frame; a picture may be composed at any size of the same
shape. Everything random comes from one numpy generator, so a seed gives the same pictures.
"""
import pathlib
from dataclasses import dataclass

import cv2
import numpy as np

import props

FRAME = (640, 480)
UNKNOWN, HAND = "__unknown__", "__hand__"


@dataclass
class Style:
    """How pictures vary; the defaults are for training (wide). Probabilities 0..1."""
    fill: tuple = (0.15, 0.85)      # share of the frame that the packs' areas add up to
    scale: tuple = (0.22, 1.1)      # limits of a pack's size against its cutout
    jitter: float = 0.15            # of the size within one picture
    stretch: float = 0.12
    overlap: tuple = (0.0, 0.35)    # a pack may hide this share of another; drawn once a picture
    off_frame: float = 0.3          # packs pushed over the frame's edge
    cut: float = 0.3                # packs cut by a straight line
    row: float = 0.25               # same product side by side
    unknown: float = 0.45           # pictures with goods that are not sold
    hand: float = 0.18              # pictures with hands
    invented_table: float = 0.35
    focus: tuple = ()               # labels that are hard to tell apart: a third of the pictures shows mainly these
    light: float = 1.0              # strength of exposure, white balance, noise, blur, JPEG


GENTLE = Style(fill=(0.2, 0.65), scale=(0.25, 1.0), jitter=0.08, stretch=0.03, overlap=(0.0, 0.2), off_frame=0.1, cut=0.0, row=0.2,
               unknown=0.0, hand=0.0, invented_table=0.0, light=0.45)
LEVELS = {"easy": (3, 5), "medium": (5, 8), "hard": (8, 12)}


class Cutout:
    """Premultiplied BGRA at halving sizes, so that a small copy is not aliased."""

    def __init__(self, bgra):
        bgra = bgra if bgra.shape[2] == 4 else np.dstack((bgra, np.full(bgra.shape[:2], 255, np.uint8)))
        level = bgra.copy()
        level[..., :3] = np.uint8(bgra[..., :3].astype(np.uint16) * bgra[..., 3:] // 255)
        self.levels = [level]
        while min(level.shape[:2]) > 24 and len(self.levels) < 5:
            level = cv2.resize(level, (level.shape[1] // 2, level.shape[0] // 2), interpolation=cv2.INTER_AREA)
            self.levels.append(level)
        self.h, self.w = bgra.shape[:2]
        self.area = float((bgra[..., 3] > 127).sum())

    def warp(self, scale, angle, sx=1.0, sy=1.0, shear=0.0):
        """A BGRA patch just large enough for the turned cutout."""
        n = 0
        while n + 1 < len(self.levels) and scale * 2 ** (n + 1) <= 1.0:
            n += 1
        src = self.levels[n]
        h, w = src.shape[:2]
        kx, ky = self.w / w * scale * sx, self.h / h * scale * sy
        c, s = np.cos(angle), np.sin(angle)
        a = np.array([[c, -s], [s, c]]) @ np.array([[1, shear], [0, 1]]) @ np.diag([kx, ky])
        corners = a @ (np.array([[0, w, w, 0], [0, 0, h, h]], float) - [[w / 2], [h / 2]])
        lo, hi = corners.min(1), corners.max(1)
        pw, ph = (np.ceil(hi - lo).astype(int) + 2).tolist()
        t = -lo + 1 - a @ np.array([w / 2, h / 2])
        return cv2.warpAffine(src, np.hstack((a, t[:, None])), (max(pw, 3), max(ph, 3)), flags=cv2.INTER_LINEAR)


def face_weights(cutouts):
    """Rare faces of a product get their share: 1 / (how many of its cutouts look alike)."""
    hists = []
    for c in cutouts:
        small = c.levels[min(2, len(c.levels) - 1)]
        px = small[small[..., 3] > 200][:, :3]
        hist = np.histogramdd(px, bins=(5, 5, 5), range=[(0, 256)] * 3)[0].ravel()
        hists.append(np.sqrt(hist / max(1, hist.sum())))
    hists = np.array(hists)
    d = ((hists[:, None] - hists[None]) ** 2).sum(2)
    w = 1 / np.exp(-d / 0.15).sum(1)
    return w / w.sum()


class Store:
    """Cutouts by label index, unknown goods, hands and backgrounds of one assortment."""

    def __init__(self, labels, cutouts, unknown, hands, backgrounds, frames=(), photographed=()):
        self.labels, self.cutouts, self.unknown, self.hands = labels, cutouts, unknown, hands
        self.backgrounds, self.frames = backgrounds, list(frames)
        self.photographed = list(photographed)  # hands whose arm the frame's lower edge cuts off
        self.weights = [face_weights(c) for c in cutouts]

    def pick(self, rng, label):
        return self.cutouts[label][rng.choice(len(self.weights[label]), p=self.weights[label])]


def clean_tables(pictures):
    """Backgrounds from photographs with boxes: [(bgr, [x, y, w, h])] grouped by the caller -> one median picture."""
    stack = np.stack([p for p, _ in pictures]).astype(np.float32)
    for i, (_, (x, y, w, h)) in enumerate(pictures):
        stack[i, max(0, y - 4):y + h + 4, max(0, x - 4):x + w + 4] = np.nan
    with np.errstate(all="ignore"):
        m = np.nanmedian(stack, 0)
    hole = np.isnan(m).any(2).astype(np.uint8)
    m = np.uint8(np.nan_to_num(m))
    return cv2.inpaint(m, hole, 9, cv2.INPAINT_TELEA) if hole.any() else m


class Composer:
    def __init__(self, store, size, style=Style(), seed=0):
        """`size` is (width, height) of the pictures."""
        self.store, self.size, self.style = store, size, style
        self.rng = np.random.default_rng(seed)
        self.k = size[0] / FRAME[0]
        self.noise = [self.rng.standard_normal((size[1] + 64, size[0] + 64, 3)).astype(np.float32) for _ in range(2)]

    def picture(self, count=None, products=None):
        """-> (bgr uint8, boxes [n, 4] x1 y1 x2 y2 float32, labels [n] int64). `count` = (least, most) packs."""
        img, boxes, labels = self.scene(count, products)
        return self.camera(img), boxes, labels

    def again(self, scene):
        """A scene seen another time: turned by a half circle or not, with other light and another sensor."""
        img, boxes, labels = scene
        if self.rng.random() < 0.6:
            w, h = self.size
            img, boxes = np.ascontiguousarray(img[::-1, ::-1]), np.float32([w, h, w, h]) - boxes[:, [2, 3, 0, 1]]
        return self.camera(img), boxes, labels

    def scene(self, count=None, products=None):
        """A picture before the camera."""
        rng, st, (w, h) = self.rng, self.style, self.size
        boxes, labels = [], []
        self.top = np.zeros((h, w), np.int16)      # which pack is seen at each pixel, 1-based
        self.full = [0.0]                          # pixels of each pack had nothing hidden it
        frame = None
        if self.store.frames and st.light == 1.0 and rng.random() < 0.18:
            frame = self.store.frames[rng.integers(len(self.store.frames))]
            img, box = self.moved(frame[0], frame[1])
            boxes.append(box)
            labels.append(frame[2])
            x1, y1, x2, y2 = np.int32(box)
            self.top[y1:y2, x1:x2] = 1
            self.full.append(float((x2 - x1) * (y2 - y1)))
        else:
            img = self.background()
        if count is None:
            lo, hi = ((1, 1), (1, 3), (3, 5), (5, 8), (8, 12))[rng.choice(5, p=[0.12, 0.18, 0.25, 0.27, 0.18])]
            count = (0, hi // 2) if frame else (lo, hi)
        n = int(rng.integers(count[0], count[1] + 1))
        picks = self.choose(n, products)
        area = sum(c.area for c, _ in picks) or 1.0
        fill = rng.uniform(*st.fill) * (0.5 if frame else 1.0)
        scale = float(np.clip(np.sqrt(fill * FRAME[0] * FRAME[1] / area), *st.scale))
        if n <= 2 and rng.random() < 0.5:
            scale = float(rng.uniform(max(st.scale[0], 0.5), st.scale[1]))
        self.overlap = rng.uniform(*st.overlap) * (rng.random() < 0.75)
        t, far = rng.uniform(0, 6.283), rng.uniform(0, 30)
        self.shadow = (np.cos(t) * far * self.k * scale, np.sin(t) * far * self.k * scale, rng.uniform(0.1, 0.75), rng.uniform(2, 14) * self.k)
        last = None
        for cutout, label in picks:
            last = self.place(img, cutout, label, scale, boxes, labels, last)
        if rng.random() < st.hand:
            for _ in range(1 if rng.random() < 0.8 else 2):
                self.reach(img, boxes, labels, scale)
        return img, *self.visible(boxes, labels)

    def choose(self, n, products):
        rng, st = self.rng, self.style
        known = len(self.store.cutouts)
        unknown = self.store.labels.index(UNKNOWN)
        some = products or rng.permutation(known)[: int(rng.integers(1, known + 1))]
        if st.focus and not products and rng.random() < 0.35:
            some = [*st.focus, *some[:1]]
        picks, strangers = [], rng.random() < st.unknown
        share = rng.choice([0.15, 0.35, 1.0], p=[0.5, 0.4, 0.1])
        while len(picks) < n:
            if strangers and self.store.unknown and rng.random() < share:
                picks.append((self.stranger(), unknown))
                continue
            label = int(rng.choice(some))
            run = int(rng.integers(2, 4)) if rng.random() < st.row else 1
            same = self.store.pick(rng, label)
            picks += [(same if rng.random() < 0.6 else self.store.pick(rng, label), label) for _ in range(run)]
        return picks[:n]

    def stranger(self):
        rng = self.rng
        groups = self.store.unknown
        group = groups[rng.integers(len(groups))]
        return group[rng.integers(len(group))]

    def background(self):
        rng, st, (w, h) = self.rng, self.style, self.size
        if not self.store.backgrounds or rng.random() < st.invented_table:
            return props.table(rng, w, h)
        b = self.store.backgrounds[rng.integers(len(self.store.backgrounds))]
        if st.light == 1.0:
            b = np.rot90(b, 2) if rng.random() < 0.3 else b
            z = rng.uniform(0.6, 1.0)
            ch, cw = int(b.shape[0] * z), int(b.shape[1] * z)
            y, x = int(rng.integers(b.shape[0] - ch + 1)), int(rng.integers(b.shape[1] - cw + 1))
            b = b[y:y + ch, x:x + cw]
        return cv2.resize(b, (w, h), interpolation=cv2.INTER_AREA)

    def moved(self, img, box):
        """A real photograph, moved, zoomed or turned by a half circle."""
        rng, (w, h) = self.rng, self.size
        z = self.k * rng.uniform(0.75, 1.15) if rng.random() < 0.6 else self.k
        turn = -1.0 if rng.random() < 0.4 else 1.0
        a = np.array([[z * turn, 0, 0], [0, z * turn, 0]], float)
        middle = a[:, :2] @ [FRAME[0] / 2, FRAME[1] / 2]
        slack = 0 if z == self.k else 25 * self.k
        a[:, 2] = [w / 2 - middle[0] + rng.uniform(-slack, slack), h / 2 - middle[1] + rng.uniform(-slack, slack)]
        out = cv2.warpAffine(img, a, (w, h), flags=cv2.INTER_AREA if z >= 1 else cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        x, y, bw, bh = box
        p = a[:, :2] @ np.array([[x, x + bw], [y, y + bh]], float) + a[:, 2:]
        b = np.array([p[0].min(), p[1].min(), p[0].max(), p[1].max()])
        return out, np.clip(b, 0, [w, h, w, h]).astype(np.float32)

    def place(self, img, cutout, label, scale, boxes, labels, last):
        """Finds room for one pack, draws it with its shadow, and notes its box. -> what the next in a row needs."""
        rng, st, (w, h) = self.rng, self.style, self.size
        s = scale * self.k * rng.uniform(1 - st.jitter, 1 + st.jitter)
        s = min(s, 1.05 * w / max(cutout.w, cutout.h))
        row = last is not None and last[0] == label and rng.random() < 0.75
        angle = last[1] + rng.normal(0, 0.06) if row else rng.uniform(0, 2 * np.pi)
        sx, sy = rng.uniform(1 - st.stretch, 1 + st.stretch, 2)
        for attempt in range(14):
            if attempt == 8:
                row, angle, s = False, rng.uniform(0, 2 * np.pi), max(s * 0.85, 0.2 * self.k)
            patch = cutout.warp(s, angle, sx, sy, rng.normal(0, st.stretch * 0.5)) if attempt % 4 == 0 else patch
            ph, pw = patch.shape[:2]
            if row:
                d = np.array([np.cos(angle), np.sin(angle)]) * cutout.w * s if attempt % 2 else np.array([-np.sin(angle), np.cos(angle)]) * cutout.h * s
                c = last[2] + d * rng.uniform(0.95, 1.12) * rng.choice([-1, 1])
                x, y = int(c[0] - pw / 2), int(c[1] - ph / 2)
                if x < -pw // 2 or y < -ph // 2 or x + pw // 2 > w or y + ph // 2 > h:
                    continue
            elif rng.random() < st.off_frame:
                x, y = int(rng.integers(-pw // 2, w - pw // 2)), int(rng.integers(-ph // 2, h - ph // 2))
            else:
                x, y = int(rng.integers(min(0, w - pw), max(0, w - pw) + 1)), int(rng.integers(min(0, h - ph), max(0, h - ph) + 1))
            if self.fits(patch, x, y):
                if rng.random() < st.cut:
                    patch = self.sliced(patch)
                self.draw(img, patch, x, y, label, boxes, labels, light=rng.uniform(1 - 0.2 * st.light, 1 + 0.15 * st.light))
                return label, angle, np.array([x + pw / 2, y + ph / 2])
        return None

    def sliced(self, patch):
        """Cut by a straight line, as a pack at the edge of another picture would be."""
        ph, pw = patch.shape[:2]
        t, off = self.rng.uniform(0, 6.283), self.rng.uniform(-0.15, 0.3)
        yy, xx = np.mgrid[:ph, :pw]
        keep = (xx / pw - 0.5) * np.cos(t) + (yy / ph - 0.5) * np.sin(t) < off
        return patch * keep[..., None].astype(np.uint8)

    def fits(self, patch, x, y):
        region, a = self.window(patch, x, y)
        if region is None:
            return False
        solid = a[..., 3] > 127
        inside, whole = int(solid.sum()), int((patch[..., 3] > 127).sum())
        if whole < 60 or inside < 0.4 * whole:
            return False
        under = self.top[region][solid]
        if not under.any():
            return True
        hidden = np.bincount(under, minlength=len(self.full))[1:]
        seen = np.bincount(self.top.ravel(), minlength=len(self.full))[1:]
        full = np.array(self.full[1:])
        # Nobody may lose more than the picture's share, nor be left with less than half.
        return not np.any((hidden > self.overlap * full) | ((hidden > 0) & (seen - hidden < 0.5 * full)))

    def window(self, patch, x, y):
        ph, pw = patch.shape[:2]
        w, h = self.size
        x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + pw, w), min(y + ph, h)
        if x2 - x1 < 4 or y2 - y1 < 4:
            return None, None
        return (slice(y1, y2), slice(x1, x2)), patch[y1 - y:y2 - y, x1 - x:x2 - x]

    def draw(self, img, patch, x, y, label, boxes, labels, light=1.0):
        rng = self.rng
        dx, dy, dark, soft = self.shadow
        k = int(soft) * 2 + 3
        pad = k
        alpha = cv2.copyMakeBorder(patch[..., 3], pad, pad, pad, pad, cv2.BORDER_CONSTANT)
        region, a = self.window(cv2.blur(alpha, (k, k)), int(x - pad + dx), int(y - pad + dy))
        if region is not None:
            keep = cv2.convertScaleAbs(a, alpha=-dark, beta=255)
            img[region] = cv2.multiply(img[region], cv2.merge((keep, keep, keep)), scale=1 / 255)
        region, a = self.window(patch, x, y)
        if region is None:
            return
        alpha = a[..., 3]
        solid = alpha > 127
        if not solid.any():
            return
        gain = light * rng.uniform(1 - 0.05 * self.style.light, 1 + 0.05 * self.style.light, 3)
        rest = 255 - alpha
        over = cv2.multiply(np.ascontiguousarray(a[..., :3]), (*gain.tolist(), 1.0))
        img[region] = cv2.add(over, cv2.multiply(img[region], cv2.merge((rest, rest, rest)), scale=1 / 255))
        self.top[region][solid] = len(self.full)
        self.full.append(float((patch[..., 3] > 127).sum()))
        ys, xs = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
        boxes.append(np.float32([region[1].start + xs[0], region[0].start + ys[0], region[1].start + xs[-1] + 1, region[0].start + ys[-1] + 1]))
        labels.append(label)

    def reach(self, img, boxes, labels, scale):
        """A hand comes in from the frame's edge, over the goods."""
        rng, (w, h) = self.rng, self.size
        hand = self.store.labels.index(HAND)
        if self.store.photographed and rng.random() < 0.7:
            cut = self.store.photographed[rng.integers(len(self.store.photographed))]
            patch = cut.warp(self.k * rng.uniform(0.85, 1.25), rng.normal(0, 0.04), rng.choice([-1, 1]))
            x = int(rng.integers(-patch.shape[1] // 3, w - patch.shape[1] * 2 // 3))
            y = h - patch.shape[0] + int(rng.uniform(-0.01, 0.5) * patch.shape[0] if rng.random() < 0.5 else 4)
            self.draw(img, patch, x, y, hand, boxes, labels, rng.uniform(0.8, 1.15))
            return
        cut = self.store.hands[rng.integers(len(self.store.hands))]
        t = rng.uniform(0, 6.283)                                   # direction of the arm, pointing out
        s = self.k * rng.uniform(0.55, 1.25)
        tip = np.array([w / 2, h / 2]) + np.array([np.cos(t), np.sin(t)]) * rng.uniform(-0.2, 0.45) * h + rng.uniform(-0.25, 0.25, 2) * [w, h]
        patch = cut.warp(s, t - np.pi / 2, 1.0, 1.0)
        out = np.array([np.cos(t), np.sin(t)]) * (cut.h * s / 2 - 90 * s)
        c = tip + out
        self.draw(img, patch, int(c[0] - patch.shape[1] / 2), int(c[1] - patch.shape[0] / 2), hand, boxes, labels, rng.uniform(0.75, 1.2))

    def visible(self, boxes, labels):
        seen = np.bincount(self.top.ravel(), minlength=len(self.full))[1:]
        full = np.array(self.full[1:])
        hand = self.store.labels.index(HAND)
        ok = [i for i in range(len(boxes)) if (seen[i] > 0.3 * full[i] or (labels[i] == hand and seen[i] > 250) or full[i] * 0.12 < seen[i] and self.inside(boxes[i], seen[i]))
              and min(boxes[i][2] - boxes[i][0], boxes[i][3] - boxes[i][1]) >= 6]
        if not ok:
            return np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
        return np.stack([boxes[i] for i in ok]), np.array([labels[i] for i in ok], np.int64)

    @staticmethod
    def inside(box, seen):
        """Half out of the frame rather than hidden: what is in the frame is mostly seen."""
        return seen > 0.45 * (box[2] - box[0]) * (box[3] - box[1])

    def camera(self, img):
        """What lens, sensor and encoder do to the picture."""
        rng, f, (w, h) = self.rng, self.style.light, self.size
        if rng.random() < 0.35 * f:
            k = float(rng.uniform(0.4, 1.4)) * max(0.55, self.k * 1.4)
            img = cv2.GaussianBlur(img, (0, 0), k)
        elif rng.random() < 0.2 * f:
            q = np.zeros((5, 5), np.float32)
            cv2.line(q, (int(rng.integers(5)), 0), (int(rng.integers(5)), 4), 1, 1)
            q = q if rng.random() < 0.5 else q.T
            img = cv2.filter2D(img, -1, q / q.sum())
        elif rng.random() < 0.3 * f:
            img = cv2.addWeighted(img, 1.5, cv2.GaussianBlur(img, (0, 0), 1.2), -0.5, 0)
        gain = np.exp(rng.normal(0, 0.22 * f)) * np.exp(rng.normal(0, 0.06 * f, 3))
        gamma, lift = np.exp(rng.normal(0, 0.15 * f)), rng.normal(0, 8 * f)
        x = np.arange(256, dtype=np.float32) / 255
        lut = np.uint8(np.clip(255 * (x[:, None] ** gamma) * gain + lift, 0, 255))
        img = cv2.LUT(img, np.ascontiguousarray(lut[None]))
        if rng.random() < 0.25 * f:
            hsv = cv2.cvtColor(img, cv2.COLOR_BGR2HSV)
            hsv[..., 1] = cv2.multiply(hsv[..., 1], float(rng.uniform(0.6, 1.35)))
            img = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
        if rng.random() < 0.35 * f:
            light = cv2.resize(rng.uniform(0.65, 1.3, (2, 2)).astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR)
            img = np.uint8(np.minimum(img * light[..., None], 255))
        if rng.random() < 0.6 * f:
            n = self.noise[rng.integers(2)]
            y, x0 = int(rng.integers(64)), int(rng.integers(64))
            img = np.uint8(np.clip(img + n[y:y + h, x0:x0 + w] * np.float32(rng.uniform(1, 9) * f), 0, 255))
        if rng.random() < 0.45:
            img = cv2.imdecode(cv2.imencode(".jpg", img, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(45, 96))])[1], 1)
        return img


def read_cutouts(folder, names=None):
    """[(file name, BGRA)] of a folder, sorted."""
    out = []
    for f in sorted(pathlib.Path(folder).iterdir()):
        if f.suffix.lower() in (".webp", ".png") and (names is None or f.name in names):
            img = cv2.imread(str(f), cv2.IMREAD_UNCHANGED)
            if img is None:
                raise SystemExit(f"{f}: not a picture")
            out.append((f.name, img))
    return out
