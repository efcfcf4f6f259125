"""The journal after any cut, and the POS against a counter that goes on and off."""

import os
import tempfile
import unittest
from pathlib import Path

from till_link import Config, Endpoint, Journal, Key, Pos, Resume, Role, encode
from till_link import message as m
from till_link.journal import SEQUENCE_MAX, Damaged

SALE = m.SaleId(1, 7, 3)
CART = m.Cart((m.Line("A", "Apple", 500, 2, m.Evidence(5, 5, 900, True)),), 1000, b"KRW", 1, 300)


class Shop(Pos):
    """Writes down what it is told."""

    def __init__(self, journal, proven=True):
        self.said = []
        super().__init__(journal, 1)
        # As if the link had been up once.
        self._proven = proven

    def book(self, closed):
        self.said.append(f"BOOKED {closed.sale} {closed.cart.total_minor}")

    def give_back(self, sale, amount_minor):
        self.said.append(f"GIVE BACK {sale} {amount_minor}")


def received(journal):
    return [payload for ours, payload in journal.messages() if not ours]


def spoken(journal):
    return [payload for ours, payload in journal.messages() if ours]


def hear(shop, message):
    """The counter's next durable message arrives."""
    payload = encode(message)
    shop.journal.store(7, shop.journal.resume.sequence + 1, payload)
    shop._take(False, payload)


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
            self.assertEqual(received(till), [b"paid"])
            self.assertEqual(pos.acknowledged, 1)


