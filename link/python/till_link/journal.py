"""What a POS must not forget: its own messages until they are acknowledged, the counter's messages, and
how far the counter's log is stored. One append-only file; a record is on disk when the call returns.

A record is length (u32), CRC-32C over the rest (u32), CRC-32C over these eight bytes (u32), then the rest:
one letter (E our epoch, I of the counter, O ours, A acknowledged), two u32 (epoch, sequence), payload; an E with
one begins our log anew and is its first message, too;
little-endian, the same as of the POS in C. A torn tail is cut off at the next start; damage before the end
is an error, never skipped in silence.
"""

from __future__ import annotations

import errno
import os
import secrets
import struct
from collections import deque
from typing import Deque, Dict, Iterator, Optional, Tuple

from .endpoint import Resume
from .frame import PAYLOAD_BYTES_MAX, crc32c

_HEAD = struct.Struct("<III")
_BODY = struct.Struct("<cII")
_LENGTH_MAX = _BODY.size + PAYLOAD_BYTES_MAX
#: Sequences end here (SPEC.md 11).
SEQUENCE_MAX = 0xFFFFFFFE


class Damaged(Exception):
    """The journal is damaged before its end: a technician must look at it."""


class Journal:
    """The journal of one POS; it is the endpoint's `Source` too."""

    def __init__(self, path: str) -> None:
        self.epoch = 0
        self.resume = Resume()
        self.acknowledged = 0
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

    def _read(self, length: int, at: int) -> bytes:
        return os.pread(self._file, length, at)

    def _record(self, at: int) -> Optional[bytes]:
        """The body of the record at byte `at`, None if there is no whole one."""
        head = self._read(_HEAD.size, at)
        if len(head) < _HEAD.size:
            return None
        length, crc, head_crc = _HEAD.unpack(head)
        if crc32c(head[:8]) != head_crc or not _BODY.size <= length <= _LENGTH_MAX:
            return None
        body = self._read(length, at + _HEAD.size)
        return body if len(body) == length and crc32c(body) == crc else None

    def _records(self) -> Iterator[bytes]:
        at = 0
        while True:
            body = self._record(at)
            if body is None:
                return
            yield body
            at += _HEAD.size + len(body)

    def _recover(self) -> None:
        at = 0
        for body in self._records():
            letter, a, b = _BODY.unpack_from(body)
            self._apply(letter, a, b, body[_BODY.size :])
            at += _HEAD.size + len(body)
        # Behind a torn tail stands nothing; a whole record behind it means that the middle is damaged.
        size = os.fstat(self._file).st_size
        for behind in range(at + 1, min(size, at + _HEAD.size + _LENGTH_MAX + 1)):
            if self._record(behind) is not None:
                raise Damaged(f"record at byte {at} of {size}")
        os.ftruncate(self._file, at)
        os.lseek(self._file, at, os.SEEK_SET)

    def messages(self) -> Iterator[Tuple[bool, bytes]]:
        """All durable messages in the order in which they were stored, and whether each is ours."""
        for body in self._records():
            if body[:1] in (b"I", b"O") or (body[:1] == b"E" and len(body) > _BODY.size):
                yield body[:1] != b"I", body[_BODY.size :]

    def _apply(self, letter: bytes, a: int, b: int, payload: bytes) -> None:
        if letter == b"E":
            self.epoch = a
            self.acknowledged = 0
            self._ours = {1: payload} if payload else {}
            self._last = len(self._ours)
        elif letter == b"I":
            self.resume = Resume(a, b)
        elif letter == b"O":
            self._last = b
            self._ours[b] = payload
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
        """Stores a durable message of ours; it will be sent until the counter has it. OSError where it can't be, and
        behind the last sequence that there is (SPEC.md 11)."""
        if self._last >= SEQUENCE_MAX:
            raise OSError(errno.EOVERFLOW, "the journal has used every number; begin a new one")
        self._append(b"O", self.epoch, self._last + 1, payload)

    def renew(self, payload: bytes) -> None:
        """Begins our log anew under another epoch (SPEC.md 6.4), with this message, if it is not empty, as its first:
        both in one record."""
        self._append(b"E", secrets.randbelow(0xFFFFFFFF) + 1, 1 if payload else 0, payload)

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
