/* A worker for tests: the payload's first word says what it does with the job.
 *
 *     claims_worker QUEUE
 *
 *     echo TEXT      answers TEXT
 *     hold TEXT      waits for a line on standard input, then answers TEXT
 *     orphan TEXT    forks a child that sleeps and keeps every descriptor, then holds
 *     burn SECONDS   computes for so long without a call of the library
 *     fail TEXT      answers that the job failed and that another attempt is no use
 *     abandon        frees the job without an answer
 *     crash          ends by a signal within the job
 *     exit           ends by exit(0) within the job
 *
 * Each line it prints carries the time in microseconds of CLOCK_MONOTONIC, which is the same for all processes:
 * `start TIME ID ATTEMPT`, `answered TIME ID STATUS` with what the library said to the answer, and `stats TIME ID JSON`
 * with what it counts. The header "worker"
 * of a result is the process id. */
#define _GNU_SOURCE
#include <forebay.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static forebay_worker_t *worker;

static void on_signal(int signal) {
    (void)signal;
    forebay_worker_stop(worker);
}

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "claims_worker: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
}

static int64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void burn(double seconds) {
    const int64_t end_us = now_us() + (int64_t)(seconds * 1e6);
    volatile uint64_t x = 88172645463325252u;
    while (now_us() < end_us)
        for (int i = 0; i < 1000000; i++) x = x * 6364136223846793005u + 1;
}

/* Waits for the line that lets the job go. */
static void hold(void) {
    char line[16];
    if (fgets(line, sizeof line, stdin) == NULL) exit(4);
}

static void orphan(void) {
    if (fork() == 0) {
        /* The test waits for the end of the pipes; everything else stays open, the library's sockets too. */
        close(0), close(1), close(2);
        pause();
        _exit(0);
    }
}

static forebay_status_t complete(forebay_job_t *job, const char *text) {
    char pid[16];
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    forebay_job_set_header(job, "worker", pid, strlen(pid), NULL);
    return forebay_job_complete(job, text, strlen(text), NULL);
}

/* Does what the payload says. Returns the library's answer. */
static forebay_status_t work(forebay_job_t *job, char *deed) {
    char *rest = strchr(deed, ' ');
    if (rest != NULL) *rest++ = '\0';
    else rest = deed + strlen(deed);

    if (strcmp(deed, "fail") == 0)
        return forebay_job_fail(job, FOREBAY_RETRY_NEVER, "told_to", rest, "a detail\nof two lines", NULL);
    if (strcmp(deed, "abandon") == 0) return FOREBAY_OK;
    if (strcmp(deed, "crash") == 0) raise(SIGSEGV);
    if (strcmp(deed, "exit") == 0) exit(0);
    if (strcmp(deed, "burn") == 0) burn(strtod(rest, NULL));
    if (strcmp(deed, "orphan") == 0) orphan();
    if (strcmp(deed, "hold") == 0 || strcmp(deed, "orphan") == 0) hold();
    return complete(job, rest);
}

/* What the library counts, the answer before included. */
static void tell_stats(const char *id) {
    forebay_result_t *result;
    if (forebay_worker_stats(worker, &result, NULL) < 0) return;
    size_t len;
    const char *json = forebay_result_frame(result, 0, &len);
    printf("stats %" PRId64 " %s %.*s\n", now_us(), id, (int)len, json);
    forebay_result_free(result);
}

static void handle(forebay_job_t *job) {
    forebay_job_view_t view = {.struct_size = sizeof view};
    char id[64], deed[256];
    forebay_job_view(job, &view);
    forebay_id_text(&view.id, id, sizeof id);
    snprintf(deed, sizeof deed, "%.*s", (int)(view.payload_len < 200 ? view.payload_len : 200),
             (const char *)view.payload);
    printf("start %" PRId64 " %s %" PRIu32 "\n", now_us(), id, view.attempt);
    forebay_status_t status = work(job, deed);
    printf("answered %" PRId64 " %s %s\n", now_us(), id, forebay_status_name(status));
    tell_stats(id);
}

int main(int argc, char **argv) {
    forebay_error_t *error = NULL;
    forebay_job_t *job;
    forebay_status_t status;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 2) return 2;
    if (forebay_worker_open(NULL, NULL, &worker, &error) < 0) return failed("open", error);
    signal(SIGTERM, on_signal);
    if (forebay_worker_register(worker, argv[1], NULL, &error) < 0) return failed("register", error);
    while ((status = forebay_worker_receive(worker, -1, &job, &error)) == FOREBAY_OK) {
        handle(job);
        forebay_job_free(job);
    }
    if (status < 0) return failed("receive", error);
    forebay_worker_free(worker);
    return 0;
}
