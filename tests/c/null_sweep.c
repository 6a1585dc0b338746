/* Every pointer argument of every function is NULL once, the others valid; every text is once not UTF-8. Each check prints
 * the function and the parameter; the test holds the list against the header. */
#include "check.h"

static const char bad_text[] = "bad \xff text";

/* Refused with FOREBAY_ERR_ARGUMENT, and an error that says so where the call makes errors. */
#define REFUSED(function, parameter, call)                                                                   \
    do {                                                                                                     \
        ANSWERS(FOREBAY_ERR_ARGUMENT, call);                                                                 \
        printf("refused %s %s\n", #function, #parameter);                                                    \
    } while (0)
/* The same for a call that has no err. */
#define REFUSED_PLAIN(function, parameter, call)                                                             \
    do {                                                                                                     \
        CHECK((call) == FOREBAY_ERR_ARGUMENT);                                                               \
        printf("refused %s %s\n", #function, #parameter);                                                    \
    } while (0)
/* A getter answers nothing. */
#define NOTHING(function, parameter, expression)                                                             \
    do {                                                                                                     \
        CHECK(expression);                                                                                   \
        printf("nothing %s %s\n", #function, #parameter);                                                    \
    } while (0)
/* The parameter may be NULL. */
#define ALLOWED(function, parameter, expression)                                                             \
    do {                                                                                                     \
        CHECK(expression);                                                                                   \
        printf("allowed %s %s\n", #function, #parameter);                                                    \
    } while (0)
/* Text that is not UTF-8 is refused. */
#define NOT_UTF8(function, parameter, call)                                                                  \
    do {                                                                                                     \
        ANSWERS(FOREBAY_ERR_ARGUMENT, call);                                                                 \
        printf("utf8 %s %s\n", #function, #parameter);                                                       \
    } while (0)
#define NOT_UTF8_PLAIN(function, parameter, expression)                                                      \
    do {                                                                                                     \
        CHECK(expression);                                                                                   \
        printf("utf8 %s %s\n", #function, #parameter);                                                       \
    } while (0)

static forebay_client_t *client;
static forebay_worker_t *worker;
static forebay_options_t *options;

static void texts_and_ids(void) {
    forebay_id_t id;
    char text[FOREBAY_ID_TEXT_CAP];
    NOTHING(forebay_has, feature, forebay_has(NULL) == 0);
    NOT_UTF8_PLAIN(forebay_has, feature, forebay_has(bad_text) == 0);
    REFUSED_PLAIN(forebay_id_new, id, forebay_id_new(NULL));
    CHECK(forebay_id_new(&id) == FOREBAY_OK);
    NOTHING(forebay_id_text, id, forebay_id_text(NULL, text, sizeof text) == 0);
    ALLOWED(forebay_id_text, buf, forebay_id_text(&id, NULL, 0) == 36);
    REFUSED_PLAIN(forebay_id_parse, text, forebay_id_parse(NULL, &id));
    NOT_UTF8_PLAIN(forebay_id_parse, text, forebay_id_parse(bad_text, &id) == FOREBAY_ERR_ARGUMENT);
    CHECK(forebay_id_text(&id, text, sizeof text) == 36);
    REFUSED_PLAIN(forebay_id_parse, id, forebay_id_parse(text, NULL));

    forebay_error_t *error = forebay_error_new(FOREBAY_ERR_BUSY, NULL);
    ALLOWED(forebay_error_new, message, strcmp(forebay_error_message(error), forebay_status_text(-8)) == 0);
    forebay_error_free(error);
    NOT_UTF8_PLAIN(forebay_error_new, message, forebay_error_new(FOREBAY_ERR_BUSY, bad_text) == NULL);
    NOTHING(forebay_error_status, error, forebay_error_status(NULL) == 0);
    NOTHING(forebay_error_message, error, forebay_error_message(NULL) == NULL);
    NOTHING(forebay_error_retryable, error, forebay_error_retryable(NULL) == 0);
    NOTHING(forebay_error_retry_after_ms, error, forebay_error_retry_after_ms(NULL) == -1);
    forebay_error_free(NULL);
    ALLOWED(forebay_error_free, error, 1);
}

static void some_options(void) {
    char buf[64];
    size_t needed;
    const char *text;
    const char *key = "client.name";
    REFUSED(forebay_options_load, options, forebay_options_load(NULL, "/dev/null", &err));
    REFUSED(forebay_options_load, toml_path, forebay_options_load(options, NULL, &err));
    NOT_UTF8(forebay_options_load, toml_path, forebay_options_load(options, bad_text, &err));
    ALLOWED(forebay_options_load, err, forebay_options_load(options, "/nonexistent", NULL) == FOREBAY_ERR_IO);
    REFUSED(forebay_options_set, options, forebay_options_set(NULL, key, "x", &err));
    REFUSED(forebay_options_set, key, forebay_options_set(options, NULL, "x", &err));
    REFUSED(forebay_options_set, value, forebay_options_set(options, key, NULL, &err));
    NOT_UTF8(forebay_options_set, key, forebay_options_set(options, bad_text, "x", &err));
    NOT_UTF8(forebay_options_set, value, forebay_options_set(options, key, bad_text, &err));
    ALLOWED(forebay_options_set, err, forebay_options_set(options, "no.key", "x", NULL) == FOREBAY_ERR_OPTION);
    REFUSED(forebay_options_set_int, options, forebay_options_set_int(NULL, key, 1, &err));
    REFUSED(forebay_options_set_int, key, forebay_options_set_int(options, NULL, 1, &err));
    NOT_UTF8(forebay_options_set_int, key, forebay_options_set_int(options, bad_text, 1, &err));
    ALLOWED(forebay_options_set_int, err, forebay_options_set_int(options, "no.key", 1, NULL) == FOREBAY_ERR_OPTION);
    REFUSED(forebay_options_set_bytes, options, forebay_options_set_bytes(NULL, key, "x", 1, &err));
    REFUSED(forebay_options_set_bytes, key, forebay_options_set_bytes(options, NULL, "x", 1, &err));
    NOT_UTF8(forebay_options_set_bytes, key, forebay_options_set_bytes(options, bad_text, "x", 1, &err));
    ALLOWED(forebay_options_set_bytes, data,
            forebay_options_set_bytes(options, "job.header.empty", NULL, 0, NULL) == FOREBAY_OK);
    CHECK(forebay_options_set_bytes(options, "job.header.empty", NULL, 1, NULL) == FOREBAY_ERR_ARGUMENT);
    ALLOWED(forebay_options_set_bytes, err,
            forebay_options_set_bytes(options, "no.key", "x", 1, NULL) == FOREBAY_ERR_OPTION);
    REFUSED(forebay_options_unset, options, forebay_options_unset(NULL, key, &err));
    REFUSED(forebay_options_unset, key, forebay_options_unset(options, NULL, &err));
    NOT_UTF8(forebay_options_unset, key, forebay_options_unset(options, bad_text, &err));
    ALLOWED(forebay_options_unset, err, forebay_options_unset(options, "no.key", NULL) == FOREBAY_ERR_OPTION);
    REFUSED(forebay_options_get, options, forebay_options_get(NULL, key, buf, sizeof buf, &needed, &err));
    REFUSED(forebay_options_get, key, forebay_options_get(options, NULL, buf, sizeof buf, &needed, &err));
    NOT_UTF8(forebay_options_get, key, forebay_options_get(options, bad_text, buf, sizeof buf, &needed, &err));
    ALLOWED(forebay_options_get, buf,
            forebay_options_get(options, key, NULL, 0, &needed, NULL) == FOREBAY_ERR_TOO_LARGE);
    ALLOWED(forebay_options_get, needed,
            forebay_options_get(options, key, buf, sizeof buf, NULL, NULL) == FOREBAY_OK);
    ALLOWED(forebay_options_get, err, 1);
    ALLOWED(forebay_option_at, key, forebay_option_at(0, NULL, &text, &text, &text) == 1);
    ALLOWED(forebay_option_at, type, forebay_option_at(0, &text, NULL, &text, &text) == 1);
    ALLOWED(forebay_option_at, dflt, forebay_option_at(0, &text, &text, NULL, &text) == 1);
    ALLOWED(forebay_option_at, text, forebay_option_at(0, &text, &text, &text, NULL) == 1);
    forebay_options_free(NULL);
    ALLOWED(forebay_options_free, options, 1);

    forebay_buffer_t *buffer;
    void *data;
    REFUSED(forebay_buffer_new, buffer, forebay_buffer_new(1, NULL, &data, &err));
    REFUSED(forebay_buffer_new, data, forebay_buffer_new(1, &buffer, NULL, &err));
    ALLOWED(forebay_buffer_new, err, forebay_buffer_new(SIZE_MAX, &buffer, &data, NULL) == FOREBAY_ERR_MEMORY);
    forebay_buffer_free(NULL);
    ALLOWED(forebay_buffer_free, buffer, 1);
}

static void a_client(void) {
    forebay_client_t *other = NULL;
    forebay_result_t *result = NULL, *results[1] = {NULL};
    forebay_submit_t job = a_job("nobody", "x");
    forebay_id_t id, ids[1];
    size_t n;
    const char *text;
    CHECK(forebay_id_new(&id) == FOREBAY_OK);
    setenv("FOREBAY_BROKER", endpoint, 1);
    ALLOWED(forebay_client_open, endpoint, forebay_client_open(NULL, NULL, &other, NULL) == FOREBAY_OK);
    forebay_client_free(other);
    other = NULL;
    ALLOWED(forebay_client_open, options, forebay_client_open(endpoint, NULL, &other, NULL) == FOREBAY_OK);
    forebay_client_free(other);
    other = NULL;
    REFUSED(forebay_client_open, client, forebay_client_open(endpoint, options, NULL, &err));
    NOT_UTF8(forebay_client_open, endpoint, forebay_client_open(bad_text, options, &other, &err));
    ALLOWED(forebay_client_open, err, forebay_client_open("blah", NULL, &other, NULL) == FOREBAY_ERR_ADDRESS);
    CHECK(other == NULL);
    REFUSED(forebay_client_ready, client, forebay_client_ready(NULL, 0, &err));
    ALLOWED(forebay_client_ready, err, forebay_client_ready(client, 30000, NULL) == FOREBAY_OK);
    NOTHING(forebay_client_state, client, forebay_client_state(NULL) == 0);
    REFUSED(forebay_client_submit, client, forebay_client_submit(NULL, &job, 1, 0, ids, &n, &err));
    REFUSED(forebay_client_submit, jobs, forebay_client_submit(client, NULL, 1, 0, ids, &n, &err));
    ALLOWED(forebay_client_submit, jobs, forebay_client_submit(client, NULL, 0, 0, NULL, NULL, NULL) == FOREBAY_OK);
    ALLOWED(forebay_client_submit, ids,
            forebay_client_submit(client, &job, 1, 30000, NULL, &n, NULL) == FOREBAY_OK && n == 1);
    ALLOWED(forebay_client_submit, accepted,
            forebay_client_submit(client, &job, 1, 30000, ids, NULL, NULL) == FOREBAY_OK);
    ALLOWED(forebay_client_submit, err, 1);
    REFUSED(forebay_client_enqueue, client, forebay_client_enqueue(NULL, &job, 1, ids, &n, &err));
    REFUSED(forebay_client_enqueue, jobs, forebay_client_enqueue(client, NULL, 1, ids, &n, &err));
    ALLOWED(forebay_client_enqueue, jobs, forebay_client_enqueue(client, NULL, 0, NULL, NULL, NULL) == FOREBAY_OK);
    ALLOWED(forebay_client_enqueue, ids, forebay_client_enqueue(client, &job, 1, NULL, &n, NULL) == FOREBAY_OK);
    ALLOWED(forebay_client_enqueue, accepted,
            forebay_client_enqueue(client, &job, 1, ids, NULL, NULL) == FOREBAY_OK);
    ALLOWED(forebay_client_enqueue, err, 1);
    REFUSED(forebay_client_flush, client, forebay_client_flush(NULL, 0, &err));
    ALLOWED(forebay_client_flush, err, forebay_client_flush(client, 30000, NULL) == FOREBAY_OK);
    REFUSED(forebay_client_call, client, forebay_client_call(NULL, &job, 0, &id, &result, &err));
    REFUSED(forebay_client_call, job, forebay_client_call(client, NULL, 0, &id, &result, &err));
    REFUSED(forebay_client_call, result, forebay_client_call(client, &job, 0, &id, NULL, &err));
    ALLOWED(forebay_client_call, id, forebay_client_call(client, &job, 1, NULL, &result, NULL) <= 0);
    forebay_result_free(result);
    result = NULL;
    ALLOWED(forebay_client_call, err, 1);
    REFUSED(forebay_client_wait, client, forebay_client_wait(NULL, ids, 0, &result, &err));
    REFUSED(forebay_client_wait, id, forebay_client_wait(client, NULL, 0, &result, &err));
    REFUSED(forebay_client_wait, result, forebay_client_wait(client, ids, 0, NULL, &err));
    ALLOWED(forebay_client_wait, err, forebay_client_wait(client, ids, 0, &result, NULL) == FOREBAY_TIMED_OUT);
    REFUSED(forebay_client_wait_many, client, forebay_client_wait_many(NULL, ids, 1, 1, 0, results, &n, &err));
    REFUSED(forebay_client_wait_many, ids, forebay_client_wait_many(client, NULL, 1, 1, 0, results, &n, &err));
    REFUSED(forebay_client_wait_many, results, forebay_client_wait_many(client, ids, 1, 1, 0, NULL, &n, &err));
    ALLOWED(forebay_client_wait_many, ids,
            forebay_client_wait_many(client, NULL, 0, 0, 0, results, &n, NULL) == FOREBAY_OK && n == 0);
    ALLOWED(forebay_client_wait_many, ended,
            forebay_client_wait_many(client, ids, 1, 1, 0, results, NULL, NULL) == FOREBAY_TIMED_OUT);
    ALLOWED(forebay_client_wait_many, err, 1);
    REFUSED(forebay_client_next, client, forebay_client_next(NULL, 0, &result, &err));
    REFUSED(forebay_client_next, result, forebay_client_next(client, 0, NULL, &err));
    ALLOWED(forebay_client_next, err, forebay_client_next(client, 0, &result, NULL) == FOREBAY_TIMED_OUT);
    REFUSED(forebay_client_next_many, client, forebay_client_next_many(NULL, 0, results, 1, &n, &err));
    REFUSED(forebay_client_next_many, results, forebay_client_next_many(client, 0, NULL, 1, &n, &err));
    REFUSED(forebay_client_next_many, got, forebay_client_next_many(client, 0, results, 1, NULL, &err));
    ANSWERS(FOREBAY_ERR_ARGUMENT, forebay_client_next_many(client, 0, results, 0, &n, &err));
    ALLOWED(forebay_client_next_many, err,
            forebay_client_next_many(client, 0, results, 1, &n, NULL) == FOREBAY_TIMED_OUT);
    REFUSED(forebay_client_peek, client, forebay_client_peek(NULL, ids, 0, &result, &err));
    REFUSED(forebay_client_peek, id, forebay_client_peek(client, NULL, 0, &result, &err));
    REFUSED(forebay_client_peek, result, forebay_client_peek(client, ids, 0, NULL, &err));
    ALLOWED(forebay_client_peek, err, forebay_client_peek(client, ids, 30000, &result, NULL) == FOREBAY_OK);
    forebay_result_free(result);
    result = NULL;
    REFUSED(forebay_client_ack, client, forebay_client_ack(NULL, ids, &err));
    REFUSED(forebay_client_ack, id, forebay_client_ack(client, NULL, &err));
    ALLOWED(forebay_client_ack, err, (forebay_client_ack(client, &id, NULL), 1));
    REFUSED(forebay_client_cancel, client, forebay_client_cancel(NULL, ids, "r", 0, &err));
    REFUSED(forebay_client_cancel, id, forebay_client_cancel(client, NULL, "r", 0, &err));
    NOT_UTF8(forebay_client_cancel, reason, forebay_client_cancel(client, ids, bad_text, 0, &err));
    ALLOWED(forebay_client_cancel, reason, forebay_client_cancel(client, ids, NULL, 30000, NULL) == FOREBAY_OK);
    ALLOWED(forebay_client_cancel, err, 1);
    REFUSED(forebay_client_wait_workers, client, forebay_client_wait_workers(NULL, "q", 0, 0, &err));
    REFUSED(forebay_client_wait_workers, queue, forebay_client_wait_workers(client, NULL, 0, 0, &err));
    NOT_UTF8(forebay_client_wait_workers, queue, forebay_client_wait_workers(client, bad_text, 0, 0, &err));
    ALLOWED(forebay_client_wait_workers, err, forebay_client_wait_workers(client, "q", 0, 30000, NULL) == FOREBAY_OK);
    REFUSED(forebay_client_admin, client, forebay_client_admin(NULL, "status", options, 0, &result, &err));
    REFUSED(forebay_client_admin, command, forebay_client_admin(client, NULL, options, 0, &result, &err));
    NOT_UTF8(forebay_client_admin, command, forebay_client_admin(client, bad_text, options, 0, &result, &err));
    REFUSED(forebay_client_admin, json, forebay_client_admin(client, "status", options, 0, NULL, &err));
    ALLOWED(forebay_client_admin, arguments,
            forebay_client_admin(client, "status", NULL, 30000, &result, NULL) == FOREBAY_OK);
    forebay_result_free(result);
    result = NULL;
    ALLOWED(forebay_client_admin, err, 1);
    ALLOWED(forebay_command_at, name, forebay_command_at(0, NULL, &text, &text) == 1);
    ALLOWED(forebay_command_at, arguments, forebay_command_at(0, &text, NULL, &text) == 1);
    ALLOWED(forebay_command_at, text, forebay_command_at(0, &text, &text, NULL) == 1);
    REFUSED(forebay_client_stats, client, forebay_client_stats(NULL, &result, &err));
    REFUSED(forebay_client_stats, json, forebay_client_stats(client, NULL, &err));
    ALLOWED(forebay_client_stats, err, forebay_client_stats(client, &result, NULL) == FOREBAY_OK);
    forebay_result_free(result);
    NOTHING(forebay_client_fd, client, forebay_client_fd(NULL) == -1);
    REFUSED_PLAIN(forebay_client_interrupt, client, forebay_client_interrupt(NULL));
    forebay_client_free(NULL);
    ALLOWED(forebay_client_free, client, 1);
}

static void a_pipeline(void) {
    forebay_pipeline_t *pipeline, *other = NULL;
    forebay_submit_t job = {.struct_size = sizeof job};
    forebay_id_t run;
    char dot[8];
    job.queue = "nobody";
    CHECK(forebay_pipeline_new("p", &pipeline, NULL) == FOREBAY_OK);
    REFUSED(forebay_pipeline_new, name, forebay_pipeline_new(NULL, &other, &err));
    NOT_UTF8(forebay_pipeline_new, name, forebay_pipeline_new(bad_text, &other, &err));
    REFUSED(forebay_pipeline_new, pipeline, forebay_pipeline_new("p", NULL, &err));
    ALLOWED(forebay_pipeline_new, err, forebay_pipeline_new("", &other, NULL) == FOREBAY_ERR_ARGUMENT);
    CHECK(other == NULL);
    REFUSED(forebay_pipeline_step, pipeline, forebay_pipeline_step(NULL, "a", &job, 0, &err));
    REFUSED(forebay_pipeline_step, step, forebay_pipeline_step(pipeline, NULL, &job, 0, &err));
    NOT_UTF8(forebay_pipeline_step, step, forebay_pipeline_step(pipeline, bad_text, &job, 0, &err));
    REFUSED(forebay_pipeline_step, job, forebay_pipeline_step(pipeline, "a", NULL, 0, &err));
    CHECK(forebay_pipeline_step(pipeline, "a", &job, 16, NULL) == FOREBAY_ERR_ARGUMENT);
    CHECK(forebay_pipeline_step(pipeline, "a", &job, FOREBAY_STEP_OPEN | FOREBAY_STEP_EACH, NULL) ==
          FOREBAY_ERR_ARGUMENT);
    ALLOWED(forebay_pipeline_step, err, forebay_pipeline_step(pipeline, "a", &job, 0, NULL) == FOREBAY_OK);
    CHECK(forebay_pipeline_step(pipeline, "b", &job, FOREBAY_STEP_CONTINUE, NULL) == FOREBAY_OK);
    job.tag = 1;
    CHECK(forebay_pipeline_step(pipeline, "c", &job, 0, NULL) == FOREBAY_ERR_ARGUMENT);
    job.tag = 0;
    REFUSED(forebay_pipeline_after, pipeline, forebay_pipeline_after(NULL, "b", "a", 0, &err));
    REFUSED(forebay_pipeline_after, step, forebay_pipeline_after(pipeline, NULL, "a", 0, &err));
    NOT_UTF8(forebay_pipeline_after, step, forebay_pipeline_after(pipeline, bad_text, "a", 0, &err));
    REFUSED(forebay_pipeline_after, needs, forebay_pipeline_after(pipeline, "b", NULL, 0, &err));
    NOT_UTF8(forebay_pipeline_after, needs, forebay_pipeline_after(pipeline, "b", bad_text, 0, &err));
    CHECK(forebay_pipeline_after(pipeline, "b", "a", 2, NULL) == FOREBAY_ERR_ARGUMENT);
    CHECK(forebay_pipeline_after(pipeline, "b", "b", 0, NULL) == FOREBAY_ERR_CYCLE);
    ALLOWED(forebay_pipeline_after, err, forebay_pipeline_after(pipeline, "b", "a", 1, NULL) == FOREBAY_OK);
    NOTHING(forebay_pipeline_dot, pipeline, forebay_pipeline_dot(NULL, dot, sizeof dot) == 0);
    ALLOWED(forebay_pipeline_dot, buf, forebay_pipeline_dot(pipeline, NULL, 0) > sizeof dot);
    CHECK(forebay_pipeline_dot(pipeline, dot, sizeof dot) > sizeof dot && strcmp(dot, "digraph") == 0);

    job.queue = NULL;
    REFUSED(forebay_client_run, client, forebay_client_run(NULL, pipeline, &job, 0, &run, &err));
    REFUSED(forebay_client_run, pipeline, forebay_client_run(client, NULL, &job, 0, &run, &err));
    ALLOWED(forebay_client_run, job, forebay_client_run(client, pipeline, NULL, 30000, &run, NULL) == FOREBAY_OK);
    CHECK(forebay_client_cancel(client, &run, NULL, 30000, NULL) == FOREBAY_OK);
    job.deadline_ms = 1;
    ALLOWED(forebay_client_run, run, forebay_client_run(client, pipeline, &job, 30000, NULL, NULL) == FOREBAY_OK);
    job.queue = "nobody";
    ALLOWED(forebay_client_run, err,
            forebay_client_run(client, pipeline, &job, 30000, &run, NULL) == FOREBAY_ERR_ARGUMENT);
    CHECK(forebay_pipeline_after(pipeline, "a", "b", 0, NULL) == FOREBAY_OK);
    CHECK(forebay_client_run(client, pipeline, NULL, 30000, &run, NULL) == FOREBAY_ERR_CYCLE);
    forebay_pipeline_free(pipeline);
    forebay_pipeline_free(NULL);
    ALLOWED(forebay_pipeline_free, pipeline, 1);
}

static void a_stage(void) {
    forebay_pipeline_t *pipeline = NULL;
    forebay_submit_t job = {.struct_size = sizeof job};
    forebay_id_t run, id;
    size_t accepted = 0;
    job.queue = "nobody";
    DONE(forebay_pipeline_new("p", &pipeline, &err));
    DONE(forebay_pipeline_step(pipeline, "many", &job, FOREBAY_STEP_OPEN, &err));
    DONE(forebay_client_run(client, pipeline, NULL, 30000, &run, &err));
    REFUSED(forebay_pipeline_hold, pipeline, forebay_pipeline_hold(NULL, &err));
    ALLOWED(forebay_pipeline_hold, err, forebay_pipeline_hold(pipeline, NULL) == FOREBAY_OK);
    forebay_pipeline_free(pipeline);
    REFUSED(forebay_run_context, client, forebay_run_context(NULL, &run, "x", 1, 0, &err));
    REFUSED(forebay_run_context, run, forebay_run_context(client, NULL, "x", 1, 0, &err));
    CHECK(forebay_run_context(client, &run, NULL, 1, 0, NULL) == FOREBAY_ERR_ARGUMENT);
    ALLOWED(forebay_run_context, data, forebay_run_context(client, &run, NULL, 0, 30000, NULL) == FOREBAY_OK);
    ALLOWED(forebay_run_context, err, forebay_run_context(client, &run, "x", 1, 30000, NULL) == FOREBAY_OK);
    REFUSED(forebay_stage_add, client, forebay_stage_add(NULL, &run, "many", &job, 1, 0, &id, &accepted, &err));
    REFUSED(forebay_stage_add, run, forebay_stage_add(client, NULL, "many", &job, 1, 0, &id, &accepted, &err));
    REFUSED(forebay_stage_add, step, forebay_stage_add(client, &run, NULL, &job, 1, 0, &id, &accepted, &err));
    NOT_UTF8(forebay_stage_add, step, forebay_stage_add(client, &run, bad_text, &job, 1, 0, &id, &accepted, &err));
    job.queue = NULL;
    ALLOWED(forebay_stage_add, ids,
            forebay_stage_add(client, &run, "many", &job, 1, 30000, NULL, &accepted, NULL) == FOREBAY_OK);
    CHECK(accepted == 1);
    ALLOWED(forebay_stage_add, accepted,
            forebay_stage_add(client, &run, "many", &job, 1, 30000, &id, NULL, NULL) == FOREBAY_OK);
    ALLOWED(forebay_stage_add, jobs,
            forebay_stage_add(client, &run, "many", NULL, 0, 30000, &id, &accepted, NULL) == FOREBAY_OK);
    ALLOWED(forebay_stage_add, err,
            forebay_stage_add(client, &run, "other", &job, 1, 30000, &id, &accepted, NULL) == FOREBAY_ERR_NOT_FOUND);
    REFUSED(forebay_stage_close, client, forebay_stage_close(NULL, &run, "many", 2, 0, &err));
    REFUSED(forebay_stage_close, run, forebay_stage_close(client, NULL, "many", 2, 0, &err));
    REFUSED(forebay_stage_close, step, forebay_stage_close(client, &run, NULL, 2, 0, &err));
    NOT_UTF8(forebay_stage_close, step, forebay_stage_close(client, &run, bad_text, 2, 0, &err));
    ALLOWED(forebay_stage_close, err,
            forebay_stage_close(client, &run, "many", 3, 30000, NULL) == FOREBAY_ERR_STATE);
    CHECK(forebay_stage_close(client, &run, "many", 2, 30000, NULL) == FOREBAY_OK);
    CHECK(forebay_stage_close(client, &run, "many", -1, 30000, NULL) == FOREBAY_OK);
    CHECK(forebay_stage_add(client, &run, "many", &job, 1, 30000, &id, NULL, NULL) == FOREBAY_ERR_STATE);
    CHECK(forebay_client_cancel(client, &run, NULL, 30000, NULL) == FOREBAY_OK);
}

static void a_collector(void) {
    forebay_pipeline_t *pipeline = NULL;
    forebay_collector_t *collector = NULL;
    forebay_result_t *result = NULL;
    forebay_submit_t job = {.struct_size = sizeof job};
    forebay_id_t run, id;
    job.queue = "nobody";
    DONE(forebay_pipeline_new("p", &pipeline, &err));
    DONE(forebay_pipeline_step(pipeline, "many", &job, FOREBAY_STEP_OPEN | FOREBAY_STEP_COLLECT, &err));
    DONE(forebay_client_run(client, pipeline, NULL, 30000, &run, &err));
    forebay_pipeline_free(pipeline);
    REFUSED(forebay_collector_open, client, forebay_collector_open(NULL, &run, "many", "c", 0, &collector, &err));
    REFUSED(forebay_collector_open, run, forebay_collector_open(client, NULL, "many", "c", 0, &collector, &err));
    REFUSED(forebay_collector_open, step, forebay_collector_open(client, &run, NULL, "c", 0, &collector, &err));
    NOT_UTF8(forebay_collector_open, step, forebay_collector_open(client, &run, bad_text, "c", 0, &collector, &err));
    REFUSED(forebay_collector_open, name, forebay_collector_open(client, &run, "many", NULL, 0, &collector, &err));
    NOT_UTF8(forebay_collector_open, name,
             forebay_collector_open(client, &run, "many", bad_text, 0, &collector, &err));
    REFUSED(forebay_collector_open, collector, forebay_collector_open(client, &run, "many", "c", 0, NULL, &err));
    ALLOWED(forebay_collector_open, err,
            forebay_collector_open(client, &run, "many", "c", 2, &collector, NULL) == FOREBAY_ERR_ARGUMENT);
    DONE(forebay_collector_open(client, &run, "many", "c", FOREBAY_COLLECT_IN_ORDER, &collector, &err));
    REFUSED(forebay_collector_next, collector, forebay_collector_next(NULL, 0, &result, &err));
    REFUSED(forebay_collector_next, result, forebay_collector_next(collector, 0, NULL, &err));
    ALLOWED(forebay_collector_next, err, forebay_collector_next(collector, 100, &result, NULL) == FOREBAY_TIMED_OUT);
    DONE(forebay_id_new(&id));
    REFUSED(forebay_collector_ack, collector, forebay_collector_ack(NULL, &id, "x", 1, 0, &err));
    REFUSED(forebay_collector_ack, job, forebay_collector_ack(collector, NULL, "x", 1, 0, &err));
    CHECK(forebay_collector_ack(collector, &id, NULL, 1, 0, NULL) == FOREBAY_ERR_ARGUMENT);
    ALLOWED(forebay_collector_ack, data,
            forebay_collector_ack(collector, &id, NULL, 0, 30000, NULL) == FOREBAY_ERR_NOT_FOUND);
    ALLOWED(forebay_collector_ack, err,
            forebay_collector_ack(collector, &id, "x", 1, 30000, NULL) == FOREBAY_ERR_NOT_FOUND);
    REFUSED(forebay_stage_acked, client, forebay_stage_acked(NULL, &run, "many", 0, 0, &result, &err));
    REFUSED(forebay_stage_acked, run, forebay_stage_acked(client, NULL, "many", 0, 0, &result, &err));
    REFUSED(forebay_stage_acked, step, forebay_stage_acked(client, &run, NULL, 0, 0, &result, &err));
    NOT_UTF8(forebay_stage_acked, step, forebay_stage_acked(client, &run, bad_text, 0, 0, &result, &err));
    REFUSED(forebay_stage_acked, result, forebay_stage_acked(client, &run, "many", 0, 0, NULL, &err));
    ALLOWED(forebay_stage_acked, err,
            forebay_stage_acked(client, &run, "many", 0, 100, &result, NULL) == FOREBAY_TIMED_OUT);
    DONE(forebay_stage_close(client, &run, "many", 0, 30000, &err));
    CHECK(forebay_collector_next(collector, 30000, &result, NULL) == FOREBAY_DRAINED);
    NOTHING(forebay_collector_context, collector, forebay_collector_context(NULL, &id, sizeof id) == 0);
    ALLOWED(forebay_collector_context, buf, forebay_collector_context(collector, NULL, 0) == 0);
    forebay_collector_free(collector);
    forebay_collector_free(NULL);
    ALLOWED(forebay_collector_free, collector, 1);
}

static void a_result(void) {
    forebay_submit_t submit = a_job("q", "payload");
    forebay_job_t *job = NULL;
    forebay_result_t *result = NULL;
    const char *name;
    const void *data;
    size_t len;
    forebay_result_view_t view;
    DONE(forebay_job_new_test(&submit, &job, &err));
    DONE(forebay_job_set_header(job, "h", "v", 1, &err));
    DONE(forebay_job_complete(job, "done", 4, &err));
    DONE(forebay_job_test_result(job, &result, &err));
    forebay_job_free(job);
    REFUSED_PLAIN(forebay_result_view, result, forebay_result_view(NULL, &view));
    REFUSED_PLAIN(forebay_result_view, view, forebay_result_view(result, NULL));
    size_t sizes[] = {0, 7, sizeof view - 8, sizeof view + 1, 1 << 20, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        memset(&view, 0x55, sizeof view);
        view.struct_size = sizes[i];
        CHECK(forebay_result_view(result, &view) == FOREBAY_ERR_ARGUMENT);
        CHECK(view.kind == 0x55555555);
    }
    view = seen(result);
    CHECK(view.outcome == FOREBAY_OUTCOME_DONE && is_text(view.data, view.data_len, "done") && view.headers == 1);
    NOTHING(forebay_result_frame, result, forebay_result_frame(NULL, 0, &len) == NULL);
    ALLOWED(forebay_result_frame, len, forebay_result_frame(result, 0, NULL) != NULL);
    NOTHING(forebay_result_header_at, result, forebay_result_header_at(NULL, 0, &name, &data, &len) == 0);
    ALLOWED(forebay_result_header_at, name, forebay_result_header_at(result, 0, NULL, &data, &len) == 1);
    ALLOWED(forebay_result_header_at, data, forebay_result_header_at(result, 0, &name, NULL, &len) == 1);
    ALLOWED(forebay_result_header_at, len, forebay_result_header_at(result, 0, &name, &data, NULL) == 1);
    NOTHING(forebay_result_meta, result, forebay_result_meta(NULL) == NULL);
    forebay_result_free(result);
    forebay_result_free(NULL);
    ALLOWED(forebay_result_free, result, 1);
}

static void a_worker(void) {
    forebay_worker_t *other = NULL;
    forebay_job_t *job = NULL, *jobs[1];
    forebay_result_t *json = NULL;
    size_t n;
    ALLOWED(forebay_worker_open, endpoint, forebay_worker_open(NULL, NULL, &other, NULL) == FOREBAY_OK);
    forebay_worker_free(other);
    ALLOWED(forebay_worker_open, options, 1);
    REFUSED(forebay_worker_open, worker, forebay_worker_open(endpoint, options, NULL, &err));
    NOT_UTF8(forebay_worker_open, endpoint, forebay_worker_open(bad_text, options, &other, &err));
    ALLOWED(forebay_worker_open, err, forebay_worker_open("blah", NULL, &other, NULL) == FOREBAY_ERR_ADDRESS);
    REFUSED(forebay_worker_register, worker, forebay_worker_register(NULL, "q", options, &err));
    REFUSED(forebay_worker_register, queue, forebay_worker_register(worker, NULL, options, &err));
    NOT_UTF8(forebay_worker_register, queue, forebay_worker_register(worker, bad_text, options, &err));
    ALLOWED(forebay_worker_register, options, forebay_worker_register(worker, "q", NULL, NULL) == FOREBAY_OK);
    ALLOWED(forebay_worker_register, err, 1);
    REFUSED(forebay_worker_unregister, worker, forebay_worker_unregister(NULL, "q", &err));
    REFUSED(forebay_worker_unregister, queue, forebay_worker_unregister(worker, NULL, &err));
    NOT_UTF8(forebay_worker_unregister, queue, forebay_worker_unregister(worker, bad_text, &err));
    ALLOWED(forebay_worker_unregister, err, forebay_worker_unregister(worker, "q", NULL) == FOREBAY_OK);
    REFUSED(forebay_worker_receive, worker, forebay_worker_receive(NULL, 0, &job, &err));
    REFUSED(forebay_worker_receive, job, forebay_worker_receive(worker, 0, NULL, &err));
    ALLOWED(forebay_worker_receive, err, forebay_worker_receive(worker, 0, &job, NULL) == FOREBAY_TIMED_OUT);
    REFUSED(forebay_worker_receive_many, worker, forebay_worker_receive_many(NULL, 0, jobs, 1, &n, &err));
    REFUSED(forebay_worker_receive_many, jobs, forebay_worker_receive_many(worker, 0, NULL, 1, &n, &err));
    REFUSED(forebay_worker_receive_many, got, forebay_worker_receive_many(worker, 0, jobs, 1, NULL, &err));
    ANSWERS(FOREBAY_ERR_ARGUMENT, forebay_worker_receive_many(worker, 0, jobs, 0, &n, &err));
    ALLOWED(forebay_worker_receive_many, err,
            forebay_worker_receive_many(worker, 0, jobs, 1, &n, NULL) == FOREBAY_TIMED_OUT);
    REFUSED(forebay_worker_ready, worker, forebay_worker_ready(NULL, 0, &err));
    ALLOWED(forebay_worker_ready, err, forebay_worker_ready(worker, 30000, NULL) == FOREBAY_OK);
    NOTHING(forebay_worker_state, worker, forebay_worker_state(NULL) == 0);
    REFUSED(forebay_worker_stats, worker, forebay_worker_stats(NULL, &json, &err));
    REFUSED(forebay_worker_stats, json, forebay_worker_stats(worker, NULL, &err));
    ALLOWED(forebay_worker_stats, err, forebay_worker_stats(worker, &json, NULL) == FOREBAY_OK);
    forebay_result_free(json);
    NOTHING(forebay_worker_fd, worker, forebay_worker_fd(NULL) == -1);
    REFUSED_PLAIN(forebay_worker_interrupt, worker, forebay_worker_interrupt(NULL));
    forebay_worker_stop(NULL);
    ALLOWED(forebay_worker_stop, worker, 1);
    REFUSED(forebay_worker_drain, worker, forebay_worker_drain(NULL, 0, &err));
    ALLOWED(forebay_worker_drain, err, forebay_worker_drain(worker, 30000, NULL) == FOREBAY_OK);
    forebay_worker_free(NULL);
    ALLOWED(forebay_worker_free, worker, 1);
}

static void a_host(void) {
    forebay_submit_t submit = a_job("q", "payload");
    forebay_result_t *result;
    ALLOWED(forebay_host_run, options, forebay_host_run(NULL, NULL) == FOREBAY_ERR_OPTION);
    ALLOWED(forebay_host_run, err, 1);
    REFUSED(forebay_host_test, submit, forebay_host_test(options, NULL, &result, &err));
    REFUSED(forebay_host_test, result, forebay_host_test(options, &submit, NULL, &err));
    ALLOWED(forebay_host_test, options, forebay_host_test(NULL, &submit, &result, NULL) == FOREBAY_ERR_OPTION);
    ALLOWED(forebay_host_test, err, 1);
}

static void a_job_to_do(void) {
    forebay_submit_t submit = a_job("q", "payload");
    forebay_header_t header = {"h", "v", 1};
    forebay_frame_t frame = {"f", 1};
    forebay_job_t *job = NULL;
    forebay_result_t *result = NULL;
    forebay_buffer_t *buffer;
    forebay_job_view_t view;
    const char *name;
    const void *data;
    void *memory;
    size_t len;
    submit.headers = &header;
    submit.headers_len = 1;
    REFUSED(forebay_job_new_test, submit, forebay_job_new_test(NULL, &job, &err));
    REFUSED(forebay_job_new_test, job, forebay_job_new_test(&submit, NULL, &err));
    ALLOWED(forebay_job_new_test, err, forebay_job_new_test(&submit, &job, NULL) == FOREBAY_OK);
    size_t sizes[] = {0, 7, sizeof submit - 8, sizeof submit + 1, 1 << 20, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        forebay_job_t *none = NULL;
        submit.struct_size = sizes[i];
        ANSWERS(FOREBAY_ERR_ARGUMENT, forebay_job_new_test(&submit, &none, &err));
        ANSWERS(FOREBAY_ERR_ARGUMENT, forebay_client_submit(client, &submit, 1, 0, NULL, NULL, &err));
        ANSWERS(FOREBAY_ERR_ARGUMENT, forebay_client_enqueue(client, &submit, 1, NULL, NULL, &err));
        ANSWERS(FOREBAY_ERR_ARGUMENT, forebay_client_call(client, &submit, 0, NULL, &result, &err));
        view.struct_size = sizes[i] == sizeof submit - 8 ? sizeof view - 8 : sizes[i];
        CHECK(forebay_job_view(job, &view) == FOREBAY_ERR_ARGUMENT);
    }
    submit.struct_size = sizeof submit;
    REFUSED_PLAIN(forebay_job_view, job, forebay_job_view(NULL, &view));
    REFUSED_PLAIN(forebay_job_view, view, forebay_job_view(job, NULL));
    NOTHING(forebay_job_payload, job, forebay_job_payload(NULL, &len) == NULL);
    ALLOWED(forebay_job_payload, len, forebay_job_payload(job, NULL) != NULL);
    NOTHING(forebay_job_frame, job, forebay_job_frame(NULL, 0, &len) == NULL);
    ALLOWED(forebay_job_frame, len, forebay_job_frame(job, 0, NULL) != NULL);
    NOTHING(forebay_job_context, job, forebay_job_context(NULL, &len) == NULL);
    ALLOWED(forebay_job_context, len, forebay_job_context(job, NULL) == NULL);
    NOTHING(forebay_job_header, job, forebay_job_header(NULL, "h", &len) == NULL);
    NOTHING(forebay_job_header, name, forebay_job_header(job, NULL, &len) == NULL);
    NOT_UTF8_PLAIN(forebay_job_header, name, forebay_job_header(job, bad_text, &len) == NULL);
    ALLOWED(forebay_job_header, len, forebay_job_header(job, "h", NULL) != NULL);
    NOTHING(forebay_job_header_at, job, forebay_job_header_at(NULL, 0, &name, &data, &len) == 0);
    ALLOWED(forebay_job_header_at, name, forebay_job_header_at(job, 0, NULL, &data, &len) == 1);
    ALLOWED(forebay_job_header_at, data, forebay_job_header_at(job, 0, &name, NULL, &len) == 1);
    ALLOWED(forebay_job_header_at, len, forebay_job_header_at(job, 0, &name, &data, NULL) == 1);
    NOTHING(forebay_job_stop, job, forebay_job_stop(NULL) == 0);
    NOTHING(forebay_job_stop_flag, job, forebay_job_stop_flag(NULL) == NULL);
    NOTHING(forebay_job_hints, job, forebay_job_hints(NULL) == 0);
    NOTHING(forebay_job_progress, job, forebay_job_progress(NULL, 0.5, "n") == 0);
    ALLOWED(forebay_job_progress, note, forebay_job_progress(job, 0.5, NULL) == 0);
    NOT_UTF8_PLAIN(forebay_job_progress, note, forebay_job_progress(job, 0.5, bad_text) == 0);
    REFUSED(forebay_job_send, job, forebay_job_send(NULL, "x", 1, 0, &err));
    ANSWERS(FOREBAY_ERR_ARGUMENT, forebay_job_send(job, NULL, 1, 0, &err));
    ALLOWED(forebay_job_send, data, forebay_job_send(job, NULL, 0, 0, NULL) == FOREBAY_OK);
    ALLOWED(forebay_job_send, err, 1);
    REFUSED(forebay_job_set_header, job, forebay_job_set_header(NULL, "h", "v", 1, &err));
    REFUSED(forebay_job_set_header, name, forebay_job_set_header(job, NULL, "v", 1, &err));
    NOT_UTF8(forebay_job_set_header, name, forebay_job_set_header(job, bad_text, "v", 1, &err));
    ALLOWED(forebay_job_set_header, data, forebay_job_set_header(job, "h", NULL, 0, NULL) == FOREBAY_OK);
    ALLOWED(forebay_job_set_header, err, 1);
    DONE(forebay_buffer_new(3, &buffer, &memory, &err));
    REFUSED(forebay_job_complete, job, forebay_job_complete(NULL, "x", 1, &err));
    ANSWERS(FOREBAY_ERR_ARGUMENT, forebay_job_complete(job, NULL, 1, &err));
    REFUSED(forebay_job_complete_frames, job, forebay_job_complete_frames(NULL, &frame, 1, &err));
    ANSWERS(FOREBAY_ERR_ARGUMENT, forebay_job_complete_frames(job, NULL, 1, &err));
    REFUSED(forebay_job_complete_buffer, job, forebay_job_complete_buffer(NULL, buffer, &err));
    REFUSED(forebay_job_complete_buffer, buffer, forebay_job_complete_buffer(job, NULL, &err));
    REFUSED(forebay_job_fail, job, forebay_job_fail(NULL, -1, "c", "m", "d", &err));
    NOT_UTF8(forebay_job_fail, code, forebay_job_fail(job, -1, bad_text, "m", "d", &err));
    NOT_UTF8(forebay_job_fail, message, forebay_job_fail(job, -1, "c", bad_text, "d", &err));
    NOT_UTF8(forebay_job_fail, detail, forebay_job_fail(job, -1, "c", "m", bad_text, &err));
    ANSWERS(FOREBAY_ERR_ARGUMENT, forebay_job_fail(job, -3, "c", "m", "d", &err));
    REFUSED(forebay_job_release, job, forebay_job_release(NULL, 0, &err));
    ANSWERS(FOREBAY_ERR_ARGUMENT, forebay_job_release(job, -1, &err));
    REFUSED(forebay_job_test_result, job, forebay_job_test_result(NULL, &result, &err));
    REFUSED(forebay_job_test_result, result, forebay_job_test_result(job, NULL, &err));
    ALLOWED(forebay_job_test_result, err, forebay_job_test_result(job, &result, NULL) == FOREBAY_ERR_STATE);
    ALLOWED(forebay_job_complete, data, forebay_job_complete(job, NULL, 0, NULL) == FOREBAY_OK);
    ALLOWED(forebay_job_complete, err, forebay_job_complete(job, "x", 1, NULL) == FOREBAY_ERR_STATE);
    ALLOWED(forebay_job_complete_buffer, err, forebay_job_complete_buffer(job, buffer, NULL) == FOREBAY_ERR_STATE);
    ALLOWED(forebay_job_release, err, forebay_job_release(job, 0, NULL) == FOREBAY_ERR_STATE);
    forebay_buffer_free(buffer);
    forebay_job_free(job);
    DONE(forebay_job_new_test(&submit, &job, &err));
    ALLOWED(forebay_job_complete_frames, frames, forebay_job_complete_frames(job, NULL, 0, NULL) == FOREBAY_OK);
    ALLOWED(forebay_job_complete_frames, err, 1);
    forebay_job_free(job);
    DONE(forebay_job_new_test(&submit, &job, &err));
    ALLOWED(forebay_job_fail, code, forebay_job_fail(job, -1, NULL, NULL, NULL, NULL) == FOREBAY_OK);
    ALLOWED(forebay_job_fail, message, 1);
    ALLOWED(forebay_job_fail, detail, 1);
    ALLOWED(forebay_job_fail, err, 1);
    forebay_job_free(job);
    forebay_job_free(NULL);
    ALLOWED(forebay_job_free, job, 1);
}

static void sink(void *user_data, int32_t level, const char *part, const char *text) {
    (void)user_data, (void)level, (void)part, (void)text;
}

static void a_broker_and_the_log(void) {
    forebay_broker_t *other = NULL;
    forebay_options_t *taken = forebay_options_new();
    int32_t level;
    char buf[256];
    size_t needed;
    DONE(forebay_options_set(taken, "broker.listen", endpoint, &err));
    REFUSED(forebay_broker_start, broker, forebay_broker_start(taken, NULL, &err));
    ALLOWED(forebay_broker_start, err, forebay_broker_start(taken, &other, NULL) == FOREBAY_ERR_IN_USE);
    forebay_options_free(taken);
    NOTHING(forebay_broker_endpoint, broker, forebay_broker_endpoint(NULL, 0) == NULL);
    REFUSED(forebay_broker_wait, broker, forebay_broker_wait(NULL, 0, &err));
    ALLOWED(forebay_broker_wait, err, forebay_broker_wait(broker, 0, NULL) == FOREBAY_TIMED_OUT);
    REFUSED(forebay_broker_drain, broker, forebay_broker_drain(NULL, 0, &err));
    ALLOWED(forebay_broker_drain, err, forebay_broker_drain(broker, 30000, NULL) == FOREBAY_OK);
    REFUSED(forebay_broker_stop, broker, forebay_broker_stop(NULL, 0, &err));
    ALLOWED(forebay_broker_stop, err, forebay_broker_stop(broker, 30000, NULL) == FOREBAY_OK);
    forebay_broker_free(NULL);
    ALLOWED(forebay_broker_free, broker, 1);
    /* No options: the default address, which nobody may have in the folder the test gives. */
    ALLOWED(forebay_broker_start, options, forebay_broker_start(NULL, &other, NULL) == FOREBAY_OK);
    forebay_broker_free(other);

    ALLOWED(forebay_log_set, levels, forebay_log_set(NULL, sink, NULL) == FOREBAY_OK);
    ALLOWED(forebay_log_set, user_data, 1);
    ALLOWED(forebay_log_set, sink, forebay_log_set("warn", NULL, NULL) == FOREBAY_OK);
    NOT_UTF8_PLAIN(forebay_log_set, levels, forebay_log_set(bad_text, NULL, NULL) == FOREBAY_ERR_ARGUMENT);
    CHECK(forebay_log_next(0, &level, buf, sizeof buf, &needed) == FOREBAY_TIMED_OUT);
    ALLOWED(forebay_log_next, level, forebay_log_next(0, NULL, buf, sizeof buf, &needed) == FOREBAY_TIMED_OUT);
    ALLOWED(forebay_log_next, buf, forebay_log_next(0, &level, NULL, 0, &needed) == FOREBAY_TIMED_OUT);
    ALLOWED(forebay_log_next, needed, forebay_log_next(0, &level, buf, sizeof buf, NULL) == FOREBAY_TIMED_OUT);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    start_broker(argv[1]);
    options = forebay_options_new();
    client = open_client();
    worker = open_worker(NULL);
    texts_and_ids();
    some_options();
    a_client();
    a_pipeline();
    a_stage();
    a_collector();
    a_result();
    a_worker();
    a_job_to_do();
    a_host();
    forebay_worker_free(worker);
    forebay_client_free(client);
    a_broker_and_the_log();
    forebay_broker_free(broker);
    forebay_options_free(options);
    return 0;
}
