/* Jobs through one broker: every way to submit, to be told, and to answer. */
#include "check.h"

#define SOON 30000

static forebay_client_t *client;
static forebay_worker_t *worker;

static forebay_job_t *receive(void) {
    forebay_job_t *job = NULL;
    DONE(forebay_worker_receive(worker, SOON, &job, &err));
    return job;
}

static forebay_result_t *next(void) {
    forebay_result_t *result = NULL;
    DONE(forebay_client_next(client, SOON, &result, &err));
    return result;
}

/* Everything a submission can carry arrives, and so does everything an answer can. */
static void all_the_way(void) {
    forebay_options_t *options = forebay_options_new();
    forebay_header_t headers[2] = {{"h1", "\0bytes", 6}, {"h2", NULL, 0}};
    forebay_frame_t frames[3] = {{"one", 3}, {NULL, 0}, {"three", 5}};
    forebay_submit_t job = a_job("q", "");
    forebay_id_t id;
    forebay_result_t *result = NULL;
    forebay_job_view_t view;
    const char *name = NULL;
    const void *data = NULL;
    size_t len = 0, accepted = 0;

    DONE(forebay_options_set(options, "job.header.h1", "replaced", &err));
    DONE(forebay_options_set(options, "job.header.h0", "from the options", &err));
    DONE(forebay_options_set(options, "job.attempts", "5", &err));
    job.payload = NULL;
    job.frames = frames;
    job.frames_len = 3;
    job.headers = headers;
    job.headers_len = 2;
    job.options = options;
    job.tag = 42;
    DONE(forebay_client_submit(client, &job, 1, SOON, &id, &accepted, &err));
    CHECK(accepted == 1);
    forebay_options_free(options);

    forebay_job_t *got = receive();
    memset(&view, 0, sizeof view);
    view.struct_size = sizeof view;
    CHECK(forebay_job_view(got, &view) == FOREBAY_OK);
    CHECK(memcmp(&view.id, &id, sizeof id) == 0 && strcmp(view.queue, "q") == 0 && view.frames == 3);
    CHECK(view.attempt == 1 && view.attempts_max == 5 && view.headers == 3 && view.time_left_ms > 0);
    CHECK(is_text(view.payload, view.payload_len, "one"));
    CHECK(forebay_job_frame(got, 1, &len) != NULL && len == 0);
    data = forebay_job_frame(got, 2, &len);
    CHECK(is_text(data, len, "three") && forebay_job_frame(got, 3, &len) == NULL);
    data = forebay_job_header(got, "h1", &len);
    CHECK(len == 6 && memcmp(data, "\0bytes", 6) == 0);
    CHECK(forebay_job_header(got, "h3", &len) == NULL);
    CHECK(forebay_job_header_at(got, 0, &name, &data, &len) == 1 && strcmp(name, "h0") == 0);
    CHECK(forebay_job_header_at(got, 3, &name, &data, &len) == 0);
    CHECK(forebay_job_stop(got) == 0 && *forebay_job_stop_flag(got) == 0 && forebay_job_hints(got) == 0);

    forebay_frame_t answer[2] = {{"a", 1}, {"bc", 2}};
    DONE(forebay_job_set_header(got, "answer", "1", 1, &err));
    DONE(forebay_job_set_header(got, "answer", "2", 1, &err));
    DONE(forebay_job_complete_frames(got, answer, 2, &err));
    ANSWERS(FOREBAY_ERR_STATE, forebay_job_complete(got, "again", 5, &err));
    forebay_job_free(got);

    DONE(forebay_client_wait(client, &id, SOON, &result, &err));
    forebay_result_view_t ended = seen(result);
    CHECK(ended.outcome == FOREBAY_OUTCOME_DONE && ended.kind == FOREBAY_KIND_RESULT && ended.frames == 2);
    CHECK(ended.attempt == 1 && ended.status == 0 && ended.retry_after_ms == -1);
    CHECK(is_text(ended.data, ended.data_len, "a"));
    data = forebay_result_frame(result, 1, &len);
    CHECK(is_text(data, len, "bc") && forebay_result_frame(result, 2, &len) == NULL);
    CHECK(ended.headers == 1 && forebay_result_header_at(result, 0, &name, &data, &len) == 1);
    CHECK(strcmp(name, "answer") == 0 && is_text(data, len, "2"));
    CHECK(forebay_result_meta(result)[0] == '{');
    forebay_result_free(result);
}

