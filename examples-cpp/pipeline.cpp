// A pipeline: two numbers are squared, both squares are added, and the sum is greeted.
//
//     pipeline [A B]
//
// It is its own worker, in a second thread. Start `forebay broker` before.
#include <forebay.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <iostream>
#include <string>
#include <thread>

using namespace std::chrono_literals;

namespace {

std::uint64_t number_in(const forebay::job &job, std::uint32_t i) {
    return std::stoull(std::string(job.frame(i)));
}

// Frame 0 is the step's own payload, or, where it has none, the first result it takes.
void answer(forebay::job &job) {
    const auto queue = job.queue();
    if (queue == "pipeline-square")
        job.complete(std::to_string(number_in(job, 0) * number_in(job, 0)));
    else if (queue == "pipeline-add")
        job.complete(std::to_string(number_in(job, 0) + number_in(job, 1)));
    else
        job.complete("Hello, " + std::to_string(number_in(job, 0)) + "!");
}

} // namespace

int main(int argc, char **argv) {
    try {
        forebay::worker worker;
        for (const char *queue : {"pipeline-square", "pipeline-add", "pipeline-greet"})
            worker.register_queue(queue);
        std::thread thread([&] { worker.run(1, answer); });

        forebay::pipeline squares("squares");
        squares.step("a", {"pipeline-square", argc > 2 ? argv[1] : "3"})
            .step("b", {"pipeline-square", argc > 2 ? argv[2] : "4"})
            .step("sum", {"pipeline-add"})
            .step("greet", {"pipeline-greet"})
            .after("sum", "a") // both squares may be made at once; the sum begins when both are there
            .after("sum", "b")
            .after("greet", "sum");
        forebay::client client;
        const auto result = client.wait(client.run(squares, 10s), 30s);
        worker.stop();
        thread.join();
        if (!result) {
            std::cerr << "pipeline: the run has not ended in 30 s\n";
            return 1;
        }
        std::cout << (result->done() ? "DONE: " : "not DONE: ") << result->data() << result->message() << '\n';
        return result->done() ? 0 : 1;
    } catch (const std::exception &error) {
        std::cerr << "pipeline: " << error.what() << '\n';
        return 1;
    }
}
