/* Reads the golden vectors: one flat JSON object of strings on a line. Usage: vectors FOLDER */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "till_link.h"

enum { LINE_MAX_ = 32768, LOG_MAX = 64, RECORD_MAX = 64, SAID_MAX = 64 };

static char line[LINE_MAX_], buffers[6][LINE_MAX_];
static int failures;
static const char *file_name, *vector_name;

static void check(bool good, const char *what)
{
    if (!good) {
        failures++;
        fprintf(stderr, "%s: %s: %s\n", file_name, vector_name, what);
    }
}

/* The string behind "key": on this line, in its own buffer; NULL if there is none. */
static const char *value(const char *key, int buffer)
{
    char pattern[32];
    const char *from, *to;
    snprintf(pattern, sizeof pattern, "\"%s\": \"", key);
    from = strstr(line, pattern);
    if (from == NULL) {
        return NULL;
    }
    from += strlen(pattern);
    to = strchr(from, '"');
    if (to == NULL) {
        return NULL;
    }
    memcpy(buffers[buffer], from, (size_t)(to - from));
    buffers[buffer][to - from] = 0;
    return buffers[buffer];
}

static size_t unhex(const char *text, uint8_t *bytes)
{
    size_t length = 0;
    unsigned byte;
    while (sscanf(text + 2 * length, "%2x", &byte) == 1) {
        bytes[length++] = (uint8_t)byte;
    }
    return length;
}

static void hex(const uint8_t *bytes, size_t length, char *text)
{
    *text = 0;
    for (size_t i = 0; i < length; i++) {
        sprintf(text + 2 * i, "%02x", bytes[i]);
    }
}

static void a_crc(void)
{
    static uint8_t bytes[LINE_MAX_];
    char found[16];
    size_t length = unhex(value("hex", 1), bytes);
    sprintf(found, "%08" PRIx32, tl_crc32c(0, bytes, length));
    check(strcmp(found, value("crc", 2)) == 0, found);
}

static void ignore(void *context, const tl_event *e) { (void)context; (void)e; }

/* Whether a till that is up with the POS of that vector counts a frame as malformed. */
static bool malformed(const uint8_t *bytes, size_t length)
{
    static uint8_t pos[128];
    static size_t pos_length;
    static tl_endpoint till;
    const tl_config config = {.role = TL_ROLE_TILL, .counter = 1, .epoch = 7, .boot = 700, .window = 4};
    if (strcmp(vector_name, "HELLO of a POS that is up and stored 41 messages") == 0) {
        memcpy(pos, bytes, length);
        pos_length = length;
    }
    tl_init(&till, &config, 0, 0, 0, 41, 0);
    tl_receive(&till, 0, pos, pos_length, ignore, NULL);
    check(till.up == (pos_length != 0), "is up");
    tl_receive(&till, 0, bytes, length, ignore, NULL);
    return till.stats.malformed == 1;
}

static void a_frame(void)
{
    static uint8_t bytes[LINE_MAX_], again[TL_WIRE_MAX];
    static char found[LINE_MAX_];
    static tl_accumulator acc;
    const char *words[] = {"nothing", "", "too_long", "bad_cobs", "bad_crc"};
    size_t length = unhex(value("hex", 1), bytes), payload = 0;
    bool refused = malformed(bytes, length);
    tl_received received = TL_NOTHING;
    for (size_t i = 0; i < length; i++) {
        received = tl_accumulate(&acc, bytes[i], &payload);
    }
    if (received == TL_FRAME && refused) {
        strcpy(found, "malformed");
    } else if (received == TL_FRAME) {
        sprintf(found, "frame %02x ", acc.bytes[0]);
        hex(acc.bytes + 1, payload, found + strlen(found));
        size_t n = tl_frame_encode(acc.bytes[0], NULL, 0, acc.bytes + 1, payload, again, sizeof again);
        const char *encoded = value("encoded", 3);
        length = encoded == NULL ? length : unhex(encoded, bytes);
        check(n == length && memcmp(again, bytes, n) == 0, "encoded again");
    } else if (received == TL_UNKNOWN_KIND) {
        sprintf(found, "unknown_kind %02x", acc.bytes[0]);
    } else {
        strcpy(found, words[received]);
    }
    check(strcmp(found, value("expect", 2)) == 0, found);
}

