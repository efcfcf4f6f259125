/* See till_link.h. Order: frames, security, values, messages, endpoint, POS. */
#include "till_link.h"

#include <string.h>

/* ---- frames ---- */

uint32_t tl_crc32c(uint32_t crc, const uint8_t *bytes, size_t length)
{
    /* Four bits at a time: 64 bytes of table instead of 1024. */
    static const uint32_t table[16] = {
        0x00000000u, 0x105EC76Fu, 0x20BD8EDEu, 0x30E349B1u, 0x417B1DBCu, 0x5125DAD3u, 0x61C69362u, 0x7198540Du,
        0x82F63B78u, 0x92A8FC17u, 0xA24BB5A6u, 0xB21572C9u, 0xC38D26C4u, 0xD3D3E1ABu, 0xE330A81Au, 0xF36E6F75u};
    crc = ~crc;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ table[crc & 15u];
        crc = (crc >> 4) ^ table[crc & 15u];
    }
    return ~crc;
}

typedef struct {
    uint8_t *wire;
    size_t capacity, code_at, at;
    bool full;
} stuffer;

static void put(stuffer *s, size_t at, uint8_t byte)
{
    if (at < s->capacity) {
        s->wire[at] = byte;
    } else {
        s->full = true;
    }
}

static void end_block(stuffer *s)
{
    put(s, s->code_at, (uint8_t)(s->at - s->code_at));
    s->code_at = s->at++;
}

static void stuff(stuffer *s, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == 0) {
            end_block(s);
        } else {
            put(s, s->at++, bytes[i]);
            if (s->at - s->code_at == 0xFF) {
                end_block(s);
            }
        }
    }
}

static void write_u32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint32_t read_u32(const uint8_t *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

typedef struct { const uint8_t *bytes; size_t length; } part;

static size_t encode_parts(const part *parts, size_t count, uint8_t *wire, size_t capacity)
{
    stuffer s = {wire, capacity, 0, 1, false};
    uint8_t tail[4];
    uint32_t crc = 0;
    size_t room = TL_FRAME_MAX - 4;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].length > room) {
            return 0;
        }
        room -= parts[i].length;
        crc = tl_crc32c(crc, parts[i].bytes, parts[i].length);
        stuff(&s, parts[i].bytes, parts[i].length);
    }
    write_u32(tail, crc);
    stuff(&s, tail, 4);
    put(&s, s.code_at, (uint8_t)(s.at - s.code_at));
    put(&s, s.at, 0);
    return s.full ? 0 : s.at + 1;
}

size_t tl_frame_encode(uint8_t kind, const uint8_t *head, size_t head_length, const uint8_t *body,
                       size_t body_length, uint8_t *wire, size_t capacity)
{
    const part parts[] = {{&kind, 1}, {head, head_length}, {body, body_length}};
    return encode_parts(parts, 3, wire, capacity);
}

/* Undoes COBS in place; false when the bytes are not COBS. */
static bool unstuff(uint8_t *bytes, size_t *length)
{
    size_t from = 0, to = 0;
    while (from < *length) {
        size_t code = bytes[from], end = from + code;
        if (code == 0 || end > *length) {
            return false;
        }
        memmove(bytes + to, bytes + from + 1, code - 1);
        to += code - 1;
        from = end;
        if (code < 0xFF && from < *length) {
            bytes[to++] = 0;
        }
    }
    *length = to;
    return true;
}

tl_received tl_accumulate(tl_accumulator *acc, uint8_t byte, size_t *length)
{
    size_t used = acc->used;
    bool overrun = acc->overrun;
    if (byte != 0) {
        if (used < TL_WIRE_MAX) {
            acc->bytes[acc->used++] = byte;
        } else {
            acc->overrun = true;
        }
        return TL_NOTHING;
    }
    acc->used = 0;
    acc->overrun = false;
    if (overrun) {
        return TL_TOO_LONG;
    }
    if (used == 0) {
        return TL_NOTHING;
    }
    if (!unstuff(acc->bytes, &used) || used < 5) {
        return TL_BAD_COBS;
    }
    if (tl_crc32c(0, acc->bytes, used - 4) != read_u32(acc->bytes + used - 4)) {
        return TL_BAD_CRC;
    }
    *length = used - 5;
    return acc->bytes[0] >= TL_HELLO && acc->bytes[0] <= TL_REFUSE ? TL_FRAME : TL_UNKNOWN_KIND;
}

/* ---- security ---- */

typedef struct {
    uint32_t state[8];
    uint64_t length;
    uint8_t block[64];
} sha256;

static uint32_t turn(uint32_t value, unsigned by) { return value >> by | value << (32 - by); }

static void compress(sha256 *s)
{
    static const uint32_t k[64] = {
        0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u, 0xab1c5ed5u,
        0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u,
        0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau,
        0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u,
        0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u,
        0xa2bfe8a1u, 0xa81a664bu, 0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u,
        0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
        0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u};
    uint32_t w[16], v[8];
    memcpy(v, s->state, sizeof v);
    for (unsigned i = 0; i < 64; i++) {
        uint32_t a, b;
        if (i < 16) {
            const uint8_t *p = s->block + 4 * i;
            w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
        } else {
            uint32_t w15 = w[(i + 1) & 15u], w2 = w[(i + 14) & 15u];
            w[i & 15u] += (turn(w15, 7) ^ turn(w15, 18) ^ w15 >> 3) + w[(i + 9) & 15u] +
                          (turn(w2, 17) ^ turn(w2, 19) ^ w2 >> 10);
        }
        a = v[7] + (turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] +
            w[i & 15u];
        b = (turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += a;
        v[0] = a + b;
    }
    for (unsigned i = 0; i < 8; i++) {
        s->state[i] += v[i];
    }
}

static void sha_start(sha256 *s)
{
    static const uint32_t first[8] = {0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
                                      0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u};
    memcpy(s->state, first, sizeof first);
    s->length = 0;
}

static void sha_add(sha256 *s, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        s->block[s->length++ % 64] = bytes[i];
        if (s->length % 64 == 0) {
            compress(s);
        }
    }
}

static void sha_end(sha256 *s, uint8_t digest[32])
{
    static const uint8_t one = 0x80, zero = 0;
    uint64_t bits = s->length * 8;
    uint8_t tail[8];
    sha_add(s, &one, 1);
    while (s->length % 64 != 56) {
        sha_add(s, &zero, 1);
    }
    for (unsigned i = 0; i < 8; i++) {
        tail[i] = (uint8_t)(bits >> (56 - 8 * i));
    }
    sha_add(s, tail, 8);
    for (unsigned i = 0; i < 32; i++) {
        digest[i] = (uint8_t)(s->state[i / 4] >> (24 - 8 * (i % 4)));
    }
}

void tl_sha256(const uint8_t *bytes, size_t length, uint8_t digest[32])
{
    sha256 s;
    sha_start(&s);
    sha_add(&s, bytes, length);
    sha_end(&s, digest);
}

static void hmac_pad(sha256 *s, const uint8_t *key, size_t key_length, uint8_t with)
{
    uint8_t pad[64];
    for (size_t i = 0; i < sizeof pad; i++) {
        pad[i] = (uint8_t)((i < key_length ? key[i] : 0) ^ with);
    }
    sha_start(s);
    sha_add(s, pad, sizeof pad);
}

static void hmac_parts(const uint8_t *key, size_t key_length, const part *parts, size_t count, uint8_t mac[32])
{
    sha256 s;
    hmac_pad(&s, key, key_length, 0x36);
    for (size_t i = 0; i < count; i++) {
        sha_add(&s, parts[i].bytes, parts[i].length);
    }
    sha_end(&s, mac);
    hmac_pad(&s, key, key_length, 0x5c);
    sha_add(&s, mac, 32);
    sha_end(&s, mac);
}

void tl_hmac(const uint8_t *key, size_t key_length, const uint8_t *bytes, size_t length, uint8_t mac[32])
{
    const part all = {bytes, length};
    hmac_parts(key, key_length, &all, 1, mac);
}

/* 8.2: HMAC of label, part and 01. */
static void derive(const uint8_t key[32], const char *label, const uint8_t *bytes, size_t length, uint8_t out[32])
{
    static const uint8_t one = 1;
    const part parts[] = {{(const uint8_t *)label, strlen(label)}, {bytes, length}, {&one, 1}};
    hmac_parts(key, 32, parts, 3, out);
}

