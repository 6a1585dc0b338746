// The application's own event loop drives a client and a worker: no thread of the application ever waits
// inside the library.
//
//     poll_loop [JOBS]
//
// client.fd() and worker.fd() are readable as long as next or receive has something to hand over, like any
// descriptor for epoll, poll, libuv or GLib. Here a timer submits a job each millisecond, the worker in the
// same loop doubles it, and the client prints the sum when all JOBS (default 100) are back.
#include <forebay.hpp>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <functional>
#include <iostream>
#include <map>
#include <system_error>
#include <utility>

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

using namespace std::chrono_literals;

namespace {

int checked(int answer, const char *what) {
    if (answer < 0) throw std::system_error(errno, std::generic_category(), what);
    return answer;
}

// A loop over descriptors, each with what is to be done when it is readable.
class loop {
public:
    loop() : epoll_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll")) {}
    loop(const loop &) = delete;
    loop &operator=(const loop &) = delete;
    ~loop() { close(epoll_); }

    void watch(std::int64_t descriptor, std::function<void()> ready) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = static_cast<int>(descriptor);
        checked(epoll_ctl(epoll_, EPOLL_CTL_ADD, event.data.fd, &event), "epoll");
        ready_[event.data.fd] = std::move(ready);
    }

    void turn() {
        epoll_event events[8];
        const int n = epoll_wait(epoll_, events, 8, -1);
        for (int i = 0; i < n; i++) ready_[events[i].data.fd]();
    }

private:
    int epoll_;
    std::map<int, std::function<void()>> ready_;
};

// Signals as a descriptor. The library's own threads block all signals, so it does not matter who comes
// first.
int signal_descriptor() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    return checked(signalfd(-1, &set, SFD_CLOEXEC), "signalfd");
}

int timer_descriptor() {
    const itimerspec each_ms = {{0, 1000000}, {0, 1000000}};
    const int timer = checked(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "timerfd");
    checked(timerfd_settime(timer, 0, &each_ms, nullptr), "timerfd");
    return timer;
}

// One more job. enqueue never blocks: the library sends when it can, and next confirms. False when the window
// is full: the next tick tries again.
bool submit(forebay::client &client, std::uint64_t number) {
    forebay::submit job{"poll_loop", std::to_string(number)};
    job.want = forebay::want(forebay::kind::result);
    try {
        client.enqueue(job);
        return true;
    } catch (const forebay::error &error) {
        if (error.status() != FOREBAY_ERR_BUSY) throw;
        return false;
    }
}

std::uint64_t number_in(std::string_view text) {
    return std::strtoull(std::string(text).c_str(), nullptr, 10);
}

} // namespace

int main(int argc, char **argv) {
    try {
        const std::uint64_t jobs = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 100;
        std::uint64_t submitted = 0, ended = 0, sum = 0;
        bool stop = false;
        forebay::client client;
        forebay::worker worker;
        worker.register_queue("poll_loop");

        loop loop;
        const int timer = timer_descriptor();
        loop.watch(signal_descriptor(), [&] { stop = true; });
        loop.watch(timer, [&] {
            std::uint64_t ticks;
            if (read(timer, &ticks, sizeof ticks) > 0 && submitted < jobs)
                submitted += submit(client, submitted + 1);
        });
        // Whatever jobs and results there are: a timeout of 0 asks without waiting.
        loop.watch(worker.fd(), [&] {
            while (auto job = worker.receive(0ms))
                job->complete(std::to_string(2 * number_in(job->payload())));
        });
        loop.watch(client.fd(), [&] {
            while (auto result = client.next(0ms)) {
                if (result->done()) sum += number_in(result->data());
                ended++;
            }
        });
        while (!stop && ended < jobs) loop.turn();
        std::cout << ended << " of " << jobs << " jobs ended, the sum of their results is " << sum << '\n';
        return ended < jobs;
    } catch (const std::exception &error) {
        std::cerr << "poll_loop: " << error.what() << '\n';
        return 1;
    }
}
