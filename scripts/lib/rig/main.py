"""The rig: options, the order of the steps, what is printed and what is left behind. `scripts/rig` brings what it needs."""

import argparse
import json
import pathlib
import signal
import sys
import time
import traceback

import day
import endurance
from rig import Rig


def options():
    parser = argparse.ArgumentParser(prog="scripts/rig", description="A technician's day with the package, in an emulated arm64 box.")
    parser.add_argument("--all", action="store_true", help="the day, then 100 power cuts and 50 times each cable")
    parser.add_argument("--step", action="append", metavar="NAME", help="only this step (after install, assign and configure); may be repeated")
    parser.add_argument("--list", action="store_true", help="name the steps and end")
    parser.add_argument("--power-cuts", type=int, default=0, metavar="N", help="after the day, N cuts of the power at random moments of sales")
    parser.add_argument("--unplugs", type=int, default=0, metavar="N", help="after the day, pull camera and POS cable N times each")
    parser.add_argument("--skip-day", action="store_true", help="only install, assign and configure before the cuts and unplugs")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the random moments")
    parser.add_argument("--limit", type=float, default=240, metavar="S", help="seconds that a step of a sale may take [default: 240]")
    parser.add_argument("--work", type=pathlib.Path, metavar="DIR", help="keep the guest there and go on with it; a short path. Cuts already done count")
    parser.add_argument("--json", action="store_true", help="at the end one JSON object on stdout")
    # Of scripts/rig.
    for name in ("project", "cache", "package", "till"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


# Without these nothing else can be.
BASE = ("install", "assign", "configure")


def main():
    wanted = options()
    if wanted.list:
        for name, what, _ in day.STEPS:
            print(f"{name:18} {what}")
        return 0
    if wanted.all:
        wanted.power_cuts, wanted.unplugs = wanted.power_cuts or 100, wanted.unplugs or 50
    # As at a failure: the guest and the POS are ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rig = Rig(wanted)
    steps = [] if rig.resumed else [step for step in day.STEPS if selected(step[0], wanted)]
    steps += endurance.steps(wanted)
    # Purging is the last thing.
    steps.sort(key=lambda step: step[0] == "purge")
    report, failed = [], False
    say(f"seed {wanted.seed}; the guest boots")
    try:
        say(f"up after {rig.power_on():.0f} s")
        if rig.resumed:
            rig.counter.ready()
            rig.audit()
        for name, what, run in steps:
            began = time.monotonic()
            rig.notes = {}
            error = None
            try:
                run(rig)
            except Exception as caught:  # Whatever it is, it is a failed step with its logs.
                error = f"{type(caught).__name__}: {caught}"
                rig.log(traceback.format_exc())
            took = time.monotonic() - began
            report.append({"step": name, "ok": error is None, "seconds": round(took, 1), "error": error, **rig.notes})
            say(f"{'ok    ' if error is None else 'FAILED'} {name:18} {took:6.1f} s  {what}")
            for key, value in rig.notes.items():
                say(f"           {key}: {rounded(value)}")
            if name == "configure" and not error:
                (rig.work / "configured").touch()
            if error:
                failed = True
                say(f"           {error}")
                say(f"           logs: {rig.collect(name)}")
                if name in BASE:
                    break
                rig.recover()
    finally:
        rig.close()
    if wanted.json:
        print(json.dumps({"schema": "till.rig/1", "ok": not failed, "seed": wanted.seed, "steps": report}))
    say("all steps passed" if not failed else "some steps FAILED")
    return 1 if failed else 0


def selected(name, wanted):
    if name in BASE:
        return True
    if wanted.step:
        return name in wanted.step
    # A guest that is kept is not purged.
    return not wanted.skip_day and not (wanted.work and name == "purge")


def rounded(value):
    return round(value, 1) if isinstance(value, float) else value


def say(text):
    print(text, file=sys.stderr, flush=True)


sys.exit(main())
