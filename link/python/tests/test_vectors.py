"""The golden vectors, read by the Python endpoint."""

import hashlib
import json
import os
import unittest
from pathlib import Path

from till_link import Accumulator, Config, DecodeError, Endpoint, Key, Resume, Role, crc32c, encode, encode_frame
from till_link import decode_to_pos, decode_to_till, secure
from till_link import message as m
from till_link.frame import SEALED

VECTORS = Path(os.environ.get("TILL_LINK_VECTORS", Path(__file__).parents[2] / "vectors"))


def load(name):
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


def show(value):
    """A message as the one line of text that SPEC.md 9 describes."""
    parts = []
    if value.__class__ is m.AttentionIs:
        parts.append("Attention")
    else:
        parts.append(type(value).__name__)
    keys = {
        "amount_minor": "amount", "score_permille": "score", "unit_minor": "unit", "catalogue_version": "catalogue",
    }  # fmt: skip
    for key, item in vars(value).items():
        key = keys.get(key, key)
        if isinstance(item, m.Cart):
            for line in item.lines:
                e = line.evidence
                fields = [line.sku, line.name, line.unit_minor, line.quantity, e.votes, e.frames, e.score_permille]
                parts.append("line=" + "|".join(map(str, fields + [int(e.mass_agrees)])))
            parts.append(f"total={item.total_minor}; currency={item.currency.decode()}")
            parts.append(f"catalogue={item.catalogue_version}; mass_g={item.mass_g}")
        elif isinstance(item, tuple):
            parts += [f"price={price.sku}|{price.unit_minor}" for price in item]
        elif key == "jpeg":
            parts.append(f"jpeg={item.hex()}")
        elif isinstance(item, m.SaleId):
            parts.append(f"sale={item.counter}/{item.epoch}/{item.session}")
        elif item is None:
            parts.append(f"{key}=none")
        elif isinstance(item, bool):
            parts.append(f"{key}={int(item)}")
        elif isinstance(item, m.IntEnum):
            parts.append(f"{key}={item.name}")
        elif isinstance(item, bytes):
            parts.append(f"{key}={item.decode()}")
        else:
            parts.append(f"{key}={item}")
    return "; ".join(parts)


class List:
    """A log in memory."""

    def __init__(self, first):
        self._first = first
        self.records = []
        self.events = []

    def first(self):
        return self._first

    def last(self):
        return self._first - 1 + len(self.records)

    def durable(self, sequence):
        return self.records[sequence - self._first]

    def volatile(self):
        return self.events.pop(0) if self.events else None


def words(event):
    return {
        "durable": f"durable {event.epoch}/{event.sequence} {event.payload.hex()}",
        "volatile": f"volatile {event.payload.hex()}",
        "acked": f"acked {event.sequence}",
        "up": f"up boot={event.boot} minor={event.minor} lost={event.lost}",
        "down": "down",
        "refused": f"refused {int(event.reason)}",
        "loglost": f"loglost {event.sequence}",
    }[event.name]


def play(steps):
    """Plays the commands of a transcript; returns it with what the endpoint did in place of what it must."""
    done, endpoint, log = [], None, None
    for step in steps:
        now, command, rest = (step.split(" ", 2) + [""])[:3]
        now_ms = int(now)
        if command in ("ev", "out"):
            continue
        done.append(step)
        if command == "new":
            value = dict(word.split("=") for word in rest.split(" "))
            number = {key: int(text) for key, text in value.items() if key not in ("resume", "key", "other", "seed")}
            config = Config(
                Role(number["role"]), number["counter"], number["epoch"], number["boot"], number["window"],
                Key.read(value["key"]) if "key" in value else None,
                Key.read(value["other"]) if "other" in value else None,
                bytes.fromhex(value.get("seed", "")),
            )  # fmt: skip
            resume = Resume(*map(int, value["resume"].split("/")))
            log = log or List(number["first"])
            endpoint = Endpoint(config, resume, number["acked"], number["last"], now_ms)
        elif command == "log":
            log.records.append(bytes.fromhex(rest))
        elif command == "event":
            log.events.append(bytes.fromhex(rest))
        elif command == "in":
            done += [f"{now} ev {words(event)}" for event in endpoint.receive(now_ms, bytes.fromhex(rest))]
        elif command == "renew":
            log._first, log.records = 1, []
            endpoint.renew(int(rest), now_ms)
        elif command == "stored":
            endpoint.stored(*map(int, rest.split("/")))
        elif command == "poll":
            while True:
                frame, events = endpoint.poll_transmit(now_ms, log)
                done += [f"{now} ev {words(event)}" for event in events]
                if frame is None:
                    break
                done.append(f"{now} out {frame.hex()}")
        else:
            raise AssertionError(f"unknown step {step}")
    return done