/* Payload and result in library memory. */
static void buffers(void) {
    forebay_buffer_t *buffer = NULL;
    void *memory = NULL;
    size_t len = 300000;
    DONE(forebay_buffer_new(len, &buffer, &memory, &err));
    memset(memory, 7, len);
    forebay_submit_t job = a_job("q", "");
    job.payload = NULL;
    job.buffer = buffer;
    forebay_id_t id;
    DONE(forebay_client_submit(client, &job, 1, SOON, &id, NULL, &err));
    job.payload = "both";
    job.payload_len = 4;
    ANSWERS(FOREBAY_ERR_ARGUMENT, forebay_client_submit(client, &job, 1, SOON, &id, NULL, &err));
    forebay_buffer_free(buffer);

    forebay_job_t *got = receive();
    size_t got_len = 0;
    const char *payload = forebay_job_payload(got, &got_len);
    CHECK(got_len == len && payload[0] == 7 && payload[len - 1] == 7);
    DONE(forebay_buffer_new(len, &buffer, &memory, &err));
    memcpy(memory, payload, len);
    DONE(forebay_job_complete_buffer(got, buffer, &err));
    forebay_buffer_free(buffer);
    forebay_job_free(got);

    forebay_result_t *result = NULL;
    DONE(forebay_client_wait(client, &id, SOON, &result, &err));
    forebay_result_view_t ended = seen(result);
    CHECK(ended.data_len == len && ((const char *)ended.data)[len - 1] == 7);
    forebay_result_free(result);
}

/* A result that is a part of the payload lives longer than the job; one of other memory is copied. */
static void part_of_the_payload(void) {
    enum { LEN = 100000, FROM = 30000, PART = 50000 };
    static char sent[LEN], other[PART];
    for (size_t i = 0; i < LEN; i++) sent[i] = (char)(i % 251);
    forebay_submit_t job = a_job("q", "");
    job.payload = sent;
    job.payload_len = LEN;
    for (int is_part = 0; is_part < 2; is_part++) {
        forebay_id_t id;
        DONE(forebay_client_submit(client, &job, 1, SOON, &id, NULL, &err));
        forebay_job_t *got = receive();
        size_t len = 0;
        const char *payload = forebay_job_payload(got, &len);
        CHECK(len == LEN);
        memcpy(other, payload + FROM, PART);
        DONE(forebay_job_complete(got, is_part ? payload + FROM : other, PART, &err));
        memset(other, 0, PART);
        forebay_job_free(got);
        forebay_result_t *result = NULL;
        DONE(forebay_client_wait(client, &id, SOON, &result, &err));
        forebay_result_view_t ended = seen(result);
        CHECK(ended.data_len == PART && memcmp(ended.data, sent + FROM, PART) == 0);
        forebay_result_free(result);
    }
}

