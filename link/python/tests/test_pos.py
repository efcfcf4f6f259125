"""The journal after any cut, and the example POS against a counter that goes on and off."""

import os
import sys
import tempfile
import unittest
from pathlib import Path

from till_link import Config, Endpoint, Journal, Resume, Role, encode
from till_link import message as m
from till_link.journal import Damaged

sys.path.insert(0, str(Path(__file__).parents[1]))
from example_pos import Pos  # noqa: E402

SALE = m.SaleId(1, 7, 3)
CART = m.Cart((m.Line("A", "Apple", 500, 2, m.Evidence(5, 5, 900, True)),), 1000, b"KRW", 1, 300)


def end(role, journal, boot):
    config = Config(role, 1, journal.epoch, boot)
    return Endpoint(config, journal.resume, journal.acknowledged, journal.last(), 0)


def exchange(a, journal_a, b, journal_b, from_ms, drop=lambda: False):
    """Three seconds of talk; returns what each end was given."""
    given = ([], [])
    ends = ((a, journal_a), (b, journal_b))
    for now_ms in range(from_ms, from_ms + 3000, 10):
        for i in (0, 1):
            sender, log = ends[i]
            receiver, books = ends[1 - i]
            while True:
                frame, _ = sender.poll_transmit(now_ms, log)
                if frame is None:
                    break
                for event in [] if drop() else receiver.receive(now_ms, frame):
                    if event.name == "durable":
                        books.store(event.epoch, event.sequence, event.payload)
                        receiver.stored(event.epoch, event.sequence)
                        given[1 - i].append(event.payload)
                    elif event.name == "acked":
                        books.acked(event.sequence)
    return given


class OneRead(unittest.TestCase):
    def test_a_message_and_the_hello_of_the_restarted_sender_in_one_read_are_delivered_once(self):
        with tempfile.TemporaryDirectory() as folder:
            till, pos = Journal(os.path.join(folder, "till")), Journal(os.path.join(folder, "pos"))
            a, b = end(Role.TILL, till, 11), end(Role.POS, pos, 21)
            exchange(a, till, b, pos, 0)
            pos.submit(b"paid")
            read, _ = b.poll_transmit(3000, pos)
            # The POS dies behind it; its next life finds an old HELLO on the line, which names us, and answers that.
            b = end(Role.POS, pos, 22)
            a._hello_due_ms = 3000
            b.receive(3000, a.poll_transmit(3000, till)[0])
            read += b.poll_transmit(3000, pos)[0]
            for event in a.receive(3000, read):
                if event.name == "durable":
                    till.store(event.epoch, event.sequence, event.payload)
                    a.stored(event.epoch, event.sequence)
            exchange(a, till, b, pos, 3000)
            self.assertEqual(till.received, [b"paid"])
            self.assertEqual(pos.acknowledged, 1)


class JournalOnDisk(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "journal")

    def tearDown(self):
        self.folder.cleanup()

    def test_any_cut_leaves_whole_records(self):
        journal = Journal(self.path)
        journal.store(7, 1, b"one")
        journal.submit(b"ours")
        journal.store(7, 2, b"two")
        whole = Path(self.path).read_bytes()
        for cut in range(len(whole) + 1):
            Path(self.path).write_bytes(whole[:cut])
            found = Journal(self.path)
            self.assertEqual(found.received, [b"one", b"two"][: found.resume.sequence])
            self.assertNotEqual(found.epoch, 0)
        self.assertEqual(found.resume, Resume(7, 2))

    def test_damage_before_the_end_is_told(self):
        journal = Journal(self.path)
        journal.store(7, 1, b"one")
        journal.store(7, 2, b"two")
        data = bytearray(Path(self.path).read_bytes())
        data[len(data) // 2] ^= 1
        Path(self.path).write_bytes(data)
        with self.assertRaises(Damaged):
            Journal(self.path)

    def test_a_sale_over_a_bad_line_and_restarts_is_booked_once(self):
        till = Journal(self.path + ".till")
        pos_journal = Journal(self.path)
        till.submit(encode(m.Offer(SALE, 1, CART)))
        state = [7]

        def drop():
            state[0] = (state[0] * 1_664_525 + 1_013_904_223) % 2**32
            return state[0] >> 30 == 0

        a, b = end(Role.TILL, till, 11), end(Role.POS, pos_journal, 21)
        exchange(a, till, b, pos_journal, 0, drop)
        pos_journal = Journal(self.path)  # the POS was switched off and on
        pos = Pos(pos_journal, say=lambda text: None)
        pos.pay()
        pos.pay()
        b = end(Role.POS, pos_journal, 22)
        exchange(a, till, b, pos_journal, 10_000, drop)
        exchange(a, till, b, pos_journal, 13_000)
        self.assertEqual(till.received, [encode(m.Paid(SALE, 1, m.Tender.Card, 1000))])
        till.submit(encode(m.Closed(SALE, 1, m.Outcome.Paid, CART)))
        till.submit(encode(m.Closed(SALE, 1, m.Outcome.Paid, CART)))
        exchange(a, till, b, pos_journal, 16_000)
        said = []
        Pos(Journal(self.path), say=said.append)
        self.assertEqual(said, [f"BOOKED {SALE} 1000 KRW"])

    def test_money_for_a_sale_that_ended_otherwise_is_given_back(self):
        journal = Journal(self.path)
        said = []
        pos = Pos(journal, say=said.append)
        pos.take(m.Offer(SALE, 1, CART))
        pos.pay()
        pos.take(m.Closed(SALE, 1, m.Outcome.Abandoned, CART))
        self.assertEqual(said, [f"GIVE BACK 1000 for {SALE}"])

    def test_a_query_is_answered_from_the_journal_and_a_void_sale_is_never_paid(self):
        journal = Journal(self.path)
        pos = Pos(journal, say=lambda text: None)
        pos.take(m.Offer(SALE, 1, CART))
        pos.take(m.QueryOutcome(SALE, 1))
        pos.answer()
        pos.answer()
        pos.take(m.Offer(SALE, 2, CART))
        pos.pay()
        self.assertEqual(journal.spoken, [encode(m.OutcomeIs(SALE, None))])


    def test_a_query_that_was_stored_but_not_answered_is_answered_after_the_restart(self):
        journal = Journal(self.path)
        journal.store(7, 1, encode(m.Offer(SALE, 1, CART)))
        Pos(journal, say=lambda text: None).pay()
        journal.store(7, 2, encode(m.QueryOutcome(SALE, 1)))
        for _ in range(2):
            journal = Journal(self.path)
            Pos(journal, say=lambda text: None)
            self.assertEqual(journal.spoken[1:], [encode(m.OutcomeIs(SALE, m.Outcome.Paid))])

if __name__ == "__main__":
    unittest.main()