class Vectors(unittest.TestCase):
    def test_crc(self):
        for v in load("crc.json"):
            self.assertEqual(f"{crc32c(bytes.fromhex(v['hex'])):08x}", v["crc"], v["name"])

    def test_frames(self):
        vectors = load("frames.json")
        pos = next(v for v in vectors if v["name"] == "HELLO of a POS that is up and stored 41 messages")
        for v in vectors:
            wire = bytes.fromhex(v["hex"])
            # A till that is up with that POS.
            till = Endpoint(Config(Role.TILL, 1, 7, 700), Resume(), 0, 41, 0)
            till.receive(0, bytes.fromhex(pos["hex"]))
            till.receive(0, wire)
            malformed = v["expect"].split(" ")[0] in ("malformed", "unknown_kind")
            self.assertEqual(till.stats.malformed, int(malformed), v["name"])
            if v["expect"] == "malformed":
                continue
            found = list(Accumulator().feed(wire))
            word, *rest = v["expect"].split(" ")
            with self.subTest(v["name"]):
                if word == "nothing":
                    self.assertEqual(found, [])
                elif word == "frame":
                    kind, payload = int(rest[0], 16), bytes.fromhex("".join(rest[1:]))
                    self.assertEqual(found, [(kind, payload)])
                    self.assertEqual(encode_frame(kind, payload), bytes.fromhex(v.get("encoded", v["hex"])))
                else:
                    self.assertEqual(found, [word])

    def test_messages(self):
        for v in load("messages.json"):
            data = bytes.fromhex(v["hex"])
            decode = decode_to_pos if v["to"] == "pos" else decode_to_till
            with self.subTest(v["name"]):
                if "error" in v:
                    with self.assertRaises(DecodeError) as raised:
                        decode(data)
                    if v["error"] != "invalid":
                        self.assertEqual(raised.exception.kind, v["error"])
                else:
                    message = decode(data)
                    self.assertEqual(show(message), v["meaning"])
                    self.assertEqual(encode(message), data)
                    self.assertEqual(str(int(message.durable)), v["durable"])

    def test_keys(self):
        for v in load("keys.json"):
            key, message = bytes.fromhex(v["key"]), bytes.fromhex(v["message"])
            found = hashlib.sha256(message).digest() if v["of"] == "sha256" else secure.mac(key, message)
            self.assertEqual(found.hex(), v["result"], v["name"])

    def test_sealed_frames(self):
        for v in load("secure.json"):
            key, wire = bytes.fromhex(v["key"]), bytes.fromhex(v["hex"])
            (found,) = Accumulator(secured=True).feed(wire)
            with self.subTest(v["name"]):
                if isinstance(found, tuple) and found[0] & SEALED:
                    try:
                        payload, counter = secure.unseal(key, int(v["received"]), *found)
                        self.assertEqual(secure.seal(key, counter, found[0] & ~SEALED, payload), wire)
                        found = f"sealed {found[0]:02x} {payload.hex()} {counter}"
                    except secure.BadSeal as error:
                        found = error.kind
                elif isinstance(found, tuple):
                    found = "bad_mac"  # it is not sealed
                self.assertEqual(found, " ".join(v["expect"].split(" ")[:1]) if found == "unknown_kind" else v["expect"])

    def test_sessions(self):
        self.transcripts("sessions.json", 22)

    def test_secured_sessions(self):
        self.transcripts("secured-sessions.json", 10)

    def transcripts(self, name, at_least):
        sessions = {}
        for v in load(name):
            sessions.setdefault(v["session"], []).append(v["step"])
        self.assertGreaterEqual(len(sessions), at_least)
        for name, steps in sessions.items():
            with self.subTest(name):
                self.assertEqual(play(steps), steps)


if __name__ == "__main__":
    unittest.main()
