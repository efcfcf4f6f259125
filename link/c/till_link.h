/* The POS end (and the till end) of the till link, version 1.0, in C99: no malloc, no clock, no port, no file.
 * SPEC.md is the normative text; comments name its sections. Bytes and milliseconds go in, frames and
 * events come out. A POS is best built upon tl_pos at the end of this file (example_pos.c is one), which keeps
 * the journal and the rules of money; tl_endpoint is what lies under it. Memory: sizeof(tl_pos), which
 * contains a tl_endpoint, plus the caller's buffer for the frame that is leaving; test.sh prints them. */
#ifndef TILL_LINK_H
#define TILL_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* May be set smaller by an end that knows that its till's carts are small; longer frames are dropped then. */
#ifndef TL_PAYLOAD_MAX
#define TL_PAYLOAD_MAX 2564u
#endif
#define TL_FRAME_MAX (TL_PAYLOAD_MAX + 25u)
#define TL_WIRE_MAX (TL_FRAME_MAX + (TL_FRAME_MAX + 253u) / 254u + 1u)
#define TL_LINES_MAX 24u
#define TL_PRICES_MAX 16u
#define TL_JPEG_MAX 512u
#ifndef TL_WINDOW_MAX
#define TL_WINDOW_MAX 16u
#endif
#define TL_RECORD_HEAD 21u /* of a journal's record, before its message */
#define TL_HEARTBEAT_MS 1000u
#define TL_LOST_MS 3000u
#define TL_HELLO_MS 500u
#define TL_NEVER UINT64_MAX
#define TL_SCHEMA 0xAD3BBC4Bu

/* ---- frames (3) ---- */

typedef enum { TL_HELLO = 1, TL_DATA, TL_ACK, TL_GAP, TL_EVENT, TL_HEARTBEAT, TL_REFUSE, TL_SEALED = 0x80 } tl_kind;

typedef enum { TL_NOTHING, TL_FRAME, TL_TOO_LONG, TL_BAD_COBS, TL_BAD_CRC, TL_UNKNOWN_KIND } tl_received;

typedef struct {
    uint8_t bytes[TL_WIRE_MAX];
    size_t used;
    bool overrun;
} tl_accumulator;

/* CRC-32C; 0xE3069283 over "123456789". Start with crc = 0; feed it the last result to go on. */
uint32_t tl_crc32c(uint32_t crc, const uint8_t *bytes, size_t length);

/* Writes one frame with its delimiter: head and body are sent one after the other. Returns its length, 0
 * when it does not fit. */
size_t tl_frame_encode(uint8_t kind, const uint8_t *head, size_t head_length, const uint8_t *body,
                       size_t body_length, uint8_t *wire, size_t capacity);

/* Takes one byte. On TL_FRAME and TL_UNKNOWN_KIND the frame stands in acc->bytes: [0] is the kind, the
 * payload follows; *length is that of the payload. It is valid until the next call. */
tl_received tl_accumulate(tl_accumulator *acc, uint8_t byte, size_t *length);

/* ---- security (8) ---- */

/* A key and its number, 1 to 255; 0 is none. */
typedef struct { uint8_t id, secret[32]; } tl_key;

/* Reads "ID:HEX"; what follows the 64 digits is not looked at. */
bool tl_key_read(const char *text, tl_key *key);

/* Reads the text of a key file (8.2): the key, and that of a rotation if there is a second one. False: it has no key,
 * more than two, or a line that is neither key nor comment. */
bool tl_keys_read(const char *text, tl_key keys[2]);

void tl_sha256(const uint8_t *bytes, size_t length, uint8_t digest[32]);

/* HMAC-SHA-256; the key has at most 64 bytes. */
void tl_hmac(const uint8_t *key, size_t key_length, const uint8_t *bytes, size_t length, uint8_t mac[32]);

/* As tl_frame_encode, sealed with the key of this direction: kind has no bit TL_SEALED here, but on the wire. */
size_t tl_seal(const uint8_t key[32], uint32_t counter, uint8_t kind, const uint8_t *head, size_t head_length,
               const uint8_t *body, size_t body_length, uint8_t *wire, size_t capacity);

typedef enum { TL_OPENED, TL_BAD_MAC, TL_REPLAYED } tl_opened;

/* Opens a sealed frame as tl_accumulate left it: [0] is the kind. TL_OPENED: *length becomes that of the payload
 * as of 6.1, and *received the frame's counter. */
tl_opened tl_open(const uint8_t key[32], uint32_t *received, const uint8_t *frame, size_t *length);

/* ---- messages (4, 5) ---- */

typedef struct { uint32_t counter, epoch, session; } tl_sale;

typedef struct {
    char sku[33];
    char name[49];
    int64_t unit_minor;
    uint16_t quantity, votes, frames, score_permille;
    bool mass_agrees;
} tl_line;

