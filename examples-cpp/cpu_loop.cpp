// A long computation that says how far it is and can be stopped at any moment: the payload is a number of
// seconds.
//
//     cpu_loop [--quiet]       forebay call cpu_loop <<< 10
//
// The computation knows nothing of jobs. It gets a stop token, one word that the library's own thread sets
// when the job is cancelled, when its run time is over or when it is no longer this worker's, and something
// to report to. With --quiet it reports no progress and calls the library only to answer.
#include <forebay.hpp>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <functional>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>

namespace {

forebay::worker *running = nullptr;

extern "C" void on_signal(int) {
    running->stop();
}

std::optional<double> parse_seconds(std::string_view payload) {
    const std::string text(payload);
    char *end = nullptr;
    const double seconds = std::strtod(text.c_str(), &end);
    const bool is_number = !text.empty() && end != text.c_str() && (*end == '\0' || *end == '\n');
    if (!is_number || !(seconds >= 0 && seconds <= 86400)) return std::nullopt;
    return seconds;
}

// Computes for so many seconds; returns the number of rounds, or 0 when told to stop.
std::uint64_t compute(double seconds, forebay::stop_token stop, const std::function<void(double)> &report) {
    const auto begin = std::chrono::steady_clock::now();
    std::uint64_t x = 88172645463325252u, rounds = 0;
    double spent = 0;
    do {
        for (int i = 0; i < 1000000; i++) {
            if (stop.stop_requested()) return 0;
            x ^= x << 13, x ^= x >> 7, x ^= x << 17; // stands for the real work
        }
        rounds += 1 + (x == 0); // x is never 0, which the compiler does not know: it keeps the loop
        spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        report(seconds > 0 ? spent / seconds : 1);
    } while (spent < seconds);
    return rounds;
}

void answer(forebay::job &job, bool quiet) {
    const auto seconds = parse_seconds(job.payload());
    if (!seconds)
        return job.fail("not_seconds", "the payload has to be a number of seconds from 0 to 86400",
                        FOREBAY_RETRY_NEVER);
    const auto rounds = compute(*seconds, job.stop_token(), [&](double fraction) {
        if (!quiet) job.progress(fraction, "computing"); // never blocks
    });
    if (rounds == 0) { // cancelled, or time over: what is answered now no longer counts
        std::cout << "stopped" << std::endl;
        return job.fail("stopped", "told to stop");
    }
    job.complete(std::to_string(rounds) + " million steps");
}

} // namespace

int main(int argc, char **argv) {
    try {
        const bool quiet = argc > 1 && std::string_view(argv[1]) == "--quiet";
        forebay::worker worker;
        running = &worker;
        std::signal(SIGTERM, on_signal);
        std::signal(SIGINT, on_signal);
        worker.register_queue("cpu_loop");
        worker.run(1, [quiet](forebay::job &job) {
            try {
                answer(job, quiet);
            } catch (const forebay::error &error) {
                if (error.status() != FOREBAY_ERR_LEASE_LOST) throw;
            }
        });
        return 0;
    } catch (const std::exception &error) {
        std::cerr << "cpu_loop: " << error.what() << '\n';
        return 1;
    }
}
