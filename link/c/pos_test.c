/* A POS upon a disk in memory, against a till endpoint: cut anywhere, damaged, full, and asked about the past. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "till_link.h"

#define CHECK(good)                                                      \
    do {                                                                 \
        if (!(good)) {                                                   \
            fprintf(stderr, "pos_test.c:%d: %s\n", __LINE__, #good);     \
            exit(1);                                                     \
        }                                                                \
    } while (0)

enum { DISK = 65536, LOG = 128 };

static struct { uint8_t bytes[DISK]; uint64_t length; bool full; } disk;
static struct { uint8_t bytes[LOG][TL_PAYLOAD_MAX]; size_t lengths[LOG]; uint32_t count; } log_;
static tl_pos pos;
static tl_endpoint till;
static tl_message message, heard;
static unsigned booked, back, closed, no_disk, unreadable, renewed, said_paid;
static uint32_t boot;
static uint64_t now;

static size_t read_at(void *c, uint64_t at, uint8_t *bytes, size_t length)
{
    (void)c;
    if (at >= disk.length) {
        return 0;
    }
    length = length < disk.length - at ? length : (size_t)(disk.length - at);
    memcpy(bytes, disk.bytes + at, length);
    return length;
}

static bool write_at(void *c, uint64_t at, const uint8_t *bytes, size_t length)
{
    (void)c;
    CHECK(at + length <= DISK);
    /* A full disk takes a part. */
    memcpy(disk.bytes + at, bytes, disk.full ? length / 2 : length);
    disk.length = at + (disk.full ? length / 2 : length);
    return !disk.full;
}

static bool cut_at(void *c, uint64_t at)
{
    (void)c;
    disk.length = at < disk.length ? at : disk.length;
    return true;
}

static uint32_t first(void *c) { (void)c; return 1; }
static uint32_t last(void *c) { (void)c; return log_.count; }
static int none(void *c, uint8_t *to, size_t n) { (void)c; (void)to; (void)n; return -1; }
static int durable(void *c, uint32_t sequence, uint8_t *to, size_t capacity)
{
    (void)c;
    CHECK(log_.lengths[sequence] <= capacity);
    memcpy(to, log_.bytes[sequence], log_.lengths[sequence]);
    return (int)log_.lengths[sequence];
}

static void told(void *c, tl_pos_event event, const tl_message *m, uint32_t number)
{
    (void)c;
    (void)m;
    renewed += event == TL_POS_RENEWED ? number : 0;
    booked += event == TL_POS_BOOK;
    back += event == TL_POS_GIVE_BACK;
    closed += event == TL_POS_CLOSED;
    no_disk += event == TL_POS_NO_DISK;
    unreadable += event == TL_POS_UNREADABLE;
}

static void at_till(void *c, const tl_event *e)
{
    (void)c;
    if (e->kind == TL_EV_DURABLE) {
        CHECK(tl_decode(true, e->payload, e->length, &heard) == TL_OK);
        said_paid += heard.kind == TL_PAID;
        tl_stored(&till, e->epoch, e->sequence);
    }
}

static bool start_unheard(void)
{
    const tl_disk on = {NULL, read_at, write_at, cut_at};
    const tl_config config = {.counter = 1, .epoch = 90 + boot, .boot = 1000 + boot, .window = 4};
    boot++;
    booked = back = closed = 0;
    return tl_pos_open(&pos, &config, &on, told, NULL, now);
}

/* As if the link had been up once. */
static bool start(void)
{
    bool good = start_unheard();
    pos.proven = true;
    return good;
}

static void talk(void)
{
    static const tl_source source = {NULL, first, last, durable, none};
    static uint8_t wire[TL_WIRE_MAX];
    for (int i = 0; i < 300; i++, now += 10) {
        size_t n;
        while ((n = tl_poll(&till, now, &source, wire, at_till, NULL)) != 0) {
            tl_pos_receive(&pos, now, wire, n);
        }
        while ((n = tl_pos_poll(&pos, now, wire)) != 0) {
            tl_receive(&till, now, wire, n, at_till, NULL);
        }
    }
}

static void say(tl_message_kind kind, uint32_t session, uint16_t revision, uint8_t outcome)
{
    uint32_t at = ++log_.count;
    CHECK(at < LOG);
    memset(&message, 0, sizeof message);
    message.kind = kind;
    message.sale.counter = 1;
    message.sale.epoch = 7;
    message.sale.session = session;
    message.revision = revision;
    message.outcome = outcome;
    message.cart.count = 1;
    message.cart.lines[0].unit_minor = 500;
    message.cart.lines[0].quantity = 2;
    message.cart.total_minor = 1000;
    memcpy(message.cart.currency, "KRW", 4);
    log_.lengths[at] = tl_encode(&message, log_.bytes[at], sizeof log_.bytes[at]);
    CHECK(log_.lengths[at] != 0);
}

