"""The counter as a technician and a shopper meet it."""

import csv
import io
import json
import time

from guest import GuestError

# An emulated processor is far slower than a Nano's: what waits for pictures waits longer.
CONFIG = """\
[counter]
id = 1
currency = "KRW"

[tray.camera]
v4l2 = "/dev/till/tray"
first_frame_ms_max = 30000
stall_ms_max = 10000

[tray.engine]
dir = "{engine}"

[trigger]
source = "devices"

[trigger.presence]
line = "presence"

[trigger.scale]
kind = "toledo"
"""


class Failed(Exception):
    """A check that did not hold."""


def check(holds, what):
    if not holds:
        raise Failed(what)


class Counter:
    """The counter in the guest, the POS and the tray at the host's ends."""

    def __init__(self, guest, tray, scale, pos, limit_s=240):
        self.guest, self.tray, self.scale, self.pos, self.limit_s = guest, tray, scale, pos, limit_s

    def status(self):
        code, output = self.guest.run("till status --json", 60, check=False)
        try:
            return json.loads(output.strip().splitlines()[0])
        except (ValueError, IndexError):
            raise GuestError(f"till status, exit code {code}: {output.strip()[-300:]}") from None

    def until(self, what, holds, limit_s=None):
        """Asks the daemon until `holds(status)`; -> seconds it took."""
        began = time.monotonic()
        limit_s = limit_s or self.limit_s
        last = "no answer"
        while True:
            try:
                status = self.status()
                if holds(status):
                    return time.monotonic() - began
                last = {key: status[key] for key in ("session", "cameras", "trigger", "link")}
            except GuestError as error:
                last = str(error)
            if time.monotonic() - began > limit_s:
                raise Failed(f"{what}: not within {limit_s:.0f} s; last: {json.dumps(last)[:1500]}")
            time.sleep(0.3)

    def ready(self, limit_s=None):
        """Until everything that a sale needs is there and the counter rests."""
        return self.until("ready to sell", is_ready, limit_s)

    def present(self, there):
        self.guest.out(f"rig-hardware line presence {'up' if there else 'down'}")

    def lay(self, scene):
        self.tray.show(scene)
        self.scale.grams = scene.grams if scene else 0

    def leave(self):
        """The shopper takes everything away and goes."""
        self.lay(None)
        self.present(False)

    def come(self, scene):
        self.present(True)
        self.lay(scene)

    def sell(self, scene):
        """A whole sale; -> seconds until the offer, until the receipt, until the counter rested."""
        began, mark = time.monotonic(), self.pos.mark()
        self.come(scene)
        offer = self.pos.wait(mark, lambda event: event["event"] == "offer", self.limit_s)
        check(offer, f"no offer for {scene.name} within {self.limit_s} s: {json.dumps(self.status()['session'])}")
        offered = time.monotonic() - began
        ended = self.pos.wait(mark, lambda event: event["event"] == "receipt", self.limit_s)
        check(ended, f"no receipt for {scene.name} within {self.limit_s} s")
        booked = time.monotonic() - began
        receipt = ended["receipt"]
        lines = sorted((line["sku"], line["quantity"]) for line in receipt["lines"])
        check((receipt["total_minor"], lines) == (scene.total_minor, scene.lines), f"wrong receipt: {receipt}, wanted {scene.lines}")
        self.leave()
        self.until("at rest after the sale", lambda status: status["session"]["phase"] == "Idle")
        return {"offer_s": offered, "receipt_s": booked, "rest_s": time.monotonic() - began}

    def books(self):
        """What the counter's and the POS's books say of money: ended sales, taken payments."""
        code, text = self.guest.run("till outbox export --format csv", 60, check=False)
        check(code == 0, f"till outbox export: exit code {code}: {text[-500:]}")
        return list(csv.DictReader(io.StringIO(text.strip())))


def linked(status):
    return status["link"]["up"] and not status["link"]["error"]


def is_ready(status):
    return (status["session"]["phase"] == "Idle" and status["session"]["attention"] is None and linked(status)
            and all(camera["state"] == "streaming" for camera in status["cameras"])
            and status["trigger"]["grams"] is not None and not status["trigger"].get("line_error") and not status["trigger"].get("scale_error"))
