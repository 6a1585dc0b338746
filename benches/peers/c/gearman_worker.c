/* An echo worker of gearmand.
 *
 *     gearman_worker HOST PORT */
#include <libgearman/gearman.h>
#include <stdio.h>
#include <stdlib.h>

static gearman_return_t echo(gearman_job_st *job, void *context) {
    (void)context;
    return gearman_job_send_complete(job, gearman_job_workload(job), gearman_job_workload_size(job));
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    gearman_worker_st *worker = gearman_worker_create(NULL);
    gearman_worker_add_server(worker, argv[1], (in_port_t)atoi(argv[2]));
    gearman_worker_define_function(worker, "echo", 4, gearman_function_create(echo), 0, NULL);
    puts("ready");
    fflush(stdout);
    while (gearman_success(gearman_worker_work(worker))) {
    }
    fprintf(stderr, "gearman_worker: %s\n", gearman_worker_error(worker));
    return 1;
}
