/* N threads on one client, N threads in receive on one worker, and options that one thread sets while others use them. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 8, CALLS = 100 };

static forebay_client_t *client;
static forebay_worker_t *worker;
static forebay_options_t *options;
static atomic_int right, served, ended;

static void *serve(void *unused) {
    forebay_job_t *job = NULL;
    forebay_status_t status;
    (void)unused;
    while ((status = forebay_worker_receive(worker, -1, &job, NULL)) == FOREBAY_OK) {
        size_t len = 0;
        const void *payload = forebay_job_payload(job, &len);
        DONE(forebay_job_complete(job, payload, len, &err));
        forebay_job_free(job);
        atomic_fetch_add(&served, 1);
    }
    CHECK(status == FOREBAY_DRAINED);
    return NULL;
}

static void *call(void *number) {
    for (int i = 0; i < CALLS; i++) {
        char text[64];
        snprintf(text, sizeof text, "%d/%d", (int)(size_t)number, i);
        forebay_submit_t job = a_job("q", text);
        forebay_result_t *result = NULL;
        job.options = options;
        DONE(forebay_client_call(client, &job, 60000, NULL, &result, &err));
        forebay_result_view_t view = seen(result);
        if (view.outcome == FOREBAY_OUTCOME_DONE && is_text(view.data, view.data_len, text))
            atomic_fetch_add(&right, 1);
        forebay_result_free(result);
    }
    return NULL;
}

static void *set(void *unused) {
    (void)unused;
    for (int i = 0; !atomic_load(&ended); i++)
        DONE(forebay_options_set_int(options, "job.priority", 1 + i % 8, &err));
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t servers[THREADS], callers[THREADS], setter;
    CHECK(argc == 2);
    start_broker(argv[1]);
    options = forebay_options_new();
    client = open_client();
    worker = open_worker("q");
    CHECK(pthread_create(&setter, NULL, set, NULL) == 0);
    for (size_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&servers[i], NULL, serve, NULL) == 0);
        CHECK(pthread_create(&callers[i], NULL, call, (void *)i) == 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(callers[i], NULL);
    atomic_store(&ended, 1);
    pthread_join(setter, NULL);
    forebay_worker_stop(worker);
    for (int i = 0; i < THREADS; i++) pthread_join(servers[i], NULL);
    CHECK(right == THREADS * CALLS && served == THREADS * CALLS);
    forebay_worker_free(worker);
    forebay_client_free(client);
    forebay_broker_free(broker);
    forebay_options_free(options);
    return 0;
}
