// Squares whole numbers: the payload is a number in decimal digits, the result its square. It works beside
// the square_worker in C on the same queue.
//
//     square_worker [THREADS]
#include <forebay.hpp>

#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unistd.h>

namespace {

forebay::worker *running = nullptr;

extern "C" void on_signal(int) {
    running->stop();
}

std::uint32_t parse(std::string_view text) {
    std::uint32_t number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size())
        throw std::invalid_argument("the payload has to be a whole number from 0 to 4294967295");
    return number;
}

} // namespace

int main(int argc, char **argv) {
    try {
        const unsigned threads = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 1;
        const std::string name = "cpp-" + std::to_string(getpid());
        forebay::worker worker;
        running = &worker;
        std::signal(SIGTERM, on_signal);
        std::signal(SIGINT, on_signal);
        worker.register_queue("square");
        worker.run(threads, [&name](forebay::job &job) {
            std::uint64_t number = 0;
            try {
                number = parse(job.payload());
            } catch (const std::invalid_argument &error) {
                job.fail("not_a_number", error.what(), FOREBAY_RETRY_NEVER); // trying again would not help
                return;
            }
            job.set_header("worker", name);
            job.complete(std::to_string(number * number));
        });
        return 0;
    } catch (const std::exception &error) {
        std::cerr << "square_worker: " << error.what() << '\n';
        return 1;
    }
}
