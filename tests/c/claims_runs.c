/* Submits COUNT runs of two steps one after the other, waits for all of them, and says how long a submission took.
 *
 *     claims_runs COUNT SAMPLE SECONDS
 *
 * The first step of each run is for the queue "echo", the second takes its result to the queue "work" and burns SECONDS there.
 * It prints `first US last US done COUNT`: the mean of the first SAMPLE submissions and of the last, in microseconds. */
#define _GNU_SOURCE
#include <forebay.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "claims_runs: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int add(forebay_pipeline_t *pipeline, const char *step, const char *queue, const char *payload,
               forebay_error_t **error) {
    forebay_submit_t job = {.struct_size = sizeof job};
    job.queue = queue;
    job.payload = payload;
    job.payload_len = strlen(payload);
    return forebay_pipeline_step(pipeline, step, &job, 0, error);
}

/* Takes results until `count` have come; how many of them are DONE. */
static long take(forebay_client_t *client, long count, forebay_error_t **error) {
    long done = 0;
    for (long i = 0; i < count; i++) {
        forebay_result_t *result;
        forebay_result_view_t view = {.struct_size = sizeof view};
        if (forebay_client_next(client, 120000, &result, error) != FOREBAY_OK) return -1;
        forebay_result_view(result, &view);
        done += view.outcome == FOREBAY_OUTCOME_DONE;
        forebay_result_free(result);
    }
    return done;
}

int main(int argc, char **argv) {
    forebay_error_t *error = NULL;
    forebay_options_t *options = forebay_options_new();
    forebay_client_t *client;
    forebay_pipeline_t *pipeline;
    forebay_submit_t run = {.struct_size = sizeof run};
    char burn[64];
    int64_t first_ns = 0, last_ns = 0;

    if (argc < 4) return 2;
    const long count = strtol(argv[1], NULL, 10), sample = strtol(argv[2], NULL, 10);
    snprintf(burn, sizeof burn, "burn %s", argv[3]);
    if (forebay_options_set_int(options, "client.window_jobs", count + 1, &error) < 0) return failed("option", error);
    if (forebay_client_open(NULL, options, &client, &error) < 0) return failed("open", error);
    if (forebay_pipeline_new("two", &pipeline, &error) < 0) return failed("new", error);
    if (add(pipeline, "no-op", "echo", "x", &error) < 0 || add(pipeline, "work", "work", burn, &error) < 0 ||
        forebay_pipeline_after(pipeline, "work", "no-op", FOREBAY_NEED_RESULT, &error) < 0)
        return failed("build", error);
    run.want = 1u << FOREBAY_KIND_RESULT;
    for (long i = 0; i < count; i++) {
        const int64_t began_ns = now_ns();
        if (forebay_client_run(client, pipeline, &run, 60000, NULL, &error) < 0) return failed("run", error);
        const int64_t took_ns = now_ns() - began_ns;
        if (i < sample) first_ns += took_ns;
        if (i >= count - sample) last_ns += took_ns;
    }
    const long done = take(client, count, &error);
    if (done < 0) return error != NULL ? failed("next", error) : 3;
    printf("first %.1f last %.1f done %ld\n", (double)first_ns / sample / 1e3, (double)last_ns / sample / 1e3, done);
    forebay_pipeline_free(pipeline);
    forebay_client_free(client);
    forebay_options_free(options);
    return 0;
}
