/* The client's side of every echo, for contenders whose library is C's: payloads with a tag, the times of jobs, and the
 * lines by which the measuring process asks for rounds. roles/echo.rs is the same for the others. */
#ifndef ECHO_H
#define ECHO_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TAG_LEN sizeof(uint64_t)
#define STEP_BITS 6

/* One round: its jobs are in slots, each with a payload of its own and the tag that is open there. */
typedef struct {
    size_t size, in_flight, open;
    uint64_t time_ns, began_ns, now_ns;
    unsigned char *payloads;
    uint64_t *tags;
    uint64_t *sent_ns;
    uint64_t count;
    uint64_t *times; /* counts in steps of 1/64 of each power of two of nanoseconds */
} round_t;

static inline uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void die(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static inline unsigned char *payload_at(round_t *round, size_t slot) {
    return round->payloads + slot * round->size;
}

static inline void tag_slot(round_t *round, size_t slot, uint64_t tag) {
    round->tags[slot] = tag;
    round->sent_ns[slot] = round->now_ns;
    memcpy(payload_at(round, slot), &tag, TAG_LEN);
}

/* Waits for the next round that is asked for; 0 when there is none any more. */
static inline int round_next(round_t *round) {
    size_t ms;
    if (scanf("%zu %zu %zu", &round->size, &round->in_flight, &ms) != 3) return 0;
    round->payloads = malloc(round->size * round->in_flight);
    round->tags = calloc(round->in_flight, sizeof *round->tags);
    round->sent_ns = calloc(round->in_flight, sizeof *round->sent_ns);
    round->times = calloc(64 << STEP_BITS, sizeof *round->times);
    if (!round->payloads || !round->tags || !round->sent_ns || !round->times) die("round", "out of memory");
    round->count = 0;
    round->open = round->in_flight;
    round->time_ns = ms * 1000000u;
    for (size_t slot = 0; slot < round->in_flight; slot++)
        for (size_t at = 0; at < round->size; at++) payload_at(round, slot)[at] = (unsigned char)(at % 251);
    round->began_ns = round->now_ns = now_ns();
    for (size_t slot = 0; slot < round->in_flight; slot++) tag_slot(round, slot, slot);
    return 1;
}

/* Whether an answered job is followed by another one. */
static inline int round_goes_on(const round_t *round) { return round->now_ns - round->began_ns < round->time_ns; }

/* Takes an answer and gives its slot. It is the payload that was sent there and is open, or the program ends. The slot's
 * payload has the next tag then, if the round goes on. */
static inline size_t round_answer(round_t *round, const void *data, size_t len) {
    uint64_t tag;
    if (len != round->size) die("an answer", "it is not as long as what was sent");
    memcpy(&tag, data, TAG_LEN);
    size_t slot = tag & UINT32_MAX;
    if (slot >= round->in_flight || round->tags[slot] != tag) die("an answer", "its job is not open");
    if (memcmp(data, payload_at(round, slot), len) != 0) die("an answer", "it is not what was sent");
    uint64_t ns = round->now_ns - round->sent_ns[slot];
    if (ns < 1 << STEP_BITS) ns = 1 << STEP_BITS;
    unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - STEP_BITS;
    round->times[((size_t)shift << STEP_BITS) + (ns >> shift)]++;
    round->count++;
    if (round_goes_on(round)) {
        tag_slot(round, slot, tag + ((uint64_t)1 << 32));
    } else {
        round->tags[slot] = UINT64_MAX;
        round->open--;
    }
    return slot;
}

static inline uint64_t round_quantile(const round_t *round, uint64_t part) {
    uint64_t wanted = (round->count * part + 999) / 1000, seen = 0;
    for (size_t step = 0; step < 64 << STEP_BITS; step++) {
        seen += round->times[step];
        if (seen < wanted) continue;
        size_t shift = step >> STEP_BITS;
        if (shift > 0) shift--;
        return (uint64_t)(step - (shift << STEP_BITS)) << shift;
    }
    return 0;
}

/* Tells the measuring process what came of the round. */
static inline void round_tell(round_t *round) {
    printf("%llu %llu %llu %llu %llu %llu\n", (unsigned long long)round->count,
           (unsigned long long)(now_ns() - round->began_ns), (unsigned long long)round_quantile(round, 500),
           (unsigned long long)round_quantile(round, 900), (unsigned long long)round_quantile(round, 990),
           (unsigned long long)round_quantile(round, 1000));
    fflush(stdout);
    free(round->payloads);
    free(round->tags);
    free(round->sent_ns);
    free(round->times);
}

static inline void ready(void) {
    puts("ready");
    fflush(stdout);
}

#endif