/* What `want` asks for comes by next, in order: accepted, progress, partial results, result. */
static void news(void) {
    forebay_submit_t job = a_job("q", "x");
    job.tag = 9;
    job.want = 1u << FOREBAY_KIND_ACCEPTED | 1u << FOREBAY_KIND_PROGRESS | 1u << FOREBAY_KIND_PARTIAL |
               1u << FOREBAY_KIND_RESULT;
    forebay_id_t id;
    DONE(forebay_client_enqueue(client, &job, 1, &id, NULL, &err));
    DONE(forebay_client_flush(client, SOON, &err));
    forebay_result_t *result = next();
    CHECK(seen(result).kind == FOREBAY_KIND_ACCEPTED && seen(result).tag == 9);
    forebay_result_free(result);
    ANSWERS(FOREBAY_ERR_STATE, forebay_client_wait(client, &id, SOON, &result, &err));

    forebay_job_t *got = receive();
    CHECK(forebay_job_progress(got, 0.25, "a quarter") == 0);
    result = next();
    CHECK(seen(result).kind == FOREBAY_KIND_PROGRESS && seen(result).progress == 0.25);
    CHECK(strcmp(seen(result).message, "a quarter") == 0);
    forebay_result_free(result);
    DONE(forebay_job_send(got, "p0", 2, SOON, &err));
    DONE(forebay_job_send(got, "p1", 2, SOON, &err));
    for (uint64_t i = 0; i < 2; i++) {
        result = next();
        forebay_result_view_t part = seen(result);
        CHECK(part.kind == FOREBAY_KIND_PARTIAL && part.sequence == i && part.attempt == 1);
        CHECK(is_text(part.data, part.data_len, i == 0 ? "p0" : "p1"));
        forebay_result_free(result);
    }
    DONE(forebay_job_fail(got, FOREBAY_RETRY_NEVER, "code", "message", "detail", &err));
    forebay_job_free(got);
    result = next();
    forebay_result_view_t ended = seen(result);
    CHECK(ended.kind == FOREBAY_KIND_RESULT && ended.outcome == FOREBAY_OUTCOME_FAILED && ended.tag == 9);
    CHECK(!strcmp(ended.code, "code") && !strcmp(ended.message, "message") && !strcmp(ended.detail, "detail"));
    forebay_result_free(result);
    ANSWERS(FOREBAY_TIMED_OUT, forebay_client_next(client, 0, &result, &err));
}

/* Released, failed with another attempt, abandoned: three attempts of one job, and a release that counts as none. */
static void attempts(void) {
    forebay_submit_t job = a_job("q", "x");
    forebay_id_t id;
    forebay_result_t *result = NULL;
    job.attempts = 2;
    DONE(forebay_client_submit(client, &job, 1, SOON, &id, NULL, &err));
    forebay_job_t *got = receive();
    DONE(forebay_job_release(got, 0, &err));
    forebay_job_free(got);
    got = receive();
    DONE(forebay_job_fail(got, 0, NULL, "once more", NULL, &err));
    forebay_job_free(got);
    got = receive();
    forebay_job_free(got);
    DONE(forebay_client_wait(client, &id, SOON, &result, &err));
    forebay_result_view_t ended = seen(result);
    CHECK(ended.outcome == FOREBAY_OUTCOME_FAILED && strcmp(ended.code, "abandoned") == 0);
    forebay_result_free(result);
}

/* Cancelled while it runs: the flag rises, the answer does not count, and the client has CANCELLED. */
static void cancelled(void) {
    forebay_submit_t job = a_job("q", "x");
    forebay_id_t id;
    forebay_result_t *result = NULL;
    DONE(forebay_client_submit(client, &job, 1, SOON, &id, NULL, &err));
    forebay_job_t *got = receive();
    const volatile uint32_t *flag = forebay_job_stop_flag(got);
    /* receive does not wait for the broker to hear of it. */
    for (int32_t outcome = FOREBAY_OUTCOME_WAITING; outcome == FOREBAY_OUTCOME_WAITING;) {
        DONE(forebay_client_peek(client, &id, SOON, &result, &err));
        outcome = seen(result).outcome;
        CHECK(outcome == FOREBAY_OUTCOME_WAITING || outcome == FOREBAY_OUTCOME_RUNNING);
        forebay_result_free(result);
    }
    DONE(forebay_client_cancel(client, &id, "not needed", SOON, &err));
    while (*flag == 0) forebay_client_stats(client, &result, NULL), forebay_result_free(result);
    CHECK(*flag & FOREBAY_STOP_CANCELLED);
    CHECK(forebay_job_progress(got, 0.5, NULL) & FOREBAY_STOP_CANCELLED);
    ANSWERS(FOREBAY_ERR_LEASE_LOST, forebay_job_complete(got, "late", 4, &err));
    forebay_job_free(got);
    DONE(forebay_client_wait(client, &id, SOON, &result, &err));
    CHECK(seen(result).outcome == FOREBAY_OUTCOME_CANCELLED && seen(result).data_len == 0);
    forebay_result_free(result);
}

