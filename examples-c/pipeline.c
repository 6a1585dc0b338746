/* A pipeline: two numbers are squared, both squares are added, and the sum is greeted.
 *
 *     pipeline [A B]
 *
 * It is its own worker, in a second thread. Start `forebay broker` before. */
#include <forebay.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static forebay_worker_t *worker;

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "pipeline: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
}

static uint64_t number_in(const forebay_job_t *job, uint32_t i) {
    char text[32] = "";
    size_t len = 0;
    const void *data = forebay_job_frame(job, i, &len);
    if (data != NULL) memcpy(text, data, len < sizeof text - 1 ? len : sizeof text - 1);
    return strtoull(text, NULL, 10);
}

/* Frame 0 is the step's own payload, or, where it has none, the first result it takes. */
static void answer(forebay_job_t *job) {
    forebay_job_view_t view = {.struct_size = sizeof view};
    char text[64];
    forebay_job_view(job, &view);
    if (strcmp(view.queue, "pipeline-square") == 0)
        snprintf(text, sizeof text, "%" PRIu64, number_in(job, 0) * number_in(job, 0));
    else if (strcmp(view.queue, "pipeline-add") == 0)
        snprintf(text, sizeof text, "%" PRIu64, number_in(job, 0) + number_in(job, 1));
    else
        snprintf(text, sizeof text, "Hello, %" PRIu64 "!", number_in(job, 0));
    forebay_job_complete(job, text, strlen(text), NULL);
    forebay_job_free(job);
}

static void *work(void *unused) {
    forebay_job_t *job;
    while (forebay_worker_receive(worker, -1, &job, NULL) == FOREBAY_OK) answer(job);
    return unused;
}

static int add_step(forebay_pipeline_t *pipeline, const char *step, const char *queue, const char *payload,
                    forebay_error_t **error) {
    forebay_submit_t job = {.struct_size = sizeof job};
    job.queue = queue;
    job.payload = payload;
    job.payload_len = payload != NULL ? strlen(payload) : 0;
    return forebay_pipeline_step(pipeline, step, &job, 0, error);
}

/* Both squares may be made at once; the sum begins when both are there. */
static int build(forebay_pipeline_t *pipeline, const char *a, const char *b, forebay_error_t **error) {
    if (add_step(pipeline, "a", "pipeline-square", a, error) < 0) return -1;
    if (add_step(pipeline, "b", "pipeline-square", b, error) < 0) return -1;
    if (add_step(pipeline, "sum", "pipeline-add", NULL, error) < 0) return -1;
    if (add_step(pipeline, "greet", "pipeline-greet", NULL, error) < 0) return -1;
    if (forebay_pipeline_after(pipeline, "sum", "a", FOREBAY_NEED_RESULT, error) < 0) return -1;
    if (forebay_pipeline_after(pipeline, "sum", "b", FOREBAY_NEED_RESULT, error) < 0) return -1;
    return forebay_pipeline_after(pipeline, "greet", "sum", FOREBAY_NEED_RESULT, error);
}

int main(int argc, char **argv) {
    static const char *const queues[] = {"pipeline-square", "pipeline-add", "pipeline-greet"};
    forebay_error_t *error = NULL;
    forebay_client_t *client;
    forebay_pipeline_t *pipeline;
    forebay_result_t *result;
    forebay_id_t run;
    pthread_t thread;

    if (forebay_worker_open(NULL, NULL, &worker, &error) < 0) return failed("open a worker", error);
    for (size_t i = 0; i < 3; i++)
        if (forebay_worker_register(worker, queues[i], NULL, &error) < 0) return failed("register", error);
    if (pthread_create(&thread, NULL, work, NULL) != 0) return 1;

    if (forebay_client_open(NULL, NULL, &client, &error) < 0) return failed("open a client", error);
    if (forebay_pipeline_new("squares", &pipeline, &error) < 0) return failed("new", error);
    if (build(pipeline, argc > 2 ? argv[1] : "3", argc > 2 ? argv[2] : "4", &error) < 0)
        return failed("build", error);
    if (forebay_client_run(client, pipeline, NULL, 10000, &run, &error) < 0) return failed("run", error);
    forebay_pipeline_free(pipeline);

    forebay_status_t status = forebay_client_wait(client, &run, 30000, &result, &error);
    if (status < 0) return failed("wait", error);
    if (status > 0) {
        fprintf(stderr, "pipeline: the run has not ended in 30 s\n");
        return 1;
    }
    forebay_result_view_t view = {.struct_size = sizeof view};
    forebay_result_view(result, &view);
    printf("%s: %.*s%s\n", forebay_outcome_name(view.outcome), (int)view.data_len, (const char *)view.data,
           view.message);
    int exit_code = view.outcome == FOREBAY_OUTCOME_DONE ? 0 : 1;
    forebay_result_free(result);
    forebay_client_free(client);
    forebay_worker_stop(worker);
    pthread_join(thread, NULL);
    forebay_worker_free(worker);
    return exit_code;
}
