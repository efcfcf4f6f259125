"""Many cuts of the power, many pulled cables: what has to hold at the hundredth as at the first."""

import json
import random
import time

from counter import Failed, check, linked


def steps(wanted):
    chosen = []
    if wanted.power_cuts:
        chosen.append(("power-cuts", f"{wanted.power_cuts} cuts of the power at random moments of sales", power_cuts))
    if wanted.unplugs:
        chosen.append(("camera-unplugs", f"the camera pulled {wanted.unplugs} times", lambda rig: unplugs(rig, Camera(rig))))
        chosen.append(("serial-unplugs", f"the POS's adapter pulled {wanted.unplugs} times", lambda rig: unplugs(rig, Adapter(rig))))
    return chosen


def cut_in_a_sale(rig, fraction, typical_s):
    """A sale begins, the power goes after `fraction` of a typical sale; -> what the restart took."""
    counter = rig.counter
    began = time.monotonic()
    counter.come(random.Random(fraction).choice(counter.tray.scenes))
    time.sleep(max(0.0, fraction * typical_s - (time.monotonic() - began)))
    stage = rig.pos.stage()
    rig.power_cut()
    # Without light the shopper goes.
    counter.lay(None)
    boot_s = rig.power_on()
    ready_s = counter.ready()
    rig.audit()
    return {"at_s": round(fraction * typical_s, 1), "stage": stage, "boot_s": round(boot_s, 1), "ready_s": round(ready_s, 1)}


def power_cuts(rig):
    """As many as asked for, with those of earlier runs in the same folder; each is audited before the next."""
    log = rig.work / "cuts.jsonl"
    done = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    chance = random.Random(rig.seed)
    typical_s = rig.counter.sell(rig.counter.tray.scenes[0])["rest_s"]
    while len(done) < rig.wanted.power_cuts:
        took = cut_in_a_sale(rig, chance.uniform(0, 1.1), typical_s)
        done.append(took | {"booked": rig.notes.get("booked"), "typical_s": round(typical_s, 1)})
        with open(log, "a") as lines:
            lines.write(json.dumps(done[-1]) + "\n")
        rig.say(f"cut {len(done)}: {took}")
        # Now and then a whole sale, so that the books grow.
        if len(done) % 5 == 0:
            typical_s = rig.counter.sell(chance.choice(rig.counter.tray.scenes))["rest_s"]
            rig.audit()
    stages = {}
    for cut in done:
        stages[cut["stage"]] = stages.get(cut["stage"], 0) + 1
    rig.note("done", len(done))
    rig.note("cut_at", stages)
    rig.note("boot_s", spread([cut["boot_s"] for cut in done]))
    rig.note("ready_after_boot_s", spread([cut["ready_s"] for cut in done]))


class Camera:
    """Pulled and put back in the kernel's tree of devices."""

    def __init__(self, rig):
        self.rig = rig

    def pull(self):
        self.rig.guest.out("rig-hardware pull-camera")

    def put(self):
        self.rig.guest.out("rig-hardware camera")

    def works(self, status):
        return status["cameras"][0]["state"] == "streaming"


class Adapter:
    """Pulled out of the emulated USB bus."""

    def __init__(self, rig):
        self.rig = rig

    def pull(self):
        self.rig.unplug("pos")

    def put(self):
        self.rig.plug("pos")

    def works(self, status):
        return linked(status)


def unplugs(rig, plug):
    counter, took = rig.counter, []
    before = rig.process()
    early = None
    for n in range(rig.wanted.unplugs):
        plug.pull()
        counter.until("the loss is seen", lambda status: not plug.works(status))
        plug.put()
        took.append(counter.until("it works again", plug.works))
        rig.say(f"unplug {n + 1}: {took[-1]:.1f} s")
        # What is set aside once, at the first few, is no leak.
        if n == min(4, rig.wanted.unplugs - 1):
            early = rig.process()
    counter.ready()
    counter.sell(counter.tray.scenes[0])
    rig.audit()
    after = rig.process()
    rig.note("recovery_s", spread(took))
    rig.note("before", before)
    rig.note("after_five", early)
    rig.note("after", after)
    check(after["pid"] == before["pid"], "the daemon was restarted")
    check(after["descriptors"] <= before["descriptors"] + 1, f"descriptors grew from {before['descriptors']} to {after['descriptors']}")
    check(after["rss_kb"] <= early["rss_kb"] + 4096, f"memory grew from {early['rss_kb']} to {after['rss_kb']} kB")


def spread(values):
    """p50, p99 and the worst."""
    if not values:
        raise Failed("nothing was measured")
    ordered = sorted(values)
    at = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))]  # noqa: E731
    return {"n": len(ordered), "p50": round(at(0.5), 1), "p99": round(at(0.99), 1), "max": round(ordered[-1], 1)}
