/* What the programs of the chaos test share: logs that outlive kill -9, and jobs whose results can be checked.
 *
 * Invariant: a line counts once its newline is in the file. What a killed process left behind the last newline is cut
 * off by the next one that opens the log. */
#ifndef CHAOS_H
#define CHAOS_H

#define _GNU_SOURCE
#include <fcntl.h>
#include <forebay.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline void die(const char *what, forebay_error_t *error) {
    fprintf(stderr, "chaos: %s: %s\n", what, error != NULL ? forebay_error_message(error) : "failed");
    exit(1);
}

static inline void *must(void *memory) {
    if (memory == NULL) die("out of memory", NULL);
    return memory;
}

/* Lines that are collected, then written at once. One thread's own. */
typedef struct {
    int fd;
    char *text;
    size_t len, cap;
} journal_t;

static inline void journal_open(journal_t *journal, const char *path) {
    memset(journal, 0, sizeof *journal);
    journal->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal->fd < 0) die(path, NULL);
    off_t len = lseek(journal->fd, 0, SEEK_END);
    char last;
    while (len > 0 && pread(journal->fd, &last, 1, len - 1) == 1 && last != '\n') len--;
    if (ftruncate(journal->fd, len) != 0) die(path, NULL);
}

__attribute__((format(printf, 2, 3))) static inline void journal_add(journal_t *journal, const char *format, ...) {
    enum { LINE_LEN_MAX = 512 };
    if (journal->cap - journal->len < LINE_LEN_MAX) {
        journal->cap = 2 * journal->cap + LINE_LEN_MAX;
        journal->text = must(realloc(journal->text, journal->cap));
    }
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(journal->text + journal->len, LINE_LEN_MAX, format, arguments);
    va_end(arguments);
    if (len < 0 || len >= LINE_LEN_MAX) die("a line that is too long", NULL);
    journal->len += (size_t)len;
}

static inline void journal_write(journal_t *journal) {
    for (size_t at = 0; at < journal->len;) {
        ssize_t len = write(journal->fd, journal->text + at, journal->len - at);
        if (len <= 0) die("a log that cannot be written", NULL);
        at += (size_t)len;
    }
    journal->len = 0;
}

/* Returns when everything added is on the medium. */
static inline void journal_sync(journal_t *journal) {
    journal_write(journal);
    if (fdatasync(journal->fd) != 0) die("a log that cannot be synced", NULL);
}

static inline uint64_t fnv1a(uint64_t hash, const void *data, size_t len) {
    const unsigned char *bytes = data;
    for (size_t i = 0; i < len; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

static const uint64_t FNV_START = 0xcbf29ce484222325u;

static inline uint64_t splitmix(uint64_t *state) {
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Job `seq` of `client`: its name, its number, how long it takes, and random bytes up to `len`. `cap` has room for all. */
static inline size_t make_payload(char *payload, size_t cap, const char *client, uint64_t seq, size_t len) {
    uint64_t random = fnv1a(FNV_START, client, strlen(client)) ^ seq;
    uint64_t die_cast = splitmix(&random) % 1000;
    unsigned micros = die_cast < 990 ? (unsigned)(splitmix(&random) % 1500) : die_cast < 998 ? 20000 : 120000;
    int head = snprintf(payload, cap, "%s %" PRIu64 " %u ", client, seq, micros);
    size_t at = (size_t)head;
    for (; at < len; at++) payload[at] = (char)splitmix(&random);
    return at;
}

/* Its result: name and number again, and a sum over every byte. */
static inline void make_result(char *result, size_t cap, const char *payload, size_t len) {
    char client[32] = "?";
    uint64_t seq = 0;
    sscanf(payload, "%31s %" SCNu64, client, &seq);
    snprintf(result, cap, "%s %" PRIu64 " %016" PRIx64, client, seq, fnv1a(FNV_START, payload, len));
}

static inline void pause_us(int64_t micros) {
    struct timespec time = {.tv_sec = micros / 1000000, .tv_nsec = micros % 1000000 * 1000};
    while (nanosleep(&time, &time) != 0) {}
}

#endif