/* Many at once, both ways. */
static void many(void) {
    enum { N = 50 };
    forebay_submit_t jobs[N];
    forebay_id_t ids[N];
    forebay_result_t *results[N];
    forebay_job_t *got[N];
    size_t accepted = 0, ended = 0, done = 0, n = 0;
    for (int i = 0; i < N; i++) jobs[i] = a_job("q", "x");
    DONE(forebay_client_submit(client, jobs, N, SOON, ids, &accepted, &err));
    CHECK(accepted == N);
    ANSWERS(FOREBAY_TIMED_OUT, forebay_client_wait_many(client, ids, N, 1, 0, results, &ended, &err));
    CHECK(ended == 0 && results[0] == NULL && results[N - 1] == NULL);
    while (done < N) {
        DONE(forebay_worker_receive_many(worker, SOON, got, N, &n, &err));
        CHECK(n > 0);
        for (size_t i = 0; i < n; i++) {
            DONE(forebay_job_complete(got[i], "y", 1, &err));
            forebay_job_free(got[i]);
        }
        done += n;
    }
    DONE(forebay_client_wait_many(client, ids, N, N, SOON, results, &ended, &err));
    CHECK(ended == N);
    for (int i = 0; i < N; i++) {
        CHECK(results[i] != NULL);
        forebay_result_view_t view = seen(results[i]);
        CHECK(memcmp(&view.id, &ids[i], sizeof ids[i]) == 0);
        forebay_result_free(results[i]);
    }
    for (int i = 0; i < N; i++) jobs[i].want = 1u << FOREBAY_KIND_RESULT, jobs[i].tag = (uint64_t)i;
    DONE(forebay_client_enqueue(client, jobs, N, ids, &accepted, &err));
    CHECK(accepted == N);
    uint64_t tags = 0;
    for (done = 0; done < N;) {
        forebay_job_t *one = receive();
        DONE(forebay_job_complete(one, NULL, 0, &err));
        forebay_job_free(one);
        done++;
    }
    for (done = 0; done < N; done += n) {
        DONE(forebay_client_next_many(client, SOON, results, N, &n, &err));
        for (size_t i = 0; i < n; i++) tags += seen(results[i]).tag, forebay_result_free(results[i]);
    }
    CHECK(tags == N * (N - 1) / 2);
}

/* The same id and content is the same job; other content is not; a wrong argument makes no id. */
static void own_ids(void) {
    forebay_id_t id, written;
    forebay_submit_t job = a_job("own", "content");
    size_t accepted = 9;
    CHECK(forebay_id_new(&id) == FOREBAY_OK);
    job.id = &id;
    DONE(forebay_client_submit(client, &job, 1, SOON, &written, &accepted, &err));
    CHECK(memcmp(&written, &id, sizeof id) == 0 && accepted == 1);
    DONE(forebay_client_submit(client, &job, 1, SOON, &written, &accepted, &err));
    job.payload = "other !";
    ANSWERS(FOREBAY_ERR_CONFLICT, forebay_client_submit(client, &job, 1, SOON, &written, &accepted, &err));
    CHECK(accepted == 0);
    memset(&written, 1, sizeof written);
    job.queue = "";
    ANSWERS(FOREBAY_ERR_ARGUMENT, forebay_client_submit(client, &job, 1, SOON, &written, &accepted, &err));
    job.queue = "own";
    job.priority = 9;
    ANSWERS(FOREBAY_ERR_ARGUMENT, forebay_client_submit(client, &job, 1, SOON, &written, &accepted, &err));
    job.priority = 0;
    job.run_ms = -1;
    ANSWERS(FOREBAY_ERR_ARGUMENT, forebay_client_submit(client, &job, 1, SOON, &written, &accepted, &err));
    job.run_ms = 0;
    job.want = 1;
    ANSWERS(FOREBAY_ERR_ARGUMENT, forebay_client_submit(client, &job, 1, SOON, &written, &accepted, &err));
    CHECK(written.bytes[0] == 1 && written.bytes[15] == 1);
    DONE(forebay_client_cancel(client, &id, NULL, SOON, &err));
}

