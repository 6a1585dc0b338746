/* An echo worker: takes jobs many at once and gives each one's payload back.
 *
 *     forebay_worker ENDPOINT */
#include <forebay.h>
#include <stdio.h>

#define BATCH 1000

int main(int argc, char **argv) {
    static forebay_job_t *jobs[BATCH];
    forebay_error_t *error = NULL;
    forebay_worker_t *worker;
    forebay_status_t status;
    size_t got;

    if (argc != 2) return 2;
    status = forebay_worker_open(argv[1], NULL, &worker, &error);
    if (status == FOREBAY_OK) status = forebay_worker_register(worker, "echo", NULL, &error);
    while (status == FOREBAY_OK &&
           (status = forebay_worker_receive_many(worker, -1, jobs, BATCH, &got, &error)) == FOREBAY_OK)
        for (size_t i = 0; i < got; i++) {
            size_t len;
            const void *payload = forebay_job_payload(jobs[i], &len);
            if (status == FOREBAY_OK) status = forebay_job_complete(jobs[i], payload, len, &error);
            forebay_job_free(jobs[i]);
        }
    fprintf(stderr, "forebay_worker: %s\n", forebay_error_message(error));
    return 1;
}
