/* A POS in C that pays every offer: stores, acknowledges, books each sale once, answers questions.
 * Usage: example_pos PORT JOURNAL. The journal is a list of records: 'E' (our epoch), 'I' (of the till) or
 * 'O' (ours), each with epoch, sequence, length, CRC-32C and message; a torn tail is cut off at the start. */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "till_link.h"

enum { OURS_MAX = 256, SALES_MAX = 256 };

typedef struct { uint32_t kind, epoch, sequence, length, crc; } record; /* one machine's file: its own byte order */
typedef struct { tl_sale sale; bool paid, closed, asked; } entry;

static struct {
    int file;
    uint32_t epoch, resume_epoch, resume_sequence, last;
    uint8_t ours[OURS_MAX][64];
    uint32_t lengths[OURS_MAX];
    entry sales[SALES_MAX];
    size_t count;
} books;
static tl_endpoint end;
static tl_message message;

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static entry *find(tl_sale sale)
{
    for (size_t i = 0; i < books.count; i++) {
        if (memcmp(&books.sales[i].sale, &sale, sizeof sale) == 0) {
            return &books.sales[i];
        }
    }
    if (books.count == SALES_MAX) {
        return NULL;
    }
    books.sales[books.count].sale = sale;
    return &books.sales[books.count++];
}

/* What a record means; the same for a new one and for one read at the start. */
static void remember(const record *r, const uint8_t *bytes)
{
    entry *e;
    if (r->kind == 'E') {
        books.epoch = r->epoch;
        return;
    }
    if (r->kind == 'I') {
        books.resume_epoch = r->epoch;
        books.resume_sequence = r->sequence;
    } else if (r->sequence < OURS_MAX && r->length <= 64) {
        books.last = r->sequence;
        memcpy(books.ours[r->sequence], bytes, r->length);
        books.lengths[r->sequence] = r->length;
    }
    if (tl_decode(r->kind == 'O', bytes, r->length, &message) != TL_OK || (e = find(message.sale)) == NULL) {
        return;
    }
    e->paid = e->paid || message.kind == TL_PAID;
    e->asked = message.kind == TL_QUERY_OUTCOME || (e->asked && message.kind != TL_OUTCOME_IS);
    if (message.kind == TL_CLOSED && !e->closed) {
        e->closed = true;
        printf("%s %" PRIu32 "-%08" PRIx32 "-%" PRIu32 " %" PRId64 " %s\n",
               message.outcome == TL_OUTCOME_PAID ? "BOOKED" : e->paid ? "GIVE BACK" : "CLOSED", message.sale.counter,
               message.sale.epoch, message.sale.session, message.cart.total_minor, message.cart.currency);
        fflush(stdout);
    }
}

static bool store(record r, const uint8_t *bytes)
{
    off_t at = lseek(books.file, 0, SEEK_CUR);
    r.crc = tl_crc32c(tl_crc32c(0, (const uint8_t *)&r, offsetof(record, crc)), bytes, r.length);
    if (write(books.file, &r, sizeof r) != (ssize_t)sizeof r || write(books.file, bytes, r.length) != (ssize_t)r.length ||
        fsync(books.file) != 0) {
        if (ftruncate(books.file, at) != 0 || lseek(books.file, at, SEEK_SET) != at) {
            perror("journal");
        }
        return false;
    }
    remember(&r, bytes);
    return true;
}

static void tell(tl_message *m)
{
    uint8_t bytes[64];
    size_t length = tl_encode(m, bytes, sizeof bytes);
    if (length == 0 || books.last + 1 >= OURS_MAX || !store((record){'O', 0, books.last + 1, (uint32_t)length, 0}, bytes)) {
        fprintf(stderr, "could not be stored: not said\n");
    }
}

/* Pays the offer that was just read, answers what was asked. */
static void act(void)
{
    entry *e = find(message.sale);
    if (message.kind == TL_OFFER && e != NULL && !e->paid && !e->closed && tl_cart_adds_up(&message.cart)) {
        tl_message paid = {.kind = TL_PAID, .sale = message.sale, .revision = message.revision,
                           .tender = TL_TENDER_CARD, .amount_minor = message.cart.total_minor};
        tell(&paid);
    }
    for (size_t i = 0; i < books.count; i++) {
        if (books.sales[i].asked) {
            tl_message answer = {.kind = TL_OUTCOME_IS, .sale = books.sales[i].sale};
            answer.outcome = books.sales[i].paid ? TL_OUTCOME_PAID : TL_OUTCOME_NONE;
            tell(&answer);
        }
    }
}

