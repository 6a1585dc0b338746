// Many threads on one handle: forebay handles may be used from any thread at any time.
//
//     threads worker [N]           N threads (default 8) receive from one worker handle
//     threads client [N] [CALLS]   N threads make CALLS calls each (default 8 and 200) through one client
//
// The queue is "reverse": the result is the payload from back to front.
#include <forebay.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

constexpr unsigned threads_max = 256;

forebay::worker *running = nullptr;

extern "C" void on_signal(int) {
    running->stop(); // every thread's receive ends
}

std::string reversed(std::string_view text) {
    return {text.rbegin(), text.rend()};
}

int work(unsigned threads) {
    forebay::worker worker;
    running = &worker;
    std::signal(SIGTERM, on_signal);
    std::signal(SIGINT, on_signal);
    worker.register_queue("reverse");
    // The first function is called once in each thread; the second gets what it made, here how many jobs it
    // did.
    worker.run(
        threads, [] { return 0L; },
        [](long &done, forebay::job &job) {
            job.set_header("done", std::to_string(++done));
            job.complete(reversed(job.payload()));
        });
    return 0;
}

int call(unsigned threads, long calls) {
    forebay::client client;
    std::atomic<long> right{0};
    auto caller = [&](unsigned number) {
        for (long i = 0; i < calls; i++) {
            const std::string text = "thread " + std::to_string(number) + " call " + std::to_string(i);
            try {
                const forebay::result result = client.call({"reverse", text}, 30s);
                if (result.done() && result.data() == reversed(text)) right++;
            } catch (const forebay::error &error) {
                std::cerr << "threads: call: " << error.what() << '\n';
            }
        }
    };
    std::vector<std::thread> callers;
    for (unsigned i = 0; i < threads; i++) callers.emplace_back(caller, i);
    for (std::thread &each : callers) each.join();
    const long all = calls * static_cast<long>(threads);
    std::cout << right << " of " << all << " answers right, from " << threads << " threads\n";
    return right == all ? 0 : 1;
}

} // namespace

int main(int argc, char **argv) {
    try {
        const std::string_view role = argc > 1 ? argv[1] : "";
        const long threads = argc > 2 ? std::strtol(argv[2], nullptr, 10) : 8;
        const long calls = argc > 3 ? std::strtol(argv[3], nullptr, 10) : 200;
        const bool fits = threads >= 1 && threads <= static_cast<long>(threads_max) && calls >= 1;
        if (fits && role == "worker") return work(static_cast<unsigned>(threads));
        if (fits && role == "client") return call(static_cast<unsigned>(threads), calls);
        std::cerr << "usage: threads worker [N] | client [N] [CALLS], N from 1 to " << threads_max << '\n';
        return 2;
    } catch (const std::exception &error) {
        std::cerr << "threads: " << error.what() << '\n';
        return 1;
    }
}