static void a_key(void)
{
    static uint8_t bytes[LINE_MAX_];
    uint8_t key[64], result[32];
    char found[80];
    size_t key_length = unhex(value("key", 1), key), length = unhex(value("message", 2), bytes);
    if (strcmp(value("of", 3), "sha256") == 0) {
        tl_sha256(bytes, length, result);
    } else {
        tl_hmac(key, key_length, bytes, length, result);
    }
    hex(result, 32, found);
    check(strcmp(found, value("result", 4)) == 0, found);
}

static void a_sealed_frame(void)
{
    static uint8_t bytes[LINE_MAX_], again[TL_WIRE_MAX];
    static char found[LINE_MAX_];
    static tl_accumulator acc;
    const char *words[] = {"nothing", "", "too_long", "bad_cobs", "bad_crc"};
    uint8_t key[32];
    size_t length = unhex(value("hex", 1), bytes), payload = 0;
    uint32_t received = (uint32_t)strtoul(value("received", 3), NULL, 10);
    tl_received r = TL_NOTHING;
    unhex(value("key", 2), key);
    for (size_t i = 0; i < length; i++) {
        r = tl_accumulate(&acc, bytes[i], &payload);
    }
    if (r != TL_FRAME && r != TL_UNKNOWN_KIND) {
        strcpy(found, words[r]);
    } else if (r == TL_FRAME) {
        strcpy(found, "bad_mac"); /* not sealed */
    } else if (acc.bytes[0] < (TL_SEALED | TL_DATA) || acc.bytes[0] > (TL_SEALED | TL_HEARTBEAT)) {
        sprintf(found, "unknown_kind %02x", acc.bytes[0]);
    } else {
        switch (tl_open(key, &received, acc.bytes, &payload)) {
        case TL_BAD_MAC: strcpy(found, "bad_mac"); break;
        case TL_REPLAYED: strcpy(found, "replayed"); break;
        case TL_OPENED:
            sprintf(found, "sealed %02x ", acc.bytes[0]);
            hex(acc.bytes + 1, payload, found + strlen(found));
            sprintf(found + strlen(found), " %" PRIu32, received);
            size_t n = tl_seal(key, received, acc.bytes[0] & 0x7F, NULL, 0, acc.bytes + 1, payload, again, sizeof again);
            check(n == length && memcmp(again, bytes, n) == 0, "sealed again");
            break;
        }
    }
    check(strcmp(found, value("expect", 4)) == 0, found);
}

static const char *const NAMES[] = {"SessionOpened", "CartChanged", "Offer", "Withdrawn", "Closed", "QueryOutcome",
                                    "Attention", "Member", "State", "Clock", "QueryPrices", "Price", "Thumbnail", "Guide", "Paid",
                                    "Cancel", "OutcomeIs", "Override", "Language", "Acknowledge", "QueryPrice", "Prices",
                                    "Recognise", "Enrol"};
static const char *const OUTCOMES[] = {"Paid", "Cancelled", "Abandoned"};
static const char *const TENDERS[] = {"Cash", "Card", "Member", "Other"};
static const char *const REASONS[] = {"UncertainItem", "UnknownItem", "Overlap", "OutOfPicture", "MassMismatch",
                                      "CameraLost", "TooManyItems", "OutcomeUnknown", "StorageFull", "EngineFailed",
                                      "ScaleLost"};
static const char *const PHASES[] = {"Idle", "Present", "Scanning", "Settled", "Offered", "Paid", "Cancelled",
                                     "Abandoned", "Clearing", "Attention"};
static const char *const HINTS[] = {"Front", "Right", "Left", "Down", "Up", "Closer", "Back", "Light", "Still",
                                    "Uncover", "Alone", "Done", "Unknown", "Known", "Late", "Failed"};
static const char *const RUNGS[] = {"TensorRt", "OnnxRuntime", "Rten", "StaffMode"};
static const char *const PRECISIONS[] = {"Fp32", "Fp16", "Int8"};