/* In a time that does not tell where they differ (L-202). */
static bool equal(const uint8_t *a, const uint8_t *b, size_t length)
{
    volatile uint8_t different = 0;
    for (size_t i = 0; i < length; i++) {
        different = (uint8_t)(different | (a[i] ^ b[i]));
    }
    return different == 0;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool tl_key_read(const char *text, tl_key *key)
{
    unsigned id = 0;
    while (id <= 255 && *text >= '0' && *text <= '9') {
        id = id * 10 + (unsigned)(*text++ - '0');
    }
    if (id == 0 || id > 255 || *text++ != ':') {
        return false;
    }
    for (size_t i = 0; i < 32; i++, text += 2) {
        int high = digit(text[0]), low = high < 0 ? -1 : digit(text[1]);
        if (low < 0) {
            return false;
        }
        key->secret[i] = (uint8_t)(high << 4 | low);
    }
    key->id = (uint8_t)id;
    return true;
}

bool tl_keys_read(const char *text, tl_key keys[2])
{
    size_t count = 0;
    while (*text != 0) {
        text += strspn(text, " \t\r\n");
        if (*text != 0 && *text != '#') {
            if (count == 2 || !tl_key_read(text, &keys[count++])) {
                return false;
            }
            text = strchr(text, ':') + 1 + 64;
            text += strspn(text, " \t");
            if (*text != 0 && strchr("\r\n#", *text) == NULL) {
                return false;
            }
        }
        text += strcspn(text, "\r\n");
    }
    return count > 0;
}

enum { MAC_BYTES = 8, SEAL_BYTES = 4 + MAC_BYTES, NONCE_BYTES = 16, PROOF_BYTES = 16, SECURED = 1 };

size_t tl_seal(const uint8_t key[32], uint32_t counter, uint8_t kind, const uint8_t *head, size_t head_length,
               const uint8_t *body, size_t body_length, uint8_t *wire, size_t capacity)
{
    uint8_t sealed = kind | TL_SEALED, count[4], mac[32];
    part parts[] = {{&sealed, 1}, {head, head_length}, {body, body_length}, {count, 4}, {mac, MAC_BYTES}};
    write_u32(count, counter);
    hmac_parts(key, 32, parts, 4, mac);
    return encode_parts(parts, 5, wire, capacity);
}

tl_opened tl_open(const uint8_t key[32], uint32_t *received, const uint8_t *frame, size_t *length)
{
    uint8_t mac[32];
    size_t before;
    if (*length < SEAL_BYTES) {
        return TL_BAD_MAC;
    }
    before = 1 + *length - MAC_BYTES;
    tl_hmac(key, 32, frame, before, mac);
    if (!equal(mac, frame + before, MAC_BYTES)) {
        return TL_BAD_MAC;
    }
    if (read_u32(frame + before - 4) <= *received) {
        return TL_REPLAYED;
    }
    *received = read_u32(frame + before - 4);
    *length -= SEAL_BYTES;
    return TL_OPENED;
}

/* ---- values: one cursor reads or writes, the first error stays ---- */

typedef struct {
    const uint8_t *in;
    uint8_t *out; /* NULL while reading */
    size_t at, length;
    tl_error error;
} cursor;

static uint8_t byte_(cursor *c, uint8_t value)
{
    if (c->error != TL_OK) {
        return 0;
    }
    if (c->at >= c->length) {
        c->error = TL_TRUNCATED;
        return 0;
    }
    if (c->out != NULL) {
        c->out[c->at++] = value;
        return value;
    }
    return c->in[c->at++];
}

static void fail(cursor *c, tl_error error)
{
    if (c->error == TL_OK) {
        c->error = error;
    }
}

static uint64_t varint(cursor *c, uint64_t value, unsigned bits)
{
    uint64_t read = 0;
    if (c->out != NULL) {
        uint64_t rest = value;
        for (; rest >= 0x80; rest >>= 7) {
            (void)byte_(c, (uint8_t)(rest | 0x80));
        }
        (void)byte_(c, (uint8_t)rest);
        return value;
    }
    for (unsigned shift = 0; shift < bits; shift += 7) {
        uint8_t byte = byte_(c, 0);
        unsigned room = bits - shift;
        if (room < 7 && (byte & 0x7Fu) >> room != 0) {
            break;
        }
        read |= (uint64_t)(byte & 0x7Fu) << shift;
        if (byte < 0x80) {
            return read;
        }
    }
    fail(c, TL_BAD_VARINT);
    return 0;
}

static void u16(cursor *c, uint16_t *value) { *value = (uint16_t)varint(c, *value, 16); }
static void u32(cursor *c, uint32_t *value) { *value = (uint32_t)varint(c, *value, 32); }

static void i64(cursor *c, int64_t *value, unsigned bits)
{
    uint64_t u = (uint64_t)*value;
    u = varint(c, (u << 1) ^ (*value < 0 ? UINT64_MAX : 0), bits);
    u = (u >> 1) ^ (u & 1 ? UINT64_MAX : 0);
    /* Without relying on the conversion of what does not fit. */
    *value = u <= INT64_MAX ? (int64_t)u : -1 - (int64_t)(UINT64_MAX - u);
}

static void flag(cursor *c, bool *value, tl_error error)
{
    uint8_t byte = byte_(c, *value ? 1 : 0);
    if (byte > 1) {
        fail(c, error);
    }
    *value = byte == 1;
}

static void variant(cursor *c, uint8_t *value, uint8_t count)
{
    uint64_t number = varint(c, *value, 32);
    if (number >= count) {
        fail(c, TL_UNKNOWN_VARIANT);
    }
    *value = (uint8_t)number;
}

static bool is_utf8(const uint8_t *s, size_t length)
{
    size_t i = 0;
    while (i < length) {
        uint8_t lead = s[i++], low = 0x80, high = 0xBF;
        unsigned more;
        if (lead < 0x80) {
            continue;
        }
        if (lead >= 0xC2 && lead <= 0xDF) {
            more = 1;
        } else if (lead >= 0xE0 && lead <= 0xEF) {
            more = 2;
            low = lead == 0xE0 ? 0xA0 : 0x80;
            high = lead == 0xED ? 0x9F : 0xBF;
        } else if (lead >= 0xF0 && lead <= 0xF4) {
            more = 3;
            low = lead == 0xF0 ? 0x90 : 0x80;
            high = lead == 0xF4 ? 0x8F : 0xBF;
        } else {
            return false;
        }
        for (; more > 0; more--, low = 0x80, high = 0xBF) {
            if (i >= length || s[i] < low || s[i] > high) {
                return false;
            }
            i++;
        }
    }
    return true;
}

/* `room` counts the zero at the end. */
static void text(cursor *c, char *value, size_t room)
{
    size_t length = c->out != NULL ? strlen(value) : 0;
    length = (size_t)varint(c, length, 32);
    if (c->error != TL_OK) {
        return;
    }
    if (length > c->length - c->at) {
        fail(c, TL_TRUNCATED);
    } else if (c->out != NULL) {
        memcpy(c->out + c->at, value, length);
        c->at += length;
    } else if (!is_utf8(c->in + c->at, length)) {
        fail(c, TL_BAD_UTF8);
    } else if (length >= room) {
        fail(c, TL_TEXT_TOO_LONG);
    } else {
        memcpy(value, c->in + c->at, length);
        value[length] = 0;
        c->at += length;
    }
}

static void raw(cursor *c, char *value, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        value[i] = (char)byte_(c, (uint8_t)value[i]);
    }
}

/* ---- messages ---- */

static void sale(cursor *c, tl_sale *s)
{
    u32(c, &s->counter);
    u32(c, &s->epoch);
    u32(c, &s->session);
}

static void cart(cursor *c, tl_cart *cart)
{
    int64_t mass = cart->mass_g;
    cart->count = (size_t)varint(c, cart->count, 32);
    if (cart->count > TL_LINES_MAX) {
        fail(c, TL_TEXT_TOO_LONG);
    }
    for (size_t i = 0; i < cart->count && c->error == TL_OK; i++) {
        tl_line *line = &cart->lines[i];
        text(c, line->sku, sizeof line->sku);
        text(c, line->name, sizeof line->name);
        i64(c, &line->unit_minor, 64);
        u16(c, &line->quantity);
        u16(c, &line->votes);
        u16(c, &line->frames);
        u16(c, &line->score_permille);
        flag(c, &line->mass_agrees, TL_BAD_BOOL);
    }
    i64(c, &cart->total_minor, 64);
    raw(c, cart->currency, 3);
    u32(c, &cart->catalogue_version);
    i64(c, &mass, 32);
    cart->mass_g = (int32_t)mass;
}

