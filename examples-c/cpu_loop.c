/* A long computation that says how far it is and can be stopped at any moment: the payload is a number of
 * seconds.
 *
 *     cpu_loop [--quiet]       forebay call cpu_loop <<< 10
 *
 * The inner loop never calls the library. It reads one word that the library's own thread sets when the job
 * is cancelled, when its run time is over or when it is no longer this worker's. That thread also keeps the
 * lease, so no computation is too long. With --quiet it reports no progress and calls the library only to
 * answer. */
#include <forebay.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static forebay_worker_t *worker;

static void on_signal(int signal) {
    (void)signal;
    forebay_worker_stop(worker);
}

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "cpu_loop: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The seconds in a payload, or -1. */
static double seconds_of(const forebay_job_t *job) {
    char text[32], *end;
    size_t len;
    const char *payload = forebay_job_payload(job, &len);
    if (len == 0 || len >= sizeof text) return -1;
    memcpy(text, payload, len);
    text[len] = '\0';
    double seconds = strtod(text, &end);
    return (*end == '\0' || *end == '\n') && seconds >= 0 && seconds <= 86400 ? seconds : -1;
}

/* Computes for so many seconds; returns the number of rounds, or 0 when told to stop. */
static uint64_t compute(forebay_job_t *job, double seconds, int quiet) {
    const volatile uint32_t *stop = forebay_job_stop_flag(job);
    const double begin = now_s();
    uint64_t x = 88172645463325252u, rounds = 0;
    double spent = 0;
    do {
        for (int i = 0; i < 1000000; i++) {
            if (*stop) return 0;
            x ^= x << 13, x ^= x >> 7, x ^= x << 17; /* stands for the real work */
        }
        rounds += 1 + (x == 0); /* x is never 0, which the compiler does not know: it keeps the loop */
        spent = now_s() - begin;
        if (!quiet) forebay_job_progress(job, spent / seconds, "computing"); /* never blocks */
    } while (spent < seconds);
    return rounds;
}

static forebay_status_t answer(forebay_job_t *job, int quiet, forebay_error_t **error) {
    double seconds = seconds_of(job);
    if (seconds < 0)
        return forebay_job_fail(job, FOREBAY_RETRY_NEVER, "not_seconds",
                                "the payload has to be a number of seconds from 0 to 86400", NULL, error);
    uint64_t rounds = compute(job, seconds, quiet);
    if (rounds == 0) { /* cancelled, or time over: what is answered now no longer counts */
        printf("stopped\n");
        return forebay_job_fail(job, FOREBAY_RETRY_POLICY, "stopped", "told to stop", NULL, error);
    }
    char text[64];
    snprintf(text, sizeof text, "%" PRIu64 " million steps", rounds);
    return forebay_job_complete(job, text, strlen(text), error);
}

int main(int argc, char **argv) {
    int quiet = argc > 1 && strcmp(argv[1], "--quiet") == 0;
    forebay_error_t *error = NULL;
    forebay_job_t *job;
    forebay_status_t status;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (forebay_worker_open(NULL, NULL, &worker, &error) < 0) return failed("open", error);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    if (forebay_worker_register(worker, "cpu_loop", NULL, &error) < 0) return failed("register", error);

    while ((status = forebay_worker_receive(worker, -1, &job, &error)) == FOREBAY_OK) {
        status = answer(job, quiet, &error);
        if (status < 0 && status != FOREBAY_ERR_LEASE_LOST)
            failed("answer", error);
        else
            forebay_error_free(error);
        error = NULL;
        forebay_job_free(job);
    }
    if (status < 0) return failed("receive", error);
    forebay_worker_free(worker);
    return 0;
}