/* Sizes at which libraries change their ways come back unchanged. */
static void sizes(void) {
    size_t lens[] = {0, 1, 33, 34, 4096, 4097, (size_t)1 << 20, ((size_t)1 << 20) + 1, (size_t)5 << 20};
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        unsigned char *bytes = malloc(lens[i] + 1);
        CHECK(bytes != NULL);
        for (size_t k = 0; k < lens[i]; k++) bytes[k] = (unsigned char)(k * 7 + i);
        forebay_submit_t job = a_job("q", "");
        job.payload = bytes;
        job.payload_len = lens[i];
        forebay_id_t id;
        forebay_result_t *result = NULL;
        DONE(forebay_client_submit(client, &job, 1, SOON, &id, NULL, &err));
        forebay_job_t *got = receive();
        size_t len = 0;
        const void *payload = forebay_job_payload(got, &len);
        DONE(forebay_job_complete(got, payload, len, &err));
        forebay_job_free(got);
        DONE(forebay_client_wait(client, &id, SOON, &result, &err));
        forebay_result_view_t ended = seen(result);
        CHECK(ended.data != NULL && ended.data_len == lens[i] && memcmp(ended.data, bytes, lens[i]) == 0);
        forebay_result_free(result);
        free(bytes);
    }
}

/* Whether an answer has these words in it. */
static int says(const forebay_result_t *json, const char *words) {
    forebay_result_view_t view = seen(json);
    size_t len = strlen(words);
    for (size_t i = 0; i + len <= view.data_len; i++) {
        if (memcmp((const char *)view.data + i, words, len) == 0) return 1;
    }
    return 0;
}

static void operators(void) {
    forebay_result_t *json = NULL;
    const char *name = NULL, *arguments = NULL, *text = NULL;
    size_t i = 0;
    while (forebay_command_at(i, &name, &arguments, &text)) {
        CHECK(name[0] && arguments != NULL && text[0]);
        i++;
    }
    CHECK(i >= 5);
    DONE(forebay_client_admin(client, "status", NULL, SOON, &json, &err));
    CHECK(seen(json).data_len > 2 && ((const char *)seen(json).data)[0] == '{');
    forebay_result_free(json);
    ANSWERS(FOREBAY_ERR_NOT_FOUND, forebay_client_admin(client, "no.such", NULL, SOON, &json, &err));
    forebay_options_t *arguments_of = forebay_options_new();
    DONE(forebay_options_set(arguments_of, "admin.queue", "q", &err));
    DONE(forebay_options_set(arguments_of, "job.attempts", "2", &err));
    DONE(forebay_client_admin(client, "queue.set", arguments_of, SOON, &json, &err));
    CHECK(says(json, "\"attempts\":2"));
    forebay_result_free(json);
    forebay_options_free(arguments_of);
    DONE(forebay_client_admin(client, "queue.list", NULL, SOON, &json, &err));
    CHECK(says(json, "\"draining\":false"));
    forebay_result_free(json);
    DONE(forebay_client_admin(client, "quarantine.list", NULL, SOON, &json, &err));
    CHECK(says(json, "\"jobs\":[]"));
    forebay_result_free(json);
    /* A job that waits: listed by its state, told whole, and cancelled with its queue's purge. */
    forebay_submit_t submit = a_job("waste", "in");
    forebay_id_t id;
    char id_text[FOREBAY_ID_TEXT_CAP];
    DONE(forebay_client_submit(client, &submit, 1, SOON, &id, NULL, &err));
    forebay_id_text(&id, id_text, sizeof id_text);
    arguments_of = forebay_options_new();
    DONE(forebay_options_set(arguments_of, "admin.queue", "waste", &err));
    DONE(forebay_options_set(arguments_of, "admin.state", "WAITING", &err));
    DONE(forebay_client_admin(client, "jobs.list", arguments_of, SOON, &json, &err));
    CHECK(says(json, id_text));
    forebay_result_free(json);
    DONE(forebay_options_set(arguments_of, "admin.state", "ASLEEP", &err));
    ANSWERS(FOREBAY_ERR_ARGUMENT, forebay_client_admin(client, "jobs.list", arguments_of, SOON, &json, &err));
    ANSWERS(FOREBAY_ERR_ARGUMENT, forebay_client_admin(client, "queue.purge", arguments_of, SOON, &json, &err));
    forebay_options_free(arguments_of);
    arguments_of = forebay_options_new();
    DONE(forebay_options_set(arguments_of, "admin.queue", "waste", &err));
    DONE(forebay_client_admin(client, "queue.purge", arguments_of, SOON, &json, &err));
    CHECK(says(json, "\"purged\":1"));
    forebay_result_free(json);
    forebay_options_free(arguments_of);
    arguments_of = forebay_options_new();
    DONE(forebay_options_set(arguments_of, "admin.id", id_text, &err));
    DONE(forebay_client_admin(client, "job.get", arguments_of, SOON, &json, &err));
    CHECK(says(json, "\"CANCELLED\""));
    forebay_result_free(json);
    ANSWERS(FOREBAY_ERR_STATE, forebay_client_admin(client, "quarantine.requeue", arguments_of, SOON, &json, &err));
    forebay_options_free(arguments_of);
    DONE(forebay_client_stats(client, &json, &err));
    CHECK(((const char *)seen(json).data)[0] == '{');
    forebay_result_free(json);
    DONE(forebay_worker_stats(worker, &json, &err));
    CHECK(((const char *)seen(json).data)[0] == '{');
    forebay_result_free(json);
}

