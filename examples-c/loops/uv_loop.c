/* A client and a worker in a loop of libuv. See jobs.h.
 *
 *     uv_loop [JOBS] */
#include "jobs.h"

#include <uv.h>

static uv_timer_t idle;

static void at_worker(uv_poll_t *poll, int status, int events) {
    (void)poll, (void)events;
    if (status == 0) jobs_work();
}

static void at_end(uv_timer_t *timer) {
    uv_stop(timer->loop);
}

static void at_client(uv_poll_t *poll, int status, int events) {
    (void)events;
    if (status != 0) return;
    uint64_t before = ended;
    jobs_collect();
    if (before < jobs && ended == jobs) {
        jobs_idle();
        uv_timer_init(poll->loop, &idle);
        uv_timer_start(&idle, at_end, IDLE_MS, 0);
    }
}

int main(int argc, char **argv) {
    uv_loop_t *loop = uv_default_loop();
    uv_poll_t client_poll, worker_poll;
    jobs_begin(argc, argv);
    uv_poll_init(loop, &client_poll, (int)forebay_client_fd(client));
    uv_poll_init(loop, &worker_poll, (int)forebay_worker_fd(worker));
    uv_poll_start(&client_poll, UV_READABLE, at_client);
    uv_poll_start(&worker_poll, UV_READABLE, at_worker);
    uv_run(loop, UV_RUN_DEFAULT);
    /* Stop watching before the descriptors go with their handles. */
    uv_poll_stop(&client_poll);
    uv_poll_stop(&worker_poll);
    return jobs_end();
}