static void show(const tl_message *m, char *to)
{
    unsigned k = (unsigned)m->kind;
    k = k >= 100 ? k - 86 : k;
    to += sprintf(to, "%s", NAMES[k]);
    if ((m->kind == TL_ATTENTION || m->kind == TL_ACKNOWLEDGE || m->kind == TL_GUIDE) && !m->has_sale) {
        to += sprintf(to, "; sale=none");
    } else if (m->kind != TL_STATE && m->kind != TL_CLOCK && m->kind != TL_LANGUAGE && m->kind != TL_QUERY_PRICES &&
               m->kind != TL_PRICE && m->kind != TL_QUERY_PRICE && m->kind != TL_PRICES && m->kind != TL_ENROL) {
        to += sprintf(to, "; sale=%" PRIu32 "/%" PRIu32 "/%" PRIu32, m->sale.counter, m->sale.epoch, m->sale.session);
    }
    if (m->kind == TL_OFFER || m->kind == TL_WITHDRAWN || m->kind == TL_CLOSED || m->kind == TL_QUERY_OUTCOME ||
        m->kind == TL_PAID || m->kind == TL_THUMBNAIL) {
        to += sprintf(to, "; revision=%u", m->revision);
    }
    if (m->kind == TL_CLOSED || m->kind == TL_OUTCOME_IS) {
        to += sprintf(to, "; outcome=%s", m->outcome == TL_OUTCOME_NONE ? "none" : OUTCOMES[m->outcome]);
    }
    if (m->kind == TL_CART_CHANGED || m->kind == TL_OFFER || m->kind == TL_CLOSED) {
        for (size_t i = 0; i < m->cart.count; i++) {
            const tl_line *l = &m->cart.lines[i];
            to += sprintf(to, "; line=%s|%s|%" PRId64 "|%u|%u|%u|%u|%d", l->sku, l->name, l->unit_minor, l->quantity,
                          l->votes, l->frames, l->score_permille, l->mass_agrees);
        }
        to += sprintf(to, "; total=%" PRId64 "; currency=%s; catalogue=%" PRIu32 "; mass_g=%" PRId32,
                      m->cart.total_minor, m->cart.currency, m->cart.catalogue_version, m->cart.mass_g);
    }
    switch (m->kind) {
    case TL_ATTENTION: sprintf(to, "; reason=%s; on=%d", REASONS[m->reason], m->flag); break;
    case TL_ACKNOWLEDGE:
    case TL_OVERRIDE: sprintf(to, "; reason=%s", REASONS[m->reason]); break;
    case TL_QUERY_PRICES: sprintf(to, "; version=%" PRIu32 "; part=%u", m->cart.catalogue_version, m->part); break;
    case TL_QUERY_PRICE: sprintf(to, "; sku=%s", m->text); break;
    case TL_PRICE:
        to += sprintf(to, "; sku=%s; unit=", m->text);
        to += m->flag ? sprintf(to, "%" PRId64, m->amount_minor) : sprintf(to, "none");
        sprintf(to, "; currency=%s; catalogue=%" PRIu32, m->cart.currency, m->cart.catalogue_version);
        break;
    case TL_THUMBNAIL:
        to += sprintf(to, "; part=%u; parts=%u; jpeg=", m->part, m->parts);
        hex(m->jpeg, m->jpeg_length, to);
        break;
    case TL_PRICES:
        to += sprintf(to, "; version=%" PRIu32 "; part=%u; parts=%u; currency=%s", m->cart.catalogue_version, m->part,
                      m->parts, m->cart.currency);
        for (size_t i = 0; i < m->cart.count; i++) {
            to += sprintf(to, "; price=%s|%" PRId64, m->cart.lines[i].sku, m->cart.lines[i].unit_minor);
        }
        break;
    case TL_MEMBER: sprintf(to, "; member=%s; score=%u", m->text, m->score_permille); break;
    case TL_STATE:
        sprintf(to, "; phase=%s; rung=%s; reason=%s; precision=%s", PHASES[m->phase], RUNGS[m->rung], m->text,
                m->precision == TL_PRECISION_NONE ? "none" : PRECISIONS[m->precision]);
        break;
    case TL_CLOCK: sprintf(to, "; unix_s=%" PRIu64 "; trusted=%d", m->unix_s, m->flag); break;
    case TL_PAID: sprintf(to, "; tender=%s; amount=%" PRId64, TENDERS[m->tender], m->amount_minor); break;
    case TL_GUIDE: sprintf(to, "; hint=%s; step=%u; steps=%u", HINTS[m->hint], m->step, m->steps); break;
    case TL_RECOGNISE: sprintf(to, "; on=%d", m->flag); break;
    case TL_ENROL: sprintf(to, "; member=%s; consent=%s; on=%d", m->text, m->consent, m->flag); break;
    case TL_LANGUAGE: sprintf(to, "; code=%s", m->language); break;
    default: break;
    }
}

