/* A client and a worker in a loop of epoll. See jobs.h.
 *
 *     epoll_loop [JOBS] */
#include "jobs.h"

#include <sys/epoll.h>
#include <unistd.h>

static int watch(int loop, int64_t descriptor) {
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = (int)descriptor}};
    return epoll_ctl(loop, EPOLL_CTL_ADD, (int)descriptor, &event);
}

/* Waits once, without end below 0; returns whether anything was readable. */
static int turn(int loop, int timeout_ms) {
    struct epoll_event events[2];
    int n = epoll_wait(loop, events, 2, timeout_ms);
    for (int i = 0; i < n; i++) {
        if (events[i].data.fd == forebay_worker_fd(worker))
            jobs_work();
        else
            jobs_collect();
    }
    return n;
}

int main(int argc, char **argv) {
    jobs_begin(argc, argv);
    int loop = epoll_create1(EPOLL_CLOEXEC);
    if (watch(loop, forebay_client_fd(client)) || watch(loop, forebay_worker_fd(worker))) {
        perror("epoll_loop");
        return 1;
    }
    while (ended < jobs) turn(loop, -1);
    jobs_idle();
    while (turn(loop, IDLE_MS) > 0) {
    }
    close(loop);
    return jobs_end();
}
