"""The rig's guest: QEMU with an arm64 Debian, its power switch, its cables, and commands run inside it."""

import base64
import json
import os
import pathlib
import select
import socket
import subprocess
import time


class GuestError(Exception):
    """What the guest or QEMU did not do, with what it said."""


class Guest:
    """One machine: a disk that outlives its power, and cables that can be pulled.

    `cache` holds what image.sh made, `work` the disk, sockets and console of this one; `share` is seen as /mnt/host.
    """

    # Adapters on the USB bus: the host's end of each is a socket in `work`.
    CABLES = ("pos", "scale")

    def __init__(self, cache, work, share, memory_mb=1536):
        self.cache, self.work, self.share, self.memory_mb = pathlib.Path(cache), pathlib.Path(work), pathlib.Path(share), memory_mb
        self.process = self.agent = self.qmp = None
        self.rest = b""
        self.boots = 0
        self.work.mkdir(parents=True, exist_ok=True)
        self.disk = self.work / "disk.qcow2"
        if not self.disk.exists():
            # A whole copy: the image may be made anew while this disk is kept.
            subprocess.run(["qemu-img", "convert", "-O", "qcow2", str(self.cache / "root.img"), str(self.disk)], check=True)

    # Power.

    def start(self, limit_s=180):
        """Boots; -> seconds until a command was answered."""
        began = time.monotonic()
        self.boots += 1
        for name in ("agent", "qmp", *self.CABLES):
            (self.work / f"{name}.sock").unlink(missing_ok=True)
        sock = lambda name: f"socket,id={name},path={self.work / (name + '.sock')},server=on,wait=off"  # noqa: E731
        command = ["qemu-system-aarch64", "-M", "virt,gic-version=3", "-cpu", "cortex-a57", "-accel", "tcg,thread=multi", "-smp", "2",
                   "-m", str(self.memory_mb), "-nodefaults", "-display", "none",
                   "-kernel", str(self.cache / "vmlinuz"), "-initrd", str(self.cache / "initrd"),
                   "-append", "console=ttyAMA0 quiet loglevel=4 systemd.show_status=no",
                   "-serial", f"file:{self.work / f'console-{self.boots}.log'}",
                   "-drive", f"file={self.disk},if=virtio,format=qcow2,cache=writeback",
                   "-virtfs", f"local,path={self.share},mount_tag=host,security_model=none,readonly=on",
                   "-device", "virtio-serial-pci", "-chardev", sock("agent"), "-device", "virtserialport,chardev=agent,name=agent",
                   "-chardev", sock("qmp"), "-mon", "chardev=qmp,mode=control",
                   "-device", "qemu-xhci,id=usb"]
        for port, cable in enumerate(self.CABLES, 1):
            command += ["-chardev", sock(cable), "-device", self.adapter(cable, port)]
        log = open(self.work / "qemu.log", "ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.qmp = self.connect("qmp", 20)
        self.asked("qmp_capabilities")
        self.agent = self.connect("agent", 20)
        self.rest = b""
        # The line waits in the port until the agent inside reads it.
        self.run("true", limit_s)
        return time.monotonic() - began

    def adapter(self, cable, port):
        """A USB adapter that stays plugged when the host's end closes."""
        return f"usb-serial,chardev={cable},id={cable},bus=usb.0,port={port},always-plugged=on,serial=RIG-{cable.upper()}"

    def cut(self):
        """Cuts the power: what the guest had not written is lost."""
        self.process.kill()
        self.process.wait()
        self.close()

    def off(self, limit_s=120):
        """Shuts down in order."""
        self.agent.sendall(base64.b64encode(b"systemctl poweroff") + b"\n")
        try:
            self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise GuestError(f"the guest did not shut down within {limit_s} s") from None
        finally:
            self.close()

    def close(self):
        for end in (self.agent, self.qmp):
            if end:
                end.close()
        self.agent = self.qmp = None

    # Cables.

    def unplug(self, cable):
        """Pulls the USB adapter out of the guest."""
        self.asked("device_del", id=cable)

    def plug(self, cable):
        """Puts it back into the same socket."""
        fields = dict(part.split("=", 1) for part in self.adapter(cable, 1 + self.CABLES.index(cable)).split(",")[1:])
        self.asked("device_add", driver="usb-serial", **{k: (v == "on" if v in ("on", "off") else v) for k, v in fields.items()})

    def socket(self, cable):
        """The host's end of a cable."""
        return self.work / f"{cable}.sock"

    # Commands.

    def run(self, command, limit_s=120, check=True):
        """Runs a command as root; -> (exit code, output)."""
        self.agent.sendall(base64.b64encode(command.encode()) + b"\n")
        end = time.monotonic() + limit_s
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.agent], [], [], left)[0]:
                raise GuestError(f"no answer within {limit_s} s to: {command}")
            more = self.agent.recv(1 << 16)
            if not more:
                raise GuestError(f"the guest is gone, at: {command}")
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        text = base64.b64decode(line).decode("utf-8", "replace")
        output, _, code = text.rpartition("\nrc=")
        if check and code != "0":
            raise GuestError(f"exit code {code} of: {command}\n{output}")
        return int(code), output

    def out(self, command, limit_s=120):
        """What a command that succeeds prints."""
        return self.run(command, limit_s)[1].strip()

    def wait(self, what, command, limit_s, every_s=0.5):
        """Asks until `command` succeeds; -> seconds it took."""
        began = time.monotonic()
        while True:
            code, output = self.run(command, limit_s, check=False)
            if code == 0:
                return time.monotonic() - began
            if time.monotonic() - began > limit_s:
                raise GuestError(f"{what}: not within {limit_s} s; last: {output.strip()[-400:]}")
            time.sleep(every_s)

    # QEMU's monitor.

    def asked(self, command, **arguments):
        """Sends a QMP command, passes events over, -> its answer."""
        self.qmp.sendall(json.dumps({"execute": command, **({"arguments": arguments} if arguments else {})}).encode() + b"\n")
        line = b""
        while True:
            if not select.select([self.qmp], [], [], 20)[0]:
                raise GuestError(f"QEMU does not answer {command}")
            line += self.qmp.recv(1 << 16)
            *whole, line = line.split(b"\n")
            for text in whole:
                said = json.loads(text) if text.strip() else {}
                if "error" in said:
                    raise GuestError(f"QEMU on {command}: {said['error']['desc']}")
                if "return" in said:
                    return said["return"]

    def connect(self, name, limit_s):
        path, end = self.socket(name), time.monotonic() + limit_s
        while True:
            try:
                s = socket.socket(socket.AF_UNIX)
                s.connect(str(path))
                return s
            except OSError:
                s.close()
                if self.process.poll() is not None:
                    raise GuestError(f"QEMU ended: {(self.work / 'qemu.log').read_text()[-600:]}") from None
                if time.monotonic() > end:
                    raise GuestError(f"{path} did not appear within {limit_s} s") from None
                time.sleep(0.05)


def scratch(base, name):
    """A folder of short path for sockets (108 characters at most)."""
    path = pathlib.Path(base) / name
    os.makedirs(path, exist_ok=True)
    return path