static void a_message(void)
{
    static uint8_t bytes[LINE_MAX_], again[TL_PAYLOAD_MAX];
    static char found[LINE_MAX_];
    static tl_message m;
    static const char *const errors[] = {"ok", "truncated", "trailing", "unknown_variant", "bad_bool", "bad_option",
                                         "bad_varint", "bad_utf8", "too_long"};
    size_t length = unhex(value("hex", 1), bytes);
    const char *meaning = value("meaning", 2), *error = value("error", 3);
    tl_error e = tl_decode(strcmp(value("to", 4), "till") == 0, bytes, length, &m);
    if (error != NULL) {
        check(e != TL_OK && (strcmp(error, "invalid") == 0 || strcmp(error, errors[e]) == 0), errors[e]);
        return;
    }
    check(e == TL_OK, errors[e]);
    if (e == TL_OK) {
        show(&m, found);
        check(strcmp(found, meaning) == 0, found);
        check(tl_durable(m.kind) == (value("durable", 5)[0] == '1'), "durable");
        check(tl_encode(&m, again, sizeof again) == length && memcmp(again, bytes, length) == 0, "encoded again");
        check(length == 0 || tl_encode(&m, again, length - 1) == 0, "encoded into too little room");
    }
}

/* A transcript: what the end says is queued and compared with the lines that follow. */
static struct {
    tl_endpoint end;
    uint32_t first, count;
    uint8_t records[LOG_MAX][RECORD_MAX];
    size_t lengths[LOG_MAX];
    uint8_t events[LOG_MAX][RECORD_MAX];
    size_t event_lengths[LOG_MAX], event_first, event_count;
    char said[SAID_MAX][1024];
    size_t said_first, said_count;
    unsigned long long now;
} t;

static uint32_t log_first(void *c) { (void)c; return t.first; }
static uint32_t log_last(void *c) { (void)c; return t.first - 1 + t.count; }

static int log_durable(void *c, uint32_t sequence, uint8_t *buffer, size_t capacity)
{
    size_t i = sequence - t.first;
    (void)c;
    if (i >= t.count || t.lengths[i] > capacity) {
        return -1;
    }
    memcpy(buffer, t.records[i], t.lengths[i]);
    return (int)t.lengths[i];
}

static int log_pending(void *c, uint8_t *buffer, size_t capacity)
{
    size_t i = t.event_first;
    (void)c;
    (void)capacity;
    if (i == t.event_count) {
        return -1;
    }
    t.event_first++;
    memcpy(buffer, t.events[i], t.event_lengths[i]);
    return (int)t.event_lengths[i];
}

static char *say(void) { return t.said[t.said_count++ % SAID_MAX]; }

static void sink(void *context, const tl_event *e)
{
    char payload[512] = "", *to = say();
    (void)context;
    to += sprintf(to, "%llu ev ", t.now);
    if (e->payload != NULL) {
        hex(e->payload, e->length, payload);
    }
    switch (e->kind) {
    case TL_EV_DURABLE: sprintf(to, "durable %" PRIu32 "/%" PRIu32 " %s", e->epoch, e->sequence, payload); break;
    case TL_EV_VOLATILE: sprintf(to, "volatile %s", payload); break;
    case TL_EV_ACKED: sprintf(to, "acked %" PRIu32, e->sequence); break;
    case TL_EV_UP: sprintf(to, "up boot=%" PRIu32 " minor=%u lost=%" PRIu32, e->boot, e->minor, e->lost); break;
    case TL_EV_DOWN: sprintf(to, "down"); break;
    case TL_EV_REFUSED: sprintf(to, "refused %u", e->reason); break;
    case TL_EV_LOG_LOST: sprintf(to, "loglost %" PRIu32, e->sequence); break;
    }
}

