/* A client for tests: does what the lines on its standard input say, and prints what comes.
 *
 *     submit QUEUE PAYLOAD     enqueues a job; jobs are numbered from 0
 *     cancel NUMBER            cancels it and waits for the broker's word
 *     ready MS                 waits so long until the broker has welcomed the client, -1 for ever
 *
 * It prints, one line each: `ready STATUS MESSAGE`, `accepted NUMBER ID`, `refused NUMBER STATUS MESSAGE`, `cancelled NUMBER TIME
 * STATUS` with the time just before the call, and `result NUMBER OUTCOME ATTEMPT WORKER CODE DATA`, where `-` stands for
 * nothing. Times are microseconds of CLOCK_MONOTONIC. At the end of its input it waits for the results that are
 * still to come. */
#define _GNU_SOURCE
#include <forebay.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { JOBS_MAX = 16384, LINE_MAX_LEN = 4096 };

static forebay_client_t *client;
static forebay_id_t ids[JOBS_MAX];
static atomic_size_t submitted, ended;
static atomic_int no_more;

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "claims_client: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
}

static int64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static const char *or_dash(const char *text) {
    return text == NULL || *text == '\0' ? "-" : text;
}

static void print_result(const forebay_result_t *result, const forebay_result_view_t *view) {
    const char *name, *worker = "-";
    const void *data;
    size_t len, worker_len = 1;
    for (uint32_t i = 0; forebay_result_header_at(result, i, &name, &data, &len); i++)
        if (strcmp(name, "worker") == 0) worker = data, worker_len = len;
    printf("result %" PRIu64 " %s %" PRIu32 " %.*s %s %.*s\n", view->tag, forebay_outcome_name(view->outcome),
           view->attempt, (int)worker_len, worker, or_dash(view->code),
           view->data_len > 0 ? (int)view->data_len : 1, view->data_len > 0 ? (const char *)view->data : "-");
}

static void print_event(const forebay_result_t *result) {
    forebay_result_view_t view = {.struct_size = sizeof view};
    char id[64];
    forebay_result_view(result, &view);
    forebay_id_text(&view.id, id, sizeof id);
    if (view.kind == FOREBAY_KIND_ACCEPTED) {
        printf("accepted %" PRIu64 " %s\n", view.tag, id);
    } else if (view.kind == FOREBAY_KIND_REFUSED) {
        printf("refused %" PRIu64 " %s %s\n", view.tag, or_dash(view.code), or_dash(view.message));
        ended++;
    } else {
        print_result(result, &view);
        ended++;
    }
}

static void *print_events(void *unused) {
    (void)unused;
    while (!no_more || ended < submitted) {
        forebay_error_t *error = NULL;
        forebay_result_t *result;
        forebay_status_t status = forebay_client_next(client, -1, &result, &error);
        if (status < 0) exit(failed("next", error));
        if (status > 0) continue; /* interrupted at the end of the input */
        print_event(result);
        forebay_result_free(result);
    }
    return NULL;
}

static int submit(char *queue) {
    forebay_error_t *error = NULL;
    forebay_submit_t job = {.struct_size = sizeof job};
    char *payload = strchr(queue, ' ');
    size_t n = submitted;
    if (payload == NULL || n == JOBS_MAX) return 2;
    *payload++ = '\0';
    job.queue = queue;
    job.payload = payload;
    job.payload_len = strlen(payload);
    job.tag = n;
    job.want = 1u << FOREBAY_KIND_ACCEPTED | 1u << FOREBAY_KIND_REFUSED | 1u << FOREBAY_KIND_RESULT;
    submitted++; /* before its result can come */
    return forebay_client_enqueue(client, &job, 1, &ids[n], NULL, &error) < 0 ? failed("enqueue", error) : 0;
}

static int cancel(const char *number) {
    size_t n = strtoul(number, NULL, 10);
    if (n >= submitted) return 2;
    int64_t at_us = now_us();
    forebay_status_t status = forebay_client_cancel(client, &ids[n], "told to", 30000, NULL);
    printf("cancelled %zu %" PRId64 " %s\n", n, at_us, forebay_status_name(status));
    return 0;
}

static int obey(char *line) {
    forebay_error_t *error = NULL;
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "submit ", 7) == 0) return submit(line + 7);
    if (strncmp(line, "cancel ", 7) == 0) return cancel(line + 7);
    if (strncmp(line, "ready ", 6) == 0) {
        forebay_status_t status = forebay_client_ready(client, strtol(line + 6, NULL, 10), &error);
        printf("ready %s %s\n", forebay_status_name(status), or_dash(forebay_error_message(error)));
        forebay_error_free(error);
        return 0;
    }
    fprintf(stderr, "claims_client: cannot \"%s\"\n", line);
    return 2;
}

int main(void) {
    static char line[LINE_MAX_LEN];
    forebay_error_t *error = NULL;
    pthread_t printer;
    int bad = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (forebay_client_open(NULL, NULL, &client, &error) < 0) return failed("open", error);
    if (pthread_create(&printer, NULL, print_events, NULL) != 0) return 1;
    while (!bad && fgets(line, sizeof line, stdin) != NULL) bad = obey(line);
    if (bad) return bad;
    no_more = 1;
    forebay_client_interrupt(client);
    pthread_join(printer, NULL);
    forebay_client_free(client);
    return 0;
}
