// Stages: lines are added to a run while it goes on, each is split into words, each word is measured, and the lengths are
// added up.
//
//     stages [LINE...]
//
// It is its own worker, in a second thread. Start `forebay broker` before.
#include <forebay.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

void answer(forebay::job &job) {
    const auto queue = job.queue();
    if (queue == "stages-split") {
        // One frame for each word of the line: what comes behind has a job for each.
        std::istringstream line{std::string(job.payload())};
        std::vector<std::string> words;
        for (std::string word; line >> word;) words.push_back(word);
        job.complete_frames({words.begin(), words.end()});
    } else if (queue == "stages-measure") {
        job.complete(std::to_string(job.frame(0).size()));
    } else {
        // Every result of the stage before, in order, is a frame.
        std::uint64_t sum = 0;
        for (std::uint32_t i = 0; i < job.frames(); i++) sum += std::stoull(std::string(job.frame(i)));
        job.complete(std::to_string(job.frames()) + " words, " + std::to_string(sum) + " letters");
    }
}

} // namespace

int main(int argc, char **argv) {
    try {
        forebay::worker worker;
        for (const char *queue : {"stages-split", "stages-measure", "stages-add"}) worker.register_queue(queue);
        std::thread thread([&] { worker.run(1, answer); });

        forebay::pipeline words("words");
        words.stage("lines", {"stages-split"})
            .each("words", {"stages-measure"})
            .step("sum", {"stages-add"})
            .after("words", "lines")
            .after("sum", "words");
        forebay::client client;
        const forebay::id run = client.run(words, 10s);
        std::vector<std::string> lines(argv + 1, argv + argc);
        if (lines.empty()) lines = {"the water waits above", "the turbines"};
        for (const std::string &line : lines) client.add(run, "lines", {{"", line}}, 10s);
        client.close(run, "lines", static_cast<std::int64_t>(lines.size()), 10s);
        const auto result = client.wait(run, 30s);
        worker.stop();
        thread.join();
        if (!result) {
            std::cerr << "stages: the run has not ended in 30 s\n";
            return 1;
        }
        std::cout << (result->done() ? "DONE: " : "not DONE: ") << result->data() << result->message() << '\n';
        return result->done() ? 0 : 1;
    } catch (const std::exception &error) {
        std::cerr << "stages: " << error.what() << '\n';
        return 1;
    }
}