static void a_step(void)
{
    static char session[256];
    static uint8_t bytes[LINE_MAX_], wire[TL_WIRE_MAX];
    static const tl_source source = {NULL, log_first, log_last, log_durable, log_pending};
    const char *step = value("step", 1);
    char command[16];
    int rest = 0;
    size_t n;
    unsigned a, b;
    if (strcmp(session, value("session", 2)) != 0) {
        check(t.said_first == t.said_count, "more was said than the transcript has");
        memset(&t, 0, sizeof t);
        strcpy(session, buffers[2]);
    }
    if (sscanf(step, "%llu %15s %n", &t.now, command, &rest) != 2) {
        check(false, "not a step");
        return;
    }
    if (strcmp(command, "ev") == 0 || strcmp(command, "out") == 0) {
        bool some = t.said_first < t.said_count;
        const char *said = some ? t.said[t.said_first++ % SAID_MAX] : "nothing";
        if (strcmp(said, step) != 0) {
            fprintf(stderr, "said %s\nmust %s\n", said, step);
            check(false, "said something else");
        }
        return;
    }
    check(t.said_first == t.said_count, "more was said than the transcript has");
    t.said_first = t.said_count;
    if (strcmp(command, "new") == 0) {
        unsigned role, counter, epoch, boot, window, acked, first, last;
        sscanf(step + rest, "role=%u counter=%u epoch=%u boot=%u window=%u resume=%u/%u acked=%u first=%u last=%u",
               &role, &counter, &epoch, &boot, &window, &a, &b, &acked, &first, &last);
        tl_config config = {.role = role == 0 ? TL_ROLE_TILL : TL_ROLE_POS, .counter = counter, .epoch = epoch,
                            .boot = boot, .window = window};
        const char *key = strstr(step, " key="), *other = strstr(step, " other="), *seed = strstr(step, " seed=");
        if (key != NULL) {
            check(tl_key_read(key + 5, &config.keys[0]), "key");
            check(other == NULL || tl_key_read(other + 7, &config.keys[1]), "other key");
            unhex(seed + 6, bytes);
            memcpy(config.seed, bytes, sizeof config.seed);
        }
        t.first = first;
        tl_init(&t.end, &config, a, b, acked, last, t.now);
    } else if (strcmp(command, "log") == 0) {
        t.lengths[t.count] = unhex(step + rest, t.records[t.count]);
        t.count++;
    } else if (strcmp(command, "event") == 0) {
        t.event_lengths[t.event_count] = unhex(step + rest, t.events[t.event_count]);
        t.event_count++;
    } else if (strcmp(command, "in") == 0) {
        tl_receive(&t.end, t.now, bytes, unhex(step + rest, bytes), sink, NULL);
    } else if (strcmp(command, "renew") == 0) {
        sscanf(step + rest, "%u", &a);
        t.first = 1;
        t.count = 0;
        tl_renew(&t.end, a, t.now);
    } else if (strcmp(command, "stored") == 0) {
        sscanf(step + rest, "%u/%u", &a, &b);
        tl_stored(&t.end, a, b);
    } else if (strcmp(command, "poll") == 0) {
        while ((n = tl_poll(&t.end, t.now, &source, wire, sink, NULL)) != 0) {
            char *to = say();
            to += sprintf(to, "%llu out ", t.now);
            hex(wire, n, to);
        }
    } else {
        check(false, "unknown command");
    }
}

int main(int count, char **arguments)
{
    const struct { const char *name; void (*each)(void); } files[] = {
        {"crc.json", a_crc}, {"frames.json", a_frame}, {"messages.json", a_message}, {"sessions.json", a_step},
        {"keys.json", a_key}, {"secure.json", a_sealed_frame}, {"secured-sessions.json", a_step}};
    int read = 0;
    if (count != 2) {
        fprintf(stderr, "usage: vectors FOLDER\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", arguments[1], files[i].name);
        FILE *file = fopen(path, "r");
        if (file == NULL) {
            perror(path);
            return 1;
        }
        file_name = files[i].name;
        while (fgets(line, sizeof line, file) != NULL) {
            if (line[0] == '{') {
                vector_name = value(files[i].each == a_step ? "session" : "name", 0);
                files[i].each();
                read++;
            }
        }
        fclose(file);
    }
    check(t.said_first == t.said_count, "more was said than the transcript has");
    printf("%d lines read, %d failures; an endpoint takes %zu bytes of RAM, a message %zu\n", read, failures,
           sizeof(tl_endpoint), sizeof(tl_message));
    return failures != 0 || read < 200;
}
