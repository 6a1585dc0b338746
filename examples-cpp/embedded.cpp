// Broker, worker and client in one process: no service, no socket file, no port.
//
// The broker listens on inproc, which only this process reaches. Give it an ipc or tcp address too and other
// processes can join: broker.listen takes a list.
#include <forebay.hpp>

#include <chrono>
#include <exception>
#include <iostream>
#include <string>
#include <thread>

using namespace std::chrono_literals;

namespace {

std::string in_capitals(std::string text) {
    for (char &letter : text)
        if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
    return text;
}

} // namespace

int main() {
    try {
        forebay::broker broker(forebay::options().set("broker.listen", "inproc://jobs"));
        forebay::worker worker(broker.endpoint());
        worker.register_queue("shout");
        std::thread working([&worker] {
            worker.run(1, [](forebay::job &job) { job.complete(in_capitals(std::string(job.payload()))); });
        });
        {
            forebay::client client(broker.endpoint());
            for (const char *text : {"hello from one process", "and once more"})
                std::cout << client.call({"shout", text}, 10s).data() << '\n';
        }
        // From the outside in: no more calls, then no more work, then no more broker.
        worker.stop();
        working.join();
        broker.stop(5s);
        return 0;
    } catch (const std::exception &error) {
        std::cerr << "embedded: " << error.what() << '\n';
        return 1;
    }
}