static void jpeg(cursor *c, tl_message *m)
{
    m->jpeg_length = (size_t)varint(c, m->jpeg_length, 32);
    if (c->error == TL_OK && m->jpeg_length > TL_JPEG_MAX) {
        fail(c, TL_TEXT_TOO_LONG);
    } else if (c->error == TL_OK && m->jpeg_length > c->length - c->at) {
        fail(c, TL_TRUNCATED);
    }
    for (size_t i = 0; i < m->jpeg_length && c->error == TL_OK; i++) {
        m->jpeg[i] = byte_(c, m->jpeg[i]);
    }
}

static void prices(cursor *c, tl_cart *list)
{
    list->count = (size_t)varint(c, list->count, 32);
    if (list->count > TL_PRICES_MAX) {
        fail(c, TL_TEXT_TOO_LONG);
    }
    for (size_t i = 0; i < list->count && c->error == TL_OK; i++) {
        text(c, list->lines[i].sku, sizeof list->lines[i].sku);
        i64(c, &list->lines[i].unit_minor, 64);
    }
}

/* Whether a message of that kind names a sale: 1 always, 0 never, -1 by has_sale. */
static int sale_of(tl_message_kind kind)
{
    switch (kind) {
    case TL_ATTENTION:
    case TL_ACKNOWLEDGE:
    case TL_GUIDE:
        return -1;
    case TL_STATE:
    case TL_CLOCK:
    case TL_LANGUAGE:
    case TL_QUERY_PRICES:
    case TL_PRICE:
    case TL_QUERY_PRICE:
    case TL_PRICES:
    case TL_ENROL:
        return 0;
    default:
        return 1;
    }
}

/* An enum that may be absent: `none` in the struct. */
static void maybe(cursor *c, uint8_t *value, uint8_t count, uint8_t none)
{
    bool some = *value != none;
    flag(c, &some, TL_BAD_OPTION);
    if (some) {
        variant(c, value, count);
    } else {
        *value = none;
    }
}

static void fields(cursor *c, tl_message *m)
{
    if (sale_of(m->kind) < 0) {
        flag(c, &m->has_sale, TL_BAD_OPTION);
    }
    if (sale_of(m->kind) > 0 || (sale_of(m->kind) < 0 && m->has_sale)) {
        sale(c, &m->sale);
    }
    switch (m->kind) {
    case TL_SESSION_OPENED:
    case TL_CANCEL:
        break;
    case TL_OFFER:
        u16(c, &m->revision);
        /* fall through */
    case TL_CART_CHANGED:
        cart(c, &m->cart);
        break;
    case TL_WITHDRAWN:
    case TL_QUERY_OUTCOME:
        u16(c, &m->revision);
        break;
    case TL_CLOSED:
        u16(c, &m->revision);
        variant(c, &m->outcome, 3);
        cart(c, &m->cart);
        break;
    case TL_ATTENTION:
        variant(c, &m->reason, 11);
        flag(c, &m->flag, TL_BAD_BOOL);
        break;
    case TL_MEMBER:
        text(c, m->text, 33);
        u16(c, &m->score_permille);
        break;
    case TL_STATE:
        variant(c, &m->phase, 10);
        variant(c, &m->rung, 4);
        text(c, m->text, 65);
        maybe(c, &m->precision, 3, TL_PRECISION_NONE);
        break;
    case TL_CLOCK:
        m->unix_s = varint(c, m->unix_s, 64);
        flag(c, &m->flag, TL_BAD_BOOL);
        break;
    case TL_PAID:
        u16(c, &m->revision);
        variant(c, &m->tender, 4);
        i64(c, &m->amount_minor, 64);
        break;
    case TL_OUTCOME_IS:
        maybe(c, &m->outcome, 3, TL_OUTCOME_NONE);
        break;
    case TL_OVERRIDE:
    case TL_ACKNOWLEDGE:
        variant(c, &m->reason, 11);
        break;
    case TL_QUERY_PRICES:
        u32(c, &m->cart.catalogue_version);
        u16(c, &m->part);
        break;
    case TL_PRICE:
        text(c, m->text, 33);
        flag(c, &m->flag, TL_BAD_OPTION);
        if (m->flag) {
            i64(c, &m->amount_minor, 64);
        }
        raw(c, m->cart.currency, 3);
        u32(c, &m->cart.catalogue_version);
        break;
    case TL_THUMBNAIL:
        u16(c, &m->revision);
        u16(c, &m->part);
        u16(c, &m->parts);
        jpeg(c, m);
        break;
    case TL_QUERY_PRICE:
        text(c, m->text, 33);
        break;
    case TL_PRICES:
        u32(c, &m->cart.catalogue_version);
        u16(c, &m->part);
        u16(c, &m->parts);
        raw(c, m->cart.currency, 3);
        prices(c, &m->cart);
        break;
    case TL_LANGUAGE:
        raw(c, m->language, 2);
        break;
    case TL_GUIDE:
        variant(c, &m->hint, 16);
        m->step = byte_(c, m->step);
        m->steps = byte_(c, m->steps);
        break;
    case TL_RECOGNISE:
        flag(c, &m->flag, TL_BAD_BOOL);
        break;
    case TL_ENROL:
        text(c, m->text, 33);
        text(c, m->consent, 33);
        flag(c, &m->flag, TL_BAD_BOOL);
        break;
    }
}

tl_error tl_decode(bool to_till, const uint8_t *bytes, size_t length, tl_message *message)
{
    cursor c = {bytes, NULL, 0, length, TL_OK};
    uint8_t number = 0;
    memset(message, 0, sizeof *message);
    variant(&c, &number, to_till ? 10 : 14);
    if (c.error != TL_OK) {
        return c.error;
    }
    message->kind = (tl_message_kind)(number + (to_till ? 100 : 0));
    fields(&c, message);
    if (c.error == TL_OK && c.at != length) {
        return TL_TRAILING;
    }
    return c.error;
}

size_t tl_encode(tl_message *message, uint8_t *bytes, size_t capacity)
{
    cursor c = {NULL, bytes, 0, capacity, TL_OK};
    (void)varint(&c, (uint64_t)message->kind % 100, 32);
    fields(&c, message);
    return c.error == TL_OK ? c.at : 0;
}

bool tl_durable(tl_message_kind kind)
{
    return (kind >= TL_OFFER && kind <= TL_QUERY_OUTCOME) || (kind >= TL_PAID && kind <= TL_OVERRIDE) ||
           kind == TL_ACKNOWLEDGE;
}

bool tl_cart_adds_up(const tl_cart *cart)
{
    int64_t sum = 0;
    for (size_t i = 0; i < cart->count && i < TL_LINES_MAX; i++) {
        int64_t unit = cart->lines[i].unit_minor;
        int64_t quantity = cart->lines[i].quantity;
        if (quantity != 0 && (unit > INT64_MAX / quantity || unit < INT64_MIN / quantity)) {
            return false;
        }
        unit *= quantity;
        if (unit > 0 ? sum > INT64_MAX - unit : sum < INT64_MIN - unit) {
            return false;
        }
        sum += unit;
    }
    return sum == cart->total_minor;
}

/* ---- endpoint ---- */

enum { HELLO_BYTES = 37, SECURED_HELLO_BYTES = 90, RTO_MIN = 400, RTO_MAX = 4000, RTO_FIRST = 1000 };

static uint32_t up_to(uint32_t value, uint32_t low, uint32_t high)
{
    return value < low ? low : value > high ? high : value;
}

static uint32_t after(uint32_t sequence) { return sequence == UINT32_MAX ? sequence : sequence + 1; }

static void emit(tl_sink sink, void *context, tl_event event)
{
    if (sink != NULL) {
        sink(context, &event);
    }
}

static bool secured(const tl_endpoint *end) { return end->config.keys[0].id != 0; }

