"""Draws the packs' printed faces, the lids and the counter: `art.py OUT`. Fixed seeds, no other picture is read."""

import math
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont
import numpy as np

from products import ALL

FONT = "/usr/share/fonts/truetype/nanum/NanumSquareRoundB.ttf"
DOTS_PER_CM = 48


def font_for(text, width, height):
    """The largest size at which `text` fits."""
    size = max(8, int(height))
    while size > 8:
        font = ImageFont.truetype(FONT, size)
        left, top, right, bottom = font.getbbox(text)
        if right - left <= width and bottom - top <= height:
            return font
        size = int(size * 0.94) if size > 16 else size - 1
    return ImageFont.truetype(FONT, 8)


def text(draw, centre, width, height, words, colour):
    draw.text(centre, words, font=font_for(words, width, height), fill=colour, anchor="mm")


def pattern(draw, rng, w, h, product):
    """Fills the face with the product's own ornament."""
    c, kind, step = product.accent, product.pattern, DOTS_PER_CM
    if kind == "leaves":
        for _ in range(int(w * h / 4200)):
            x, y, a, r = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(0, math.pi), rng.uniform(18, 44)
            dx, dy = math.cos(a) * r, math.sin(a) * r
            nx, ny = -dy * 0.32, dx * 0.32
            draw.polygon([(x - dx, y - dy), (x + nx, y + ny), (x + dx, y + dy), (x - nx, y - ny)], fill=c)
    elif kind == "moons":
        for _ in range(int(w * h / 9000)):
            x, y, r = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(6, 34)
            draw.ellipse([x - r, y - r, x + r, y + r], fill=c)
            draw.ellipse([x - r * 0.4, y - r * 1.1, x + r * 1.4, y + r * 0.7], fill=product.base)
    elif kind == "rays":
        cx, cy, far = w / 2, h * 0.95, w + h
        for i in range(0, 36, 2):
            a, b = i * math.pi / 18, (i + 1) * math.pi / 18
            draw.polygon([(cx, cy), (cx + far * math.cos(a), cy + far * math.sin(a)),
                          (cx + far * math.cos(b), cy + far * math.sin(b))], fill=c)
    elif kind == "lattice":
        for o in range(-int(h), int(w + h), step):
            draw.line([(o, 0), (o + h, h)], fill=c, width=7)
            draw.line([(o, h), (o + h, 0)], fill=c, width=7)
    elif kind == "waves":
        for y in range(0, int(h) + step, step):
            draw.line([(x, y + 14 * math.sin(x / 26 + y)) for x in range(0, int(w) + 4, 4)], fill=c, width=14)
    elif kind == "hexagons":
        r = step * 0.62
        for row in range(int(h / (r * 1.5)) + 2):
            for col in range(int(w / (r * 1.74)) + 2):
                x, y = col * r * 1.74 + (row % 2) * r * 0.87, row * r * 1.5
                draw.polygon([(x + r * 0.86 * math.sin(k * math.pi / 3), y + r * 0.86 * math.cos(k * math.pi / 3))
                              for k in range(6)], fill=c if (row + col) % 3 else product.base)
    elif kind == "flames":
        for i in range(int(w / step) + 2):
            x, top = i * step, h * rng.uniform(0.35, 0.75)
            draw.polygon([(x - step, h), (x - step * 0.5, (top + h) / 2), (x + rng.uniform(-20, 20), top),
                          (x + step * 0.5, (top + h) / 2), (x + step, h)], fill=c)
        for i in range(int(w / step) + 2):
            x, top = (i + 0.5) * step, h * rng.uniform(0.7, 0.9)
            draw.polygon([(x - step * 0.7, h), (x, top), (x + step * 0.7, h)], fill=(255, 150, 20))
    elif kind in ("dots", "bubbles"):
        for row in range(int(h / step) + 2):
            for col in range(int(w / step) + 2):
                r = step * (0.3 if kind == "dots" else rng.uniform(0.1, 0.42))
                x, y = col * step + (row % 2) * step / 2, row * step
                box = [x - r, y - r, x + r, y + r]
                draw.ellipse(box, fill=c) if kind == "dots" else draw.ellipse(box, outline=c, width=6)
    elif kind == "stripes":
        for x in range(0, int(w), step):
            draw.rectangle([x, 0, x + step * 0.45, h], fill=c)
    elif kind == "checks":
        for row in range(int(h / step) + 1):
            for col in range(int(w / step) + 1):
                if (row + col) % 2:
                    draw.rectangle([col * step, row * step, (col + 1) * step, (row + 1) * step], fill=c)
    elif kind == "zigzag":
        for y in range(0, int(h) + step, step):
            draw.line([(x, y + (step // 2 if (x // 32) % 2 else 0)) for x in range(0, int(w) + 32, 32)], fill=c, width=12)


def sheet(w_cm, h_cm, colour):
    image = Image.new("RGB", (round(w_cm * DOTS_PER_CM), round(h_cm * DOTS_PER_CM)), colour)
    return image, ImageDraw.Draw(image), *image.size


def label(draw, product, cx, cy, w, h):
    """A plate with the two names."""
    draw.rounded_rectangle([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], radius=h * 0.22, fill=product.plate,
                           outline=product.ink, width=6)
    words = product.korean.split(" ")
    each = h * 0.62 / len(words)
    for i, word in enumerate(words):
        text(draw, (cx, cy - h * 0.42 + each * (i + 0.5)), w * 0.86, each * 0.86, word, product.ink)
    text(draw, (cx, cy + h * 0.33), w * 0.86, h * 0.18, product.english, product.ink)


def front(product, rng, w_cm, h_cm):
    image, draw, w, h = sheet(w_cm, h_cm, product.base)
    pattern(draw, rng, w, h, product)
    label(draw, product, w / 2, h * 0.42, w * 0.84, h * 0.52)
    text(draw, (w * 0.8, h * 0.93), w * 0.3, h * 0.05, f"{product.mass_g} g", product.ink)
    return image


def back(product, rng, w_cm, h_cm):
    light = tuple((c + 2 * p) // 3 for c, p in zip(product.base, product.plate))
    image, draw, w, h = sheet(w_cm, h_cm, product.base)
    draw.rectangle([w * 0.06, h * 0.22, w * 0.94, h * 0.95], fill=light)
    text(draw, (w / 2, h * 0.12), w * 0.86, h * 0.13, product.korean, product.plate if product.plate != product.base else product.ink)
    for i in range(9):
        y = h * (0.28 + i * 0.04)
        draw.rectangle([w * 0.11, y, w * rng.uniform(0.6, 0.88), y + h * 0.014], fill=product.ink)
    x = w * 0.5
    draw.rectangle([w * 0.47, h * 0.7, w * 0.9, h * 0.92], fill=(255, 255, 255))
    while x < w * 0.86:
        bar = rng.choice([3, 5, 8])
        draw.rectangle([x, h * 0.72, x + bar, h * 0.9], fill=(10, 10, 10))
        x += bar + rng.choice([4, 6, 9])
    draw.ellipse([w * 0.12, h * 0.7, w * 0.12 + w * 0.26, h * 0.7 + w * 0.26], fill=product.accent, outline=product.ink, width=5)
    return image


def side(product, rng, w_cm, h_cm):
    """A narrow face: the name along its longer direction."""
    turn = h_cm > w_cm
    image, draw, w, h = sheet(max(w_cm, h_cm), min(w_cm, h_cm), product.base)
    draw.rectangle([0, 0, w, h * 0.16], fill=product.accent)
    draw.rectangle([0, h * 0.84, w, h], fill=product.accent)
    draw.rounded_rectangle([w * 0.05, h * 0.24, w * 0.95, h * 0.76], radius=14, fill=product.plate)
    text(draw, (w / 2, h / 2), w * 0.84, h * 0.4, product.korean, product.ink)
    return image.rotate(90, expand=True) if turn else image


def wrap(product, rng, circumference, height):
    """A round pack's label: the name three times around."""
    image, draw, w, h = sheet(circumference, height, product.base)
    pattern(draw, rng, w, h, product)
    if product.kind == "tin":
        for k in range(3):
            text(draw, (w * (k + 0.5) / 3, h / 2), w * 0.28, h * 0.5, product.korean, product.ink)
        return image
    for k in range(3):
        label(draw, product, w * (k + 0.5) / 3, h * 0.55, w * 0.29, h * 0.42)
    return image


def lid(product, rng, diameter):
    image, draw, w, h = sheet(diameter, diameter, (196, 198, 202))
    if product.kind == "tin":
        draw.ellipse([w * 0.03, h * 0.03, w * 0.97, h * 0.97], fill=product.base)
        draw.ellipse([w * 0.08, h * 0.08, w * 0.92, h * 0.92], outline=product.accent, width=10)
        label(draw, product, w / 2, h * 0.5, w * 0.72, h * 0.46)
        draw.ellipse([w * 0.42, h * 0.78, w * 0.58, h * 0.92], outline=(220, 222, 226), width=9)
        return image
    draw.ellipse([w * 0.02, h * 0.02, w * 0.98, h * 0.98], outline=product.base, width=20)
    draw.ellipse([w * 0.12, h * 0.12, w * 0.88, h * 0.88], fill=product.cap)
    draw.ellipse([w * 0.38, h * 0.4, w * 0.62, h * 0.8], fill=(160, 162, 168), outline=(110, 112, 118), width=5)
    draw.ellipse([w * 0.4, h * 0.18, w * 0.6, h * 0.36], fill=(150, 152, 158))
    return image


def counter(size=(1400, 1050)):
    """A speckled pale tray with a printed frame."""
    noise = np.random.default_rng(7)
    fine = noise.normal(0, 5, (size[1], size[0], 1))
    coarse = np.asarray(Image.fromarray((noise.random((14, 18)) * 255).astype("uint8")).resize(size, Image.BICUBIC), float)
    picture = np.array([186, 184, 178.0]) + fine + (coarse[..., None] - 128) * 0.045
    for _ in range(5200):
        y, x = noise.integers(0, size[1] - 3), noise.integers(0, size[0] - 3)
        picture[y:y + noise.integers(1, 4), x:x + noise.integers(1, 4)] += noise.choice([-46, -30, 26])
    image = Image.fromarray(np.clip(picture, 0, 255).astype("uint8")).filter(ImageFilter.GaussianBlur(0.7))
    draw = ImageDraw.Draw(image)
    w, h = size
    draw.rounded_rectangle([w * 0.155, h * 0.155, w * 0.845, h * 0.845], radius=46, outline=(120, 124, 126), width=6)
    return image


def main(out):
    for product in ALL:
        rng = random.Random(product.sku)
        folder = out / product.sku
        folder.mkdir(parents=True, exist_ok=True)
        w, h, d = product.size
        if product.kind in ("can", "tin", "bottle"):
            wrap(product, rng, math.pi * w, h).save(folder / "wrap.png")
            lid(product, rng, w).save(folder / "lid.png")
        else:
            front(product, rng, w, h).save(folder / "front.png")
            back(product, rng, w, h).save(folder / "back.png")
            if product.kind == "box":
                side(product, rng, d, h).save(folder / "side.png")
                side(product, rng, w, d).save(folder / "top.png")
    counter().save(out / "counter.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
