"""A whole POS but for its shop: link, journal and the rules of money (SPEC.md 7). Subclass `Pos`, say what it
means to show, to book and to give back, and call `turn` again and again.

What a POS knows comes from its journal alone, in the order in which it was stored, so that a restart between
any two steps changes nothing.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Protocol

from . import message as m
from .endpoint import Config, Endpoint, Event, Role
from .journal import Journal
from .secure import Key


#: Said first on a line: an earlier life may have died within a frame (L-013).
_DELIMITER = b"\0"


class Line(Protocol):
    """A serial port: pyserial's `Serial` with a short timeout, or `tty.Tty`, or anything like them."""

    def read(self, size: int) -> Optional[bytes]:
        """What came, at most `size` bytes; waits a little while for the first."""

    def write(self, data: bytes) -> Optional[int]:
        """Takes bytes and says how many; None is none."""


@dataclass
class _Sale:
    paid: Optional[m.Paid] = None
    over: bool = False
    #: No money will be taken for it any more (L-085, L-088).
    promised: bool = False
    #: The revision of the offer that the counter asks about.
    asked: Optional[int] = None


class Pos:
    """The POS of one counter."""

    def __init__(self, journal: Journal, counter: int, key: Optional[Key] = None, other: Optional[Key] = None) -> None:
        """With a key the link is secured; a POS may hold `other` too while keys are changed (8.7)."""
        self.journal = journal
        self._sales: Dict[m.SaleId, _Sale] = {}
        self._offer: Optional[m.Offer] = None
        self._open = False
        #: The link was up in this life: our disk has lost nothing that the counter has.
        self._proven = False
        for ours, payload in journal.messages():
            self._take(ours, payload)
        self._open = True
        config = Config(Role.POS, counter, journal.epoch, secrets.randbelow(0xFFFFFFFF) + 1, key=key, other=other)
        self.endpoint = Endpoint(config, journal.resume, journal.acknowledged, journal.last(), self.now_ms())
        self._unsent = _DELIMITER

    # What the shop says.

    def show(self, message: m.ToPos) -> None:
        """Any message of the counter, when it comes."""

    def book(self, closed: m.Closed) -> None:
        """A receipt. It is told again from the journal at each start: book by the sale's id (L-083)."""

    def give_back(self, sale: m.SaleId, amount_minor: int) -> None:
        """Money was taken and the sale ended otherwise (L-084). Told again at each start, as `book`."""

    def link(self, event: Event) -> None:
        """The link went up or down, was refused, or lost messages."""

    def trouble(self, text: str) -> None:
        """Something that a person must see: a message that can't be read, a disk that can't be written."""

    def prices(self, version: int, part: int) -> m.Prices:
        """That part of the newest price list, part 0 if `version` is not the newest (7.1). This gives none."""
        return m.Prices(0, 0, 0, b"XXX", ())

    # What the shop calls.

    def payable(self) -> Optional[m.Offer]:
        """The offer for which money may be taken now (L-081). Ask this state rather than waiting for the message:
        it holds after a restart between offer and payment, too, as soon as the link was up (L-098)."""
        return self._standing() if self._proven else None

    def _standing(self) -> Optional[m.Offer]:
        if self._offer is None or not self._offer.cart.adds_up():
            return None
        sale = self._sale(self._offer.sale)
        return None if sale.paid or sale.over or sale.promised or sale.asked is not None else self._offer

    def pay(self, tender: m.Tender) -> None:
        """The money for `payable` was taken. OSError: it could not be stored; the money must be given back."""
        offer = self.payable()
        if offer is not None:
            self._say(m.Paid(offer.sale, offer.revision, tender, offer.cart.total_minor))

    def cancel(self) -> None:
        """The offer was refused here."""
        offer = self.payable()
        if offer is not None:
            self._say(m.Cancel(offer.sale))

    def acknowledge(self, sale: Optional[m.SaleId], reason: m.Attention) -> None:
        """A person has seen what Attention told, and comes (L-092)."""
        self._say(m.Acknowledge(sale, reason))

    def override(self, sale: m.SaleId, reason: m.Attention) -> None:
        """A person settled what Attention told."""
        self._say(m.Override(sale, reason))

    def send(self, message: m.ToTill) -> None:
        """A message that may be lost."""
        self.journal.send(m.encode(message))

    def turn(self, line: Line) -> None:
        """Reads what came and writes what is to be said; errors of the line are the caller's."""
        waiting = getattr(line, "in_waiting", None)
        self.receive(line.read(4096 if waiting is None else max(waiting, 1)) or b"")
        while True:
            self._unsent = self._unsent or self.poll() or b""
            if not self._unsent:
                return
            sent = line.write(self._unsent) or 0
            self._unsent = self._unsent[sent:]
            if sent == 0:
                return

    # Under `turn`, for who drives the line himself.

    def now_ms(self) -> int:
        """A clock that is never set back."""
        return time.monotonic_ns() // 1_000_000

    def reconnected(self) -> None:
        """The line was opened anew."""
        self._unsent = _DELIMITER
        self._handle(self.endpoint.reconnected(self.now_ms()))

    def receive(self, data: bytes) -> None:
        """Takes bytes of the line."""
        self._handle(self.endpoint.receive(self.now_ms(), data))

    def poll(self) -> Optional[bytes]:
        """The next frame for the line; call it until there is none."""
        for name in [name for name, sale in self._sales.items() if sale.asked is not None and self._proven]:
            # From the journal, not from memory; none is a promise (L-087, L-088).
            sale = self._sales[name]
            paid = sale.paid is not None and sale.paid.revision == sale.asked
            try:
                self._say(m.OutcomeIs(name, m.Outcome.Paid if paid else None))
            except OSError as error:
                self.trouble(f"an answer could not be stored: {error}")
                break
        frame, events = self.endpoint.poll_transmit(self.now_ms(), self.journal)
        self._handle(events)
        return frame

    def _handle(self, events: List[Event]) -> None:
        failed = False
        for event in events:
            if event.name == "durable" and not failed:
                try:
                    self.journal.store(event.epoch, event.sequence, event.payload)
                except OSError as error:
                    # Behind what could not be stored nothing may be stored: it comes again (L-061).
                    failed = True
                    self.endpoint.not_stored()
                    self.trouble(f"a message could not be stored: {error}")
                    continue
                self.endpoint.stored(event.epoch, event.sequence)
                self._take(False, event.payload)
            elif event.name == "volatile":
                self._take(False, event.payload)
            elif event.name == "acked":
                try:
                    self.journal.acked(event.sequence)
                except OSError:
                    pass  # Forgetting this only costs a repetition.
            elif event.name == "loglost":
                self._renew(event.sequence)
            elif event.name in ("up", "down", "refused"):
                self._proven |= event.name == "up"
                self.link(event)

    def _renew(self, stored: int) -> None:
        """Our disk has lost records that the counter has, perhaps the payment for the offer that stands: no money is
        taken for it any more (L-098). Told again with each HELLO until it is stored."""
        lost = stored - self.journal.last()
        offer = self._standing()
        promise = b"" if offer is None else m.encode(m.OutcomeIs(offer.sale, None))
        try:
            self.journal.renew(promise)
        except OSError as error:
            self.trouble(f"a new epoch could not be stored: {error}")
            return
        if promise:
            self._take(True, promise)
        self.endpoint.renew(self.journal.epoch, self.now_ms())
        self.trouble(
            f"the disk has lost {lost} records that the counter has; money that was taken may be missing from these "
            "books. Compare them with the counter's, and check the disk"
        )

    def _say(self, message: m.ToTill) -> None:
        """On disk first (L-080); the link delivers it from there."""
        if not self._proven:
            raise OSError("nothing is said before the link was up: the journal may lack records (L-098)")
        payload = m.encode(message)
        self.journal.submit(payload)
        self._take(True, payload)

    def _sale(self, name: m.SaleId) -> _Sale:
        return self._sales.setdefault(name, _Sale())

    def _take(self, ours: bool, payload: bytes) -> None:
        """What a message means: the same for one that comes and one that is read from the journal."""
        try:
            message: Any = m.decode_to_till(payload) if ours else m.decode_to_pos(payload)
        except m.DecodeError as error:
            self.trouble(f"a message can't be read ({error.kind}): {payload[:64].hex()}")
            return
        if self._open and not ours:
            self.show(message)
        if isinstance(message, m.QueryPrices):
            self.send(self.prices(message.version, message.part))
        if not message.durable or message.sale is None:
            return
        sale = self._sale(message.sale)
        if isinstance(message, m.Paid):
            sale.paid = message
        elif isinstance(message, m.Cancel):
            sale.promised = True
        elif isinstance(message, m.OutcomeIs):
            sale.asked = None
            sale.promised |= message.outcome is None
        elif isinstance(message, m.QueryOutcome):
            sale.asked = message.revision
        elif isinstance(message, m.Offer):
            self._offer = message
        elif isinstance(message, m.Withdrawn):
            if self._offer and (self._offer.sale, self._offer.revision) == (message.sale, message.revision):
                self._offer = None
        elif isinstance(message, m.Closed) and not sale.over:
            sale.over = True
            if message.outcome == m.Outcome.Paid:
                self.book(message)
            elif sale.paid is not None:
                self.give_back(message.sale, sale.paid.amount_minor)
                sale.paid = None  # It is not paid any more, also where the counter has lost this end and asks (L-087).
