/* A worker of the chaos test.
 *
 *     chaos_worker LOG THREADS
 *
 * It computes what `make_result` says of each job of the queue "work", and logs `S ID CLIENT SEQ ATTEMPT` when it begins one
 * and `C ID STATUS` with what the library said to the answer. The lines outlive the process, not the machine. */
#include "chaos.h"

#include <pthread.h>

static forebay_worker_t *worker;
static journal_t journal;
static pthread_mutex_t journal_lock = PTHREAD_MUTEX_INITIALIZER;

static void handle(forebay_job_t *job) {
    forebay_job_view_t view = {.struct_size = sizeof view};
    char id[FOREBAY_ID_TEXT_CAP], head[128], client[32] = "?", result[128];
    uint64_t seq = 0;
    unsigned micros = 0;
    forebay_job_view(job, &view);
    forebay_id_text(&view.id, id, sizeof id);
    snprintf(head, sizeof head, "%.*s", (int)(view.payload_len < 100 ? view.payload_len : 100),
             (const char *)view.payload);
    sscanf(head, "%31s %" SCNu64 " %u", client, &seq, &micros);

    pthread_mutex_lock(&journal_lock);
    journal_add(&journal, "S %s %s %" PRIu64 " %" PRIu32 "\n", id, client, seq, view.attempt);
    journal_write(&journal);
    pthread_mutex_unlock(&journal_lock);

    char *payload = must(malloc(view.payload_len + 1));
    memcpy(payload, view.payload, view.payload_len);
    payload[view.payload_len] = '\0';
    make_result(result, sizeof result, payload, view.payload_len);
    free(payload);
    pause_us(micros);
    forebay_status_t status;
    while ((status = forebay_job_complete(job, result, strlen(result), NULL)) == FOREBAY_ERR_BUSY) pause_us(5000);

    pthread_mutex_lock(&journal_lock);
    journal_add(&journal, "C %s %s\n", id, forebay_status_name(status));
    journal_write(&journal);
    pthread_mutex_unlock(&journal_lock);
}

static void *serve(void *unused) {
    (void)unused;
    forebay_error_t *error = NULL;
    forebay_job_t *job;
    forebay_status_t status;
    while ((status = forebay_worker_receive(worker, -1, &job, &error)) == FOREBAY_OK) {
        handle(job);
        forebay_job_free(job);
    }
    if (status < 0) die("receive", error);
    return NULL;
}

int main(int argc, char **argv) {
    forebay_error_t *error = NULL;
    pthread_t thread;

    if (argc < 3) return 2;
    journal_open(&journal, argv[1]);
    if (forebay_worker_open(NULL, NULL, &worker, &error) < 0) die("open", error);
    if (forebay_worker_register(worker, "work", NULL, &error) < 0) die("register", error);
    for (int i = 1; i < atoi(argv[2]); i++)
        if (pthread_create(&thread, NULL, serve, NULL) != 0) die("thread", NULL);
    serve(NULL);
    return 0;
}