/* interrupt is kept for the next wait when nobody waits. */
static void interrupted(void) {
    forebay_result_t *result = NULL;
    forebay_job_t *job = NULL;
    CHECK(forebay_client_interrupt(client) == FOREBAY_OK);
    ANSWERS(FOREBAY_INTERRUPTED, forebay_client_next(client, SOON, &result, &err));
    ANSWERS(FOREBAY_TIMED_OUT, forebay_client_next(client, 1, &result, &err));
    CHECK(forebay_worker_interrupt(worker) == FOREBAY_OK);
    ANSWERS(FOREBAY_INTERRUPTED, forebay_worker_receive(worker, SOON, &job, &err));
    ANSWERS(FOREBAY_TIMED_OUT, forebay_worker_receive(worker, 1, &job, &err));
}

/* A handler that is tested without a broker. */
static void without_a_broker(void) {
    forebay_submit_t submit = a_job("q", "in");
    forebay_job_t *job = NULL;
    forebay_result_t *result = NULL;
    DONE(forebay_job_new_test(&submit, &job, &err));
    CHECK(forebay_job_progress(job, 0.5, "half") == 0);
    DONE(forebay_job_complete(job, "out", 3, &err));
    DONE(forebay_job_test_result(job, &result, &err));
    CHECK(is_text(seen(result).data, seen(result).data_len, "out"));
    forebay_result_free(result);
    forebay_job_free(job);
    DONE(forebay_job_new_test(&submit, &job, &err));
    DONE(forebay_job_fail(job, FOREBAY_RETRY_NEVER, "bad", NULL, NULL, &err));
    DONE(forebay_job_test_result(job, &result, &err));
    CHECK(seen(result).outcome == FOREBAY_OUTCOME_FAILED && strcmp(seen(result).code, "bad") == 0);
    forebay_result_free(result);
    forebay_job_free(job);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    start_broker(argv[1]);
    client = open_client();
    worker = open_worker("q");
    DONE(forebay_client_wait_workers(client, "q", 1, SOON, &err));
    DONE(forebay_client_ready(client, SOON, &err));
    CHECK(forebay_client_state(client) == FOREBAY_STATE_READY);
    without_a_broker();
    all_the_way();
    buffers();
    part_of_the_payload();
    news();
    attempts();
    cancelled();
    many();
    own_ids();
    sizes();
    operators();
    interrupted();
    forebay_worker_stop(worker);
    forebay_job_t *job = NULL;
    ANSWERS(FOREBAY_DRAINED, forebay_worker_receive(worker, SOON, &job, &err));
    DONE(forebay_worker_drain(worker, SOON, &err));
    forebay_worker_free(worker);
    forebay_client_free(client);
    DONE(forebay_broker_stop(broker, SOON, &err));
    DONE(forebay_broker_wait(broker, SOON, &err));
    forebay_broker_free(broker);
    return 0;
}
