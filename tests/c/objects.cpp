// forebay.hpp: objects, exceptions, threads of a worker, a handler tested without a broker.
#include <forebay.hpp>

#include <array>
#include <atomic>
#include <iostream>
#include <mutex>
#include <numeric>
#include <set>
#include <type_traits>
#include <unordered_set>

using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<forebay::client> &&
              std::is_move_constructible_v<forebay::client>);
static_assert(!std::is_copy_constructible_v<forebay::worker> &&
              std::is_move_constructible_v<forebay::worker>);
static_assert(!std::is_copy_constructible_v<forebay::job> &&
              std::is_nothrow_move_constructible_v<forebay::job>);
static_assert(!std::is_copy_constructible_v<forebay::result> && std::is_move_assignable_v<forebay::result>);

namespace {

void check(bool is_so, const char *what, int line) {
    if (is_so) return;
    std::cerr << "objects.cpp:" << line << ": not so: " << what << '\n';
    std::exit(1);
}
#define CHECK(condition) check((condition), #condition, __LINE__)

template<typename Call> forebay_status_t status_of(Call call) {
    try {
        call();
    } catch (const forebay::error &error) {
        CHECK(error.what()[0] != '\0');
        return error.status();
    }
    return FOREBAY_OK;
}

void handle(forebay::job &job) {
    const std::string payload(job.payload());
    if (payload == "throw") throw std::runtime_error("thrown");
    if (payload == "fail") return job.fail("code", "message", FOREBAY_RETRY_NEVER, "detail");
    if (payload == "drop") return;
    if (payload == "sum") {
        const auto numbers = forebay::values<double>(job.frame(1));
        const std::array<double, 1> sum = {std::accumulate(numbers.begin(), numbers.end(), 0.0)};
        return job.complete(sum);
    }
    if (payload == "parts") {
        for (int i = 0; i < 10; i++) job.send(std::to_string(i));
        return job.complete_frames({"one", std::vector<char>{'t', 'w', 'o'}, ""});
    }
    if (payload == "stop") {
        const forebay::stop_token token = job.stop_token();
        while (!token.stop_requested()) std::this_thread::yield();
        return job.complete();
    }
    job.progress(0.5, "half");
    job.set_header("length", std::to_string(payload.size()));
    job.complete(payload + "!");
}

void without_a_broker() {
    forebay::job job = forebay::job::for_test({"q", "abc"});
    CHECK(job.queue() == "q" && job.attempt() == 1 && job.stop() == 0 && *job.stop_flag() == 0);
    handle(job);
    forebay::result result = job.test_result();
    CHECK(result.done() && result.data() == "abc!" && result.header("length") == "3");
    CHECK(!result.header("other") && result.headers().size() == 1);
    CHECK(!job.stop_token().stop_requested() && !forebay::stop_token().stop_requested());
    forebay::submit with_header{"q", "abc"};
    with_header.headers = {{"colour", "red"}};
    forebay::job coloured = forebay::job::for_test(with_header);
    CHECK(coloured.header("colour") == "red" && coloured.headers().front().name == "colour");
    forebay::job failed = forebay::job::for_test({"q", "fail"});
    handle(failed);
    CHECK(failed.test_result().outcome() == forebay::outcome::failed);
    CHECK(status_of([&] { failed.complete("x"); }) == FOREBAY_ERR_STATE);
}

void calls(forebay::client &client) {
    forebay::result result = client.call({"q", "abc"}, 30s);
    CHECK(result.done() && result.data() == "abc!" && result.code().empty() && result.attempt() == 1);
    forebay::submit thrown{"q", "throw"};
    thrown.attempts = 1;
    result = client.call(thrown, 30s);
    CHECK(result.outcome() == forebay::outcome::failed && result.code() == "exception");
    CHECK(result.message() == "thrown");
    result = client.call({"q", "fail"}, 30s);
    CHECK(result.code() == "code" && result.message() == "message" && result.detail() == "detail");
    forebay::submit dropped{"q", "drop"};
    dropped.attempts = 1;
    CHECK(client.call(dropped, 30s).code() == "abandoned");
    CHECK(std::string(forebay::name(forebay::outcome::lost)) == "LOST");
}

void many(forebay::client &client) {
    std::vector<forebay::submit> jobs;
    for (std::uint64_t i = 0; i < 100; i++) {
        forebay::submit job{"q", std::to_string(i)};
        job.tag = i;
        job.want = forebay::want(forebay::kind::result);
        jobs.push_back(job);
    }
    std::vector<forebay::id> ids = client.submit(jobs, 30s);
    std::unordered_set<forebay::id> unique(ids.begin(), ids.end());
    CHECK(unique.size() == 100 && std::set<forebay::id>(ids.begin(), ids.end()).size() == 100);
    std::set<std::uint64_t> tags;
    for (int i = 0; i < 100; i++) {
        auto result = client.next(30s);
        CHECK(result && result->data() == std::to_string(result->tag()) + "!");
        CHECK(unique.count(result->id()) == 1 && result->kind() == forebay::kind::result);
        tags.insert(result->tag());
    }
    CHECK(tags.size() == 100);
    CHECK(!client.next(0ms));
    CHECK(forebay::id(ids[0].text()) == ids[0]);
}

// Calls in two halves: all under way at once, taken one by one or as many as have ended.
void futures(forebay::client &client) {
    std::vector<forebay::future> calls;
    for (int i = 0; i < 50; i++) calls.push_back(client.start({"q", std::to_string(i)}, 30s));
    CHECK(client.wait(calls, 10, 30s) >= 10);
    CHECK(client.wait(calls, calls.size(), 30s) == calls.size() && calls[7].ready());
    for (int i = 0; i < 50; i++) {
        forebay::future &each = calls[static_cast<std::size_t>(i)];
        const forebay::id id = each.id();
        const forebay::result result = each.get();
        CHECK(result.id() == id && result.data() == std::to_string(i) + "!" && !each.valid());
    }
    CHECK(status_of([&] { calls[0].get(); }) == FOREBAY_ERR_STATE);
    forebay::future stopped = client.start({"q", "stop"}, 30s);
    CHECK(!stopped.wait_for(1ms));
    client.interrupt(); // ends the wait, not the call
    CHECK(status_of([&] { stopped.get(); }) == FOREBAY_INTERRUPTED && stopped.valid());
    client.cancel(stopped.id(), "enough", 30s);
    CHECK(stopped.get().outcome() == forebay::outcome::cancelled);
}

void parts_as_a_range(forebay::client &client) {
    forebay::stream stream = client.stream({"q", "parts"}, 30s);
    int expected = 0;
    for (const forebay::result &part : stream) {
        CHECK(part.sequence() == static_cast<std::uint64_t>(expected));
        CHECK(part.data() == std::to_string(expected++));
    }
    const forebay::result result = stream.result();
    CHECK(expected == 10 && result.done() && result.frames() == 3);
    CHECK(result.frame(0) == "one" && result.frame(1) == "two" && result.frame(2).empty());
    CHECK(client.stream({"q", "parts"}, 30s).result().done());
}

void elements(forebay::client &client) {
    const std::vector<double> numbers = {1.5, 2.5, 3};
    forebay::submit job{"q"};
    job.frames = {"sum", forebay::bytes(numbers).str()};
    CHECK(forebay::values<double>(client.call(job, 30s).data()) == std::vector<double>{7});
    CHECK(forebay::submit("q", numbers).payload.size() == 24 && forebay::bytes("abc").size() == 3);
    CHECK(status_of([] { forebay::values<double>("1234567"); }) == FOREBAY_ERR_ARGUMENT);
}

void tables_and_log() {
    CHECK(forebay::version() == FOREBAY_VERSION && forebay::version_number() == FOREBAY_VERSION_NUMBER);
    CHECK(forebay::abi() == FOREBAY_ABI && forebay::has("curve") && !forebay::has("magic"));
    CHECK(forebay::status_name(FOREBAY_ERR_BUSY) == "ERR_BUSY");
    CHECK(forebay::all_options().size() > 20 && forebay::all_commands().front().text.size() > 5);
    forebay::options options;
    CHECK(options.set("job.attempts", 7).unset("job.attempts").get("job.attempts") == "3");
    CHECK(status_of([] { forebay::set_log("nonsense=what"); }) == FOREBAY_ERR_ARGUMENT);
}

void a_log(forebay::client &client) {
    std::mutex lock;
    std::string lines;
    forebay::set_log("debug", [&](forebay::log_level level, std::string_view part, std::string_view text) {
        std::lock_guard<std::mutex> locked(lock);
        if (level <= forebay::log_level::debug) lines.append(part).append(": ").append(text).append("\n");
    });
    const std::string id = client.call({"q", "abc"}, 30s).id().text();
    forebay::set_log("warn");
    CHECK(lines.find(id) != std::string::npos);
    CHECK(!forebay::next_log(0ms));
}

void errors(forebay::client &client) {
    CHECK(status_of([] { forebay::client("blah"); }) == FOREBAY_ERR_ADDRESS);
    CHECK(status_of([] { forebay::options().set("client.nam", "x"); }) == FOREBAY_ERR_OPTION);
    CHECK(status_of([] { forebay::id("no id"); }) == FOREBAY_ERR_ARGUMENT);
    CHECK(status_of([&] { client.call({"", "x"}, 1s); }) == FOREBAY_ERR_ARGUMENT);
    CHECK(status_of([&] { client.wait(forebay::id(), 30s); }) == FOREBAY_ERR_NOT_FOUND);
    CHECK(status_of([] { forebay::host_run({}); }) == FOREBAY_ERR_OPTION);
    CHECK(status_of([] { forebay::host_test({}, {"q", "x"}); }) == FOREBAY_ERR_OPTION);
    forebay::options options;
    options.set("job.attempts", 7).set_bytes("job.header.h", std::string_view("\0x", 2));
    CHECK(options.get("job.attempts") == "7" && options.get("job.header.h") == std::string("\0x", 2));
}

} // namespace

int main(int argc, char **argv) {
    CHECK(argc == 2);
    without_a_broker();
    tables_and_log();
    forebay::broker broker(forebay::options().set("broker.listen", argv[1]));
    CHECK(broker.endpoint(1).empty() && !broker.wait(0ms));
    forebay::client client(broker.endpoint());
    forebay::worker worker(broker.endpoint());
    worker.register_queue("q");
    std::atomic<int> threads{0};
    std::thread working(
        [&] { worker.run(4, [&] { return ++threads; }, [](int, forebay::job &job) { handle(job); }); });
    CHECK(client.wait_workers("q", 1, 30s) && client.ready(30s));
    CHECK(client.state() == forebay::state::ready);
    calls(client);
    many(client);
    futures(client);
    parts_as_a_range(client);
    elements(client);
    a_log(client);
    errors(client);
    worker.stop();
    working.join();
    CHECK(threads == 4);
    CHECK(!worker.receive());
    forebay::client moved(std::move(client));
    CHECK(moved.stats().data().front() == '{');
    broker.stop(30s);
    CHECK(broker.wait(30s));
    return 0;
}