static void new_nonce(tl_endpoint *end)
{
    tl_session *s = &end->session;
    uint8_t from[41], out[32];
    if (!secured(end)) {
        return;
    }
    memcpy(from, end->config.seed, 32);
    from[32] = (uint8_t)end->config.role;
    write_u32(from + 33, end->config.boot);
    write_u32(from + 37, ++s->nonces);
    derive(end->config.keys[0].secret, "till-link/1 nonce", from, sizeof from, out);
    memcpy(s->nonce, out, NONCE_BYTES);
    s->count = s->sent = s->received = s->peer_count = 0;
}

/* What one end's HELLO puts under the keys of a session. */
static void identity(uint8_t *to, uint8_t minor, uint8_t flags, uint32_t boot, uint32_t epoch, const uint8_t *nonce)
{
    to[0] = 1;
    to[1] = minor;
    to[2] = flags;
    write_u32(to + 3, boot);
    write_u32(to + 7, epoch);
    memcpy(to + 11, nonce, NONCE_BYTES);
}

/* The keys of the session from both HELLOs; `p` is the peer's. */
static void session_keys(tl_endpoint *end, const uint8_t *p)
{
    tl_session *s = &end->session;
    const tl_key *key = &end->config.keys[s->key];
    uint8_t parts[63], *till = parts, *pos = parts + 27;
    bool is_till = end->config.role == TL_ROLE_TILL;
    identity(is_till ? till : pos, 0, SECURED, end->config.boot, end->config.epoch, s->nonce);
    identity(is_till ? pos : till, p[1], p[4], read_u32(p + 13), read_u32(p + 21), p + 38);
    write_u32(parts + 54, end->config.counter);
    write_u32(parts + 58, TL_SCHEMA);
    parts[62] = key->id;
    derive(key->secret, "till-link/1 to pos", parts, sizeof parts, is_till ? s->to_peer : s->from_peer);
    derive(key->secret, "till-link/1 to till", parts, sizeof parts, is_till ? s->from_peer : s->to_peer);
}

static void prove(const tl_key *key, const uint8_t *hello, size_t length, uint8_t proof[32])
{
    static const uint8_t kind = TL_HELLO;
    const part parts[] = {{&kind, 1}, {hello, length}};
    uint8_t k_hello[32];
    derive(key->secret, "till-link/1 hello", NULL, 0, k_hello);
    hmac_parts(k_hello, 32, parts, 2, proof);
}

void tl_init(tl_endpoint *end, const tl_config *config, uint32_t resume_epoch, uint32_t resume_sequence,
             uint32_t acknowledged, uint32_t last, uint64_t now_ms)
{
    memset(end, 0, sizeof *end);
    end->config = *config;
    end->config.window = up_to(config->window, 1, TL_WINDOW_MAX);
    end->config.boot = config->boot == 0 ? 1 : config->boot;
    end->resume_epoch = resume_epoch;
    end->resume_sequence = end->delivered = resume_sequence;
    end->acknowledged = acknowledged;
    end->next = after(acknowledged);
    end->highest = last > acknowledged ? last : acknowledged;
    end->unproven = true;
    end->refuse = -1;
    end->timeout_ms = RTO_FIRST;
    end->timer_ms = TL_NEVER;
    end->hello_due_ms = end->heard_ms = end->spoke_ms = now_ms;
    new_nonce(end);
}

static void go_back(tl_endpoint *end)
{
    end->next = after(end->acknowledged);
    end->timer_ms = TL_NEVER;
}

static void go_down(tl_endpoint *end, uint64_t now_ms, tl_sink sink, void *context)
{
    bool was_up = end->up;
    end->has_peer = end->up = end->ack_due = end->gap_due = false;
    end->hello_due_ms = now_ms + TL_HELLO_MS;
    go_back(end);
    if (was_up) {
        new_nonce(end);
        emit(sink, context, (tl_event){.kind = TL_EV_DOWN});
    }
}

static void say_hello(tl_endpoint *end, uint64_t now_ms)
{
    if (end->hello_due_ms > now_ms + TL_HELLO_MS / 10) {
        end->hello_due_ms = now_ms + TL_HELLO_MS / 10;
    }
}

void tl_reconnected(tl_endpoint *end, uint64_t now_ms, tl_sink sink, void *context)
{
    end->rx.used = 0;
    end->rx.overrun = false;
    go_down(end, now_ms, sink, context);
    end->hello_due_ms = now_ms;
}

void tl_renew(tl_endpoint *end, uint32_t epoch, uint64_t now_ms)
{
    end->config.epoch = epoch;
    /* Under the old number a peer's HELLO would be mutual that was said before it heard of the new epoch. */
    end->config.boot ^= 0x80000000u;
    if (end->config.boot == 0) {
        end->config.boot = 1;
    }
    end->unproven = false;
    end->acknowledged = end->highest = 0;
    go_back(end);
    end->hello_due_ms = now_ms;
}

void tl_stored(tl_endpoint *end, uint32_t epoch, uint32_t sequence)
{
    if (epoch == end->resume_epoch && sequence <= end->delivered && sequence > end->resume_sequence) {
        end->resume_sequence = sequence;
        end->ack_due = true;
    }
}

void tl_not_stored(tl_endpoint *end)
{
    end->delivered = end->resume_sequence;
    end->gap_told = true;
}

static uint64_t distance(uint64_t a, uint64_t b) { return a > b ? a - b : b - a; }

static void round_trip(tl_endpoint *end, uint64_t rtt_ms)
{
    if (rtt_ms > RTO_MAX) {
        rtt_ms = RTO_MAX;
    }
    if (!end->rtt_known) {
        end->rtt_known = true;
        end->variation_x4_ms = rtt_ms * 2;
        end->rtt_ms = rtt_ms;
    } else {
        end->variation_x4_ms = end->variation_x4_ms - end->variation_x4_ms / 4 + distance(end->rtt_ms, rtt_ms);
        end->rtt_ms = end->rtt_ms - end->rtt_ms / 8 + rtt_ms / 8;
    }
    end->timeout_ms = end->rtt_ms + end->variation_x4_ms;
    end->timeout_ms = end->timeout_ms < RTO_MIN ? RTO_MIN : end->timeout_ms > RTO_MAX ? RTO_MAX : end->timeout_ms;
}

static void acknowledge(tl_endpoint *end, uint64_t now_ms, uint32_t sequence, tl_sink sink, void *context)
{
    uint64_t sent_ms = end->sent_ms[sequence % TL_WINDOW_MAX];
    if (sequence > end->highest) {
        end->stats.false_acks++;
        return;
    }
    if (sequence <= end->acknowledged) {
        return;
    }
    if (sent_ms != 0 && sequence < end->next) {
        round_trip(end, now_ms - sent_ms);
    }
    end->acknowledged = sequence;
    if (end->next < after(sequence)) {
        end->next = after(sequence);
    }
    end->timer_ms = after(sequence) < end->next ? now_ms + end->timeout_ms : TL_NEVER;
    emit(sink, context, (tl_event){.kind = TL_EV_ACKED, .sequence = sequence});
}

static uint32_t adopt(tl_endpoint *end, uint32_t epoch, uint32_t first)
{
    uint32_t before = first == 0 ? 0 : first - 1, lost = 0;
    if (end->resume_epoch != epoch) {
        end->resume_epoch = epoch;
        end->resume_sequence = end->delivered = 0;
    }
    if (before > end->resume_sequence) {
        lost = before - end->resume_sequence;
        end->resume_sequence = before;
    }
    /* What the caller was handed and is still storing was delivered. */
    if (end->delivered < end->resume_sequence) {
        end->delivered = end->resume_sequence;
    }
    end->gap_told = false;
    return lost;
}

enum { ACCEPTED = -1, OTHER_KEY = -2 };

