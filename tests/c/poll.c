/* The descriptors are level-triggered: readable exactly while next, or receive, has something to say. */
#include "check.h"

#include <poll.h>

#define SOON 30000

static int readable(int64_t fd, int wait_ms) {
    struct pollfd one = {(int)fd, POLLIN, 0};
    CHECK(fd >= 0);
    int ready = poll(&one, 1, wait_ms);
    CHECK(ready >= 0);
    return ready;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    start_broker(argv[1]);
    forebay_client_t *client = open_client();
    forebay_worker_t *worker = open_worker("q");
    int64_t client_fd = forebay_client_fd(client), worker_fd = forebay_worker_fd(worker);
    forebay_job_t *job = NULL;
    forebay_result_t *result = NULL;

    /* A worker without a thread in receive has one slot by default: it must be told of a job all the same. */
    CHECK(!readable(client_fd, 0) && !readable(worker_fd, 0));
    forebay_submit_t submit = a_job("q", "x");
    submit.want = 1u << FOREBAY_KIND_RESULT;
    DONE(forebay_client_submit(client, &submit, 1, SOON, NULL, NULL, &err));
    CHECK(readable(worker_fd, SOON) && readable(worker_fd, 0));
    CHECK(!readable(client_fd, 0));
    DONE(forebay_worker_receive(worker, 0, &job, &err));
    CHECK(!readable(worker_fd, 0));
    DONE(forebay_job_complete(job, "y", 1, &err));
    forebay_job_free(job);

    CHECK(readable(client_fd, SOON) && readable(client_fd, 0));
    DONE(forebay_client_next(client, 0, &result, &err));
    CHECK(!readable(client_fd, 0));
    forebay_result_free(result);

    /* Two results: readable until the second is taken. */
    forebay_submit_t two[2] = {submit, submit};
    DONE(forebay_client_submit(client, two, 2, SOON, NULL, NULL, &err));
    for (int i = 0; i < 2; i++) {
        CHECK(readable(worker_fd, SOON));
        DONE(forebay_worker_receive(worker, 0, &job, &err));
        DONE(forebay_job_complete(job, "y", 1, &err));
        forebay_job_free(job);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(readable(client_fd, SOON));
        DONE(forebay_client_next(client, 0, &result, &err));
        forebay_result_free(result);
    }
    CHECK(!readable(client_fd, 0));

    /* Nothing more will come: readable for good. */
    forebay_worker_stop(worker);
    CHECK(readable(worker_fd, SOON));
    ANSWERS(FOREBAY_DRAINED, forebay_worker_receive(worker, 0, &job, &err));
    CHECK(readable(worker_fd, 0));
    forebay_worker_free(worker);
    forebay_client_free(client);
    forebay_broker_free(broker);
    return 0;
}