typedef struct {
    tl_line lines[TL_LINES_MAX];
    size_t count;
    int64_t total_minor;
    char currency[4];
    uint32_t catalogue_version;
    int32_t mass_g;
} tl_cart;

/* The number on the wire, plus 100 for messages to the till. */
typedef enum {
    TL_SESSION_OPENED, TL_CART_CHANGED, TL_OFFER, TL_WITHDRAWN, TL_CLOSED, TL_QUERY_OUTCOME, TL_ATTENTION,
    TL_MEMBER, TL_STATE, TL_CLOCK, TL_QUERY_PRICES, TL_PRICE, TL_THUMBNAIL, TL_GUIDE,
    TL_PAID = 100, TL_CANCEL, TL_OUTCOME_IS, TL_OVERRIDE, TL_LANGUAGE, TL_ACKNOWLEDGE, TL_QUERY_PRICE, TL_PRICES,
    TL_RECOGNISE, TL_ENROL
} tl_message_kind;

#define TL_OUTCOME_NONE 0xFFu
enum { TL_OUTCOME_PAID, TL_OUTCOME_CANCELLED, TL_OUTCOME_ABANDONED };
#define TL_PRECISION_NONE 0xFFu
enum { TL_PRECISION_FP32, TL_PRECISION_FP16, TL_PRECISION_INT8 };
enum { TL_TENDER_CASH, TL_TENDER_CARD, TL_TENDER_MEMBER, TL_TENDER_OTHER };

/* Any message; only the fields that its kind has are meaningful. Enums are their numbers on the wire. */
typedef struct {
    tl_message_kind kind;
    bool has_sale; /* TL_ATTENTION, TL_ACKNOWLEDGE, TL_GUIDE: whether there is a session */
    tl_sale sale;
    uint16_t revision;
    uint8_t outcome; /* TL_OUTCOME_IS: TL_OUTCOME_NONE for none */
    uint8_t precision; /* TL_STATE: TL_PRECISION_NONE for none */
    uint8_t reason, phase, rung, tender, hint, step, steps;
    bool flag; /* TL_ATTENTION, TL_RECOGNISE, TL_ENROL: on; TL_CLOCK: trusted; TL_PRICE: sold here, for amount_minor */
    uint16_t part, parts; /* TL_QUERY_PRICES, TL_PRICES, TL_THUMBNAIL */
    uint16_t score_permille;
    int64_t amount_minor;
    uint64_t unix_s;
    char text[65]; /* TL_MEMBER, TL_ENROL: who; TL_STATE: reason; TL_QUERY_PRICE, TL_PRICE: SKU */
    char language[3], consent[33];
    uint8_t jpeg[TL_JPEG_MAX];
    size_t jpeg_length;
    /* TL_QUERY_PRICES, TL_PRICE, TL_PRICES: the version is cart.catalogue_version, the currency cart.currency; of
     * TL_PRICES up to TL_PRICES_MAX lines have an SKU and a unit price. */
    tl_cart cart;
} tl_message;

typedef enum {
    TL_OK, TL_TRUNCATED, TL_TRAILING, TL_UNKNOWN_VARIANT, TL_BAD_BOOL, TL_BAD_OPTION, TL_BAD_VARINT,
    TL_BAD_UTF8, TL_TEXT_TOO_LONG
} tl_error;

/* Decodes exactly one message; `to_till` says which table of section 5 holds. Texts end with a zero here
 * (a text with a zero inside is cut there). */
tl_error tl_decode(bool to_till, const uint8_t *bytes, size_t length, tl_message *message);

/* Returns the length, 0 when it does not fit the buffer or an enum or list its limit. The message is not
 * changed if it succeeds. Texts MUST end within their arrays. */
size_t tl_encode(tl_message *message, uint8_t *bytes, size_t capacity);

bool tl_durable(tl_message_kind kind);

/* Whether the total is the sum over the lines (L-025). */
bool tl_cart_adds_up(const tl_cart *cart);

/* ---- endpoint (6) ---- */

typedef enum { TL_ROLE_TILL, TL_ROLE_POS } tl_role;

typedef struct {
    tl_role role;
    uint32_t counter, epoch, boot, window;
    /* Secured if the first key has a number. A POS may hold two and follows its till (8.7). */
    tl_key keys[2];
    uint8_t seed[32]; /* secured: random at each start; nonces are made from it (L-203) */
} tl_config;

/* Where an endpoint takes what it sends. durable and pending return a length, or -1 for none. */
typedef struct {
    void *context;
    uint32_t (*first)(void *context);
    uint32_t (*last)(void *context);
    int (*durable)(void *context, uint32_t sequence, uint8_t *buffer, size_t capacity);
    int (*pending)(void *context, uint8_t *buffer, size_t capacity);
} tl_source;

