/* Squares whole numbers: the payload is a number in decimal digits, the result its square.
 *
 * What is no number fails the job, and nothing is gained by trying again. The header "worker" of each result
 * says who did it. */
#include <forebay.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static forebay_worker_t *worker;

static void on_signal(int signal) {
    (void)signal;
    forebay_worker_stop(worker);
}

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "square_worker: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
}

/* The number in a payload, which has no NUL at its end. */
static int parse(const char *payload, size_t len, uint32_t *number) {
    char text[16];
    if (len == 0 || len >= sizeof text) return 0;
    memcpy(text, payload, len);
    text[len] = '\0';
    if (strspn(text, "0123456789") < len) return 0;
    unsigned long long value = strtoull(text, NULL, 10); /* 15 digits at most: it fits */
    *number = (uint32_t)value;
    return value <= UINT32_MAX;
}

static forebay_status_t square(forebay_job_t *job, const char *name, forebay_error_t **error) {
    char text[32];
    uint32_t number;
    size_t len;
    const char *payload = forebay_job_payload(job, &len);
    if (!parse(payload, len, &number))
        return forebay_job_fail(job, FOREBAY_RETRY_NEVER, "not_a_number",
                                "the payload has to be a whole number from 0 to 4294967295", NULL, error);
    snprintf(text, sizeof text, "%" PRIu64, (uint64_t)number * number);
    forebay_status_t status = forebay_job_set_header(job, "worker", name, strlen(name), error);
    return status < 0 ? status : forebay_job_complete(job, text, strlen(text), error);
}

int main(void) {
    forebay_error_t *error = NULL;
    forebay_job_t *job;
    forebay_status_t status;
    char name[32];

    snprintf(name, sizeof name, "c-%ld", (long)getpid());
    if (forebay_worker_open(NULL, NULL, &worker, &error) < 0) return failed("open", error);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    if (forebay_worker_register(worker, "square", NULL, &error) < 0) return failed("register", error);

    while ((status = forebay_worker_receive(worker, -1, &job, &error)) == FOREBAY_OK) {
        if (square(job, name, &error) < 0) failed("answer", error);
        forebay_job_free(job);
    }
    if (status < 0) return failed("receive", error);
    forebay_worker_free(worker);
    return 0;
}