/* The reason to refuse a HELLO (L-033, 8.4); *key is set to the one that it is proved with. */
static int refusal_of(const tl_endpoint *end, const uint8_t *p, size_t length, size_t *key)
{
    uint8_t proof[32];
    if (p[0] != 1) {
        return 1;
    }
    if (read_u32(p + 5) != TL_SCHEMA) {
        return 2;
    }
    if (p[2] != 1 - (int)end->config.role) {
        return 4;
    }
    if (read_u32(p + 9) != end->config.counter) {
        return 3;
    }
    if (((p[4] & SECURED) != 0) != secured(end)) {
        return 5;
    }
    if (!secured(end)) {
        return ACCEPTED;
    }
    if (length < SECURED_HELLO_BYTES) {
        return 5;
    }
    *key = p[37] == 0 ? 2 : p[37] == end->config.keys[0].id ? 0 : p[37] == end->config.keys[1].id ? 1 : 2;
    if (end->config.role == TL_ROLE_TILL && *key != 0) {
        return OTHER_KEY;
    }
    /* While up no other key than the session's (L-211). */
    if (*key > 1 || (end->up && *key != end->session.key)) {
        return 6;
    }
    prove(&end->config.keys[*key], p, length - PROOF_BYTES, proof);
    return equal(proof, p + length - PROOF_BYTES, PROOF_BYTES) ? ACCEPTED : 6;
}

/* 8.4 from the first row on: whether 6.4 goes on with this HELLO; *mutual is set. */
static bool secured_hello(tl_endpoint *end, uint64_t now_ms, const uint8_t *p, size_t key, bool *mutual, tl_sink sink,
                          void *context)
{
    tl_session *s = &end->session;
    bool same = end->peer_boot == read_u32(p + 13) && end->peer_epoch == read_u32(p + 21) &&
                memcmp(s->peer_nonce, p + 38, NONCE_BYTES) == 0;
    *mutual = *mutual && memcmp(s->nonce, p + 54, NONCE_BYTES) == 0;
    if (end->up && !*mutual) {
        say_hello(end, now_ms);
        return false;
    }
    if (end->up && same) {
        if (read_u32(p + 70) <= s->peer_count) {
            end->stats.replayed++;
            return false;
        }
    } else if (end->up) {
        go_down(end, now_ms, sink, context);
        *mutual = false;
    }
    s->key = key;
    memcpy(s->peer_nonce, p + 38, NONCE_BYTES);
    if (*mutual) {
        if (!end->up) {
            session_keys(end, p);
        }
        s->peer_count = read_u32(p + 70);
        end->heard_ms = now_ms;
    }
    return true;
}

static void hello(tl_endpoint *end, uint64_t now_ms, const uint8_t *p, size_t length, tl_sink sink, void *context)
{
    uint32_t boot = read_u32(p + 13), epoch = read_u32(p + 21), stored = read_u32(p + 33);
    bool mutual = read_u32(p + 17) == end->config.boot, fresh;
    size_t key = 0;
    int refusal = refusal_of(end, p, length, &key);
    if (refusal == OTHER_KEY) {
        say_hello(end, now_ms);
        return;
    }
    if (refusal >= 0 && secured(end) && end->up) {
        end->stats.bad_mac++;
        return;
    }
    if (refusal >= 0) {
        end->refuse = refusal;
        go_down(end, now_ms, sink, context);
        emit(sink, context, (tl_event){.kind = TL_EV_REFUSED, .reason = (uint8_t)refusal});
        return;
    }
    if (secured(end)) {
        if (!secured_hello(end, now_ms, p, key, &mutual, sink, context)) {
            return;
        }
    } else if (end->up && !(end->peer_boot == boot && end->peer_epoch == epoch && mutual)) {
        go_down(end, now_ms, sink, context);
    }
    end->has_peer = true;
    end->peer_boot = boot;
    end->peer_epoch = epoch;
    if (!(mutual && p[3] == 1 && end->up)) {
        end->hello_due_ms = now_ms;
    }
    if (!mutual) {
        return;
    }
    fresh = !end->up;
    if (read_u32(p + 29) != end->config.epoch) {
        stored = 0;
    }
    if (stored > end->highest && end->unproven) {
        /* Our disk has lost records that it had said were safe; their numbers may have been given anew. */
        emit(sink, context, (tl_event){.kind = TL_EV_LOG_LOST, .sequence = stored});
        return;
    }
    if (fresh) {
        end->unproven = false;
        uint32_t lost = adopt(end, epoch, read_u32(p + 25));
        end->up = true;
        end->stats.ups++;
        emit(sink, context, (tl_event){.kind = TL_EV_UP, .boot = boot, .minor = p[1], .lost = lost});
    }
    if (fresh || p[3] != 1) {
        if (stored < end->acknowledged) {
            end->acknowledged = stored;
        }
        go_back(end);
    }
    acknowledge(end, now_ms, stored, sink, context);
}

static void data(tl_endpoint *end, uint64_t now_ms, const uint8_t *p, size_t length, tl_sink sink, void *context)
{
    uint32_t epoch = read_u32(p), sequence = read_u32(p + 4);
    if (epoch != end->resume_epoch) {
        say_hello(end, now_ms);
    } else if (sequence <= end->delivered) {
        end->stats.duplicates++;
        end->ack_due = true;
    } else if (sequence == after(end->delivered)) {
        end->delivered = sequence;
        end->gap_told = false;
        emit(sink, context, (tl_event){.kind = TL_EV_DURABLE, .epoch = epoch, .sequence = sequence,
                                       .payload = p + 8, .length = length - 8});
    } else {
        end->stats.gaps++;
        end->gap_due = end->gap_due || !end->gap_told;
        end->gap_told = true;
    }
}

/* false when the payload has not the length that its kind demands. */
static bool frame(tl_endpoint *end, uint64_t now_ms, uint8_t kind, const uint8_t *p, size_t length, tl_sink sink,
                  void *context)
{
    switch (kind) {
    case TL_HELLO:
        if (length < HELLO_BYTES) {
            return false;
        }
        hello(end, now_ms, p, length, sink, context);
        return true;
    case TL_REFUSE:
        if (length != 1) {
            return false;
        }
        if (secured(end) && end->up) {
            end->stats.bad_mac++;
            return true;
        }
        if (!secured(end)) {
            go_down(end, now_ms, sink, context);
        }
        emit(sink, context, (tl_event){.kind = TL_EV_REFUSED, .reason = p[0] > 6 ? 0 : p[0]});
        return true;
    case TL_HEARTBEAT:
        if (length != 4) {
            return false;
        }
        if (!end->up || end->peer_boot != read_u32(p)) {
            say_hello(end, now_ms);
        }
        return true;
    default:
        break;
    }
    if (!end->up) {
        say_hello(end, now_ms);
        return true;
    }
    if (length > TL_PAYLOAD_MAX + (kind == TL_DATA ? 8u : 0u)) {
        return false;
    }
    if (kind == TL_EVENT) {
        emit(sink, context, (tl_event){.kind = TL_EV_VOLATILE, .payload = p, .length = length});
        return true;
    }
    if (length < 8 || (kind != TL_DATA && length != 8)) {
        return false;
    }
    if (kind == TL_DATA) {
        data(end, now_ms, p, length, sink, context);
    } else if (read_u32(p) == end->config.epoch) {
        acknowledge(end, now_ms, read_u32(p + 4), sink, context);
        if (kind == TL_GAP) {
            go_back(end);
        }
    }
    return true;
}

/* A whole frame at a secured end: nothing but HELLO and REFUSE is looked at before its MAC (8.4, 8.5). */
static bool secured_frame(tl_endpoint *end, uint64_t now_ms, size_t length, tl_sink sink, void *context)
{
    const uint8_t *bytes = end->rx.bytes;
    uint8_t kind = bytes[0] & 0x7Fu;
    if (bytes[0] == TL_HELLO || bytes[0] == TL_REFUSE) {
        return frame(end, now_ms, bytes[0], bytes + 1, length, sink, context);
    }
    if ((bytes[0] & TL_SEALED) == 0) {
        end->stats.bad_mac++;
        if (!end->up) {
            say_hello(end, now_ms);
        }
        return true;
    }
    if (!end->up) {
        say_hello(end, now_ms);
        return true;
    }
    switch (tl_open(end->session.from_peer, &end->session.received, bytes, &length)) {
    case TL_BAD_MAC: end->stats.bad_mac++; return true;
    case TL_REPLAYED: end->stats.replayed++; return true;
    case TL_OPENED: break;
    }
    end->heard_ms = now_ms;
    return frame(end, now_ms, kind, bytes + 1, length, sink, context);
}

static bool is_sealed(uint8_t kind) { return kind >= (TL_SEALED | TL_DATA) && kind <= (TL_SEALED | TL_HEARTBEAT); }

