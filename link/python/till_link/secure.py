"""Who holds the key is believed: HMAC-SHA-256 over each frame, and keys that live for one session. SPEC.md 8."""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import List, Optional, Tuple

from .frame import SEAL_BYTES, SEALED, encode_frame

NONCE_BYTES = 16
PROOF_BYTES = 16
_MAC_BYTES = 8
_IDENTITY = struct.Struct("<3B2I16s")


@dataclass(frozen=True)
class Key:
    """32 random bytes for one counter, and their number, 1 to 255."""

    id: int
    secret: bytes

    def __post_init__(self) -> None:
        if not 1 <= self.id <= 255 or len(self.secret) != 32:
            raise ValueError("a key is a number from 1 to 255 and 32 bytes")

    def __repr__(self) -> str:
        return f"Key({self.id})"  # never the secret (L-201)

    @classmethod
    def read(cls, text: str) -> "Key":
        """From `ID:HEX`."""
        number, _, digits = text.partition(":")
        if not number.isdecimal() or len(digits) != 64:
            raise ValueError("a key is its number, a colon and 64 hexadecimal digits")
        return cls(int(number), bytes.fromhex(digits))

    @classmethod
    def read_file(cls, text: str) -> "List[Key]":
        """From the text of a key file (8.2): the key, and that of a rotation if there is a second one."""
        lines = [line.split("#")[0].strip() for line in text.splitlines()]
        keys = [cls.read(line) for line in lines if line]
        if not 1 <= len(keys) <= 2:
            raise ValueError(f"{len(keys)} keys in a file for one or two")
        return keys

    def derive(self, label: str, *parts: bytes) -> bytes:
        """8.2."""
        return mac(self.secret, label.encode("ascii") + b"".join(parts) + b"\1")

    def proof(self, hello: bytes) -> bytes:
        """What stands at the end of a HELLO whose payload before it is `hello`."""
        return mac(self.derive("till-link/1 hello"), b"\1" + hello)[:PROOF_BYTES]


def mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def equal(a: bytes, b: bytes) -> bool:
    """In a time that does not tell where they differ (L-202)."""
    return hmac.compare_digest(a, b)


def identity(minor: int, flags: int, boot: int, epoch: int, nonce: bytes) -> bytes:
    """What one end's HELLO puts under the keys of a session."""
    return _IDENTITY.pack(1, minor, flags, boot, epoch, nonce)


def session_keys(key: Key, till: bytes, pos: bytes, counter: int, schema: int) -> Tuple[bytes, bytes]:
    """The keys to the POS and to the till, from both ends' identities."""
    parts = till, pos, struct.pack("<IIB", counter, schema, key.id)
    return key.derive("till-link/1 to pos", *parts), key.derive("till-link/1 to till", *parts)


def seal(key: bytes, counter: int, kind: int, payload: bytes) -> bytes:
    """A sealed frame with its delimiter; `kind` is that of 6.1."""
    body = payload + struct.pack("<I", counter)
    return encode_frame(kind | SEALED, body + mac(key, bytes([kind | SEALED]) + body)[:_MAC_BYTES])


class BadSeal(Exception):
    """`kind` is bad_mac or replayed."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def unseal(key: bytes, received: int, kind: int, sealed: bytes) -> Tuple[bytes, int]:
    """Payload and counter of a sealed frame whose kind on the wire is `kind`."""
    if len(sealed) < SEAL_BYTES:
        raise BadSeal("bad_mac")
    body = sealed[:-_MAC_BYTES]
    if not equal(mac(key, bytes([kind]) + body)[:_MAC_BYTES], sealed[-_MAC_BYTES:]):
        raise BadSeal("bad_mac")
    (counter,) = struct.unpack("<I", body[-4:])
    if counter <= received:
        raise BadSeal("replayed")
    return body[:-4], counter


@dataclass
class Session:
    """One end's nonce, and while the link is up the keys that were made of both."""

    key: Key
    nonce: bytes
    count: int = 0
    peer_nonce: Optional[bytes] = None
    peer_count: int = 0
    to_peer: bytes = b""
    from_peer: bytes = b""
    sent: int = 0
    received: int = 0
