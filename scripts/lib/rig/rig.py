"""Everything that a step may use: the guest and its cables, the counter, the POS, the books."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib

import engine
from cables import PosCable, Scale
from counter import CONFIG, Counter, check, linked
from guest import Guest, GuestError
from pos import Pos
from scenes import Tray

# Where the rig's own network stands in the guest.
OWN_ENGINE = "/var/lib/till/engines/rig"
CLIPS = ("one-item", "two-of-the-same", "many-items")


class Rig:
    """One guest, one counter, one POS."""

    def __init__(self, wanted):
        self.wanted, self.seed, self.package, self.till = wanted, wanted.seed, wanted.package, wanted.till
        # What doctor rightly finds: no ONNX Runtime in Debian's archive, no network for a clock.
        self.expected_findings = {"engine.backend", "clock.synchronised"}
        self.notes = {}
        # Sockets want short paths.
        self.work = wanted.work or pathlib.Path(tempfile.mkdtemp(prefix="rig."))
        self.resumed = (self.work / "configured").exists()
        self.logs = wanted.cache / "logs" / time.strftime("%Y%m%d-%H%M%S")
        self.share = self.work / "share"
        self.share.mkdir(parents=True, exist_ok=True)
        tray = Tray(wanted.project, self.share, CLIPS)
        with open(wanted.project / "engines/demo/manifest.toml", "rb") as manifest:
            engine.write(self.share / "engine", tray.scenes, tray.empty, tomllib.load(manifest)["labels"]["names"])
        shutil.copy(self.package, self.share)
        self.guest = Guest(wanted.cache, self.work, self.share)
        self.cables = {"pos": PosCable(self.guest), "scale": Scale(self.guest)}
        self.pos = Pos(self.till, self.cables["pos"], self.work / "pos", self.work / "pos.log")
        self.counter = Counter(self.guest, tray, self.cables["scale"], self.pos, wanted.limit)
        self.pos.start()

    # What a step says of itself.

    def note(self, key, value):
        self.notes[key] = value

    def say(self, text):
        self.log(text)
        print(f"           {text}", file=sys.stderr, flush=True)

    def log(self, text):
        with open(self.work / "rig.log", "a") as log:
            log.write(text + "\n")

    # The machine.

    def power_on(self):
        took = self.guest.start(600)
        for cable in self.cables.values():
            cable.pulled = False
            cable.plug()
        return took

    def power_cut(self):
        """Cuts the power, looks at the file system as the cut left it."""
        for cable in self.cables.values():
            cable.unplug()
        self.guest.cut()
        raw = self.work / "cut.img"
        subprocess.run(["qemu-img", "convert", "-O", "raw", str(self.guest.disk), str(raw)], check=True)
        subprocess.run(["e2fsck", "-E", "journal_only", "-y", str(raw)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found = subprocess.run(["e2fsck", "-fn", str(raw)], capture_output=True, text=True)
        raw.unlink()
        check(found.returncode == 0, f"the file system after the cut: {found.stdout[-1500:]}")

    def configure(self, engine=OWN_ENGINE):
        """Writes the counter's configuration and starts it anew."""
        self.put("till.toml", CONFIG.format(engine=engine))
        self.guest.out("cp /mnt/host/till.toml /etc/till/till.toml && systemctl restart till", 300)
        self.counter.ready()

    def put(self, name, text):
        """A file of the host for the guest, as /mnt/host/NAME."""
        (self.share / name).write_text(text)

    def unplug(self, name):
        """Takes the adapter off the guest's bus."""
        self.cables[name].pulled = True
        self.guest.unplug(name)

    def plug(self, name):
        self.guest.plug(name)
        self.cables[name].pulled = False

    def higher_package(self):
        """The same package with a higher version."""
        tree, higher = self.work / "higher", self.share / f"{self.package.stem}+rig.deb"
        subprocess.run(["dpkg-deb", "-R", str(self.package), str(tree)], check=True)
        control = tree / "DEBIAN/control"
        control.write_text("".join(line.rstrip("\n") + "+rig\n" if line.startswith("Version:") else line
                                   for line in control.read_text().splitlines(keepends=True)))
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", str(tree), str(higher)], check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(tree)
        return higher

    # Money.

    def audit(self):
        """Nothing lost, nothing doubled: the books of both ends against each other, once nothing is under way."""
        self.counter.until("all is acknowledged", lambda status: status["outbox"]["unacknowledged"] == 0 and linked(status))
        closed = [row for row in self.counter.books() if row["log"] == "outbox" and row["kind"] == "closed"]
        sales = [row["sale"] for row in closed]
        check(len(sales) == len(set(sales)), f"a sale was closed twice: {sorted(sales)}")
        paid = {row["sale"]: int(row["total_minor"]) for row in closed if row["detail"].startswith("paid")}
        receipts = self.pos.receipts()
        booked = {receipt["sale"]: receipt["total_minor"] for receipt in receipts}
        check(len(receipts) == len(booked), f"a sale was booked twice: {sorted(receipt['sale'] for receipt in receipts)}")
        check(paid == booked, f"the counter closed as paid {paid}, the POS booked {booked}")
        self.note("booked", len(booked))
        return booked

    def process(self):
        """Descriptors, resident kB and processor seconds of the daemon."""
        pid = self.guest.out("systemctl show -p MainPID --value till")
        text = self.guest.out(f"ls /proc/{pid}/fd | wc -l; sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/{pid}/status; systemctl show -p NRestarts --value till")
        descriptors, resident, restarts = map(int, text.split())
        return {"pid": int(pid), "descriptors": descriptors, "rss_kb": resident, "restarts": restarts}

    # Failures.

    def collect(self, name):
        """What is known of a failed step, in a folder."""
        folder = self.logs / name
        folder.mkdir(parents=True, exist_ok=True)
        for file in (*self.work.glob("*.log"), *self.work.glob("*.jsonl")):
            shutil.copy(file, folder)
        for file, command in (("journal.txt", "journalctl -b --no-pager | tail -3000"), ("status.json", "till status --json"),
                              ("doctor.txt", "till doctor --all"), ("dmesg.txt", "dmesg"), ("books.txt", "till outbox export --all"),
                              ("system.txt", "systemctl --failed --no-pager; systemctl status till --no-pager; free; df; ls -la /dev/serial/by-id /dev/v4l/by-path")):
            try:
                (folder / file).write_text(self.guest.run(command, 90, check=False)[1])
            except (GuestError, OSError, AttributeError) as error:
                (folder / file).write_text(f"not to be had: {error}\n")
        return folder

    def recover(self):
        """After a failed step, as good a start for the next as can be had."""
        try:
            if not self.guest.process or self.guest.process.poll() is not None:
                self.power_on()
            self.guest.run("rm -f /var/lib/till/ballast*; rig-hardware camera", 60, check=False)
            for name, cable in self.cables.items():
                if cable.pulled:
                    self.plug(name)
            self.counter.leave()
            self.counter.ready()
        except Exception as error:  # The next step will say it.
            self.log(f"no recovery: {error}")

    def close(self):
        self.pos.stop()
        if self.guest.process:
            self.guest.cut()
        if not self.wanted.work:
            shutil.rmtree(self.work, ignore_errors=True)