void tl_receive(tl_endpoint *end, uint64_t now_ms, const uint8_t *bytes, size_t length, tl_sink sink, void *context)
{
    end->stats.bytes_in += length;
    for (size_t i = 0; i < length; i++) {
        size_t payload = 0;
        tl_received received = tl_accumulate(&end->rx, bytes[i], &payload);
        if (secured(end) && (received == TL_FRAME || (received == TL_UNKNOWN_KIND && is_sealed(end->rx.bytes[0])))) {
            end->stats.frames_in++;
            end->stats.malformed += !secured_frame(end, now_ms, payload, sink, context);
            continue;
        }
        switch (received) {
        case TL_NOTHING: break;
        case TL_TOO_LONG: end->stats.too_long++; break;
        case TL_BAD_COBS: end->stats.bad_cobs++; break;
        case TL_BAD_CRC: end->stats.bad_crc++; break;
        case TL_UNKNOWN_KIND: end->stats.malformed++; break;
        case TL_FRAME:
            end->stats.frames_in++;
            end->heard_ms = now_ms;
            if (!frame(end, now_ms, end->rx.bytes[0], end->rx.bytes + 1, payload, sink, context)) {
                end->stats.malformed++;
            }
            break;
        }
    }
}

/* A frame, sealed where the end is secured. */
static size_t any_frame(tl_endpoint *end, uint8_t kind, const uint8_t *head, size_t head_length, const uint8_t *body,
                        size_t length, uint8_t *wire)
{
    if (!secured(end)) {
        return tl_frame_encode(kind, head, head_length, body, length, wire, TL_WIRE_MAX);
    }
    return tl_seal(end->session.to_peer, ++end->session.sent, kind, head, head_length, body, length, wire, TL_WIRE_MAX);
}

static size_t pair_frame(tl_endpoint *end, uint8_t kind, uint32_t a, uint32_t b, const uint8_t *body, size_t length,
                         uint8_t *wire)
{
    uint8_t head[8];
    write_u32(head, a);
    write_u32(head + 4, b);
    return any_frame(end, kind, head, 8, body, length, wire);
}

static size_t hello_frame(tl_endpoint *end, const tl_source *source, uint8_t *wire)
{
    uint8_t p[SECURED_HELLO_BYTES] = {1, 0, (uint8_t)end->config.role, end->up ? 1 : 0, secured(end) ? SECURED : 0};
    uint8_t proof[32];
    tl_session *s = &end->session;
    const uint32_t words[8] = {TL_SCHEMA, end->config.counter, end->config.boot, end->has_peer ? end->peer_boot : 0,
                               end->config.epoch, source->first(source->context), end->resume_epoch,
                               end->resume_sequence};
    for (size_t i = 0; i < 8; i++) {
        write_u32(p + 5 + 4 * i, words[i]);
    }
    if (!secured(end)) {
        return tl_frame_encode(TL_HELLO, p, HELLO_BYTES, NULL, 0, wire, TL_WIRE_MAX);
    }
    p[37] = end->config.keys[s->key].id;
    memcpy(p + 38, s->nonce, NONCE_BYTES);
    if (end->has_peer) {
        memcpy(p + 54, s->peer_nonce, NONCE_BYTES);
    }
    write_u32(p + 70, ++s->count);
    prove(&end->config.keys[s->key], p, SECURED_HELLO_BYTES - PROOF_BYTES, proof);
    memcpy(p + SECURED_HELLO_BYTES - PROOF_BYTES, proof, PROOF_BYTES);
    return tl_frame_encode(TL_HELLO, p, sizeof p, NULL, 0, wire, TL_WIRE_MAX);
}

static size_t data_frame(tl_endpoint *end, uint64_t now_ms, const tl_source *source, uint8_t *wire)
{
    uint32_t first = source->first(source->context);
    uint32_t sequence = end->next > first ? end->next : first;
    uint32_t base = first == 0 ? 0 : first - 1;
    bool again;
    int length;
    base = base > end->acknowledged ? base : end->acknowledged;
    /* The last number of all has none after it to go on with: it is never sent. */
    if (sequence == UINT32_MAX || sequence > source->last(source->context) || sequence - base > end->config.window) {
        return 0;
    }
    length = source->durable(source->context, sequence, end->scratch, TL_PAYLOAD_MAX);
    if (length < 0 || (size_t)length > TL_PAYLOAD_MAX) {
        return 0;
    }
    again = sequence <= end->highest;
    end->stats.retransmits += again;
    end->sent_ms[sequence % TL_WINDOW_MAX] = again ? 0 : now_ms;
    end->highest = again ? end->highest : sequence;
    end->next = after(sequence);
    if (end->timer_ms == TL_NEVER) {
        end->timer_ms = now_ms + end->timeout_ms;
    }
    return pair_frame(end, TL_DATA, end->config.epoch, sequence, end->scratch, (size_t)length, wire);
}

static size_t next_frame(tl_endpoint *end, uint64_t now_ms, const tl_source *source, uint8_t *wire)
{
    uint8_t boot[4];
    size_t length;
    int event;
    if (end->refuse >= 0) {
        uint8_t reason = (uint8_t)end->refuse;
        end->refuse = -1;
        return tl_frame_encode(TL_REFUSE, &reason, 1, NULL, 0, wire, TL_WIRE_MAX);
    }
    if (now_ms >= end->hello_due_ms) {
        end->hello_due_ms = end->up ? TL_NEVER : now_ms + TL_HELLO_MS;
        return hello_frame(end, source, wire);
    }
    if (!end->up) {
        return 0;
    }
    if (end->gap_due || end->ack_due) {
        uint8_t kind = end->gap_due ? TL_GAP : TL_ACK;
        end->gap_due = end->ack_due = false;
        return pair_frame(end, kind, end->resume_epoch, end->resume_sequence, NULL, 0, wire);
    }
    if (now_ms >= end->timer_ms) {
        end->timeout_ms = end->timeout_ms * 2 > RTO_MAX ? RTO_MAX : end->timeout_ms * 2;
        go_back(end);
    }
    if (end->event_last) {
        end->event_last = false;
        length = data_frame(end, now_ms, source, wire);
        if (length != 0) {
            return length;
        }
    }
    event = source->pending(source->context, end->scratch, TL_PAYLOAD_MAX);
    if (event >= 0 && (size_t)event <= TL_PAYLOAD_MAX) {
        end->event_last = true;
        return any_frame(end, TL_EVENT, end->scratch, (size_t)event, NULL, 0, wire);
    }
    length = data_frame(end, now_ms, source, wire);
    if (length == 0 && now_ms - end->spoke_ms >= TL_HEARTBEAT_MS) {
        write_u32(boot, end->config.boot);
        length = any_frame(end, TL_HEARTBEAT, boot, 4, NULL, 0, wire);
    }
    return length;
}

size_t tl_poll(tl_endpoint *end, uint64_t now_ms, const tl_source *source, uint8_t wire[TL_WIRE_MAX], tl_sink sink,
               void *context)
{
    size_t length;
    if (end->up && (now_ms - end->heard_ms >= TL_LOST_MS || end->session.sent == UINT32_MAX)) {
        go_down(end, now_ms, sink, context);
    }
    length = next_frame(end, now_ms, source, wire);
    if (length != 0) {
        end->spoke_ms = now_ms;
        end->stats.frames_out++;
        end->stats.bytes_out += length;
    }
    return length;
}

uint64_t tl_deadline(const tl_endpoint *end)
{
    uint64_t due = end->hello_due_ms;
    if (end->up) {
        uint64_t beat = end->spoke_ms + TL_HEARTBEAT_MS, lost = end->heard_ms + TL_LOST_MS;
        due = beat < due ? beat : due;
        due = lost < due ? lost : due;
        due = end->timer_ms < due ? end->timer_ms : due;
    }
    return due;
}

/* ---- POS ---- */

enum { BODY_AT = 12, FIELDS_AT = 13 };

static bool same_sale(tl_sale a, tl_sale b)
{
    return a.counter == b.counter && a.epoch == b.epoch && a.session == b.session;
}

