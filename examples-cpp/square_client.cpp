// Sends many jobs at once and takes the results as they come, in any order.
//
//     square_client [N]
//
// N random numbers (default 1000) go to the queue "square". Each result is checked.
#include <forebay.hpp>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <random>
#include <set>
#include <string>
#include <vector>

using namespace std::chrono_literals;

int main(int argc, char **argv) {
    try {
        std::vector<std::uint32_t> numbers(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1000);
        std::mt19937 random(std::random_device{}());
        forebay::client client;
        for (std::size_t i = 0; i < numbers.size(); i++) {
            numbers[i] = static_cast<std::uint32_t>(random());
            forebay::submit job{"square", std::to_string(numbers[i])};
            job.tag = i;                                     // comes back with the result
            job.want = forebay::want(forebay::kind::result); // client.next hands it over
            client.submit(job, 10s);
        }
        std::size_t right = 0;
        std::set<std::string> workers;
        for (std::size_t i = 0; i < numbers.size(); i++) {
            auto result = client.next(30s);
            if (!result) {
                std::cerr << "square_client: no result for 30 s; " << i << " came\n";
                return 1;
            }
            const std::uint64_t number = numbers[result->tag()];
            if (result->done() && result->data() == std::to_string(number * number))
                right++;
            else
                std::cerr << "square_client: " << number << ": " << result->message() << '\n';
            if (auto worker = result->header("worker")) workers.emplace(*worker);
        }
        std::cout << right << " of " << numbers.size() << " squares right, by " << workers.size()
                  << " workers\n";
        return right == numbers.size() ? 0 : 1;
    } catch (const std::exception &error) {
        std::cerr << "square_client: " << error.what() << '\n';
        return 1;
    }
}
