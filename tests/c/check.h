/* What the C tests share: a check that names its place, and the objects most of them need. */
#ifndef CHECK_H
#define CHECK_H

#include <forebay.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                          \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

/* The call answers this status; below 0 it makes an error of the same status with a message. */
#define ANSWERS(wanted, call)                                                                                \
    do {                                                                                                     \
        forebay_error_t *err = NULL;                                                                         \
        forebay_status_t answered = (call);                                                                  \
        if (answered != (wanted)) {                                                                          \
            fprintf(stderr, "%s:%d: %s answered %s, not %s: %s\n", __FILE__, __LINE__, #call,                \
                    forebay_status_name(answered), forebay_status_name(wanted),                              \
                    err ? forebay_error_message(err) : "");                                                  \
            exit(1);                                                                                         \
        }                                                                                                    \
        CHECK((answered < 0) == (err != NULL));                                                              \
        CHECK(err == NULL || (forebay_error_status(err) == answered && forebay_error_message(err)[0]));      \
        forebay_error_free(err);                                                                             \
    } while (0)

#define DONE(call) ANSWERS(FOREBAY_OK, call)

static forebay_broker_t *broker;
static const char *endpoint;

/* A broker in this process, on an inproc address or on what the test's first argument says. */
static inline void start_broker(const char *listen) {
    forebay_options_t *options = forebay_options_new();
    DONE(forebay_options_set(options, "broker.listen", listen, &err));
    DONE(forebay_broker_start(options, &broker, &err));
    forebay_options_free(options);
    endpoint = forebay_broker_endpoint(broker, 0);
    CHECK(endpoint != NULL);
    CHECK(forebay_broker_endpoint(broker, 1) == NULL);
}

static inline forebay_client_t *open_client(void) {
    forebay_client_t *client = NULL;
    DONE(forebay_client_open(endpoint, NULL, &client, &err));
    return client;
}

static inline forebay_worker_t *open_worker(const char *queue) {
    forebay_worker_t *worker = NULL;
    DONE(forebay_worker_open(endpoint, NULL, &worker, &err));
    if (queue != NULL) DONE(forebay_worker_register(worker, queue, NULL, &err));
    return worker;
}

static inline forebay_submit_t a_job(const char *queue, const char *payload) {
    forebay_submit_t job;
    memset(&job, 0, sizeof job);
    job.struct_size = sizeof job;
    job.queue = queue;
    job.payload = payload;
    job.payload_len = strlen(payload);
    return job;
}

static inline forebay_result_view_t seen(const forebay_result_t *result) {
    forebay_result_view_t view;
    memset(&view, 0, sizeof view);
    view.struct_size = sizeof view;
    CHECK(forebay_result_view(result, &view) == FOREBAY_OK);
    return view;
}

static inline int is_text(const void *data, size_t len, const char *text) {
    return len == strlen(text) && memcmp(data, text, len) == 0;
}

#endif
