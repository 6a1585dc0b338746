// A client: sends one job to the queue "hello" and prints its result.
//
//     hello_client [NAME]
#include <forebay.hpp>

#include <chrono>
#include <exception>
#include <iostream>

using namespace std::chrono_literals;

int main(int argc, char **argv) {
    try {
        forebay::client client;
        forebay::result result = client.call({"hello", argc > 1 ? argv[1] : "World"}, 10s);
        // The call went well; how the job ended is another matter.
        if (!result.done()) {
            std::cerr << "hello_client: the job ended " << forebay::name(result.outcome()) << ": "
                      << result.message() << '\n';
            return 1;
        }
        std::cout << result.data() << '\n';
        return 0;
    } catch (const std::exception &error) {
        std::cerr << "hello_client: " << error.what() << '\n';
        return 1;
    }
}
