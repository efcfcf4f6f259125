"""Things on a counter that are not in the assortment, drawn from random numbers.

Packs with invented print (`__unknown__`), hands with forearms (`__hand__`) and table tops. All pictures are
BGR(A) uint8; cutouts carry straight (not premultiplied) alpha.
"""
import cv2
import numpy as np

WORDS = ["SALT", "MILK", "Tea", "OAT", "Soap", "Choco", "NEW", "100g", "Extra", "Mint", "Lemon", "Rice", "Cola", "Best", "Soft", "Snack", "250 ml", "Fresh"]


def colour(rng):
    hsv = np.uint8([[[rng.integers(180), rng.choice([20, 90, 180, 240]), rng.integers(50, 256)]]])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].tolist()


def face(rng, w, h):
    """Printed face of a pack: ground, bands, shapes, words, small print, sometimes a bar code."""
    a, b = np.float32(colour(rng)), np.float32(colour(rng))
    if rng.random() < 0.5:
        b = a * 0.6 + b * 0.4
    ramp = np.linspace(0, 1, h if rng.random() < 0.5 else w, dtype=np.float32)
    ramp = np.tile(ramp[:, None], (1, w)) if len(ramp) == h else np.tile(ramp[None], (h, 1))
    img = np.uint8(np.clip(a + (b - a) * ramp[..., None], 0, 255))
    for _ in range(rng.integers(0, 4)):
        y = int(rng.integers(h))
        cv2.rectangle(img, (0, y), (w, y + int(rng.integers(4, max(5, h // 4)))), colour(rng), -1)
    for _ in range(rng.integers(0, 6)):
        c, r = (int(rng.integers(w)), int(rng.integers(h))), int(rng.integers(5, max(6, min(w, h) // 2)))
        if rng.random() < 0.5:
            cv2.circle(img, c, r, colour(rng), -1 if rng.random() < 0.7 else 4, cv2.LINE_AA)
        else:
            n = int(rng.integers(3, 7))
            t = rng.random() * 6.28 + np.arange(n) * 6.283 / n
            cv2.fillPoly(img, [np.int32(np.stack((np.cos(t), np.sin(t)), 1) * r + c)], colour(rng), cv2.LINE_AA)
    for _ in range(rng.integers(1, 5)):
        cv2.putText(img, str(rng.choice(WORDS)), (int(rng.integers(0, w // 2)), int(rng.integers(h // 6, h))), int(rng.integers(0, 8)),
                    float(rng.uniform(0.5, 2.2)) * w / 200, colour(rng), int(rng.integers(1, 6)), cv2.LINE_AA)
    if rng.random() < 0.4:
        x, y, col = int(rng.integers(w // 2)), int(rng.integers(h // 2)), colour(rng)
        for i in range(int(rng.integers(3, 12))):
            cv2.line(img, (x, y + 7 * i), (x + int(rng.integers(w // 4, w // 2)), y + 7 * i), col, 2)
    if rng.random() < 0.3:
        x, y = int(rng.integers(max(1, w - 60))), int(rng.integers(max(1, h - 40)))
        cv2.rectangle(img, (x, y), (x + 60, y + 40), (250, 250, 250), -1)
        for i in range(4, 56, 3):
            cv2.line(img, (x + i, y + 4), (x + i, y + 36), (20, 20, 20), int(rng.integers(1, 3)))
    return img


def shade(rng, img, mask):
    """Rounds a flat print: light falls off to the sides of the mask, with a highlight and creases."""
    h, w = mask.shape
    d = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    edge = np.clip(d / rng.uniform(3, 0.25 * min(h, w)), 0, 1)
    light = 1 - rng.uniform(0.1, 0.5) * (1 - edge)
    light += rng.uniform(0, 0.25) * cv2.resize(rng.standard_normal((int(rng.integers(2, 9)), int(rng.integers(2, 9)))).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.4:
        x = np.linspace(-1, 1, w, dtype=np.float32)
        light = light + rng.uniform(0.1, 0.6) * np.exp(-(((x - rng.uniform(-0.6, 0.6)) / 0.12) ** 2))[None]
    return np.uint8(np.clip(img * light[..., None], 0, 255))


def pack(rng):
    """RGBA of one invented pack: box with a side, bag, bottle, can, round tin, pouch, phone, purse."""
    h, w = int(rng.integers(110, 340)), int(rng.integers(90, 240))
    kind = rng.random()
    mask = np.zeros((h, w), np.uint8)
    img = face(rng, w, h)
    if kind < 0.3:  # box, one side face darker
        mask[:] = 255
        s = int(rng.uniform(0, 0.35) * w)
        if s > 4:
            img[:, :s] = np.uint8(face(rng, s, h) * rng.uniform(0.4, 0.8))
    elif kind < 0.55:  # bag or pouch with a crimped rim
        cv2.rectangle(mask, (0, 6), (w, h - 6), 255, -1)
        for x in range(0, w, 8):
            cv2.circle(mask, (x, 6), 5, 255, -1)
            cv2.circle(mask, (x, h - 6), 5, 255, -1)
    elif kind < 0.75:  # bottle
        n = int(h * rng.uniform(0.15, 0.35))
        k = int(w * rng.uniform(0.15, 0.3))
        cv2.rectangle(mask, (0, n), (w, h), 255, -1)
        cv2.fillPoly(mask, [np.int32([(0, n), (k, n // 2), (k, 0), (w - k, 0), (w - k, n // 2), (w, n)])], 255)
        cv2.rectangle(img, (0, 0), (w, n // 2), colour(rng), -1)
    elif kind < 0.9:  # tin from above
        r = min(w, h) // 2 - 1
        cv2.circle(mask, (w // 2, h // 2), r, 255, -1)
        if rng.random() < 0.6:
            img[:] = colour(rng)
            for q in (0.95, 0.85, 0.5):
                cv2.circle(img, (w // 2, h // 2), int(r * q), colour(rng), 3, cv2.LINE_AA)
    else:  # phone, purse: plain, rounded
        r = int(min(w, h) * 0.12)
        cv2.rectangle(mask, (r, 0), (w - r, h), 255, -1)
        cv2.rectangle(mask, (0, r), (w, h - r), 255, -1)
        for c in ((r, r), (w - r, r), (r, h - r), (w - r, h - r)):
            cv2.circle(mask, c, r, 255, -1)
        img[:] = np.uint8(np.float32(colour(rng)) * rng.choice([0.2, 0.4, 1.0]))
        cv2.rectangle(img, (8, 8), (w - 8, h - 8), colour(rng), 2)
    img = shade(rng, img, mask)
    return np.dstack((img, cv2.GaussianBlur(mask, (3, 3), 0)))


def reprint(rng, cutout):
    """The shape of a known pack with another print, or with its colours turned far round the wheel."""
    bgr, alpha = cutout[..., :3], cutout[..., 3]
    hsv = cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV)
    if rng.random() < 0.4 and (hsv[..., 1][alpha > 127].mean() if (alpha > 127).any() else 0) > 90:
        hsv[..., 0] = (hsv[..., 0].astype(np.int32) + int(rng.integers(45, 136))) % 180
        out = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    else:
        grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY).astype(np.float32)
        light = cv2.GaussianBlur(grey, (0, 0), 12)
        light /= max(1.0, float(light.mean()))
        out = np.uint8(np.clip(face(rng, bgr.shape[1], bgr.shape[0]) * np.clip(light, 0.5, 1.4)[..., None], 0, 255))
    return np.dstack((out, alpha))


def hand(rng):
    """RGBA of a hand at the top of the picture with its forearm running out of the bottom (arm down)."""
    W, H = 260, 820
    mask = np.zeros((H, W), np.uint8)
    cx = W // 2 + int(rng.integers(-15, 16))
    palm_y = int(rng.integers(150, 190))
    pw, ph = int(rng.integers(44, 60)), int(rng.integers(50, 68))
    cv2.ellipse(mask, (cx, palm_y), (pw, ph), 0, 0, 360, 255, -1)
    wrist, elbow = int(rng.integers(30, 42)), int(rng.integers(44, 70))
    lean = int(rng.integers(-50, 51))
    cv2.fillPoly(mask, [np.int32([(cx - wrist, palm_y + ph // 2), (cx + wrist, palm_y + ph // 2),
                                  (cx + lean + elbow, H), (cx + lean - elbow, H)])], 255)
    closed = rng.random() < 0.35
    side = 1 if rng.random() < 0.5 else -1
    for i in range(4):
        a = (i - 1.5) * rng.uniform(0.08, 0.3) + rng.uniform(-0.06, 0.06)
        length = (rng.uniform(0.5, 0.8) if closed else rng.uniform(1.1, 1.6)) * ph * (1.0, 1.15, 1.1, 0.85)[i]
        p = np.array([cx + (i - 1.5) * pw * 0.5, palm_y - ph * 0.6])
        q = p + np.array([np.sin(a), -np.cos(a)]) * length
        cv2.line(mask, tuple(p.astype(int).tolist()), tuple(q.astype(int).tolist()), 255, int(pw * rng.uniform(0.38, 0.46)), cv2.LINE_AA)
    p = np.array([cx + side * pw * 0.75, palm_y + 10.0])
    q = p + np.array([side * rng.uniform(0.3, 0.9), -rng.uniform(0.4, 0.9)]) * ph * 1.1
    cv2.line(mask, tuple(p.astype(int).tolist()), tuple(q.astype(int).tolist()), 255, int(pw * 0.48), cv2.LINE_AA)
    skin = np.float32([(140, 180, 235), (110, 150, 215), (80, 120, 190), (60, 90, 150), (40, 60, 105), (150, 190, 225), (125, 160, 205)][rng.integers(7)]) * rng.uniform(0.8, 1.1)
    if rng.random() < 0.15:
        skin = np.float32(colour(rng))  # a glove
    d = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    light = 0.62 + 0.42 * np.sqrt(np.clip(d / rng.uniform(18, 38), 0, 1))
    light += 0.05 * cv2.resize(rng.standard_normal((30, 10)).astype(np.float32), (W, H), interpolation=cv2.INTER_CUBIC)
    img = np.ones((H, W, 3), np.float32) * skin
    if rng.random() < 0.6:  # sleeve
        y = palm_y + ph + int(rng.integers(10, 220))
        mask[y:] = np.maximum(mask[y:], cv2.dilate(mask[y:], np.ones((1, int(rng.integers(5, 36))), np.uint8)))
        img[y:] = colour(rng)
        d = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
        light[y:] = 0.6 + 0.4 * np.clip(d[y:] / 30, 0, 1)
    img = np.uint8(np.clip(img * light[..., None], 0, 255))
    return np.dstack((cv2.GaussianBlur(img, (5, 5), 0), cv2.GaussianBlur(mask, (5, 5), 0)))


def table(rng, w, h):
    """A table top: plain, veined, speckled or striped, under uneven light."""
    base = np.float32(colour(rng)) * rng.uniform(0.3, 1.0)
    if rng.random() < 0.5:
        base = base.mean() * 0.8 + base * 0.2
    img = np.ones((h, w, 3), np.float32) * base
    kind = rng.random()
    if kind < 0.4:  # grain
        g = rng.standard_normal((int(rng.integers(60, 300)), int(rng.integers(2, 8)))).astype(np.float32)
        g = cv2.resize(g, (max(w, h) * 2, max(w, h) * 2), interpolation=cv2.INTER_CUBIC)[:h, :w]
        img *= 1 + rng.uniform(0.03, 0.25) * (g if rng.random() < 0.5 else cv2.resize(g.T, (w, h)))[..., None]
    elif kind < 0.6:
        img += cv2.resize(rng.standard_normal((h // 2, w // 2)).astype(np.float32) * rng.uniform(3, 30), (w, h))[..., None]
    elif kind < 0.75:
        for x in range(0, w, int(rng.integers(14, 90))):
            cv2.line(img, (x, 0), (x + int(rng.integers(-30, 31)), h), (base * rng.uniform(0.6, 1.4)).tolist(), int(rng.integers(1, 5)))
    light = cv2.resize(rng.uniform(0.55, 1.35, (3, 3)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    return np.uint8(np.clip(img * light[..., None], 0, 255))
