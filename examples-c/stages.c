/* Stages: lines are added to a run while it goes on, each is split into words, each word is measured, and the lengths are
 * added up.
 *
 *     stages [LINE...]
 *
 * It is its own worker, in a second thread. Start `forebay broker` before. */
#include <forebay.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 64 };

static forebay_worker_t *worker;

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "stages: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
}

/* One frame for each word of the line: what comes behind has a job for each. */
static void split(forebay_job_t *job) {
    forebay_frame_t words[WORDS_MAX];
    size_t len = 0, n = 0;
    const char *at = forebay_job_payload(job, &len), *end = at + len;
    while (at < end && n < WORDS_MAX) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        if (space == NULL) space = end;
        words[n].data = at;
        words[n].len = (size_t)(space - at);
        if (words[n].len > 0) n++;
        at = space + 1;
    }
    forebay_job_complete_frames(job, words, n, NULL);
}

static void measure(forebay_job_t *job) {
    char text[32];
    size_t len = 0;
    forebay_job_frame(job, 0, &len);
    snprintf(text, sizeof text, "%zu", len);
    forebay_job_complete(job, text, strlen(text), NULL);
}

/* Every result of the stage before, in order, is a frame. */
static void add(forebay_job_t *job) {
    forebay_job_view_t view = {.struct_size = sizeof view};
    uint64_t sum = 0;
    char text[64];
    forebay_job_view(job, &view);
    for (uint32_t i = 0; i < view.frames; i++) {
        char number[32] = "";
        size_t len = 0;
        const void *data = forebay_job_frame(job, i, &len);
        if (data != NULL) memcpy(number, data, len < sizeof number - 1 ? len : sizeof number - 1);
        sum += strtoull(number, NULL, 10);
    }
    snprintf(text, sizeof text, "%u words, %" PRIu64 " letters", (unsigned)view.frames, sum);
    forebay_job_complete(job, text, strlen(text), NULL);
}

static void *work(void *unused) {
    forebay_job_t *job;
    forebay_job_view_t view = {.struct_size = sizeof view};
    while (forebay_worker_receive(worker, -1, &job, NULL) == FOREBAY_OK) {
        forebay_job_view(job, &view);
        if (strcmp(view.queue, "stages-split") == 0) split(job);
        else if (strcmp(view.queue, "stages-measure") == 0) measure(job);
        else add(job);
        forebay_job_free(job);
    }
    return unused;
}

static int add_step(forebay_pipeline_t *pipeline, const char *step, const char *queue, uint32_t flags,
                    forebay_error_t **error) {
    forebay_submit_t job = {.struct_size = sizeof job};
    job.queue = queue;
    return forebay_pipeline_step(pipeline, step, &job, flags, error);
}

static int build(forebay_pipeline_t *pipeline, forebay_error_t **error) {
    if (add_step(pipeline, "lines", "stages-split", FOREBAY_STEP_OPEN, error) < 0) return -1;
    if (add_step(pipeline, "words", "stages-measure", FOREBAY_STEP_EACH, error) < 0) return -1;
    if (add_step(pipeline, "sum", "stages-add", 0, error) < 0) return -1;
    if (forebay_pipeline_after(pipeline, "words", "lines", FOREBAY_NEED_RESULT, error) < 0) return -1;
    return forebay_pipeline_after(pipeline, "sum", "words", FOREBAY_NEED_RESULT, error);
}

int main(int argc, char **argv) {
    static const char *const queues[] = {"stages-split", "stages-measure", "stages-add"};
    const char *const some[] = {"the water waits above", "the turbines"};
    const char *const *lines = argc > 1 ? (const char *const *)argv + 1 : some;
    const int n = argc > 1 ? argc - 1 : 2;
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
    if (forebay_pipeline_new("words", &pipeline, &error) < 0) return failed("new", error);
    if (build(pipeline, &error) < 0) return failed("build", error);
    if (forebay_client_run(client, pipeline, NULL, 10000, &run, &error) < 0) return failed("run", error);
    forebay_pipeline_free(pipeline);

    for (int i = 0; i < n; i++) {
        forebay_submit_t line = {.struct_size = sizeof line};
        line.payload = lines[i];
        line.payload_len = strlen(lines[i]);
        if (forebay_stage_add(client, &run, "lines", &line, 1, 10000, NULL, NULL, &error) < 0)
            return failed("add", error);
    }
    if (forebay_stage_close(client, &run, "lines", n, 10000, &error) < 0) return failed("close", error);

    forebay_status_t status = forebay_client_wait(client, &run, 30000, &result, &error);
    if (status < 0) return failed("wait", error);
    if (status > 0) {
        fprintf(stderr, "stages: the run has not ended in 30 s\n");
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