/* Reads the record at `at` into the endpoint's scratch; its length, 0 if there is no whole one. */
static size_t record_at(tl_pos *pos, uint64_t at)
{
    uint8_t *r = pos->end.scratch;
    uint32_t length;
    if (pos->disk.read(pos->disk.context, at, r, BODY_AT) != BODY_AT || tl_crc32c(0, r, 8) != read_u32(r + 8)) {
        return 0;
    }
    length = read_u32(r);
    if (length < TL_RECORD_HEAD - BODY_AT || length > sizeof pos->end.scratch - BODY_AT ||
        pos->disk.read(pos->disk.context, at + BODY_AT, r + BODY_AT, length) != length ||
        tl_crc32c(0, r + BODY_AT, length) != read_u32(r + 4)) {
        return 0;
    }
    return BODY_AT + length;
}

/* Whether the record in scratch, `length` long, has a message of ours. */
static bool is_ours(const tl_pos *pos, size_t length)
{
    uint8_t letter = pos->end.scratch[BODY_AT];
    return letter == 'O' || (letter == 'E' && length > TL_RECORD_HEAD);
}

/* Decodes the record in scratch, `length` long, into pos->message. */
static bool read_message(tl_pos *pos, size_t length)
{
    const uint8_t *r = pos->end.scratch;
    return tl_decode(r[BODY_AT] != 'I', r + TL_RECORD_HEAD, length - TL_RECORD_HEAD, &pos->message) == TL_OK;
}

/* What pos->message changes about its sale; `what` is set when that is something to be done. */
static void settle(tl_pos *pos, tl_sale_state *state, tl_pos_event *what)
{
    tl_message *m = &pos->message;
    switch (m->kind) {
    case TL_PAID:
        state->paid = true;
        state->paid_minor = m->amount_minor;
        state->paid_revision = m->revision;
        break;
    case TL_CANCEL:
        state->promised = true;
        break;
    case TL_QUERY_OUTCOME:
        state->asked = true;
        state->asked_revision = m->revision;
        break;
    case TL_OUTCOME_IS:
        state->asked = false;
        state->promised = state->promised || m->outcome == TL_OUTCOME_NONE;
        break;
    case TL_CLOSED:
        if (!state->over) {
            state->over = true;
            *what = m->outcome == TL_OUTCOME_PAID ? TL_POS_BOOK : state->paid ? TL_POS_GIVE_BACK : TL_POS_CLOSED;
            m->amount_minor = state->paid_minor;
            /* Money to be given back pays nothing, also where the till has lost this end and asks (L-087). */
            state->paid = state->paid && m->outcome == TL_OUTCOME_PAID;
        }
        break;
    default:
        break;
    }
}

/* The state of a sale: from memory, else from the journal before `until`, which overwrites scratch and message. */
static tl_sale_state *find(tl_pos *pos, tl_sale sale, uint64_t until)
{
    tl_sale_state *state;
    tl_pos_event ignored;
    size_t length, tries = 0;
    for (size_t i = 0; i < TL_SALES_MAX; i++) {
        if (same_sale(pos->sales[i].sale, sale)) {
            return &pos->sales[i];
        }
    }
    /* A question that is still open keeps its place. */
    do {
        state = &pos->sales[pos->next_sale];
        pos->next_sale = (pos->next_sale + 1) % TL_SALES_MAX;
    } while (state->asked && ++tries < TL_SALES_MAX);
    memset(state, 0, sizeof *state);
    state->sale = sale;
    if (sale.counter == pos->newest.counter && sale.epoch == pos->newest.epoch && sale.session > pos->newest.session) {
        return state;
    }
    for (uint64_t at = 0; at < until && (length = record_at(pos, at)) != 0; at += length) {
        if ((pos->end.scratch[BODY_AT] == 'I' || is_ours(pos, length)) && read_message(pos, length) && sale_of(pos->message.kind) > 0 &&
            same_sale(pos->message.sale, sale)) {
            settle(pos, state, &ignored);
        }
    }
    return state;
}

static void tell(tl_pos *pos, tl_pos_event event, const tl_message *message, uint32_t number)
{
    if (pos->sink != NULL) {
        pos->sink(pos->context, event, message, number);
    }
}

/* What the record at `at`, now in scratch, means: the same for a new one and for one that is read at the start. */
static void apply(tl_pos *pos, uint64_t at, size_t length)
{
    const uint8_t *r = pos->end.scratch;
    uint32_t epoch = read_u32(r + FIELDS_AT), sequence = read_u32(r + FIELDS_AT + 4);
    tl_pos_event what = TL_POS_SAID;
    tl_message *m = &pos->message;
    tl_sale sale;
    bool ours = is_ours(pos, length);
    if (r[BODY_AT] == 'E') {
        pos->epoch = epoch;
        pos->last = 0;
    }
    if (ours) {
        pos->last = sequence;
        pos->ours[sequence % TL_OURS_MAX] = at;
    } else if (r[BODY_AT] == 'I') {
        pos->resume_epoch = epoch;
        pos->resume_sequence = sequence;
    } else {
        return;
    }
    if (!read_message(pos, length)) {
        tell(pos, TL_POS_UNREADABLE, NULL, 0);
        return;
    }
    if (sale_of(m->kind) <= 0) {
        return; /* Acknowledge: nothing follows from it here */
    }
    sale = m->sale;
    {
        tl_sale_state *state = find(pos, sale, at);
        /* The look into the journal may have gone over it. */
        length = record_at(pos, at);
        if (length == 0 || !read_message(pos, length)) {
            return;
        }
        settle(pos, state, &what);
    }
    if (sale.counter != pos->newest.counter || sale.epoch != pos->newest.epoch || sale.session > pos->newest.session) {
        pos->newest = sale;
    }
    if (m->kind == TL_OFFER) {
        pos->offered = tl_cart_adds_up(&m->cart); /* L-025 */
        pos->offer = sale;
        pos->offer_revision = m->revision;
        pos->offer_minor = m->cart.total_minor;
    } else if (m->kind == TL_WITHDRAWN && same_sale(sale, pos->offer) && m->revision == pos->offer_revision) {
        pos->offered = false;
    }
    if (!ours && (what != TL_POS_SAID || pos->open)) {
        tell(pos, what, m, 0);
    }
}

/* One record; the message may stand in scratch already. Storing it and knowing it are one act (L-062). */
static bool append(tl_pos *pos, uint8_t letter, uint32_t epoch, uint32_t sequence, const uint8_t *message,
                   size_t length)
{
    uint8_t *r = pos->end.scratch;
    uint64_t at = pos->journal_bytes;
    size_t body = TL_RECORD_HEAD - BODY_AT + length;
    memmove(r + TL_RECORD_HEAD, message, length);
    r[BODY_AT] = letter;
    write_u32(r + FIELDS_AT, epoch);
    write_u32(r + FIELDS_AT + 4, sequence);
    write_u32(r, (uint32_t)body);
    write_u32(r + 4, tl_crc32c(0, r + BODY_AT, body));
    write_u32(r + 8, tl_crc32c(0, r, 8));
    if (!pos->disk.write(pos->disk.context, at, r, BODY_AT + body)) {
        (void)pos->disk.cut(pos->disk.context, at);
        tell(pos, TL_POS_NO_DISK, NULL, 0);
        return false;
    }
    pos->journal_bytes = at + BODY_AT + body;
    apply(pos, at, BODY_AT + body);
    return true;
}

/* Nothing is said before the link was up: the journal may lack records (L-098). */
static bool room(const tl_pos *pos)
{
    return pos->proven && pos->last < UINT32_MAX - 1 && pos->last - pos->end.acknowledged < TL_OURS_MAX;
}

/* Stores pos->message as our next one; the endpoint sends it from there (L-080). */
static bool submit(tl_pos *pos)
{
    uint8_t *to = pos->end.scratch + TL_RECORD_HEAD;
    size_t length;
    if (!room(pos)) {
        return false;
    }
    length = tl_encode(&pos->message, to, TL_PAYLOAD_MAX);
    return length != 0 && append(pos, 'O', pos->epoch, pos->last + 1, to, length);
}

/* 7.1; part 0 of version 0 without prices: this POS gives none. */
static void answer_prices(tl_pos *pos)
{
    tl_message *m = &pos->message;
    uint32_t version = m->cart.catalogue_version;
    uint16_t number = m->part;
    memset(m, 0, sizeof *m);
    if (pos->prices == NULL || !pos->prices(pos->context, version, number, m)) {
        memset(m, 0, sizeof *m);
        memcpy(m->cart.currency, "XXX", 4);
    }
    m->kind = TL_PRICES;
    (void)tl_pos_say(pos, m);
}