class KeyFile(unittest.TestCase):
    def test_one_key_or_two_and_comments(self):
        digits = bytes(range(32)).hex()
        keys = Key.read_file(f"# ours\n\n 3:{digits} # till\r\n255:{digits.upper()}")
        self.assertEqual(keys, [Key(3, bytes(range(32))), Key(255, bytes(range(32)))])
        self.assertNotIn(digits, repr(keys))
        three = "\n".join(f"{i}:{digits}" for i in (1, 2, 3))
        for text in ["", "# none", f"0:{digits}", f"256:{digits}", f"3:{digits}00", "3:0001", "x", f"3:{digits} x", three]:
            with self.subTest(text), self.assertRaises(ValueError):
                Key.read_file(text)


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
            self.assertEqual(received(found), [b"one", b"two"][: found.resume.sequence])
            self.assertNotEqual(found.epoch, 0)
        self.assertEqual(found.resume, Resume(7, 2))

    def test_damage_before_the_end_is_told(self):
        journal = Journal(self.path)
        journal.store(7, 1, b"one")
        middle = len(Path(self.path).read_bytes())
        journal.store(7, 2, b"two")
        for at in range(middle):
            data = bytearray(Path(self.path).read_bytes())
            data[at] ^= 1
            Path(self.path + ".damaged").write_bytes(data)
            with self.assertRaises(Damaged):
                Journal(self.path + ".damaged")

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
        shop = Shop(pos_journal)
        shop.pay(m.Tender.Card)
        shop.pay(m.Tender.Card)
        b = end(Role.POS, pos_journal, 22)
        exchange(a, till, b, pos_journal, 10_000, drop)
        exchange(a, till, b, pos_journal, 13_000)
        self.assertEqual(received(till), [encode(m.Paid(SALE, 1, m.Tender.Card, 1000))])
        till.submit(encode(m.Closed(SALE, 1, m.Outcome.Paid, CART)))
        till.submit(encode(m.Closed(SALE, 1, m.Outcome.Paid, CART)))
        exchange(a, till, b, pos_journal, 16_000)
        self.assertEqual(Shop(Journal(self.path)).said, [f"BOOKED {SALE} 1000"])

    def test_money_for_a_sale_that_ended_otherwise_is_given_back(self):
        shop = Shop(Journal(self.path))
        hear(shop, m.Offer(SALE, 1, CART))
        shop.pay(m.Tender.Card)
        hear(shop, m.Closed(SALE, 1, m.Outcome.Abandoned, CART))
        self.assertEqual(shop.said, [f"GIVE BACK {SALE} 1000"])
        hear(shop, m.QueryOutcome(SALE, 1))
        shop.poll()
        self.assertEqual(spoken(shop.journal)[-1], encode(m.OutcomeIs(SALE, None)))

    def test_money_is_not_taken_again_where_the_disk_lost_the_payment_after_the_counter_had_it(self):
        till = Journal(self.path + ".till")
        till.submit(encode(m.Offer(SALE, 1, CART)))
        counter = end(Role.TILL, till, 11)

        def talk(shop, from_ms):
            shop.now_ms = lambda: now_ms
            for now_ms in range(from_ms, from_ms + 2000, 10):
                while True:
                    frame, _ = counter.poll_transmit(now_ms, till)
                    if frame is None:
                        break
                    shop.receive(frame)
                while True:
                    frame = shop.poll()
                    if frame is None:
                        break
                    for event in counter.receive(now_ms, frame):
                        if event.name == "durable":
                            till.store(event.epoch, event.sequence, event.payload)
                            counter.stored(event.epoch, event.sequence)

        shop = Shop(Journal(self.path), False)
        shop.now_ms = lambda: 0
        talk(shop, 0)
        before = os.path.getsize(self.path)
        epoch = shop.journal.epoch
        shop.pay(m.Tender.Card)
        talk(shop, 2000)
        self.assertEqual(received(till), [encode(m.Paid(SALE, 1, m.Tender.Card, 1000))])
        os.truncate(self.path, before)
        shop = Shop(Journal(self.path), False)
        self.assertIsNone(shop.payable(), "L-098")
        with self.assertRaises(OSError):
            shop.acknowledge(SALE, m.Attention.Overlap)
        talk(shop, 5000)
        self.assertNotEqual(shop.journal.epoch, epoch)
        for from_ms in (8000, 11_000):
            self.assertIsNone(shop.payable(), "it was paid")
            self.assertTrue(shop.endpoint.up)
            shop = Shop(Journal(self.path), False)
            talk(shop, from_ms)
        promise = encode(m.OutcomeIs(SALE, None))
        self.assertEqual(received(till)[1:], [promise])
        self.assertEqual(spoken(shop.journal), [promise])
        self.assertEqual(Journal(self.path).acknowledged, 1)

    def test_behind_the_last_number_nothing_is_paid_and_the_shop_is_told(self):
        shop = Shop(Journal(self.path))
        hear(shop, m.Offer(SALE, 1, CART))
        shop.journal._append(b"O", shop.journal.epoch, SEQUENCE_MAX, encode(m.Cancel(m.SaleId(1, 7, 9))))
        with self.assertRaises(OSError):
            shop.pay(m.Tender.Card)
        self.assertEqual(Journal(self.path).last(), SEQUENCE_MAX)

    def test_a_query_is_answered_from_the_journal_and_a_promise_is_kept(self):
        shop = Shop(Journal(self.path))
        hear(shop, m.Offer(SALE, 1, CART))
        hear(shop, m.QueryOutcome(SALE, 1))
        self.assertIsNone(shop.payable())
        shop.poll()
        shop.poll()
        hear(shop, m.Offer(SALE, 2, CART))
        shop.pay(m.Tender.Card)
        shop.cancel()
        self.assertEqual(spoken(shop.journal), [encode(m.OutcomeIs(SALE, None))])

    def test_money_for_another_offer_than_the_one_asked_about_is_no_payment_of_it(self):
        shop = Shop(Journal(self.path))
        hear(shop, m.Offer(SALE, 2, CART))
        shop.pay(m.Tender.Card)
        for revision, outcome in ((1, None), (2, m.Outcome.Paid)):
            hear(shop, m.QueryOutcome(SALE, revision))
            shop.poll()
            self.assertEqual(spoken(shop.journal)[-1], encode(m.OutcomeIs(SALE, outcome)))

    def test_a_query_that_was_stored_but_not_answered_is_answered_after_the_restart(self):
        shop = Shop(Journal(self.path))
        hear(shop, m.Offer(SALE, 1, CART))
        shop.pay(m.Tender.Card)
        hear(shop, m.QueryOutcome(SALE, 1))
        for _ in range(2):
            shop = Shop(Journal(self.path))
            shop.poll()
            self.assertEqual(spoken(shop.journal)[1:], [encode(m.OutcomeIs(SALE, m.Outcome.Paid))])

    def test_an_offer_that_was_stored_but_not_paid_may_be_paid_after_the_restart(self):
        hear(Shop(Journal(self.path)), m.Offer(SALE, 1, CART))
        shop = Shop(Journal(self.path))
        self.assertEqual(shop.payable(), m.Offer(SALE, 1, CART))
        hear(shop, m.Withdrawn(SALE, 1))
        self.assertIsNone(Shop(Journal(self.path)).payable())

    def test_an_offer_that_does_not_add_up_is_not_paid(self):
        shop = Shop(Journal(self.path))
        wrong = m.Cart(CART.lines, 1001, CART.currency, 1, 300)
        hear(shop, m.Offer(SALE, 1, wrong))
        self.assertIsNone(shop.payable())


if __name__ == "__main__":
    unittest.main()
