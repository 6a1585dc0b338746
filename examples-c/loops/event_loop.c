/* A client and a worker in a loop of libevent. See jobs.h.
 *
 *     event_loop [JOBS] */
#include "jobs.h"

#include <event2/event.h>

static struct event_base *loop;

static void at_worker(evutil_socket_t descriptor, short events, void *unused) {
    (void)descriptor, (void)events, (void)unused;
    jobs_work();
}

static void at_client(evutil_socket_t descriptor, short events, void *unused) {
    (void)descriptor, (void)events, (void)unused;
    uint64_t before = ended;
    jobs_collect();
    if (before < jobs && ended == jobs) {
        struct timeval later = {IDLE_MS / 1000, IDLE_MS % 1000 * 1000};
        jobs_idle();
        event_base_loopexit(loop, &later);
    }
}

int main(int argc, char **argv) {
    jobs_begin(argc, argv);
    loop = event_base_new();
    /* Level-triggered, which is what EV_PERSIST without EV_ET means. */
    struct event *client_event =
        event_new(loop, (int)forebay_client_fd(client), EV_READ | EV_PERSIST, at_client, NULL);
    struct event *worker_event =
        event_new(loop, (int)forebay_worker_fd(worker), EV_READ | EV_PERSIST, at_worker, NULL);
    if (event_add(client_event, NULL) || event_add(worker_event, NULL)) {
        fprintf(stderr, "event_loop: cannot watch\n");
        return 1;
    }
    event_base_dispatch(loop);
    /* Stop watching before the descriptors go with their handles. */
    event_free(client_event);
    event_free(worker_event);
    event_base_free(loop);
    return jobs_end();
}
