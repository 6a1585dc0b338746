// A plugin of forebay that greets: the payload is a name, the result a greeting.
//
//     make
//     printf World | forebay plugin test ./lib@NAME@.so
//     forebay worker --load ./lib@NAME@.so
//
// `forebay worker` opens it in processes of its own, one for each core, and calls handle for each job of the queue
// "@NAME@". Everything of forebay.h may be called; there is nothing to link.
#include <cstdio>
#include <exception>
#include <forebay.h>
#include <new>
#include <string>

namespace {

// What process_init leaves for all the others.
struct state {
    std::string greeting;
};

std::int32_t process_init(const forebay_options_t *params, void **process, char *why, std::size_t why_cap) noexcept {
    char greeting[64];
    if (forebay_options_get(params, "param.greeting", greeting, sizeof greeting, nullptr, nullptr) != FOREBAY_OK) {
        std::snprintf(why, why_cap, "greeting has more than %zu bytes", sizeof greeting - 1);
        return 1;
    }
    *process = new (std::nothrow) state{greeting};
    return *process == nullptr;
}

void process_fini(void *process) noexcept { delete static_cast<state *>(process); }

std::string greet(const state &state, const std::string &name) { return state.greeting + ", " + name + "!"; }

// No exception may leave it: what goes wrong fails the job and says why.
std::int32_t handle(forebay_job_t *job, void *process, void *) noexcept {
    try {
        std::size_t len = 0;
        const char *name = static_cast<const char *>(forebay_job_payload(job, &len));
        const std::string text = greet(*static_cast<const state *>(process), std::string(name, len));
        forebay_job_complete(job, text.data(), text.size(), nullptr);
    } catch (const std::exception &error) {
        forebay_job_fail(job, FOREBAY_RETRY_POLICY, "exception", error.what(), nullptr, nullptr);
    }
    return 0;
}

} // namespace

const forebay_plugin_t *forebay_plugin_v1() {
    static const char *const queues[] = {"@NAME@", nullptr};
    static const char *const params[] = {"greeting", "Hello", "what comes before the name", nullptr};
    static const forebay_plugin_t plugin = [] {
        forebay_plugin_t made{};
        made.struct_size = sizeof made;
        made.abi = FOREBAY_PLUGIN_ABI;
        made.name = "@NAME@";
        made.version = "0.1.0";
        made.queues = queues;
        made.params = params;
        made.process_init = process_init;
        made.process_fini = process_fini;
        made.handle = handle;
        return made;
    }();
    return &plugin;
}