typedef enum { TL_EV_DURABLE, TL_EV_VOLATILE, TL_EV_ACKED, TL_EV_UP, TL_EV_DOWN, TL_EV_REFUSED, TL_EV_LOG_LOST } tl_event_kind;

typedef struct {
    tl_event_kind kind;
    uint32_t epoch, sequence; /* DURABLE, ACKED, LOG_LOST (see tl_renew) */
    uint32_t boot, lost;      /* UP */
    uint8_t minor, reason;    /* UP, REFUSED */
    const uint8_t *payload;   /* DURABLE, VOLATILE; valid during the call */
    size_t length;
} tl_event;

typedef void (*tl_sink)(void *context, const tl_event *event);

typedef struct {
    uint64_t bytes_in, bytes_out, frames_in, frames_out, too_long, bad_cobs, bad_crc, malformed, duplicates,
        retransmits, gaps, false_acks, ups, bad_mac, replayed;
} tl_stats;

typedef struct {
    size_t key;
    uint8_t nonce[16], peer_nonce[16], to_peer[32], from_peer[32];
    uint32_t nonces, count, peer_count, sent, received;
} tl_session;

typedef struct {
    tl_config config;
    tl_stats stats;
    bool up;
    uint32_t acknowledged;
    /* The rest is the endpoint's own. */
    tl_accumulator rx;
    uint32_t resume_epoch, resume_sequence, delivered;
    bool has_peer;
    uint32_t peer_boot, peer_epoch;
    uint64_t hello_due_ms;
    int refuse;
    bool ack_due, gap_due, gap_told, event_last;
    uint32_t next, highest;
    bool unproven; /* no HELLO of this life has shown yet that the other end holds no more of our log than we do */
    uint64_t sent_ms[TL_WINDOW_MAX];
    bool rtt_known;
    uint64_t rtt_ms, variation_x4_ms, timeout_ms, timer_ms, heard_ms, spoke_ms;
    tl_session session;
    uint8_t scratch[TL_RECORD_HEAD + TL_PAYLOAD_MAX];
} tl_endpoint;

/* `acknowledged`: what the other end is known to have of our log (0 if unknown); `last`: the last on disk. */
void tl_init(tl_endpoint *end, const tl_config *config, uint32_t resume_epoch, uint32_t resume_sequence,
             uint32_t acknowledged, uint32_t last, uint64_t now_ms);

/* Takes any bytes that came. On TL_EV_DURABLE store the message, sync, then call tl_stored (also from
 * within the sink); if that fails, tl_not_stored. */
void tl_receive(tl_endpoint *end, uint64_t now_ms, const uint8_t *bytes, size_t length, tl_sink sink, void *context);

void tl_stored(tl_endpoint *end, uint32_t epoch, uint32_t sequence);
void tl_not_stored(tl_endpoint *end);

/* After TL_EV_LOG_LOST, also from within the sink: the other end has our log up to `sequence`, which is more than we
 * have. Our log begins anew with record 1 of `epoch`, which was never used before and is on the disk (L-032). The link
 * comes up only then. */
void tl_renew(tl_endpoint *end, uint32_t epoch, uint64_t now_ms);

/* The port was opened anew. */
void tl_reconnected(tl_endpoint *end, uint64_t now_ms, tl_sink sink, void *context);

/* Writes the next frame, returns its length; 0: nothing to say now. Call it until then. */
size_t tl_poll(tl_endpoint *end, uint64_t now_ms, const tl_source *source, uint8_t wire[TL_WIRE_MAX], tl_sink sink,
               void *context);

/* When tl_poll has something to say by itself. */
uint64_t tl_deadline(const tl_endpoint *end);

/* ---- a POS: journal and rules of money (4, 7) ---- */

/* Where the journal stands. A record is the length of its body, CRC-32C of the body, CRC-32C of these eight bytes
 * (u32 each), then the body: a letter (E our epoch, I of the till, O ours), two u32 (epoch, sequence) and the
 * message; an E with one begins our log anew and is its first message, too. Little-endian, the same as the Python
 * package's. */
typedef struct {
    void *context;
    /* Reads what stands at `at`; returns how many of the `length` bytes there were. */
    size_t (*read)(void *context, uint64_t at, uint8_t *bytes, size_t length);
    /* Writes at `at` and syncs; false unless all of it is on the disk. */
    bool (*write)(void *context, uint64_t at, const uint8_t *bytes, size_t length);
    /* Forgets what stands at `at` and behind it. */
    bool (*cut)(void *context, uint64_t at);
} tl_disk;

/* What the shop must do or may show. BOOK and GIVE_BACK are told again from the journal at each start: book by
 * the sale's id, and note by it what was given back. */
