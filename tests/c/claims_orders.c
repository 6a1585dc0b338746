/* Runs a pipeline of 16 steps COUNT times, ends its steps in random orders, and looks after each end which steps have begun.
 *
 *     claims_orders COUNT SEED
 *
 * It is client and worker of the queue "steps". Whoever receives a step whose needs are not done, or waits for one that does not
 * come, says which and fails. It prints `runs COUNT ends N orders M`: the ends looked at, and how many orders were different. */
#define _GNU_SOURCE
#include <forebay.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 16, WAIT_MS = 30000 };

/* The needs: the second of each after the first. */
static const int AFTER[][2] = {{1, 2},  {1, 3},  {2, 4},   {2, 16},  {3, 4},   {4, 5},   {5, 6},   {5, 7},   {5, 8},  {5, 9},
                               {6, 10}, {7, 10}, {8, 10},  {10, 12}, {10, 13}, {10, 14}, {11, 12}, {11, 13}, {11, 14}};
enum { NEEDS = sizeof AFTER / sizeof AFTER[0] };

static forebay_error_t *error;

static int failed(const char *what) {
    fprintf(stderr, "claims_orders: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
}

static uint32_t bit(int step) { return 1u << (step - 1); }

/* The steps all of whose needs are among `done`, without those. */
static uint32_t runnable(uint32_t done) {
    uint32_t steps = ((1u << STEPS) - 1) & ~done;
    for (int i = 0; i < NEEDS; i++)
        if (!(done & bit(AFTER[i][0]))) steps &= ~bit(AFTER[i][1]);
    return steps;
}

static uint32_t pick(uint64_t *state, uint32_t below) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % below;
}

static int compare(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int build(forebay_pipeline_t *pipeline) {
    char name[8], before[8];
    for (int step = 1; step <= STEPS; step++) {
        forebay_submit_t job = {.struct_size = sizeof job};
        snprintf(name, sizeof name, "%d", step);
        job.queue = "steps";
        job.payload = name;
        job.payload_len = strlen(name);
        if (forebay_pipeline_step(pipeline, name, &job, 0, &error) < 0) return failed(name);
    }
    for (int i = 0; i < NEEDS; i++) {
        snprintf(before, sizeof before, "%d", AFTER[i][0]);
        snprintf(name, sizeof name, "%d", AFTER[i][1]);
        if (forebay_pipeline_after(pipeline, name, before, 0, &error) < 0) return failed(name);
    }
    return 0;
}

/* Takes what has begun into `held`, by step, until that is exactly `expected`, and once more to see that nothing else has. */
static int take(forebay_worker_t *worker, forebay_job_t **held, uint32_t expected) {
    uint32_t have = 0;
    for (int step = 1; step <= STEPS; step++)
        if (held[step] != NULL) have |= bit(step);
    for (;;) {
        forebay_job_t *job;
        forebay_job_view_t view = {.struct_size = sizeof view};
        const forebay_status_t status = forebay_worker_receive(worker, have == expected ? 0 : WAIT_MS, &job, &error);
        if (status == FOREBAY_TIMED_OUT && have == expected) return 0;
        if (status == FOREBAY_TIMED_OUT) {
            fprintf(stderr, "claims_orders: of the steps %#x only %#x have begun\n", expected, have);
            return 1;
        }
        if (status != FOREBAY_OK) return failed("receive");
        forebay_job_view(job, &view);
        char text[8] = "";
        if (view.payload_len < sizeof text) memcpy(text, view.payload, view.payload_len);
        const int step = atoi(text);
        if (step < 1 || step > STEPS || held[step] != NULL || !(expected & bit(step))) {
            fprintf(stderr, "claims_orders: step %d has begun; %#x may have, %#x had\n", step, expected, have);
            return 1;
        }
        held[step] = job;
        have |= bit(step);
    }
}

/* One run; the order in which its steps ended comes into `order`, four bits for each. */
static int run_once(forebay_client_t *client, forebay_worker_t *worker, forebay_pipeline_t *pipeline, uint64_t *random,
                    uint64_t *order) {
    forebay_submit_t run = {.struct_size = sizeof run};
    forebay_job_t *held[STEPS + 1] = {NULL};
    forebay_result_t *result;
    forebay_result_view_t view = {.struct_size = sizeof view};
    uint32_t done = 0;
    run.want = 1u << FOREBAY_KIND_RESULT;
    if (forebay_client_run(client, pipeline, &run, WAIT_MS, NULL, &error) < 0) return failed("run");
    *order = 0;
    for (int ended = 0; ended < STEPS; ended++) {
        if (take(worker, held, runnable(done)) != 0) return 1;
        int at = (int)pick(random, (uint32_t)__builtin_popcount(runnable(done))), step = 0;
        while (at >= 0)
            if (held[++step] != NULL) at--;
        if (forebay_job_complete(held[step], "x", 1, &error) < 0) return failed("complete");
        forebay_job_free(held[step]);
        held[step] = NULL;
        done |= bit(step);
        *order = *order << 4 | (uint64_t)(step - 1);
    }
    if (take(worker, held, 0) != 0) return 1;
    if (forebay_client_next(client, WAIT_MS, &result, &error) != FOREBAY_OK) return failed("next");
    forebay_result_view(result, &view);
    const int32_t outcome = view.outcome;
    forebay_result_free(result);
    if (outcome != FOREBAY_OUTCOME_DONE) {
        fprintf(stderr, "claims_orders: a run ended with outcome %" PRId32 "\n", outcome);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    forebay_options_t *options = forebay_options_new();
    forebay_client_t *client;
    forebay_worker_t *worker;
    forebay_pipeline_t *pipeline;

    if (argc < 3) return 2;
    const long count = strtol(argv[1], NULL, 10);
    uint64_t random = strtoull(argv[2], NULL, 10);
    uint64_t *orders = calloc((size_t)count + 1, sizeof *orders);
    if (count < 1 || orders == NULL) return 2;
    if (forebay_options_set_int(options, "worker.slots", STEPS, &error) < 0) return failed("option");
    if (forebay_client_open(NULL, NULL, &client, &error) < 0) return failed("open");
    if (forebay_worker_open(NULL, options, &worker, &error) < 0) return failed("open");
    if (forebay_worker_register(worker, "steps", NULL, &error) < 0) return failed("register");
    if (forebay_pipeline_new("sixteen", &pipeline, &error) < 0) return failed("new");
    if (build(pipeline) != 0) return 1;
    for (long i = 0; i < count; i++)
        if (run_once(client, worker, pipeline, &random, &orders[i]) != 0) return 1;
    qsort(orders, (size_t)count, sizeof *orders, compare);
    long different = 1;
    for (long i = 1; i < count; i++) different += orders[i] != orders[i - 1];
    printf("runs %ld ends %ld orders %ld\n", count, count * STEPS, different);
    forebay_pipeline_free(pipeline);
    forebay_worker_free(worker);
    forebay_client_free(client);
    forebay_options_free(options);
    free(orders);
    return 0;
}