static void new_day(void)
{
    const tl_config config = {.role = TL_ROLE_TILL, .counter = 1, .epoch = 7, .boot = 500, .window = 4};
    memset(&disk, 0, sizeof disk);
    memset(&log_, 0, sizeof log_);
    said_paid = no_disk = unreadable = 0;
    now += 10000;
    tl_init(&till, &config, 0, 0, 0, 0, now);
    CHECK(start());
}

static void key_files(void)
{
#define K "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1F"
    static const char *const bad[] = {"", "# none\n", "0:" K, "256:" K, "3:" K "00", "3:0001", "x", "3:" K " x", "3 " K,
                                      "1:" K "\n2:" K "\n3:" K};
    tl_key keys[2];
    CHECK(tl_keys_read("# ours\n\n 3:" K " # till\r\n255:" K, keys));
    CHECK(keys[0].id == 3 && keys[1].id == 255 && keys[1].secret[31] == 0x1f);
    CHECK(tl_keys_read("7:" K "\n", keys) && keys[0].id == 7);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(!tl_keys_read(bad[i], keys));
    }
}

int main(void)
{
    static uint8_t whole[DISK];
    uint64_t length, middle;
    int64_t amount = 0;
    unsigned cuts = 0;

    key_files();

    /* Paid after a restart between offer and payment, booked once; a second Closed and a second start change nothing. */
    new_day();
    say(TL_OFFER, 1, 1, 0);
    talk();
    CHECK(start() && tl_pos_payable(&pos, NULL, &amount) && amount == 1000);
    CHECK(tl_pos_pay(&pos, TL_TENDER_CARD) && !tl_pos_pay(&pos, TL_TENDER_CARD) && !tl_pos_cancel(&pos));
    talk();
    CHECK(said_paid == 1 && heard.amount_minor == 1000);
    say(TL_CLOSED, 1, 1, TL_OUTCOME_PAID);
    say(TL_CLOSED, 1, 1, TL_OUTCOME_PAID);
    talk();
    CHECK(booked == 1 && start() && booked == 1 && back == 0);

    /* A question is answered after a restart, and what was promised is kept through another. */
    say(TL_OFFER, 2, 1, 0);
    talk();
    say(TL_QUERY_OUTCOME, 2, 1, 0);
    talk();
    CHECK(heard.kind == TL_OUTCOME_IS && heard.outcome == TL_OUTCOME_NONE && heard.sale.session == 2);
    CHECK(start() && !tl_pos_payable(&pos, NULL, NULL) && !tl_pos_pay(&pos, TL_TENDER_CARD));

    /* Money for a sale that ended otherwise. */
    say(TL_OFFER, 3, 1, 0);
    talk();
    CHECK(tl_pos_pay(&pos, TL_TENDER_CARD));
    say(TL_CLOSED, 3, 1, TL_OUTCOME_ABANDONED);
    say(TL_QUERY_OUTCOME, 3, 1, 0);
    talk();
    CHECK(back == 1 && heard.kind == TL_OUTCOME_IS && heard.outcome == TL_OUTCOME_NONE && heard.sale.session == 3);

    /* Withdrawn, and offered anew. */
    say(TL_OFFER, 4, 1, 0);
    say(TL_WITHDRAWN, 4, 1, 0);
    talk();
    CHECK(!tl_pos_payable(&pos, NULL, NULL));
    say(TL_OFFER, 4, 2, 0);
    talk();
    CHECK(tl_pos_payable(&pos, NULL, NULL) && tl_pos_cancel(&pos) && !tl_pos_pay(&pos, TL_TENDER_CARD));

    /* A disk that is full: nothing is acknowledged, nothing is said, and all comes again. */
    disk.full = true;
    say(TL_OFFER, 5, 1, 0);
    talk();
    CHECK(no_disk > 0 && till.acknowledged == log_.count - 1 && !tl_pos_payable(&pos, NULL, NULL));
    disk.full = false;
    talk();
    talk(); /* the till's timer has doubled to 4 s */
    CHECK(till.acknowledged == log_.count && tl_pos_payable(&pos, NULL, NULL));
    disk.full = true;
    CHECK(!tl_pos_pay(&pos, TL_TENDER_CARD));
    disk.full = false;
    CHECK(tl_pos_pay(&pos, TL_TENDER_CARD));
    talk();

    /* Long ago, and out of memory: not booked or paid again. */
    for (uint32_t session = 6; session < 6 + 2 * TL_SALES_MAX; session++) {
        say(TL_OFFER, session, 1, 0);
        talk();
    }
    booked = 0;
    say(TL_CLOSED, 1, 1, TL_OUTCOME_PAID);
    say(TL_QUERY_OUTCOME, 1, 1, 0);
    say(TL_OFFER, 3, 2, 0);
    talk();
    CHECK(booked == 0 && heard.kind == TL_OUTCOME_IS && heard.outcome == TL_OUTCOME_PAID);
    CHECK(!tl_pos_payable(&pos, NULL, NULL));

    /* The till has lost a later offer, which was paid, and asks about the one before it (L-087). */
    new_day();
    say(TL_OFFER, 1, 2, 0);
    talk();
    CHECK(tl_pos_pay(&pos, TL_TENDER_CARD));
    say(TL_QUERY_OUTCOME, 1, 1, 0);
    talk();
    CHECK(heard.kind == TL_OUTCOME_IS && heard.outcome == TL_OUTCOME_NONE && heard.sale.session == 1);
    say(TL_QUERY_OUTCOME, 1, 2, 0);
    talk();
    CHECK(heard.kind == TL_OUTCOME_IS && heard.outcome == TL_OUTCOME_PAID);

    /* The disk loses the payment after the till had it: a new epoch, and no money is taken again, by no later start. */
    new_day();
    say(TL_OFFER, 1, 1, 0);
    talk();
    middle = disk.length;
    CHECK(tl_pos_pay(&pos, TL_TENDER_CARD));
    talk();
    CHECK(said_paid == 1 && start_unheard() && pos.last == 1);
    disk.length = middle;
    CHECK(start_unheard() && !tl_pos_payable(&pos, NULL, NULL) && !tl_pos_acknowledge(&pos, NULL, 0));
    length = pos.epoch;
    disk.full = true;
    talk();
    CHECK(!pos.end.up && renewed == 0 && no_disk > 0);
    disk.full = false;
    talk();
    CHECK(pos.end.up && renewed == 1 && pos.epoch != length && pos.last == 1 && pos.end.acknowledged == 1);
    CHECK(heard.kind == TL_OUTCOME_IS && heard.outcome == TL_OUTCOME_NONE && !tl_pos_payable(&pos, NULL, NULL));
    CHECK(start_unheard() && pos.last == 1);
    talk();
    CHECK(pos.end.up && renewed == 1 && !tl_pos_payable(&pos, NULL, NULL) && said_paid == 1);
    say(TL_CLOSED, 1, 1, TL_OUTCOME_PAID);
    talk();
    CHECK(booked == 1);

    /* The longest message that a frame holds, and no message that we know: stored, acknowledged, told. */
    new_day();
    log_.count = 1;
    log_.lengths[1] = TL_PAYLOAD_MAX;
    memset(log_.bytes[1], 0x5a, TL_PAYLOAD_MAX);
    talk();
    CHECK(till.acknowledged == 1 && unreadable == 1 && start() && unreadable == 2 && pos.resume_sequence == 1);

    /* Cut anywhere: whole records stay, and what they mean. Damaged before the end: told, never skipped. */
    new_day();
    say(TL_OFFER, 1, 1, 0);
    talk();
    CHECK(tl_pos_pay(&pos, TL_TENDER_CARD));
    middle = disk.length;
    say(TL_CLOSED, 1, 1, TL_OUTCOME_PAID);
    talk();
    length = disk.length;
    memcpy(whole, disk.bytes, DISK);
    for (uint64_t cut = 0; cut <= length; cut++, cuts++) {
        memcpy(disk.bytes, whole, DISK);
        disk.length = cut;
        CHECK(start());
        CHECK(booked == (cut == length) && pos.resume_sequence <= 2 && pos.last <= 1);
        CHECK(tl_pos_payable(&pos, NULL, NULL) == (pos.resume_sequence == 1 && pos.last == 0));
    }
    for (uint64_t at = 0; at < middle; at++, cuts++) {
        memcpy(disk.bytes, whole, DISK);
        disk.bytes[at] ^= 1;
        disk.length = length;
        CHECK(!start());
    }
    printf("POS: %u journals cut or damaged; %zu bytes of RAM, of which the endpoint %zu\n", cuts, sizeof pos,
           sizeof pos.end);
    return 0;
}
