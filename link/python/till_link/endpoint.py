"""One end of the link without port, clock or disk: bytes and time in, bytes and events out. SPEC.md 6."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import List, Optional, Protocol, Tuple

from . import secure
from .frame import PAYLOAD_BYTES_MAX, SEALED, Accumulator, Kind, crc32c, encode_frame
from .message import SCHEMA_TEXT
from .secure import Key

HEARTBEAT_MS = 1000
LOST_MS = 3000
HELLO_MS = 500
WINDOW_MAX = 16
SCHEMA = crc32c(SCHEMA_TEXT.encode())

_RTO_MIN, _RTO_MAX, _RTO_FIRST = 400, 4000, 1000
_HELLO = struct.Struct("<5B8I")
#: Behind it at a secured end: key id, nonce, peer nonce, count.
_SECURED = struct.Struct("<B16s16sI")
_SECURED_BYTES = _HELLO.size + _SECURED.size + secure.PROOF_BYTES
_SECURED_FLAG = 1


class Role(IntEnum):
    """Which end."""

    TILL = 0
    POS = 1


class Refusal(IntEnum):
    """Why the ends do not talk."""

    OTHER = 0
    VERSION = 1
    SCHEMA = 2
    COUNTER = 3
    ROLE = 4
    SECURITY = 5
    KEY = 6


@dataclass(frozen=True)
class Config:
    """What never changes while an endpoint lives; `boot` differs at each start and is not 0.

    With `key` the end is secured and talks to no other; a POS may have an `other` key, too, and follows its till.
    Nonces are made of `seed`, 32 bytes that are random at each start.
    """

    role: Role
    counter: int
    epoch: int
    boot: int
    window: int = 4
    key: Optional[Key] = None
    other: Optional[Key] = None
    seed: bytes = field(default_factory=lambda: os.urandom(32), repr=False)


@dataclass(frozen=True)
class Resume:
    """How far the other end's log is stored here."""

    epoch: int = 0
    sequence: int = 0


class Source(Protocol):
    """Where an endpoint takes what it sends."""

    def first(self) -> int:
        """The lowest sequence that the log holds; last() + 1 when it holds none."""

    def last(self) -> int:
        """The last sequence on disk; 0 is none."""

    def durable(self, sequence: int) -> Optional[bytes]:
        """The message of that number; None if it can't be read."""

    def volatile(self) -> Optional[bytes]:
        """Takes the next message that may be lost."""


@dataclass(frozen=True)
class Event:
    """What happened. `name` is durable, volatile, acked, up, down, refused or loglost; the rest depends on it.
    loglost: the other end has our log up to `sequence`, which is more than we have; see `Endpoint.renew`."""

    name: str
    epoch: int = 0
    sequence: int = 0
    payload: bytes = b""
    boot: int = 0
    minor: int = 0
    lost: int = 0
    reason: Refusal = Refusal.OTHER


@dataclass
class Stats:
    """Counts since the endpoint was made."""

    bytes_in: int = 0
    bytes_out: int = 0
    frames_in: int = 0
    frames_out: int = 0
    too_long: int = 0
    bad_cobs: int = 0
    bad_crc: int = 0
    malformed: int = 0
    duplicates: int = 0
    retransmits: int = 0
    gaps: int = 0
    false_acks: int = 0
    ups: int = 0
    bad_mac: int = 0
    replayed: int = 0


class Rto:
    """RFC 6298 in whole milliseconds."""

    def __init__(self) -> None:
        self.smoothed_ms: Optional[int] = None
        self._variation_x4_ms = 0
        self.timeout_ms = _RTO_FIRST

    def sample(self, rtt_ms: int) -> None:
        rtt_ms = min(rtt_ms, _RTO_MAX)
        if self.smoothed_ms is None:
            self._variation_x4_ms = rtt_ms * 2
            self.smoothed_ms = rtt_ms
        else:
            self._variation_x4_ms += abs(self.smoothed_ms - rtt_ms) - self._variation_x4_ms // 4
            self.smoothed_ms += rtt_ms // 8 - self.smoothed_ms // 8
        self.timeout_ms = min(max(self.smoothed_ms + self._variation_x4_ms, _RTO_MIN), _RTO_MAX)

    def back_off(self) -> None:
        self.timeout_ms = min(self.timeout_ms * 2, _RTO_MAX)


