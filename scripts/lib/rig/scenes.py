"""What lies on the tray: pictures of the demo's clips before the guest's camera, and the mass that goes with them."""

import os
import pathlib
import subprocess
import tomllib

WIDTH, HEIGHT, FPS = 640, 480, 15
# NV12, which the counter prefers of what vivid offers: both ends of the loop must have the same.
PICTURE = WIDTH * HEIGHT * 3 // 2
# So many pictures of a tray on which nothing moves are played round and round.
STILL = 8


class Scene:
    """Goods on the tray, as a clip shows them between its hands."""

    def __init__(self, name, clip, share):
        self.name, self.clip = name, clip
        script = tomllib.loads(clip.with_suffix(".toml").read_text())
        # The heaviest reading that repeats is the quiet one.
        loads = [event["load_g"] for event in script["event"] if "load_g" in event]
        quiet = [grams for grams in loads if sum(abs(grams - other) <= 3 for other in loads) >= 5]
        self.grams = sorted(quiet)[len(quiet) // 2]
        at = [event["at_ms"] for event in script["event"] if abs(event.get("load_g", -99) - self.grams) <= 3]
        self.first = (at[0] + at[-1]) // 2 * FPS // 1000
        self.total_minor = script["expect"]["total_minor"]
        self.lines = sorted((line["sku"], line["quantity"]) for line in script["expect"]["line"])
        self.file = share / "scenes" / f"{name}.yuv"


class Tray:
    """The tray before the camera. `share` is the folder that the guest sees."""

    def __init__(self, project, share, clips):
        self.share = pathlib.Path(share)
        (self.share / "scenes").mkdir(parents=True, exist_ok=True)
        self.scenes = [Scene(name, pathlib.Path(project) / "demo/clips" / f"{name}.mp4", self.share) for name in clips]
        self.empty = self.share / "scenes/empty.yuv"
        self.make()
        self.show(None)

    def make(self):
        for n, scene in enumerate(self.scenes):
            if scene.file.exists() and (n or self.empty.exists()):
                continue
            raw = self.share / "scenes/whole.yuv"
            subprocess.run(
                ["gst-launch-1.0", "-q", "filesrc", f"location={scene.clip}", "!", "qtdemux", "!", "h264parse", "!", "avdec_h264", "!",
                 "videoconvert", "!", f"video/x-raw,format=NV12,width={WIDTH},height={HEIGHT}", "!", "filesink", f"location={raw}"],
                check=True)
            with open(raw, "rb") as whole:
                if n == 0:
                    self.empty.write_bytes(whole.read(PICTURE * 4))
                whole.seek(PICTURE * scene.first)
                scene.file.write_bytes(whole.read(PICTURE * STILL))
            raw.unlink()

    def show(self, scene):
        """Lays the goods of `scene` down; None clears the tray. Takes effect with the next picture."""
        new = self.share / "scene.new"
        new.unlink(missing_ok=True)
        # Another inode behind the same name is what the player looks for.
        os.link(scene.file if scene else self.empty, new)
        os.replace(new, self.share / "scene")
