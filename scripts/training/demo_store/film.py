"""Makes clips of rendered frames: film.py FRAMES OUT [STILL]

Denoises, adds the camera's noise and the light's drift, encodes; writes the clips' scripts, the catalogue beside OUT, and one still of a full tray.
"""

import json
import math
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

import stage
from products import SOLD


def denoised(path):
    return cv2.bilateralFilter(cv2.imread(str(path)), 5, 24, 2)


def encode(clip, frames, out):
    order = json.loads((frames / clip.name / "order.json").read_text())
    rng = np.random.default_rng(sum(map(ord, clip.name)))
    phase = rng.uniform(0, 2 * math.pi)
    clean = {name: denoised(frames / clip.name / name) for name in set(order)}
    pipe = subprocess.Popen(["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", "640x480", "-r", str(stage.FPS), "-i", "-",
                             "-c:v", "libx264", "-preset", "slow", "-crf", "23", "-pix_fmt", "yuv420p", "-g", "30", "-threads", "1",
                             "-map_metadata", "-1", "-movflags", "+faststart", str(out / f"{clip.name}.mp4")], stdin=subprocess.PIPE)
    for frame, name in enumerate(order):
        t = frame / stage.FPS
        gain = 1 + clip.drift * math.sin(t * 1.3 + phase) + 0.006 * math.sin(t * 9)
        tint = np.array([1 - clip.drift / 3 * math.sin(t * 0.9), 1, 1 + clip.drift / 3 * math.sin(t * 0.9)])
        picture = clean[name] * (gain * tint) + rng.normal(0, 2.0, (480, 640, 1)) + rng.normal(0, 1.0, (480, 640, 3))
        pipe.stdin.write(np.clip(picture, 0, 255).astype("uint8").tobytes())
    pipe.stdin.close()
    if pipe.wait():
        sys.exit(f"ffmpeg failed on {clip.name}")


def still(frames, path):
    """The five goods of `many-items` as they lie."""
    folder = frames / "many-items"
    name = json.loads((folder / "order.json").read_text())[5 * stage.FPS]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(denoised(folder / name)[..., ::-1]).quantize(200, dither=Image.Dither.NONE).save(path, optimize=True)


def main(frames, out, picture=None):
    out.mkdir(parents=True, exist_ok=True)
    for clip in stage.clips():
        (out / f"{clip.name}.toml").write_text(stage.script(clip))
        order, film = frames / clip.name / "order.json", out / f"{clip.name}.mp4"
        # A film newer than its frames is kept.
        if order.exists() and not (film.exists() and film.stat().st_mtime > order.stat().st_mtime):
            encode(clip, frames, out)
    rows = ["sku,name,price_minor,currency,mass_g,mass_tolerance_g"]
    rows += [f"{p.sku},{p.korean} {p.english},{p.price_minor},KRW,{p.mass_g},{p.mass_tolerance_g}" for p in SOLD]
    (out.parent / "catalogue.csv").write_text("\n".join(rows) + "\n")
    if picture and (frames / "many-items" / "order.json").exists():
        still(frames, picture)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