static void on_event(void *context, const tl_event *e)
{
    (void)context;
    if (e->kind == TL_EV_DURABLE) {
        if (store((record){'I', e->epoch, e->sequence, (uint32_t)e->length, 0}, e->payload)) {
            tl_stored(&end, e->epoch, e->sequence);
            if (tl_decode(false, e->payload, e->length, &message) == TL_OK) {
                act();
            }
        } else {
            tl_not_stored(&end);
        }
    }
}

static uint32_t first(void *c) { (void)c; return 1; }
static uint32_t last(void *c) { (void)c; return books.last; }
static int pending(void *c, uint8_t *to, size_t n) { (void)c; (void)to; (void)n; return -1; }
static int durable(void *c, uint32_t sequence, uint8_t *to, size_t capacity)
{
    (void)c;
    if (sequence >= OURS_MAX || books.lengths[sequence] > capacity) {
        return -1;
    }
    memcpy(to, books.ours[sequence], books.lengths[sequence]);
    return (int)books.lengths[sequence];
}

static bool recover(const char *path)
{
    static uint8_t bytes[TL_PAYLOAD_MAX];
    record r;
    off_t at = 0;
    books.file = open(path, O_RDWR | O_CREAT, 0600);
    while (books.file >= 0 && read(books.file, &r, sizeof r) == (ssize_t)sizeof r && r.length <= sizeof bytes &&
           read(books.file, bytes, r.length) == (ssize_t)r.length &&
           tl_crc32c(tl_crc32c(0, (const uint8_t *)&r, offsetof(record, crc)), bytes, r.length) == r.crc) {
        remember(&r, bytes);
        at += (off_t)(sizeof r + r.length);
    }
    message.kind = TL_CLOCK;
    if (books.file < 0 || ftruncate(books.file, at) != 0 || lseek(books.file, at, SEEK_SET) != at) {
        return false;
    }
    /* A new journal is a new epoch (L-032). */
    return books.epoch != 0 || store((record){'E', (uint32_t)time(NULL), 0, 0, 0}, bytes);
}

int main(int count, char **arguments)
{
    const tl_source source = {NULL, first, last, durable, pending};
    tl_config config = {TL_ROLE_POS, 1, 0, (uint32_t)time(NULL) ^ (uint32_t)getpid() << 16, 4};
    struct termios tty;
    if (count != 3 || !recover(arguments[2])) {
        fprintf(stderr, "usage: example_pos PORT JOURNAL\n");
        return 2;
    }
    struct pollfd port = {open(arguments[1], O_RDWR | O_NOCTTY), POLLIN, 0};
    if (port.fd < 0 || tcgetattr(port.fd, &tty) != 0) {
        perror(arguments[1]);
        return 4;
    }
    tty.c_iflag = tty.c_oflag = tty.c_lflag = 0;
    tty.c_cflag = CS8 | CREAD | CLOCAL;
    cfsetispeed(&tty, B38400); /* POSIX names no faster rate; B115200 where there is one */
#ifdef B115200
    cfsetispeed(&tty, B115200);
    cfsetospeed(&tty, B115200);
#endif
    tcsetattr(port.fd, TCSANOW, &tty);
    act();
    config.epoch = books.epoch;
    tl_init(&end, &config, books.resume_epoch, books.resume_sequence, 0, books.last, now_ms());
    for (;;) {
        uint8_t bytes[256], wire[TL_WIRE_MAX];
        size_t n;
        if (poll(&port, 1, 20) > 0) {
            ssize_t got = read(port.fd, bytes, sizeof bytes);
            tl_receive(&end, now_ms(), bytes, got > 0 ? (size_t)got : 0, on_event, NULL);
        }
        while ((n = tl_poll(&end, now_ms(), &source, wire, on_event, NULL)) != 0) {
            for (size_t at = 0; at < n;) {
                ssize_t put = write(port.fd, wire + at, n - at);
                if (put < 0) {
                    return 1;
                }
                at += (size_t)put;
            }
        }
    }
}
