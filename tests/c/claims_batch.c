/* Submits one batch of so many jobs in a call, waits for all of them in another, and checks that each result stands in its
 * request's place, and how long it took from the first submission to the last result.
 *
 *     claims_batch N QUEUE        against workers that give each payload back */
#include <forebay.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "claims_batch: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
}

/* Whether the result is that of the job in this place. */
static int is_right(const forebay_result_t *result, uint64_t place) {
    forebay_result_view_t view = {.struct_size = sizeof view};
    uint64_t echoed;
    forebay_result_view(result, &view);
    if (view.outcome != FOREBAY_OUTCOME_DONE || view.data_len != sizeof echoed) return 0;
    memcpy(&echoed, view.data, sizeof echoed);
    return echoed == place;
}

int main(int argc, char **argv) {
    size_t n = argc > 2 ? strtoull(argv[1], NULL, 10) : 0, accepted = 0, ended = 0, right = 0;
    uint64_t *places = calloc(n + 1, sizeof *places);
    forebay_submit_t *jobs = calloc(n + 1, sizeof *jobs);
    forebay_id_t *ids = calloc(n + 1, sizeof *ids);
    forebay_result_t **results = calloc(n + 1, sizeof *results);
    forebay_client_t *client;
    forebay_error_t *error = NULL;

    if (argc < 3 || !places || !jobs || !ids || !results) return 2;
    if (forebay_client_open(NULL, NULL, &client, &error) < 0) return failed("open", error);
    for (size_t i = 0; i < n; i++) {
        places[i] = i;
        jobs[i] = (forebay_submit_t){.struct_size = sizeof *jobs,
                                     .queue = argv[2],
                                     .payload = &places[i],
                                     .payload_len = sizeof places[i]};
    }
    if (forebay_client_ready(client, -1, &error) < 0) return failed("ready", error);
    const double began_ms = now_ms();
    if (forebay_client_submit(client, jobs, n, -1, ids, &accepted, &error) < 0) return failed("submit", error);
    if (forebay_client_wait_many(client, ids, n, n, -1, results, &ended, &error) < 0) return failed("wait", error);
    const double took_ms = now_ms() - began_ms;
    for (size_t i = 0; i < n; i++) {
        right += results[i] != NULL && is_right(results[i], i);
        forebay_result_free(results[i]);
    }
    printf("%zu accepted, %zu ended, %zu of %zu in their places\n%.3f ms\n", accepted, ended, right, n, took_ms);
    forebay_client_free(client);
    free(results), free(ids), free(jobs), free(places);
    return right == n && accepted == n && ended == n ? 0 : 1;
}
