"""The host's ends of the guest's serial adapters: a pty for the POS, and a scale that weighs what it is told."""

import os
import pty
import select
import socket
import threading
import time
import tty


class Cable:
    """The socket of an adapter that QEMU opens. It may be pulled and plugged at any time."""

    def __init__(self, guest, name):
        self.guest, self.name = guest, name
        self.socket = None
        self.pulled = False

    def plug(self):
        """Connects to QEMU, after each start of it."""
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(self.guest.socket(self.name)))
        s.setblocking(False)
        self.socket = s

    def unplug(self):
        """QEMU ends."""
        s, self.socket = self.socket, None
        if s:
            s.close()

    def send(self, data):
        """What nobody takes at the other end is lost, as on a real line."""
        s = self.socket
        try:
            if s and not self.pulled:
                s.send(data)
        except OSError:
            pass


class PosCable(Cable):
    """The POS's cable: `tty` is what the POS opens, whether the other end is plugged or not."""

    def __init__(self, guest, name="pos"):
        super().__init__(guest, name)
        # Our own hold on the far end keeps the pty alive while the POS is away.
        self.master, self.hold = pty.openpty()
        tty.setraw(self.hold)
        os.set_blocking(self.master, False)
        self.tty = os.ttyname(self.hold)
        threading.Thread(target=self.pump, daemon=True).start()

    def pump(self):
        while True:
            s = self.socket
            ready, _, _ = select.select([self.master] + ([s] if s else []), [], [], 0.2)
            try:
                if self.master in ready:
                    self.send(os.read(self.master, 4096))
                if s in ready:
                    data = s.recv(4096)
                    if not data:
                        self.unplug()
                    os.write(self.master, data)
            except (OSError, ValueError):
                # Pulled in between, or a POS that reads nothing: lost.
                time.sleep(0.01)


class Scale(Cable):
    """A scale that says its weight ten times a second in Mettler Toledo's continuous output, with the last gram moving."""

    def __init__(self, guest, name="scale"):
        super().__init__(guest, name)
        self.grams, self.shown = 0, 0.0
        threading.Thread(target=self.talk, daemon=True).start()

    def talk(self):
        turn = 0
        while True:
            turn += 1
            moving = abs(self.grams - self.shown) > 2
            self.shown += (self.grams - self.shown) * (0.6 if moving else 1.0)
            weight = round(self.shown) + (turn % 7 == 0)
            # Status words: no decimals; kilograms bit with motion; grams.
            self.send(b"\x02*%c!%06d000000\r" % (b"8"[0] if moving else b"0"[0], max(weight, 0)))
            s = self.socket
            try:
                if s and not s.recv(4096):
                    self.unplug()
            except OSError:
                pass
            time.sleep(0.1)
