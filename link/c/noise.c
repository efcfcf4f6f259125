/* Random and damaged bytes into every decoder, for the sanitizers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "till_link.h"

static uint32_t state = 1;

static uint32_t roll(uint32_t sides)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 16) % sides;
}

static uint32_t one(void *c) { (void)c; return 1; }
static int record(void *c, uint32_t sequence, uint8_t *buffer, size_t capacity)
{
    (void)c;
    (void)capacity;
    memset(buffer, (int)(sequence & 0xFF), 9);
    return 9;
}
static int none(void *c, uint8_t *buffer, size_t capacity)
{
    (void)c;
    (void)buffer;
    (void)capacity;
    return -1;
}

/* Half of it is a whole frame of rubbish: it gets past the CRC, and at a secured end must not get past the MAC. */
static void noise(bool secured)
{
    static tl_endpoint end;
    static tl_message message;
    static uint8_t bytes[4096], wire[TL_WIRE_MAX];
    tl_config config = {.role = TL_ROLE_POS, .counter = 1, .epoch = 9, .boot = 5, .window = 4};
    const tl_source source = {NULL, one, one, record, none};
    uint64_t now = 0;
    unsigned long decoded = 0;
    config.keys[0].id = secured ? 1 : 0;
    tl_init(&end, &config, 0, 0, 0, 1, 0);
    for (int i = 0; i < 40000; i++) {
        size_t length = 0, n = roll(60);
        for (size_t k = 0; k < n; k++) {
            bytes[k] = (uint8_t)(roll(3) == 0 ? roll(256) : roll(4));
        }
        decoded += tl_decode(roll(2) == 1, bytes, n, &message) == TL_OK;
        length = tl_frame_encode((uint8_t)(roll(9) | roll(2) << 7), NULL, 0, bytes, n, wire, sizeof wire);
        if (roll(2) == 1) {
            wire[roll((uint32_t)length)] ^= (uint8_t)(1u << roll(8));
        }
        tl_receive(&end, now, wire, length, NULL, NULL);
        now += roll(400);
        while (tl_poll(&end, now, &source, wire, NULL, NULL) != 0) {
        }
    }
    printf("noise: %lu of 40000 decoded, %llu frames, %llu bad CRC, %llu malformed, %llu bad MAC\n", decoded,
           (unsigned long long)end.stats.frames_in, (unsigned long long)end.stats.bad_crc,
           (unsigned long long)end.stats.malformed, (unsigned long long)end.stats.bad_mac);
    if (decoded == 0 || end.stats.bad_crc == 0 || (end.stats.bad_mac != 0) != secured || (secured && end.stats.ups != 0)) {
        exit(1);
    }
}

int main(void)
{
    noise(false);
    noise(true);
    return 0;
}
