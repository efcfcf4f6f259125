"""A serial port without pyserial, on any POSIX system: 115200 8N1, raw (SPEC.md 2)."""

from __future__ import annotations

import os
import select
import termios
import tty


class Tty:
    """An open port with the `read` and `write` that `Pos.turn` wants."""

    def __init__(self, path: str, wait_s: float = 0.02) -> None:
        self._wait_s = wait_s
        self._file = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        # Not TCSAFLUSH: what the counter said before we looked is part of the conversation.
        tty.setraw(self._file, termios.TCSANOW)
        attributes = termios.tcgetattr(self._file)
        attributes[4] = attributes[5] = termios.B115200
        attributes[2] |= termios.CLOCAL | termios.CREAD
        termios.tcsetattr(self._file, termios.TCSANOW, attributes)

    def fileno(self) -> int:
        return self._file

    def read(self, size: int) -> bytes:
        """What came; waits up to `wait_s` for the first byte. OSError when the port is gone."""
        ready, _, _ = select.select([self._file], [], [], self._wait_s)
        if not ready:
            return b""
        data = os.read(self._file, size)
        if not data:
            raise OSError("the port was hung up")
        return data

    def write(self, data: bytes) -> int:
        """As much as the port takes now."""
        try:
            return os.write(self._file, data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        os.close(self._file)
