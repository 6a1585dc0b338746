/* What the event loops of this folder do: a client and a worker in one thread, JOBS jobs from the one to the
 * other, IN_FLIGHT at a time. The loops differ only in how they watch two descriptors.
 *
 * Each counts its wake-ups, and those that found nothing to do; then it watches for a second more, in which
 * nothing happens. A descriptor that is readable without reason shows in both. */
#ifndef JOBS_H
#define JOBS_H

#include <forebay.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { IN_FLIGHT = 8, IDLE_MS = 1000 };

static forebay_client_t *client;
static forebay_worker_t *worker;
static uint64_t jobs, submitted, ended, right;
static uint64_t wakeups, for_nothing, wakeups_before_idling;
static clock_t cpu_before_idling;

static void must(forebay_status_t status, forebay_error_t *error) {
    if (status >= 0) return;
    fprintf(stderr, "%s\n", forebay_error_message(error));
    exit(1);
}

static void jobs_submit(void) {
    forebay_error_t *error = NULL;
    forebay_submit_t job = {.struct_size = sizeof job};
    uint64_t number = ++submitted;
    job.queue = "loops";
    job.payload = &number;
    job.payload_len = sizeof number;
    job.tag = number;
    job.want = 1u << FOREBAY_KIND_RESULT;
    must(forebay_client_enqueue(client, &job, 1, NULL, NULL, &error), error);
}

/* Opens both and puts the first jobs on their way. */
static void jobs_begin(int argc, char **argv) {
    forebay_error_t *error = NULL;
    jobs = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000;
    must(forebay_client_open(NULL, NULL, &client, &error), error);
    must(forebay_worker_open(NULL, NULL, &worker, &error), error);
    must(forebay_worker_register(worker, "loops", NULL, &error), error);
    while (submitted < IN_FLIGHT && submitted < jobs) jobs_submit();
}

/* The worker's descriptor is readable: whatever jobs there are. */
static void jobs_work(void) {
    forebay_error_t *error = NULL;
    forebay_job_t *job;
    forebay_status_t status;
    uint64_t found = 0;
    while ((status = forebay_worker_receive(worker, 0, &job, &error)) == FOREBAY_OK) {
        uint64_t number = 0;
        size_t len;
        const void *payload = forebay_job_payload(job, &len);
        memcpy(&number, payload, len < sizeof number ? len : sizeof number);
        number *= 2;
        must(forebay_job_complete(job, &number, sizeof number, &error), error);
        forebay_job_free(job);
        found++;
    }
    must(status, error);
    wakeups++;
    for_nothing += found == 0;
}

/* The client's descriptor is readable: whatever results there are, and as many new jobs. */
static void jobs_collect(void) {
    forebay_error_t *error = NULL;
    forebay_result_t *result;
    forebay_status_t status;
    uint64_t found = 0;
    while ((status = forebay_client_next(client, 0, &result, &error)) == FOREBAY_OK) {
        uint64_t number = 0;
        forebay_result_view_t view = {.struct_size = sizeof view};
        forebay_result_view(result, &view);
        if (view.outcome == FOREBAY_OUTCOME_DONE && view.data_len == sizeof number)
            memcpy(&number, view.data, sizeof number);
        right += number == 2 * view.tag;
        ended++;
        forebay_result_free(result);
        if (submitted < jobs) jobs_submit();
        found++;
    }
    must(status, error);
    wakeups++;
    for_nothing += found == 0;
}

/* All jobs have ended: from now on nothing is to happen. */
static void jobs_idle(void) {
    wakeups_before_idling = wakeups;
    cpu_before_idling = clock();
}

static int jobs_end(void) {
    double idle_cpu_ms = 1000.0 * (double)(clock() - cpu_before_idling) / CLOCKS_PER_SEC;
    printf("%" PRIu64 " of %" PRIu64 " results right, %" PRIu64 " wake-ups, %" PRIu64
           " for nothing; idle for %d ms: %" PRIu64 " wake-ups, %.1f ms of CPU\n",
           right, jobs, wakeups_before_idling, for_nothing, IDLE_MS, wakeups - wakeups_before_idling,
           idle_cpu_ms);
    forebay_worker_free(worker);
    forebay_client_free(client);
    return right == jobs ? 0 : 1;
}

#endif
