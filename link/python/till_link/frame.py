"""Kind, payload and CRC-32C, stuffed with COBS, ended by one zero byte. SPEC.md 3."""

from __future__ import annotations

from enum import IntEnum
from typing import Iterator, Tuple, Union

PAYLOAD_BYTES_MAX = 2564
#: Counter and MAC of a sealed frame, and the bit in its kind.
SEAL_BYTES, SEALED = 12, 0x80
FRAME_BYTES_MAX = PAYLOAD_BYTES_MAX + 1 + 8 + SEAL_BYTES + 4
WIRE_BYTES_MAX = FRAME_BYTES_MAX + -(-FRAME_BYTES_MAX // 254) + 1


class Kind(IntEnum):
    """The first byte of a frame."""

    HELLO = 1
    DATA = 2
    ACK = 3
    GAP = 4
    EVENT = 5
    HEARTBEAT = 6
    REFUSE = 7


def _table() -> Tuple[int, ...]:
    rows = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        rows.append(byte)
    return tuple(rows)


_CRC = _table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli); 0xE3069283 over b"123456789"."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _stuff(data: bytes) -> bytes:
    out = bytearray([0])
    code_at = 0
    for byte in data:
        if byte:
            out.append(byte)
        if not byte or len(out) - code_at == 0xFF:
            out[code_at] = len(out) - code_at
            code_at = len(out)
            out.append(0)
    out[code_at] = len(out) - code_at
    out.append(0)
    return bytes(out)


def _unstuff(data: bytes) -> "bytes | None":
    out = bytearray()
    at = 0
    while at < len(data):
        code = data[at]
        end = at + code
        if code == 0 or end > len(data):
            return None
        out += data[at + 1 : end]
        at = end
        if code < 0xFF and at < len(data):
            out.append(0)
    return bytes(out)


def encode_frame(kind: int, payload: bytes) -> bytes:
    """One frame with its delimiter; ValueError when the payload is too long."""
    body = bytes([kind]) + payload
    if len(body) + 4 > FRAME_BYTES_MAX:
        raise ValueError(f"payload of {len(payload)} bytes is too long for a frame")
    return _stuff(body + crc32c(body).to_bytes(4, "little"))


#: A whole frame (the kind of a sealed one has the bit 80 set), or the name of what was wrong: too_long, bad_cobs,
#: bad_crc, unknown_kind.
Received = Union[Tuple[int, bytes], str]

_KINDS = {int(kind): kind for kind in Kind}
_SEALED_KINDS = frozenset(SEALED | kind for kind in (Kind.DATA, Kind.ACK, Kind.GAP, Kind.EVENT, Kind.HEARTBEAT))


class Accumulator:
    """Finds whole frames in any bytes, in any portions, with bounded memory."""

    def __init__(self, secured: bool = False) -> None:
        self._bytes = bytearray()
        self._overrun = False
        self._sealed = _SEALED_KINDS if secured else frozenset()

    def feed(self, data: bytes) -> Iterator[Received]:
        """Takes `data` and yields what became of each stretch before a delimiter."""
        *whole, rest = data.split(b"\0")
        for part in whole:
            self._take(part)
            stuffed, overrun = bytes(self._bytes), self._overrun
            self._bytes.clear()
            self._overrun = False
            if overrun:
                yield "too_long"
            elif stuffed:
                yield self._open(stuffed)
        self._take(rest)

    def _take(self, part: bytes) -> None:
        if len(self._bytes) + len(part) > WIRE_BYTES_MAX:
            self._overrun = True
        else:
            self._bytes += part

    def _open(self, stuffed: bytes) -> Received:
        body = _unstuff(stuffed)
        if body is None or len(body) < 5:
            return "bad_cobs"
        if crc32c(body[:-4]) != int.from_bytes(body[-4:], "little"):
            return "bad_crc"
        if body[0] in _KINDS or body[0] in self._sealed:
            return _KINDS.get(body[0], body[0]), body[1:-4]
        return "unknown_kind"
