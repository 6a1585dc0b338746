/* A worker that greets: the payload is a name, the result a greeting.
 *
 * Start `forebay broker`, this, and hello_client, in any order. SIGTERM or Ctrl-C ends it after the job it is
 * at. It stays through restarts of the broker. */
#include <forebay.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static forebay_worker_t *worker;

static void on_signal(int signal) {
    (void)signal;
    forebay_worker_stop(worker); /* may be called from a signal handler: receive then answers DRAINED */
}

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "hello_worker: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
}

int main(void) {
    forebay_error_t *error = NULL;
    forebay_job_t *job;
    forebay_status_t status;

    /* NULL: the broker that $FOREBAY_BROKER names, else the default one. */
    if (forebay_worker_open(NULL, NULL, &worker, &error) < 0) return failed("open", error);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    if (forebay_worker_register(worker, "hello", NULL, &error) < 0) return failed("register", error);

    while ((status = forebay_worker_receive(worker, -1, &job, &error)) == FOREBAY_OK) {
        size_t len;
        const char *name = forebay_job_payload(job, &len);
        char greeting[256];
        snprintf(greeting, sizeof greeting, "Hello, %.*s!", (int)(len < 200 ? len : 200), name);
        if (forebay_job_complete(job, greeting, strlen(greeting), &error) < 0) failed("complete", error);
        forebay_job_free(job);
    }
    if (status < 0) return failed("receive", error);
    forebay_worker_free(worker); /* waits a moment for answers that the broker has not confirmed yet */
    return 0;
}