typedef enum {
    TL_POS_SAID,       /* any other message of the till; not again at a start */
    TL_POS_BOOK,       /* a receipt: Closed(Paid) (L-083) */
    TL_POS_GIVE_BACK,  /* money was taken, the sale ended otherwise (L-084): amount_minor */
    TL_POS_CLOSED,     /* the sale ended without money */
    TL_POS_UNREADABLE, /* stored, but no message that we know: tell a person (L-022) */
    TL_POS_NO_DISK,    /* could not be stored; it comes again */
    TL_POS_UP,
    TL_POS_DOWN,
    TL_POS_REFUSED,    /* number: the reason of 6.1 */
    TL_POS_LOST,       /* number: messages that nobody holds any longer (6.4) */
    TL_POS_RENEWED     /* number: our records that the disk has lost and the till has, perhaps payments: tell a person,
                          who compares with the till's books and looks at the disk (L-098) */
} tl_pos_event;

/* `message` is NULL from UNREADABLE on, and valid during the call. Call nothing of tl_pos from within. */
typedef void (*tl_pos_sink)(void *context, tl_pos_event event, const tl_message *message, uint32_t number);

/* Sales kept in memory; older ones are looked up in the journal when they are spoken of again. */
#ifndef TL_SALES_MAX
#define TL_SALES_MAX 16u
#endif
#define TL_OURS_MAX 16u /* of our messages that the till has not yet stored */

/* The longest volatile message of ours: a part of a price list. An end that gives no prices may set 64. */
#ifndef TL_EVENT_MAX
#define TL_EVENT_MAX 704u
#endif

typedef struct {
    tl_sale sale;
    int64_t paid_minor;
    uint16_t paid_revision, asked_revision;
    bool paid, over, promised, asked; /* promised: no money will be taken any more (L-085, L-088) */
} tl_sale_state;

/* Writes that part of the newest price list into `prices`: kind TL_PRICES, or returns false for none (7.1). */
typedef bool (*tl_prices)(void *context, uint32_t version, uint16_t part, tl_message *prices);

typedef struct {
    tl_endpoint end;
    tl_prices prices; /* set it after tl_pos_open if prices are this POS's */
    tl_disk disk;
    tl_pos_sink sink;
    void *context;
    tl_message message;
    uint64_t journal_bytes, ours[TL_OURS_MAX];
    uint32_t epoch, new_epoch, resume_epoch, resume_sequence, last;
    bool open, proven; /* proven: the link was up in this life */
    uint64_t now_ms;
    tl_sale_state sales[TL_SALES_MAX];
    size_t next_sale;
    tl_sale newest;
    bool offered; /* the last Offer, unless withdrawn */
    tl_sale offer;
    uint16_t offer_revision;
    int64_t offer_minor;
    uint8_t event[TL_EVENT_MAX];
    size_t event_length;
    bool fresh_line; /* a zero is owed before the first frame: an earlier life may have died within one (L-013) */
} tl_pos;

/* Reads the journal. config->epoch is taken for a new one, or where the disk has lost records, and must never have
 * been used before (L-032).
 * False: the journal is damaged before its end, or can't be written; nothing may be sold then. */
bool tl_pos_open(tl_pos *pos, const tl_config *config, const tl_disk *disk, tl_pos_sink sink, void *context,
                 uint64_t now_ms);

void tl_pos_receive(tl_pos *pos, uint64_t now_ms, const uint8_t *bytes, size_t length);

/* As tl_poll; answers what the till asked (L-087, L-090). */
size_t tl_pos_poll(tl_pos *pos, uint64_t now_ms, uint8_t wire[TL_WIRE_MAX]);

void tl_pos_reconnected(tl_pos *pos, uint64_t now_ms);

/* Whether an offer may be paid now (L-081), and how much it is. Ask this state rather than waiting for the event:
 * it is also true after a restart between the offer and the payment, as soon as the link was up (L-098). */
bool tl_pos_payable(tl_pos *pos, tl_sale *sale, int64_t *amount_minor);

/* The money was taken: stores and sends Paid. False: nothing was stored, the money must be given back. */
bool tl_pos_pay(tl_pos *pos, uint8_t tender);

/* The offer was refused here. */
bool tl_pos_cancel(tl_pos *pos);

/* A person has seen what Attention told, and comes (L-092); `sale` is NULL where there was none. */
bool tl_pos_acknowledge(tl_pos *pos, const tl_sale *sale, uint8_t reason);

/* A person settled what Attention told. */
bool tl_pos_override(tl_pos *pos, tl_sale sale, uint8_t reason);

/* Sends a volatile message when the link is up; a newer one takes the place of one that waits. */
bool tl_pos_say(tl_pos *pos, tl_message *message);

#endif
