"""What a POS must not forget: its own messages until they are acknowledged, the counter's messages, and
how far the counter's log is stored. One append-only file; a record is on disk when the call returns.

A record is length (u32), CRC-32C over the rest (u32), CRC-32C over these eight bytes (u32), then the rest:
one letter, two u32, payload; little-endian. A torn tail is cut off at the next start; damage before the end
is an error, never skipped in silence.
"""

from __future__ import annotations

import os
import secrets
import struct
from collections import deque
from typing import Deque, Dict, List, Optional

from .endpoint import Resume
from .frame import crc32c

_HEAD = struct.Struct("<III")
_BODY = struct.Struct("<cII")


class Damaged(Exception):
    """The journal is damaged before its end: a technician must look at it."""


class Journal:
    """The journal of one POS; it is the endpoint's `Source` too."""

    def __init__(self, path: str) -> None:
        self.epoch = 0
        self.resume = Resume()
        self.acknowledged = 0
        #: Every durable message of the counter, and every one of ours, in order.
        self.received: List[bytes] = []
        self.spoken: List[bytes] = []
        self._last = 0
        self._ours: Dict[int, bytes] = {}
        self._volatile: Deque[bytes] = deque()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._recover()
        folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        if self.epoch == 0:
            self._append(b"E", secrets.randbelow(0xFFFFFFFF) + 1, 0, b"")

    def _recover(self) -> None:
        size = os.fstat(self._file).st_size
        data = os.pread(self._file, size, 0)
        at = 0
        while at + _HEAD.size <= size and any(data[at:]):
            length, crc, head_crc = _HEAD.unpack_from(data, at)
            if crc32c(data[at : at + 8]) != head_crc:
                raise Damaged(f"record at byte {at} of {size}")
            end = at + _HEAD.size + length
            body = data[at + _HEAD.size : end]
            if end > size or (end == size and crc32c(body) != crc):
                break
            if crc32c(body) != crc or length < _BODY.size:
                raise Damaged(f"record at byte {at} of {size}")
            self._apply(*_BODY.unpack_from(body), body[_BODY.size :])
            at = end
        os.ftruncate(self._file, at)
        os.lseek(self._file, at, os.SEEK_SET)

    def _apply(self, letter: bytes, a: int, b: int, payload: bytes) -> None:
        if letter == b"E":
            self.epoch = a
        elif letter == b"I":
            self.resume = Resume(a, b)
            self.received.append(payload)
        elif letter == b"O":
            self._last = b
            self._ours[b] = payload
            self.spoken.append(payload)
        elif letter == b"A":
            self.acknowledged = max(self.acknowledged, b)
            for sequence in [s for s in self._ours if s <= b]:
                del self._ours[sequence]

    def _append(self, letter: bytes, a: int, b: int, payload: bytes) -> None:
        body = _BODY.pack(letter, a, b) + payload
        head = _HEAD.pack(len(body), crc32c(body), 0)[:8]
        record = head + crc32c(head).to_bytes(4, "little") + body
        at = os.lseek(self._file, 0, os.SEEK_CUR)
        try:
            if os.write(self._file, record) != len(record):
                raise OSError("short write to the journal")
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, at)
            os.lseek(self._file, at, os.SEEK_SET)
            raise
        self._apply(letter, a, b, payload)

    def store(self, epoch: int, sequence: int, payload: bytes) -> None:
        """Stores a durable message of the counter; only then may it be acknowledged."""
        self._append(b"I", epoch, sequence, payload)

    def submit(self, payload: bytes) -> None:
        """Stores a durable message of ours; it will be sent until the counter has it."""
        self._append(b"O", self.epoch, self._last + 1, payload)

    def send(self, payload: bytes) -> None:
        """Queues a message that may be lost."""
        self._volatile.append(payload)

    def acked(self, sequence: int) -> None:
        """The counter has our messages up to here. Forgetting this only costs a repetition."""
        if sequence > self.acknowledged:
            self._append(b"A", self.epoch, sequence, b"")

    def first(self) -> int:
        return min(self._ours, default=self._last + 1)

    def last(self) -> int:
        return self._last

    def durable(self, sequence: int) -> Optional[bytes]:
        return self._ours.get(sequence)

    def volatile(self) -> Optional[bytes]:
        return self._volatile.popleft() if self._volatile else None
