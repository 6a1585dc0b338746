/* An echo client: enqueues as many jobs as are to be in flight, takes results many at once, and sends the next jobs in
 * their place.
 *
 *     forebay_client ENDPOINT WORKERS */
#include "echo.h"

#include <forebay.h>

#define BATCH 1000
/* From here on a payload is written into library memory, which is not copied. */
#define BUFFER_LEN_MIN (32 * 1024)
/* Jobs of so many bytes together leave before the next are made. */
#define BATCH_LEN (256 * 1024)

static forebay_client_t *client;
static forebay_error_t *error;
static forebay_submit_t jobs[BATCH];

static void done(forebay_status_t status, const char *what) {
    if (status < 0) die(what, forebay_error_message(error));
}

static void describe(forebay_submit_t *job, round_t *round, size_t slot) {
    memset(job, 0, sizeof *job);
    job->struct_size = sizeof *job;
    job->queue = "echo";
    job->tag = slot;
    job->want = 1u << FOREBAY_KIND_RESULT | 1u << FOREBAY_KIND_REFUSED;
    if (round->size < BUFFER_LEN_MIN) {
        job->payload = payload_at(round, slot);
        job->payload_len = round->size;
        return;
    }
    forebay_buffer_t *buffer;
    void *data;
    done(forebay_buffer_new(round->size, &buffer, &data, &error), "buffer");
    memcpy(data, payload_at(round, slot), round->size);
    job->buffer = buffer;
}

static void enqueue(size_t n) {
    if (n > 0) done(forebay_client_enqueue(client, jobs, n, NULL, NULL, &error), "enqueue");
    for (size_t i = 0; i < n; i++) forebay_buffer_free((forebay_buffer_t *)jobs[i].buffer);
}

/* Whether `n` jobs are enough to leave. */
static int is_batch(const round_t *round, size_t n) { return n == BATCH || n * round->size >= BATCH_LEN; }

static size_t answered(round_t *round, forebay_result_t *result) {
    forebay_result_view_t view = {.struct_size = sizeof view};
    forebay_result_view(result, &view);
    if (view.outcome != FOREBAY_OUTCOME_DONE) die(forebay_outcome_name(view.outcome), view.message);
    size_t slot = round_answer(round, view.data, view.data_len);
    if (view.tag != slot) die("an answer", "it is another job's");
    return slot;
}

static void run(round_t *round) {
    static forebay_result_t *results[BATCH];
    size_t n = 0;
    for (size_t slot = 0; slot < round->in_flight; slot++) {
        describe(&jobs[n++], round, slot);
        if (is_batch(round, n) || slot + 1 == round->in_flight) enqueue(n), n = 0;
    }
    while (round->open > 0) {
        size_t got = 0;
        done(forebay_client_next_many(client, -1, results, BATCH, &got, &error), "next");
        round->now_ns = now_ns();
        n = 0;
        for (size_t i = 0; i < got; i++) {
            size_t slot = answered(round, results[i]);
            forebay_result_free(results[i]);
            if (round_goes_on(round)) describe(&jobs[n++], round, slot);
            if (is_batch(round, n)) enqueue(n), n = 0;
        }
        enqueue(n);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    done(forebay_client_open(argv[1], NULL, &client, &error), "open");
    done(forebay_client_wait_workers(client, "echo", (uint32_t)atoi(argv[2]), 30000, &error), "workers");
    ready();
    for (round_t round; round_next(&round); round_tell(&round)) run(&round);
    forebay_client_free(client);
    return 0;
}
