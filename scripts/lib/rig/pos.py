"""The POS at the host's end of the serial line: `till pos` as a native program."""

import json
import re
import subprocess
import threading
import time


class Pos:
    """Runs the reference POS, hears its events. Its books stand in `state` and outlive it."""

    def __init__(self, till, cable, state, log):
        self.till, self.cable, self.state, self.log = till, cable, state, log
        # What it said in earlier runs of the rig is part of its story.
        self.story = state.with_suffix(".jsonl")
        self.events = [json.loads(line) for line in self.story.read_text().splitlines()] if self.story.exists() else []
        self.news = threading.Condition()
        self.process = None

    def start(self, press="pay", delay_ms=300):
        script = self.state.with_suffix(".keys.toml")
        script.write_text(f'default = "{press}"\ndelay_ms = {delay_ms}\n')
        self.process = subprocess.Popen(
            [str(self.till), "pos", "--port", self.cable.tty, "--state", str(self.state), "--script", str(script), "--json"],
            stdout=subprocess.PIPE, stderr=open(self.log, "ab"), stdin=subprocess.DEVNULL, text=True)
        threading.Thread(target=self.hear, args=(self.process,), daemon=True).start()

    def hear(self, process):
        for line in process.stdout:
            with self.news:
                self.events.append(json.loads(line))
                self.news.notify_all()
            with open(self.story, "a") as story:
                story.write(line)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def mark(self):
        """Where the events stand now; `wait` looks from there on."""
        return len(self.events)

    def wait(self, mark, wanted, limit_s):
        """The first event after `mark` that `wanted` takes, or None."""
        end = time.monotonic() + limit_s
        with self.news:
            while True:
                for event in self.events[mark:]:
                    if wanted(event):
                        return event
                left = end - time.monotonic()
                if left <= 0:
                    return None
                self.news.wait(left)

    def stage(self):
        """How far the sale is, by what the POS heard last."""
        if not self.events:
            return "-"
        said = re.search(r"phase: (\w+)", self.events[-1].get("message", ""))
        return said[1] if said else self.events[-1]["event"]

    def receipts(self):
        return [event["receipt"] for event in self.events if event["event"] == "receipt"]
