"""A whole POS in Python: shows the cart, takes the money, books each sale once, whatever happens meanwhile.

    python3 example_pos.py --port /dev/ttyUSB0 --journal pos.journal [--counter N] [--key-file FILE] [--auto]

Without --auto, type `p` and Enter to pay the offer, `c` and Enter to cancel it. With pyserial installed any port
that it knows will do, without it any tty of a POSIX system.
"""

import argparse
import select
import sys
import time
from pathlib import Path

from till_link import Journal, Key, Pos
from till_link import message as m


def open_line(path):
    """115200 8N1, raw (L-001); a read waits for 20 ms at most."""
    try:
        import serial
    except ImportError:
        from till_link.tty import Tty

        return Tty(path)
    return serial.Serial(path, 115200, timeout=0.02)


class Shop(Pos):
    """What is ours: a display on stderr and books on stdout. Yours may be a data base with the sale as its key."""

    def show(self, message):
        if isinstance(message, (m.CartChanged, m.Offer)):
            for line in message.cart.lines:
                print(f"  {line.quantity} x {line.name}  {line.unit_minor}", file=sys.stderr)
            word = "to pay" if isinstance(message, m.Offer) else "so far"
            print(f"{word}: {message.cart.total_minor} {message.cart.currency.decode()}", file=sys.stderr, flush=True)

    def book(self, closed):
        print(f"BOOKED {closed.sale} {closed.cart.total_minor} {closed.cart.currency.decode()}", flush=True)

    def give_back(self, sale, amount_minor):
        print(f"GIVE BACK {sale} {amount_minor}", flush=True)

    def link(self, event):
        lost = f", {event.lost} messages are lost for good" if event.lost else ""
        reason = f": {event.reason.name}" if event.name == "refused" else ""
        print(f"link {event.name}{reason}{lost}", file=sys.stderr, flush=True)

    def trouble(self, text):
        print(f"call staff: {text}", file=sys.stderr, flush=True)


def take_money(offer):
    """Here the card is charged or the drawer opened; by the sale's id, which is never used twice."""
    return offer.cart.total_minor >= 0


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--port", required=True)
    arguments.add_argument("--journal", required=True)
    arguments.add_argument("--counter", type=int, default=1)
    arguments.add_argument("--key-file", type=Path, help="the link is secured with the key in it")
    arguments.add_argument("--auto", action="store_true", help="pay every offer at once")
    options = arguments.parse_args()

    keys = Key.read_file(options.key_file.read_text()) if options.key_file else []
    shop = Shop(Journal(options.journal), options.counter, *keys)
    line = open_line(options.port)
    while True:
        try:
            shop.turn(line)
        except OSError as error:
            print(f"{options.port}: {error}; trying again", file=sys.stderr, flush=True)
            time.sleep(1)
            try:
                line.close()
                line = open_line(options.port)
                shop.reconnected()
            except OSError:
                pass
            continue
        key = "p" if options.auto else ""
        if not options.auto and select.select([sys.stdin], [], [], 0)[0]:
            key = sys.stdin.readline().strip()
        offer = shop.payable()
        if offer and key == "p" and take_money(offer):
            shop.pay(m.Tender.Card)
        elif offer and key == "c":
            shop.cancel()


if __name__ == "__main__":
    main()
