/* A whole POS in C upon till_link.h: takes the money for every offer and books each sale once, whatever happens to
 * the cable, the power or this program. Usage: example_pos PORT JOURNAL [COUNTER [KEY_FILE]]; with a key file the link
 * is secured. `take_money` and what `told` prints are to be replaced by your shop's. */
#define _XOPEN_SOURCE 700
#define _DEFAULT_SOURCE /* B115200 */
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h> /* dirname */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "till_link.h"

static tl_pos pos; /* static: it is larger than some stacks */

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static size_t read_at(void *file, uint64_t at, uint8_t *bytes, size_t length)
{
    ssize_t got = pread(*(int *)file, bytes, length, (off_t)at);
    return got < 0 ? 0 : (size_t)got;
}

static bool write_at(void *file, uint64_t at, const uint8_t *bytes, size_t length)
{
    return pwrite(*(int *)file, bytes, length, (off_t)at) == (ssize_t)length && fsync(*(int *)file) == 0;
}

static bool cut_at(void *file, uint64_t at)
{
    return ftruncate(*(int *)file, (off_t)at) == 0 && fsync(*(int *)file) == 0;
}

/* The name of a new file is on the disk only when its folder is synced, too. */
static int open_journal(char *path)
{
    int file = open(path, O_RDWR | O_CREAT, 0600), folder = open(dirname(path), O_RDONLY);
    return folder < 0 || fsync(folder) != 0 ? -1 : file;
}

/* The line: 115200 8N1, raw (L-001). */
static int open_port(const char *path)
{
    struct termios tty;
    int port = open(path, O_RDWR | O_NOCTTY);
    if (port < 0 || tcgetattr(port, &tty) != 0) {
        return -1;
    }
    tty.c_iflag = tty.c_oflag = tty.c_lflag = 0;
    tty.c_cflag = CS8 | CREAD | CLOCAL;
    tty.c_cc[VMIN] = 1;
    tty.c_cc[VTIME] = 0;
    cfsetispeed(&tty, B115200);
    cfsetospeed(&tty, B115200);
    return tcsetattr(port, TCSANOW, &tty) == 0 ? port : -1;
}

/* Reads a small file, or as much random as boot, epoch and nonces need (L-031, L-032, L-203). */
static bool load(const char *path, void *bytes, size_t length)
{
    int file = open(path, O_RDONLY);
    bool good = file >= 0 && read(file, bytes, length) > 0;
    close(file);
    return good;
}

static bool configure(tl_config *config, int count, char **arguments)
{
    bool good = load("/dev/urandom", &config->boot, sizeof config->boot) &&
                load("/dev/urandom", &config->epoch, sizeof config->epoch) &&
                load("/dev/urandom", config->seed, sizeof config->seed);
    config->counter = count > 3 ? (uint32_t)strtoul(arguments[3], NULL, 10) : 1;
    if (count > 4) {
        static char text[1024];
        good = good && load(arguments[4], text, sizeof text - 1) && tl_keys_read(text, config->keys);
    }
    return good;
}

static void told(void *context, tl_pos_event event, const tl_message *m, uint32_t number)
{
    static const char *const links[] = {"unreadable", "not stored", "up", "down", "refused", "lost",
                                        "the disk has lost records, perhaps payments:"};
    (void)context;
    if (event >= TL_POS_UNREADABLE) {
        fprintf(stderr, "link: %s %" PRIu32 "\n", links[event - TL_POS_UNREADABLE], number);
    } else if (event != TL_POS_SAID) {
        bool back = event == TL_POS_GIVE_BACK;
        printf("%s %" PRIu32 "-%08" PRIx32 "-%" PRIu32 " %" PRId64 " %s\n",
               event == TL_POS_BOOK ? "BOOKED" : back ? "GIVE BACK" : "CLOSED", m->sale.counter, m->sale.epoch,
               m->sale.session, back ? m->amount_minor : m->cart.total_minor, m->cart.currency);
        fflush(stdout);
    } else if (m->kind == TL_CART_CHANGED || m->kind == TL_OFFER) {
        fprintf(stderr, "%zu lines, %" PRId64 " %s\n", m->cart.count, m->cart.total_minor, m->cart.currency);
    }
}

/* Here the card is charged or the drawer opened; by the sale's id, which is never used twice. */
static bool take_money(tl_sale sale, int64_t amount_minor)
{
    return sale.session != 0 && amount_minor >= 0;
}

int main(int count, char **arguments)
{
    int file;
    const tl_disk disk = {&file, read_at, write_at, cut_at};
    static tl_config config = {.window = 4};
    struct pollfd port = {-1, POLLIN, 0};
    file = count < 3 ? -1 : open_journal(arguments[2]);
    if (file < 0 || !configure(&config, count, arguments) || !tl_pos_open(&pos, &config, &disk, told, NULL, now_ms())) {
        fprintf(stderr, "usage: example_pos PORT JOURNAL [COUNTER [KEY_FILE]]; or the journal is damaged\n");
        return 2;
    }
    port.fd = open_port(arguments[1]);
    while (port.fd >= 0) {
        uint8_t bytes[256], wire[TL_WIRE_MAX];
        tl_sale sale;
        int64_t amount_minor;
        size_t n;
        if (poll(&port, 1, 20) > 0) {
            ssize_t got = read(port.fd, bytes, sizeof bytes);
            if (got <= 0) {
                break;
            }
            tl_pos_receive(&pos, now_ms(), bytes, (size_t)got);
        }
        if (tl_pos_payable(&pos, &sale, &amount_minor) && take_money(sale, amount_minor) &&
            !tl_pos_pay(&pos, TL_TENDER_CARD)) {
            fprintf(stderr, "give back %" PRId64 ": it could not be stored\n", amount_minor);
            return 1;
        }
        while ((n = tl_pos_poll(&pos, now_ms(), wire)) != 0) {
            if (write(port.fd, wire, n) != (ssize_t)n) {
                break;
            }
        }
    }
    perror(arguments[1]);
    return 4;
}
