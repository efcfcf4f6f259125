"""Packs crops into sheets for `till eval carts`: sheets.py CROPS OUT

OUT/<name>.jpg has the colours, OUT/<name>.png how opaque each pixel is; the views lie side by side in square cells, as high
as the sheet, each in the middle of its own. Tables (`_background`) are single pictures, `table-N.jpg`.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

VIEWS_MAX, HANDS_MAX, TABLES_MAX = 12, 4, 4


def bled(view):
    """The colours, with those at the edge carried on outward, so that JPEG mixes nothing strange in."""
    rgb, alpha = view.convert("RGB"), view.getchannel("A")
    solid = np.asarray(alpha) > 200
    colours = np.asarray(rgb).astype(float)
    spread = colours * solid[..., None]
    for radius in (2, 6, 20, 60):
        weight = np.asarray(Image.fromarray((solid * 255).astype("uint8")).filter(ImageFilter.BoxBlur(radius))).astype(float) / 255
        mean = np.stack([np.asarray(Image.fromarray((spread[..., c]).astype("uint8")).filter(ImageFilter.BoxBlur(radius))) for c in range(3)], 2)
        near = (weight > 0.02) & ~solid
        colours[near] = mean[near] / weight[near][:, None]
        solid = solid | near
        spread = colours.clip(0, 255) * solid[..., None]
    return Image.fromarray(colours.clip(0, 255).astype("uint8"))


def sheet(views, out, name):
    side = max(max(view.size) for view in views) + 8
    side += -side % 8
    colours, alpha = Image.new("RGB", (side * len(views), side), (128, 128, 128)), Image.new("L", (side * len(views), side), 0)
    for i, view in enumerate(views):
        cell = Image.new("RGBA", (side, side), (0, 0, 0, 0))
        cell.paste(view, ((side - view.width) // 2, (side - view.height) // 2))
        colours.paste(bled(cell), (i * side, 0))
        alpha.paste(cell.getchannel("A").point(lambda a: round(a / 17) * 17), (i * side, 0))
    colours.save(out / f"{name}.jpg", quality=88, optimize=True)
    alpha.quantize(16).save(out / f"{name}.png", optimize=True)


def main(crops, out):
    out.mkdir(parents=True, exist_ok=True)
    for folder in sorted(p for p in crops.iterdir() if p.is_dir()):
        files = sorted(folder.iterdir())
        if folder.name == "_background":
            for i, file in enumerate(files[:TABLES_MAX]):
                Image.open(file).convert("RGB").filter(ImageFilter.MedianFilter(3)).save(out / f"table-{i}.jpg", quality=90, optimize=True)
            continue
        views = [Image.open(file).convert("RGBA") for file in files]
        most = HANDS_MAX if folder.name.startswith("hand") else VIEWS_MAX
        sheet(views[:most], out, folder.name)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
