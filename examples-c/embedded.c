/* Broker, worker and client in one process: no service, no socket file, no port.
 *
 * The broker listens on inproc, which only this process reaches. Give it an ipc or tcp address too and other
 * processes can join: broker.listen takes a list. */
#include <forebay.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static const char ADDRESS[] = "inproc://jobs";

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "embedded: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
}

/* A thread that turns text to capital letters until the worker is stopped. */
static void *shout(void *worker) {
    forebay_error_t *error = NULL;
    forebay_job_t *job;
    forebay_status_t status;
    while ((status = forebay_worker_receive(worker, -1, &job, &error)) == FOREBAY_OK) {
        char text[256];
        size_t len;
        const char *payload = forebay_job_payload(job, &len);
        if (len > sizeof text) len = sizeof text;
        for (size_t i = 0; i < len; i++)
            text[i] = payload[i] >= 'a' && payload[i] <= 'z' ? (char)(payload[i] - 'a' + 'A') : payload[i];
        if (forebay_job_complete(job, text, len, &error) < 0) failed("complete", error);
        forebay_job_free(job);
    }
    if (status < 0) failed("receive", error);
    return NULL;
}

static int say(forebay_client_t *client, const char *text) {
    forebay_error_t *error = NULL;
    forebay_result_t *result;
    forebay_result_view_t view = {.struct_size = sizeof view};
    forebay_submit_t job = {.struct_size = sizeof job};
    job.queue = "shout";
    job.payload = text;
    job.payload_len = strlen(text);
    if (forebay_client_call(client, &job, 10000, NULL, &result, &error) < 0) return failed("call", error);
    forebay_result_view(result, &view);
    printf("%.*s\n", (int)view.data_len, (const char *)view.data);
    forebay_result_free(result);
    return 0;
}

int main(void) {
    forebay_error_t *error = NULL;
    forebay_options_t *options = forebay_options_new();
    forebay_broker_t *broker;
    forebay_worker_t *worker;
    forebay_client_t *client;
    pthread_t thread;

    if (forebay_options_set(options, "broker.listen", ADDRESS, &error) < 0) return failed("options", error);
    if (forebay_broker_start(options, &broker, &error) < 0) return failed("broker", error);
    if (forebay_worker_open(ADDRESS, NULL, &worker, &error) < 0) return failed("worker", error);
    if (forebay_worker_register(worker, "shout", NULL, &error) < 0) return failed("register", error);
    if (forebay_client_open(ADDRESS, NULL, &client, &error) < 0) return failed("client", error);
    if (pthread_create(&thread, NULL, shout, worker) != 0) return 1;

    int bad = say(client, "hello from one process") || say(client, "and once more");

    /* From the outside in: no more calls, then no more work, then no more broker. */
    forebay_client_free(client);
    forebay_worker_stop(worker);
    pthread_join(thread, NULL);
    forebay_worker_free(worker);
    if (forebay_broker_stop(broker, 5000, &error) < 0) bad = failed("stop", error);
    forebay_broker_free(broker);
    forebay_options_free(options);
    return bad;
}
