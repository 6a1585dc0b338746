/* Many threads on one handle: forebay handles may be used from any thread at any time.
 *
 *     threads worker [N]           N threads (default 8) receive from one worker handle
 *     threads client [N] [CALLS]   N threads make CALLS calls each (default 8 and 200) through one client
 * handle
 *
 * The queue is "reverse": the result is the payload from back to front. */
#include <forebay.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 256 };

static forebay_worker_t *worker;
static forebay_client_t *client;
static long calls = 200;
static atomic_long right;

static void on_signal(int signal) {
    (void)signal;
    forebay_worker_stop(worker); /* every thread's receive answers DRAINED */
}

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "threads: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
}

static void reverse(const char *from, char *to, size_t len) {
    for (size_t i = 0; i < len; i++) to[i] = from[len - 1 - i];
}

/* One thread of the worker. The library asks for as many jobs at once as there are threads in receive. */
static void *work(void *unused) {
    forebay_error_t *error = NULL;
    forebay_job_t *job;
    forebay_status_t status;
    (void)unused;
    while ((status = forebay_worker_receive(worker, -1, &job, &error)) == FOREBAY_OK) {
        size_t len;
        const char *payload = forebay_job_payload(job, &len);
        char *result = malloc(len + 1);
        if (result != NULL) {
            reverse(payload, result, len);
            if (forebay_job_complete(job, result, len, &error) < 0) failed("complete", error);
        }
        free(result);
        forebay_job_free(
            job); /* out of memory: without an answer the attempt failed, another may go better */
    }
    if (status < 0) failed("receive", error);
    return NULL;
}

/* One thread of the client. */
static void *call(void *number) {
    for (long i = 0; i < calls; i++) {
        char text[64], want[64];
        forebay_error_t *error = NULL;
        forebay_result_t *result;
        size_t len = (size_t)snprintf(text, sizeof text, "thread %ld call %ld", (long)(size_t)number, i);
        forebay_submit_t job = {.struct_size = sizeof job};
        job.queue = "reverse";
        job.payload = text;
        job.payload_len = len;
        if (forebay_client_call(client, &job, 30000, NULL, &result, &error) < 0) {
            failed("call", error);
            continue;
        }
        forebay_result_view_t view = {.struct_size = sizeof view};
        forebay_result_view(result, &view);
        reverse(text, want, len);
        if (view.outcome == FOREBAY_OUTCOME_DONE && view.data_len == len && memcmp(view.data, want, len) == 0)
            atomic_fetch_add(&right, 1);
        forebay_result_free(result);
    }
    return NULL;
}

static void run(long n, void *(*body)(void *)) {
    pthread_t threads[THREADS_MAX];
    long started = 0;
    while (started < n && pthread_create(&threads[started], NULL, body, (void *)(size_t)started) == 0)
        started++;
    for (long i = 0; i < started; i++) pthread_join(threads[i], NULL);
}

int main(int argc, char **argv) {
    const char *role = argc > 1 ? argv[1] : "";
    long n = argc > 2 ? strtol(argv[2], NULL, 10) : 8;
    forebay_error_t *error = NULL;
    if (argc > 3) calls = strtol(argv[3], NULL, 10);
    if (n < 1 || n > THREADS_MAX || calls < 1) n = 0;

    if (n > 0 && strcmp(role, "worker") == 0) {
        if (forebay_worker_open(NULL, NULL, &worker, &error) < 0) return failed("open", error);
        signal(SIGTERM, on_signal);
        signal(SIGINT, on_signal);
        if (forebay_worker_register(worker, "reverse", NULL, &error) < 0) return failed("register", error);
        run(n, work);
        forebay_worker_free(worker); /* no thread is inside any more */
        return 0;
    }
    if (n > 0 && strcmp(role, "client") == 0) {
        if (forebay_client_open(NULL, NULL, &client, &error) < 0) return failed("open", error);
        run(n, call);
        printf("%ld of %ld answers right, from %ld threads\n", (long)right, n * calls, n);
        forebay_client_free(client);
        return right == n * calls ? 0 : 1;
    }
    fprintf(stderr, "usage: threads worker [N] | client [N] [CALLS], N from 1 to %d\n", THREADS_MAX);
    return 2;
}