/* Whether the last offer may be paid, but for what the disk may have lost. */
static bool standing(tl_pos *pos)
{
    const tl_sale_state *state;
    if (!pos->offered) {
        return false;
    }
    state = find(pos, pos->offer, pos->journal_bytes);
    return !state->paid && !state->over && !state->promised && !state->asked;
}

/* The till has more of our log than we have, perhaps the payment for the offer that stands: no money is taken for it
 * any more (L-098). Both in one record. Told again with each HELLO until it is stored. */
static void renew(tl_pos *pos, uint32_t stored)
{
    uint8_t *to = pos->end.scratch + TL_RECORD_HEAD;
    uint32_t epoch = pos->new_epoch, lost = stored - pos->last;
    size_t length = 0;
    if (standing(pos)) {
        pos->message.kind = TL_OUTCOME_IS;
        pos->message.sale = pos->offer;
        pos->message.outcome = TL_OUTCOME_NONE;
        length = tl_encode(&pos->message, to, TL_PAYLOAD_MAX);
    }
    if (append(pos, 'E', epoch, length != 0, to, length)) {
        tl_renew(&pos->end, epoch, pos->now_ms);
        tell(pos, TL_POS_RENEWED, NULL, lost);
    }
}

static void on_event(void *context, const tl_event *e)
{
    tl_pos *pos = context;
    switch (e->kind) {
    case TL_EV_DURABLE:
        if (append(pos, 'I', e->epoch, e->sequence, e->payload, e->length)) {
            tl_stored(&pos->end, e->epoch, e->sequence);
        } else {
            tl_not_stored(&pos->end);
        }
        break;
    case TL_EV_VOLATILE:
        if (tl_decode(false, e->payload, e->length, &pos->message) == TL_OK) {
            tell(pos, TL_POS_SAID, &pos->message, 0);
            if (pos->message.kind == TL_QUERY_PRICES) {
                answer_prices(pos);
            }
        } else {
            tell(pos, TL_POS_UNREADABLE, NULL, 0);
        }
        break;
    case TL_EV_LOG_LOST: renew(pos, e->sequence); break;
    case TL_EV_UP:
        pos->proven = true;
        tell(pos, TL_POS_UP, NULL, 0);
        if (e->lost != 0) {
            tell(pos, TL_POS_LOST, NULL, e->lost);
        }
        break;
    case TL_EV_DOWN: tell(pos, TL_POS_DOWN, NULL, 0); break;
    case TL_EV_REFUSED: tell(pos, TL_POS_REFUSED, NULL, e->reason); break;
    case TL_EV_ACKED: break;
    }
}

/* What the till has is below; the ring holds the rest. */
static uint32_t oldest_kept(const tl_pos *pos) { return pos->last > TL_OURS_MAX ? pos->last - TL_OURS_MAX : 0; }

static uint32_t pos_first(void *context) { return oldest_kept(context) + 1; }
static uint32_t pos_last(void *context) { return ((const tl_pos *)context)->last; }

static int pos_durable(void *context, uint32_t sequence, uint8_t *buffer, size_t capacity)
{
    tl_pos *pos = context;
    size_t length = record_at(pos, pos->ours[sequence % TL_OURS_MAX]);
    if (length == 0 || length - TL_RECORD_HEAD > capacity) {
        return -1;
    }
    memmove(buffer, pos->end.scratch + TL_RECORD_HEAD, length - TL_RECORD_HEAD);
    return (int)(length - TL_RECORD_HEAD);
}

static int pos_pending(void *context, uint8_t *buffer, size_t capacity)
{
    tl_pos *pos = context;
    size_t length = pos->event_length;
    if (length == 0 || length > capacity) {
        return -1;
    }
    memcpy(buffer, pos->event, length);
    pos->event_length = 0;
    return (int)length;
}

bool tl_pos_open(tl_pos *pos, const tl_config *config, const tl_disk *disk, tl_pos_sink sink, void *context,
                 uint64_t now_ms)
{
    tl_config own = *config;
    size_t length;
    memset(pos, 0, sizeof *pos);
    pos->disk = *disk;
    pos->sink = sink;
    pos->context = context;
    pos->new_epoch = config->epoch == 0 ? 1 : config->epoch;
    while ((length = record_at(pos, pos->journal_bytes)) != 0) {
        apply(pos, pos->journal_bytes, length);
        pos->journal_bytes += length;
    }
    /* Behind a torn tail stands nothing; a whole record behind it means that the middle is damaged. */
    for (uint64_t at = pos->journal_bytes + 1; at <= pos->journal_bytes + sizeof pos->end.scratch; at++) {
        if (record_at(pos, at) != 0) {
            return false;
        }
    }
    if (!disk->cut(disk->context, pos->journal_bytes) ||
        (pos->epoch == 0 && !append(pos, 'E', pos->new_epoch, 0, (const uint8_t *)"", 0))) {
        return false;
    }
    own.role = TL_ROLE_POS;
    own.epoch = pos->epoch;
    tl_init(&pos->end, &own, pos->resume_epoch, pos->resume_sequence, oldest_kept(pos), pos->last, now_ms);
    pos->open = pos->fresh_line = true;
    return true;
}

void tl_pos_receive(tl_pos *pos, uint64_t now_ms, const uint8_t *bytes, size_t length)
{
    pos->now_ms = now_ms;
    tl_receive(&pos->end, now_ms, bytes, length, on_event, pos);
}

void tl_pos_reconnected(tl_pos *pos, uint64_t now_ms)
{
    pos->fresh_line = true;
    tl_reconnected(&pos->end, now_ms, on_event, pos);
}

size_t tl_pos_poll(tl_pos *pos, uint64_t now_ms, uint8_t wire[TL_WIRE_MAX])
{
    const tl_source source = {pos, pos_first, pos_last, pos_durable, pos_pending};
    if (pos->fresh_line) {
        pos->fresh_line = false;
        wire[0] = 0;
        return 1;
    }
    for (size_t i = 0; i < TL_SALES_MAX; i++) {
        if (pos->sales[i].asked) {
            pos->message.kind = TL_OUTCOME_IS;
            pos->message.sale = pos->sales[i].sale;
            pos->message.outcome = pos->sales[i].paid && pos->sales[i].paid_revision == pos->sales[i].asked_revision
                                       ? TL_OUTCOME_PAID
                                       : TL_OUTCOME_NONE;
            (void)submit(pos);
        }
    }
    return tl_poll(&pos->end, now_ms, &source, wire, on_event, pos);
}

bool tl_pos_payable(tl_pos *pos, tl_sale *sale, int64_t *amount_minor)
{
    if (!pos->offered || !room(pos)) {
        return false;
    }
    if (sale != NULL) {
        *sale = pos->offer;
    }
    if (amount_minor != NULL) {
        *amount_minor = pos->offer_minor;
    }
    return standing(pos);
}

bool tl_pos_pay(tl_pos *pos, uint8_t tender)
{
    if (!tl_pos_payable(pos, NULL, NULL)) {
        return false;
    }
    pos->message.kind = TL_PAID;
    pos->message.sale = pos->offer;
    pos->message.revision = pos->offer_revision;
    pos->message.tender = tender;
    pos->message.amount_minor = pos->offer_minor;
    return submit(pos);
}

bool tl_pos_cancel(tl_pos *pos)
{
    if (!tl_pos_payable(pos, NULL, NULL)) {
        return false;
    }
    pos->message.kind = TL_CANCEL;
    pos->message.sale = pos->offer;
    return submit(pos);
}

bool tl_pos_acknowledge(tl_pos *pos, const tl_sale *sale, uint8_t reason)
{
    pos->message.kind = TL_ACKNOWLEDGE;
    pos->message.has_sale = sale != NULL;
    if (sale != NULL) {
        pos->message.sale = *sale;
    }
    pos->message.reason = reason;
    return submit(pos);
}

bool tl_pos_override(tl_pos *pos, tl_sale sale, uint8_t reason)
{
    pos->message.kind = TL_OVERRIDE;
    pos->message.sale = sale;
    pos->message.reason = reason;
    return submit(pos);
}

bool tl_pos_say(tl_pos *pos, tl_message *message)
{
    pos->event_length = tl_encode(message, pos->event, sizeof pos->event);
    return pos->event_length != 0;
}