class Endpoint:
    """One end of the link."""

    def __init__(self, config: Config, resume: Resume, acknowledged: int, last: int, now_ms: int) -> None:
        """`acknowledged`: what the other end is known to have of our log; `last`: the last one on disk."""
        self.config = config
        self.stats = Stats()
        self.up = False
        self.acknowledged = acknowledged
        self._window = min(max(config.window, 1), WINDOW_MAX)
        self._boot = max(config.boot, 1)
        self._rx = Accumulator(config.key is not None)
        self._nonces = 0
        self._session: Optional[secure.Session] = None
        if config.key is not None:
            self._session = secure.Session(config.key, self._new_nonce(config.key))
        self._resume = resume
        self._delivered = resume.sequence
        self._peer: Optional[Tuple[int, int]] = None
        self._hello_due_ms: Optional[int] = now_ms
        self._refuse: Optional[Refusal] = None
        self._ack_due = self._gap_due = self._gap_told = False
        self._next = acknowledged + 1
        self._highest_sent = max(last, acknowledged)
        #: In this life no HELLO has yet shown that the other end holds no more of our log than we do.
        self._unproven = True
        self._sent_ms = [0] * WINDOW_MAX
        self._rto = Rto()
        self._timer_ms: Optional[int] = None
        self._heard_ms = self._spoke_ms = now_ms
        self._event_last = False
        self._events: List[Event] = []

    def reconnected(self, now_ms: int) -> List[Event]:
        """The port was opened anew."""
        self._rx = Accumulator(self.config.key is not None)
        self._go_down(now_ms)
        self._hello_due_ms = now_ms
        return self._take_events()

    def stored(self, epoch: int, sequence: int) -> None:
        """Everything up to here is on our disk."""
        if epoch == self._resume.epoch and self._resume.sequence < sequence <= self._delivered:
            self._resume = Resume(epoch, sequence)
            self._ack_due = True

    def renew(self, epoch: int, now_ms: int) -> None:
        """After loglost: our log begins anew with record 1 of `epoch`, which was never used before and is on the
        disk (L-032). The link comes up only then."""
        self.config = replace(self.config, epoch=epoch)
        # Under the old number a peer's HELLO would be mutual that was said before it heard of the new epoch.
        self._boot = (self._boot ^ 0x80000000) or 1
        self._unproven = False
        self.acknowledged = self._highest_sent = 0
        self._go_back()
        self._hello_due_ms = now_ms

    def not_stored(self) -> None:
        """What was delivered could not be stored: it will come again."""
        self._delivered = self._resume.sequence
        self._gap_told = True

    def receive(self, now_ms: int, data: bytes) -> List[Event]:
        """Takes any bytes that came."""
        self.stats.bytes_in += len(data)
        for received in self._rx.feed(data):
            if isinstance(received, str):
                name = "malformed" if received == "unknown_kind" else received
                setattr(self.stats, name, getattr(self.stats, name) + 1)
                continue
            self.stats.frames_in += 1
            try:
                if self._session is None:
                    self._heard_ms = now_ms
                    self._frame(now_ms, *received)
                else:
                    self._secured_frame(now_ms, self._session, *received)
            except struct.error:
                self.stats.malformed += 1
        return self._take_events()

    def poll_transmit(self, now_ms: int, source: Source) -> Tuple[Optional[bytes], List[Event]]:
        """The next frame for the wire, or None; call it until then."""
        if self.up and (now_ms - self._heard_ms >= LOST_MS or (self._session and self._session.sent == 0xFFFFFFFF)):
            self._go_down(now_ms)
        frame = self._next_frame(now_ms, source)
        if frame is not None:
            self._spoke_ms = now_ms
            self.stats.frames_out += 1
            self.stats.bytes_out += len(frame)
        return frame, self._take_events()

    def _take_events(self) -> List[Event]:
        events, self._events = self._events, []
        return events

    def _secured_frame(self, now_ms: int, session: secure.Session, kind: int, payload: bytes) -> None:
        """8.4, 8.5: nothing but HELLO and REFUSE is looked at before its MAC."""
        if kind in (Kind.HELLO, Kind.REFUSE):
            self._frame(now_ms, kind, payload)
        elif not kind & SEALED:
            self.stats.bad_mac += 1
            if not self.up:
                self._say_hello(now_ms)
        elif not self.up:
            self._say_hello(now_ms)
        else:
            try:
                payload, session.received = secure.unseal(session.from_peer, session.received, kind, payload)
            except secure.BadSeal as error:
                setattr(self.stats, error.kind, getattr(self.stats, error.kind) + 1)
                return
            self._heard_ms = now_ms
            self._frame(now_ms, kind & ~SEALED, payload)

    def _frame(self, now_ms: int, kind: int, payload: bytes) -> None:
        if kind == Kind.HELLO:
            self._hello(now_ms, payload)
        elif kind == Kind.REFUSE:
            (reason,) = struct.unpack("<B", payload)
            if self._session is None:
                self._go_down(now_ms)
            elif self.up:
                self.stats.bad_mac += 1
                return
            known = Refusal(reason) if reason in Refusal._value2member_map_ else Refusal.OTHER
            self._events.append(Event("refused", reason=known))
        elif kind == Kind.HEARTBEAT:
            (boot,) = struct.unpack("<I", payload)
            if not self.up or self._peer is None or self._peer[0] != boot:
                self._say_hello(now_ms)
        elif not self.up:
            self._say_hello(now_ms)
        elif len(payload) > PAYLOAD_BYTES_MAX + (8 if kind == Kind.DATA else 0):
            self.stats.malformed += 1
        elif kind == Kind.EVENT:
            self._events.append(Event("volatile", payload=payload))
        elif kind == Kind.DATA:
            epoch, sequence = struct.unpack("<II", payload[:8])
            self._data(now_ms, epoch, sequence, payload[8:])
        else:
            epoch, sequence = struct.unpack("<II", payload)
            if epoch == self.config.epoch:
                self._ack(now_ms, sequence)
                if kind == Kind.GAP:
                    self._go_back()

    def _hello(self, now_ms: int, payload: bytes) -> None:
        major, minor, role, up, flags, schema, counter, boot, peer_boot, epoch, first, stored_epoch, stored = (
            _HELLO.unpack(payload[: _HELLO.size])
        )
        refusal = None
        key = self.config.key
        if major != 1:
            refusal = Refusal.VERSION
        elif schema != SCHEMA:
            refusal = Refusal.SCHEMA
        elif role != 1 - self.config.role:
            refusal = Refusal.ROLE
        elif counter != self.config.counter:
            refusal = Refusal.COUNTER
        elif bool(flags & _SECURED_FLAG) != (key is not None):
            refusal = Refusal.SECURITY
        elif self._session is not None:
            if len(payload) < _SECURED_BYTES:
                refusal = Refusal.SECURITY
            else:
                key = self._key_of(payload[_HELLO.size])
                if key is None and self.config.role == Role.TILL:
                    self._say_hello(now_ms)
                    return
                end = len(payload) - secure.PROOF_BYTES
                if key is None or not secure.equal(key.proof(payload[:end]), payload[end:]):
                    refusal = Refusal.KEY
        if refusal is not None:
            if self._session is not None and self.up:
                self.stats.bad_mac += 1
                return
            self._refuse = refusal
            self._go_down(now_ms)
            self._events.append(Event("refused", reason=refusal))
            return
        mutual = peer_boot == self._boot
        if self._session is not None and key is not None:
            found = self._secured_hello(now_ms, self._session, key, payload, (boot, epoch), mutual)
            if found is None:
                return
            mutual = found
        elif self.up and not (self._peer == (boot, epoch) and mutual):
            self._go_down(now_ms)
        self._peer = (boot, epoch)
        if not (mutual and up == 1 and self.up):
            self._hello_due_ms = now_ms
        if not mutual:
            return
        fresh = not self.up
        if stored_epoch != self.config.epoch:
            stored = 0
        if stored > self._highest_sent and self._unproven:
            # Our disk has lost records that it had said were safe; their numbers may have been given anew.
            self._events.append(Event("loglost", sequence=stored))
            return
        if fresh:
            self._unproven = False
            lost = self._adopt(epoch, first)
            self.up = True
            self.stats.ups += 1
            self._events.append(Event("up", boot=boot, minor=minor, lost=lost))
        if fresh or up != 1:
            self.acknowledged = min(self.acknowledged, stored)
            self._go_back()
        self._ack(now_ms, stored)

    def _key_of(self, number: int) -> Optional[Key]:
        """While up no other key than the session's (L-211)."""
        assert self._session is not None
        held: List[Optional[Key]] = [self._session.key if self.up else self.config.key]
        if not self.up and self.config.role == Role.POS:
            held.append(self.config.other)
        return next((key for key in held if key is not None and key.id == number), None)

    def _new_nonce(self, key: Key) -> bytes:
        """L-203."""
        self._nonces += 1
        of = struct.pack("<BII", self.config.role, self._boot, self._nonces)
        return key.derive("till-link/1 nonce", self.config.seed, of)[: secure.NONCE_BYTES]

    def _secured_hello(
        self, now_ms: int, session: secure.Session, key: Key, payload: bytes, peer: Tuple[int, int], mutual: bool
    ) -> Optional[bool]:
        """8.4 from its fourth row on: whether the HELLO is mutual; None where 6.4 does not go on with it."""
        _, nonce, peer_nonce, count = _SECURED.unpack_from(payload, _HELLO.size)
        mutual = mutual and peer_nonce == session.nonce
        if self.up and not mutual:
            self._say_hello(now_ms)
            return None
        if self.up and self._peer == peer and session.peer_nonce == nonce:
            if count <= session.peer_count:
                self.stats.replayed += 1
                return None
        elif self.up:
            # Our nonce is another now: it is no longer mutual.
            self._go_down(now_ms)
            assert self._session is not None
            session, mutual = self._session, False
        session.key = key
        session.peer_nonce = nonce
        if mutual:
            if not self.up:
                c = self.config
                ours = secure.identity(0, _SECURED_FLAG, self._boot, c.epoch, session.nonce)
                theirs = secure.identity(payload[1], payload[4], *peer, nonce)
                if c.role == Role.TILL:
                    session.to_peer, session.from_peer = secure.session_keys(key, ours, theirs, c.counter, SCHEMA)
                else:
                    session.from_peer, session.to_peer = secure.session_keys(key, theirs, ours, c.counter, SCHEMA)
            session.peer_count = count
            self._heard_ms = now_ms
        return mutual

    def _adopt(self, epoch: int, first: int) -> int:
        if self._resume.epoch != epoch:
            self._resume = Resume(epoch, 0)
            self._delivered = 0
        before = max(first - 1, 0)
        lost = max(before - self._resume.sequence, 0)
        self._resume = Resume(epoch, max(self._resume.sequence, before))
        # What the caller was handed and is still storing was delivered.
        self._delivered = max(self._delivered, self._resume.sequence)
        self._gap_told = False
        return lost

    def _data(self, now_ms: int, epoch: int, sequence: int, payload: bytes) -> None:
        if epoch != self._resume.epoch:
            self._say_hello(now_ms)
        elif sequence <= self._delivered:
            self.stats.duplicates += 1
            self._ack_due = True
        elif sequence == self._delivered + 1:
            self._delivered = sequence
            self._gap_told = False
            self._events.append(Event("durable", epoch=epoch, sequence=sequence, payload=payload))
        else:
            self.stats.gaps += 1
            self._gap_due |= not self._gap_told
            self._gap_told = True

    def _ack(self, now_ms: int, sequence: int) -> None:
        if sequence > self._highest_sent:
            self.stats.false_acks += 1
            return
        if sequence <= self.acknowledged:
            return
        sent_ms = self._sent_ms[sequence % WINDOW_MAX]
        if sent_ms != 0 and sequence < self._next:
            self._rto.sample(now_ms - sent_ms)
        self.acknowledged = sequence
        self._next = max(self._next, sequence + 1)
        self._timer_ms = now_ms + self._rto.timeout_ms if sequence + 1 < self._next else None
        self._events.append(Event("acked", sequence=sequence))

    def _go_back(self) -> None:
        self._next = self.acknowledged + 1
        self._timer_ms = None

    def _go_down(self, now_ms: int) -> None:
        self._peer = None
        self._ack_due = self._gap_due = False
        self._hello_due_ms = now_ms + HELLO_MS
        self._go_back()
        if self.up:
            self.up = False
            if self._session is not None and self.config.key is not None:
                # The session's keys are forgotten.
                self._session = secure.Session(self._session.key, self._new_nonce(self.config.key))
            self._events.append(Event("down"))

    def _say_hello(self, now_ms: int) -> None:
        soon = now_ms + HELLO_MS // 10
        self._hello_due_ms = soon if self._hello_due_ms is None else min(self._hello_due_ms, soon)

    def _next_frame(self, now_ms: int, source: Source) -> Optional[bytes]:
        if self._refuse is not None:
            refusal, self._refuse = self._refuse, None
            return encode_frame(Kind.REFUSE, bytes([refusal]))
        if self._hello_due_ms is not None and now_ms >= self._hello_due_ms:
            self._hello_due_ms = None if self.up else now_ms + HELLO_MS
            return encode_frame(Kind.HELLO, self._our_hello(source))
        if not self.up:
            return None
        if self._gap_due or self._ack_due:
            kind = Kind.GAP if self._gap_due else Kind.ACK
            self._gap_due = self._ack_due = False
            return self._encode(kind, struct.pack("<II", self._resume.epoch, self._resume.sequence))
        if self._timer_ms is not None and now_ms >= self._timer_ms:
            self._rto.back_off()
            self._go_back()
        if self._event_last:
            self._event_last = False
            frame = self._data_frame(now_ms, source)
            if frame is not None:
                return frame
        payload = source.volatile()
        if payload is not None:
            self._event_last = True
            return self._encode(Kind.EVENT, payload)
        frame = self._data_frame(now_ms, source)
        if frame is None and now_ms - self._spoke_ms >= HEARTBEAT_MS:
            frame = self._encode(Kind.HEARTBEAT, struct.pack("<I", self._boot))
        return frame

    def _encode(self, kind: Kind, payload: bytes) -> bytes:
        if self._session is None:
            return encode_frame(kind, payload)
        self._session.sent += 1
        return secure.seal(self._session.to_peer, self._session.sent, kind, payload)

    def _our_hello(self, source: Source) -> bytes:
        c, r, s = self.config, self._resume, self._session
        peer_boot = self._peer[0] if self._peer else 0
        flags = 0 if s is None else _SECURED_FLAG
        hello = _HELLO.pack(
            1, 0, c.role, self.up, flags, SCHEMA, c.counter, self._boot, peer_boot, c.epoch, source.first(), r.epoch,
            r.sequence,
        )  # fmt: skip
        if s is None:
            return hello
        s.count += 1
        peer_nonce = s.peer_nonce if self._peer and s.peer_nonce else bytes(secure.NONCE_BYTES)
        hello += _SECURED.pack(s.key.id, s.nonce, peer_nonce, s.count)
        return hello + s.key.proof(hello)

    def _data_frame(self, now_ms: int, source: Source) -> Optional[bytes]:
        sequence = max(self._next, source.first())
        if sequence > source.last() or sequence - max(self.acknowledged, source.first() - 1) > self._window:
            return None
        payload = source.durable(sequence)
        if payload is None:
            return None
        again = sequence <= self._highest_sent
        self.stats.retransmits += again
        self._sent_ms[sequence % WINDOW_MAX] = 0 if again else now_ms
        self._highest_sent = max(self._highest_sent, sequence)
        self._next = sequence + 1
        if self._timer_ms is None:
            self._timer_ms = now_ms + self._rto.timeout_ms
        return self._encode(Kind.DATA, struct.pack("<II", self.config.epoch, sequence) + payload)

    def next_deadline(self) -> Optional[int]:
        """When poll_transmit has something to say even if nothing comes and nothing is written."""
        due = [self._hello_due_ms]
        if self.up:
            due += [self._spoke_ms + HEARTBEAT_MS, self._heard_ms + LOST_MS, self._timer_ms]
        return min((d for d in due if d is not None), default=None)
