/* A forked child sees FOREBAY_ERR_FORKED on what it inherited, may free it and open its own, and the parent does not
 * notice. */
#include "check.h"

#include <sys/wait.h>
#include <unistd.h>

#define SOON 30000

static forebay_client_t *client;
static forebay_worker_t *worker;

static void call(forebay_client_t *by, forebay_worker_t *to) {
    forebay_submit_t job = a_job("q", "x");
    forebay_id_t id;
    forebay_job_t *got = NULL;
    forebay_result_t *result = NULL;
    DONE(forebay_client_submit(by, &job, 1, SOON, &id, NULL, &err));
    DONE(forebay_worker_receive(to, SOON, &got, &err));
    DONE(forebay_job_complete(got, "y", 1, &err));
    forebay_job_free(got);
    DONE(forebay_client_wait(by, &id, SOON, &result, &err));
    CHECK(seen(result).outcome == FOREBAY_OUTCOME_DONE);
    forebay_result_free(result);
}

static int child(forebay_job_t *held) {
    forebay_submit_t job = a_job("q", "x");
    forebay_id_t id;
    forebay_result_t *result = NULL;
    forebay_job_t *got = NULL;
    CHECK(forebay_id_new(&id) == FOREBAY_OK);
    ANSWERS(FOREBAY_ERR_FORKED, forebay_client_ready(client, 0, &err));
    ANSWERS(FOREBAY_ERR_FORKED, forebay_client_submit(client, &job, 1, 0, NULL, NULL, &err));
    ANSWERS(FOREBAY_ERR_FORKED, forebay_client_enqueue(client, &job, 1, NULL, NULL, &err));
    ANSWERS(FOREBAY_ERR_FORKED, forebay_client_flush(client, 0, &err));
    ANSWERS(FOREBAY_ERR_FORKED, forebay_client_call(client, &job, 0, NULL, &result, &err));
    ANSWERS(FOREBAY_ERR_FORKED, forebay_client_wait(client, &id, 0, &result, &err));
    ANSWERS(FOREBAY_ERR_FORKED, forebay_client_next(client, 0, &result, &err));
    ANSWERS(FOREBAY_ERR_FORKED, forebay_client_peek(client, &id, 0, &result, &err));
    ANSWERS(FOREBAY_ERR_FORKED, forebay_client_ack(client, &id, &err));
    ANSWERS(FOREBAY_ERR_FORKED, forebay_client_cancel(client, &id, NULL, 0, &err));
    ANSWERS(FOREBAY_ERR_FORKED, forebay_client_wait_workers(client, "q", 0, 0, &err));
    ANSWERS(FOREBAY_ERR_FORKED, forebay_client_admin(client, "status", NULL, 0, &result, &err));
    ANSWERS(FOREBAY_ERR_FORKED, forebay_worker_register(worker, "q2", NULL, &err));
    ANSWERS(FOREBAY_ERR_FORKED, forebay_worker_receive(worker, 0, &got, &err));
    ANSWERS(FOREBAY_ERR_FORKED, forebay_worker_drain(worker, 0, &err));
    ANSWERS(FOREBAY_ERR_FORKED, forebay_worker_ready(worker, 0, &err));
    ANSWERS(FOREBAY_ERR_FORKED, forebay_job_complete(held, "child", 5, &err));
    ANSWERS(FOREBAY_ERR_FORKED, forebay_broker_wait(broker, 0, &err));
    ANSWERS(FOREBAY_ERR_FORKED, forebay_broker_stop(broker, 0, &err));
    forebay_job_free(held);
    forebay_worker_free(worker);
    forebay_client_free(client);

    /* Its own handles, against the parent's broker. */
    forebay_client_t *own = open_client();
    forebay_worker_t *own_worker = NULL;
    DONE(forebay_worker_open(endpoint, NULL, &own_worker, &err));
    DONE(forebay_worker_register(own_worker, "child", NULL, &err));
    job.queue = "child";
    DONE(forebay_client_submit(own, &job, 1, SOON, &id, NULL, &err));
    DONE(forebay_worker_receive(own_worker, SOON, &got, &err));
    DONE(forebay_job_complete(got, "y", 1, &err));
    forebay_job_free(got);
    DONE(forebay_client_wait(own, &id, SOON, &result, &err));
    forebay_result_free(result);
    forebay_worker_free(own_worker);
    forebay_client_free(own);
    forebay_broker_free(broker);
    return 0;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    start_broker(argv[1]);
    client = open_client();
    worker = open_worker("q");
    call(client, worker);
    forebay_submit_t job = a_job("q", "held");
    forebay_id_t id;
    forebay_job_t *held = NULL;
    forebay_result_t *result = NULL;
    DONE(forebay_client_submit(client, &job, 1, SOON, &id, NULL, &err));
    DONE(forebay_worker_receive(worker, SOON, &held, &err));

    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) _exit(child(held));
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);

    CHECK(forebay_job_stop(held) == 0);
    DONE(forebay_job_complete(held, "parent", 6, &err));
    forebay_job_free(held);
    DONE(forebay_client_wait(client, &id, SOON, &result, &err));
    CHECK(is_text(seen(result).data, seen(result).data_len, "parent"));
    forebay_result_free(result);
    call(client, worker);
    forebay_worker_free(worker);
    forebay_client_free(client);
    forebay_broker_free(broker);
    return 0;
}
