/* Jobs and results outlive the handles they came from: memory stays valid, and calls answer FOREBAY_ERR_CLOSED. */
#include "check.h"

int main(int argc, char **argv) {
    CHECK(argc == 2);
    start_broker(argv[1]);
    forebay_client_t *client = open_client();
    forebay_worker_t *worker = open_worker("q");
    forebay_submit_t job = a_job("q", "payload");
    forebay_id_t ids[2];
    forebay_job_t *first = NULL, *second = NULL;
    forebay_result_t *result = NULL, *none = NULL;
    size_t len = 0;

    job.attempts = 1;
    DONE(forebay_client_submit(client, &job, 1, 30000, &ids[0], NULL, &err));
    DONE(forebay_worker_receive(worker, 30000, &first, &err));
    DONE(forebay_job_complete(first, "result", 6, &err));
    DONE(forebay_client_wait(client, &ids[0], 30000, &result, &err));
    DONE(forebay_client_submit(client, &job, 1, 30000, &ids[1], NULL, &err));
    DONE(forebay_worker_receive(worker, 30000, &second, &err));

    forebay_worker_free(worker);
    const void *payload = forebay_job_payload(second, &len);
    CHECK(is_text(payload, len, "payload"));
    CHECK(forebay_job_stop(second) != 0);
    ANSWERS(FOREBAY_ERR_CLOSED, forebay_job_complete(second, "late", 4, &err));
    ANSWERS(FOREBAY_ERR_CLOSED, forebay_job_send(second, "late", 4, 0, &err));
    ANSWERS(FOREBAY_ERR_CLOSED, forebay_job_release(second, 0, &err));
    ANSWERS(FOREBAY_ERR_CLOSED, forebay_job_fail(second, -1, NULL, NULL, NULL, &err));
    CHECK(forebay_job_progress(second, 0.5, NULL) != 0);

    forebay_client_free(client);
    CHECK(is_text(seen(result).data, seen(result).data_len, "result"));
    forebay_broker_free(broker);
    CHECK(is_text(seen(result).data, seen(result).data_len, "result"));
    forebay_result_free(result);
    forebay_job_free(second);
    forebay_job_free(first);
    CHECK(none == NULL);
    return 0;
}
