/* A worker whose jobs sleep for 10 ms, in so many threads. For each line on standard input it says how long the busiest
 * thread has slept since the last one, and how many jobs all of them did.
 *
 *     forebay_sleeper ENDPOINT SLOTS */
#include "echo.h"

#include <forebay.h>
#include <pthread.h>
#include <stdatomic.h>

#define SLEEP_NS 10000000

static forebay_worker_t *worker;
static _Atomic uint64_t slept_ns[1000];
static _Atomic uint64_t jobs;

static void *slot(void *sum) {
    _Atomic uint64_t *slept = sum;
    forebay_error_t *error = NULL;
    forebay_job_t *job;
    while (forebay_worker_receive(worker, -1, &job, &error) == FOREBAY_OK) {
        size_t len;
        const void *payload = forebay_job_payload(job, &len);
        const struct timespec time = {.tv_nsec = SLEEP_NS};
        uint64_t began = now_ns();
        nanosleep(&time, NULL);
        *slept += now_ns() - began;
        jobs++;
        if (forebay_job_complete(job, payload, len, &error) < 0) die("complete", forebay_error_message(error));
        forebay_job_free(job);
    }
    die("receive", forebay_error_message(error));
    return NULL;
}

int main(int argc, char **argv) {
    forebay_error_t *error = NULL;
    int slots = argc == 3 ? atoi(argv[2]) : 0;
    if (slots < 1 || slots > 1000) return 2;
    if (forebay_worker_open(argv[1], NULL, &worker, &error) < 0 ||
        forebay_worker_register(worker, "echo", NULL, &error) < 0)
        die("open", forebay_error_message(error));
    for (int i = 0; i < slots; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, slot, &slept_ns[i]) != 0) die("thread", "none is left");
    }
    ready();
    for (int c; (c = getchar()) != EOF;) {
        if (c != '\n') continue;
        uint64_t longest = 0;
        for (int i = 0; i < slots; i++) {
            uint64_t slept = atomic_exchange(&slept_ns[i], 0);
            if (slept > longest) longest = slept;
        }
        printf("%llu %llu\n", (unsigned long long)longest, (unsigned long long)atomic_exchange(&jobs, 0));
        fflush(stdout);
    }
    return 0;
}
