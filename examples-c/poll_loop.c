/* The application's own event loop drives a client and a worker: no thread of the application ever waits
 * inside the library.
 *
 *     poll_loop [JOBS]
 *
 * forebay_client_fd and forebay_worker_fd are readable as long as next or receive has something to hand over,
 * like any descriptor for epoll, poll, libuv or GLib. Here a timer submits a job each millisecond, the worker
 * in the same loop doubles it, and the client prints the sum when all JOBS (default 100) are back. */
#include <forebay.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

static forebay_client_t *client;
static forebay_worker_t *worker;
static uint64_t submitted, ended, sum;

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "poll_loop: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return -1;
}

/* One more job. enqueue never blocks: the library sends when it can, and next confirms. */
static int submit_one(void) {
    forebay_error_t *error = NULL;
    uint64_t number = submitted + 1;
    forebay_submit_t job = {.struct_size = sizeof job};
    job.queue = "poll_loop";
    job.payload = &number;
    job.payload_len = sizeof number;
    job.want = 1u << FOREBAY_KIND_RESULT;
    if (forebay_client_enqueue(client, &job, 1, NULL, NULL, &error) < 0) {
        if (forebay_error_status(error) != FOREBAY_ERR_BUSY) return failed("enqueue", error);
        forebay_error_free(error); /* the window is full: the next tick tries again */
        return 0;
    }
    submitted++;
    return 0;
}

/* Whatever jobs there are: a timeout of 0 asks without waiting. */
static int work(void) {
    forebay_error_t *error = NULL;
    forebay_job_t *job;
    forebay_status_t status;
    while ((status = forebay_worker_receive(worker, 0, &job, &error)) == FOREBAY_OK) {
        uint64_t number = 0;
        size_t len;
        const void *payload = forebay_job_payload(job, &len);
        memcpy(&number, payload, len < sizeof number ? len : sizeof number);
        number *= 2;
        if (forebay_job_complete(job, &number, sizeof number, &error) < 0) failed("complete", error);
        forebay_job_free(job);
    }
    return status < 0 ? failed("receive", error) : 0;
}

/* Whatever results there are. */
static int collect(void) {
    forebay_error_t *error = NULL;
    forebay_result_t *result;
    forebay_status_t status;
    while ((status = forebay_client_next(client, 0, &result, &error)) == FOREBAY_OK) {
        uint64_t number = 0;
        forebay_result_view_t view = {.struct_size = sizeof view};
        forebay_result_view(result, &view);
        if (view.outcome == FOREBAY_OUTCOME_DONE && view.data_len == sizeof number)
            memcpy(&number, view.data, sizeof number);
        sum += number;
        ended++;
        forebay_result_free(result);
    }
    return status < 0 ? failed("next", error) : 0;
}

/* Signals as a descriptor. The library's own threads block all signals, so it does not matter who comes
 * first. */
static int signal_descriptor(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static int watch(int loop, int descriptor) {
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = descriptor}};
    return epoll_ctl(loop, EPOLL_CTL_ADD, descriptor, &event);
}

int main(int argc, char **argv) {
    uint64_t jobs = argc > 1 ? strtoull(argv[1], NULL, 10) : 100;
    forebay_error_t *error = NULL;
    if (forebay_client_open(NULL, NULL, &client, &error) < 0) return -failed("open", error);
    if (forebay_worker_open(NULL, NULL, &worker, &error) < 0) return -failed("open", error);
    if (forebay_worker_register(worker, "poll_loop", NULL, &error) < 0) return -failed("register", error);

    int loop = epoll_create1(EPOLL_CLOEXEC);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    int signals = signal_descriptor();
    int client_fd = (int)forebay_client_fd(client), worker_fd = (int)forebay_worker_fd(worker);
    struct itimerspec each_ms = {{0, 1000000}, {0, 1000000}};
    timerfd_settime(timer, 0, &each_ms, NULL);
    if (watch(loop, timer) || watch(loop, signals) || watch(loop, client_fd) || watch(loop, worker_fd)) {
        perror("poll_loop: epoll");
        return 1;
    }
    int bad = 0;
    for (int stop = 0; !stop && !bad && ended < jobs;) {
        struct epoll_event events[8];
        int n = epoll_wait(loop, events, 8, -1);
        for (int i = 0; i < n; i++) {
            uint64_t ticks;
            int ready = events[i].data.fd;
            if (ready == signals)
                stop = 1;
            else if (ready == worker_fd)
                bad |= work();
            else if (ready == client_fd)
                bad |= collect();
            else if (read(timer, &ticks, sizeof ticks) > 0 && submitted < jobs)
                bad |= submit_one();
        }
    }
    printf("%" PRIu64 " of %" PRIu64 " jobs ended, the sum of their results is %" PRIu64 "\n", ended, jobs,
           sum);
    forebay_worker_free(worker);
    forebay_client_free(client);
    return bad || ended < jobs;
}
