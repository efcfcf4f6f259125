"""A whole POS in one screen of Python: shows the sale, takes the money, books each sale once.

    python3 example_pos.py --port /dev/ttyUSB0 --journal pos.journal [--auto] [--until N]

Without --auto, type `p` and Enter to pay the offer, `c` and Enter to cancel it. `--until N` ends after N
bookings (for tests). SPEC.md 7 has the rules that `Pos.take` follows.
"""

import argparse
import collections
import os
import secrets
import select
import sys
import termios
import time
import tty

from till_link import Config, DecodeError, Endpoint, Journal, Role, decode_to_pos, encode
from till_link import message as m


class Pos:
    """The rules. What it knows comes from the journal alone, so a restart changes nothing."""

    def __init__(self, journal, say=print):
        self.journal, self.say = journal, say
        self.offer = None  # the offer that may be paid now
        self.paid = {}  # sale -> (revision, amount) of the money taken
        self.closed = {}  # sale -> outcome
        self.void = set()  # sales that we promised never to take money for
        self.open_questions = collections.Counter()
        for payload in journal.spoken:
            self.remember(m.decode_to_till(payload))
        for payload in journal.received:
            self.take(decode_to_pos(payload))
        self.answer()

    def remember(self, message):
        if isinstance(message, m.OutcomeIs):
            self.open_questions[message.sale] -= 1
        if isinstance(message, m.Paid):
            self.paid[message.sale] = (message.revision, message.amount_minor)
        elif isinstance(message, m.Cancel) or (isinstance(message, m.OutcomeIs) and message.outcome is None):
            self.void.add(message.sale)

    def tell(self, message):
        """On disk first (L-080); the link delivers it from there."""
        self.journal.submit(encode(message))
        self.remember(message)

    def take(self, message):
        if isinstance(message, m.Offer):
            self.offer = message
        elif isinstance(message, m.Withdrawn):
            if self.offer and (self.offer.sale, self.offer.revision) == (message.sale, message.revision):
                self.offer = None
        elif isinstance(message, m.Closed) and message.sale not in self.closed:
            self.closed[message.sale] = message.outcome
            self.offer = None
            if message.outcome == m.Outcome.Paid:
                self.say(f"BOOKED {message.sale} {message.cart.total_minor} {message.cart.currency.decode()}")
            elif message.sale in self.paid:
                self.say(f"GIVE BACK {self.paid[message.sale][1]} for {message.sale}")
        elif isinstance(message, m.QueryOutcome):
            self.offer = None
            self.open_questions[message.sale] += 1

    def answer(self):
        for sale in [sale for sale, open_ in self.open_questions.items() if open_ > 0]:
            self.tell(m.OutcomeIs(sale, m.Outcome.Paid if sale in self.paid else None))

    def pay(self):
        offer = self.offer
        if offer and offer.sale not in self.paid and offer.sale not in self.void:
            self.tell(m.Paid(offer.sale, offer.revision, m.Tender.Card, offer.cart.total_minor))

    def cancel(self):
        if self.offer and self.offer.sale not in self.paid:
            self.tell(m.Cancel(self.offer.sale))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--port", required=True)
    arguments.add_argument("--journal", required=True)
    arguments.add_argument("--counter", type=int, default=1)
    arguments.add_argument("--auto", action="store_true", help="pay every offer at once")
    arguments.add_argument("--until", type=int, help="end after so many bookings")
    options = arguments.parse_args()

    port = os.open(options.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    tty.setraw(port)
    speed = termios.tcgetattr(port)
    speed[4] = speed[5] = termios.B115200
    termios.tcsetattr(port, termios.TCSANOW, speed)

    journal = Journal(options.journal)
    pos = Pos(journal, lambda text: print(text, flush=True))
    config = Config(Role.POS, options.counter, journal.epoch, secrets.randbelow(0xFFFFFFFF) + 1)
    now = lambda: time.monotonic_ns() // 1_000_000  # noqa: E731
    endpoint = Endpoint(config, journal.resume, journal.acknowledged, journal.last(), now())
    out = b""
    while options.until is None or len(pos.closed) < options.until or journal.acknowledged < journal.last():
        inputs = [port] if options.auto else [port, sys.stdin]
        ready, _, _ = select.select(inputs, [port] if out else [], [], 0.02)
        if sys.stdin in ready:
            {"p": pos.pay, "c": pos.cancel}.get(sys.stdin.readline().strip(), lambda: None)()
        data = os.read(port, 4096) if port in ready else b""
        for event in endpoint.receive(now(), data):
            if event.name == "durable":
                journal.store(event.epoch, event.sequence, event.payload)
                endpoint.stored(event.epoch, event.sequence)
            elif event.name == "acked":
                journal.acked(event.sequence)
            elif event.name in ("up", "down", "refused"):
                print(f"link {event.name}", file=sys.stderr, flush=True)
            if event.name in ("durable", "volatile"):
                try:
                    message = decode_to_pos(event.payload)
                except DecodeError as error:
                    print(f"not understood ({error.kind}): {event.payload.hex()}", file=sys.stderr)
                    continue
                pos.take(message)
                pos.answer()
                if isinstance(message, m.CartChanged):
                    print(f"  {len(message.cart.lines)} lines, {message.cart.total_minor}", file=sys.stderr)
                if options.auto:
                    pos.pay()
        while not out:
            frame, _ = endpoint.poll_transmit(now(), journal)
            if frame is None:
                break
            out = frame
        if out:
            try:
                out = out[os.write(port, out) :]
            except BlockingIOError:
                pass


if __name__ == "__main__":
    main()
