/* A program with a libzmq of its own that links libforebay.a: two libraries of the same names, each with its own. */
#include "check.h"

#include <zmq.h>

static void *one, *two;

/* The program's own libzmq: a message over a pair of sockets, by a context that forebay knows nothing of. */
static void own_libzmq(void) {
    char text[8];
    CHECK(zmq_send(one, "own", 3, 0) == 3 && zmq_recv(two, text, sizeof text, 0) == 3);
}

int main(void) {
    int major, minor, patch;
    void *context = zmq_ctx_new();
    one = zmq_socket(context, ZMQ_PAIR), two = zmq_socket(context, ZMQ_PAIR);
    CHECK(zmq_bind(one, "inproc://same-name") == 0 && zmq_connect(two, "inproc://same-name") == 0);
    start_broker("inproc://same-name");
    forebay_client_t *client = open_client();
    forebay_worker_t *worker = open_worker("q");
    forebay_submit_t submit = a_job("q", "x");
    forebay_id_t id;
    forebay_job_t *job = NULL;
    forebay_result_t *result = NULL;
    own_libzmq();
    DONE(forebay_client_submit(client, &submit, 1, 30000, &id, NULL, &err));
    DONE(forebay_worker_receive(worker, 30000, &job, &err));
    DONE(forebay_job_complete(job, "y", 1, &err));
    DONE(forebay_client_wait(client, &id, 30000, &result, &err));
    CHECK(is_text(seen(result).data, seen(result).data_len, "y"));
    forebay_result_free(result);
    forebay_job_free(job);
    forebay_worker_free(worker);
    forebay_client_free(client);
    forebay_broker_free(broker);
    own_libzmq();
    zmq_close(one);
    zmq_close(two);
    zmq_ctx_term(context);
    zmq_version(&major, &minor, &patch);
    printf("libzmq %d.%d.%d beside forebay %s\n", major, minor, patch, forebay_version());
    return 0;
}
