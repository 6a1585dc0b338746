// A worker that greets: the payload is a name, the result a greeting.
//
// Start `forebay broker`, this, and hello_client, in any order. SIGTERM or Ctrl-C ends it after the job it is
// at.
#include <forebay.hpp>

#include <csignal>
#include <exception>
#include <iostream>
#include <string>

namespace {

forebay::worker *running = nullptr;

extern "C" void on_signal(int) {
    running->stop(); // may be called from a signal handler: run returns
}

} // namespace

int main() {
    try {
        forebay::worker worker; // the broker that $FOREBAY_BROKER names, else the default one
        running = &worker;
        std::signal(SIGTERM, on_signal);
        std::signal(SIGINT, on_signal);
        worker.register_queue("hello");
        worker.run(1, [](forebay::job &job) { job.complete("Hello, " + std::string(job.payload()) + "!"); });
        return 0;
    } catch (const std::exception &error) {
        std::cerr << "hello_worker: " << error.what() << '\n';
        return 1;
    }
}
