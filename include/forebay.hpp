// forebay for C++17: the C interface of forebay.h as objects that free themselves and errors that are thrown.
//
// Header-only. Objects are moved, not copied. What fails throws forebay::error, which carries the status; a
// wait that ends with nothing to hand over answers an empty optional or false. Bytes go in as forebay::bytes,
// which anything contiguous is, and come out as std::string_view, which lives as long as the object that lent
// it. Threads, lifetimes and what each call means: forebay.h says it at the function of the same name.
// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef FOREBAY_HPP
#define FOREBAY_HPP

#include <forebay.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace forebay {

using std::chrono::milliseconds;

/// A timeout without an end; any negative one is the same.
inline constexpr milliseconds forever{FOREBAY_FOREVER};

/// Why a call was not carried out.
class error : public std::runtime_error {
public:
    error(forebay_status_t status, const std::string &message, bool retryable = false,
          std::optional<milliseconds> retry_after = std::nullopt)
        : std::runtime_error(message), status_(status), retryable_(retryable), retry_after_(retry_after) {}

    /// FOREBAY_ERR_...
    forebay_status_t status() const noexcept { return status_; }
    /// Whether the same call may succeed later, unchanged.
    bool retryable() const noexcept { return retryable_; }
    /// After how long, where the broker has said so.
    std::optional<milliseconds> retry_after() const noexcept { return retry_after_; }

private:
    forebay_status_t status_;
    bool retryable_;
    std::optional<milliseconds> retry_after_;
};

namespace detail {

/// Collects the error of one call and throws it.
class caught {
public:
    caught() = default;
    caught(const caught &) = delete;
    caught &operator=(const caught &) = delete;
    ~caught() { forebay_error_free(error_); }

    forebay_error_t **out() noexcept { return &error_; }

    /// Throws below 0; answers whether there is something: FOREBAY_OK.
    bool check(forebay_status_t status) const {
        if (status >= 0) return status == FOREBAY_OK;
        if (error_ == nullptr) throw error(status, forebay_status_text(status));
        std::int64_t after = forebay_error_retry_after_ms(error_);
        throw error(status, forebay_error_message(error_), forebay_error_retryable(error_) != 0,
                    after < 0 ? std::nullopt : std::optional<milliseconds>(after));
    }

private:
    forebay_error_t *error_ = nullptr;
};

template<auto Free> struct freer {
    template<typename T> void operator()(T *object) const noexcept { Free(object); }
};

template<typename T, auto Free> using owned = std::unique_ptr<T, freer<Free>>;

inline std::string_view view(const void *data, std::size_t len) noexcept {
    return {static_cast<const char *>(data), len};
}

template<typename T> inline constexpr bool is_text = std::is_convertible_v<const T &, std::string_view>;

/// What std::data and std::size say is contiguous, and may be copied byte by byte.
template<typename T, typename = void> inline constexpr bool is_contiguous = false;
template<typename T>
inline constexpr bool is_contiguous<
    T, std::void_t<decltype(std::data(std::declval<const T &>()), std::size(std::declval<const T &>()))>> =
    std::is_trivially_copyable_v<std::remove_pointer_t<decltype(std::data(std::declval<const T &>()))>>;

} // namespace detail

/// Bytes to hand in, which stay the caller's: text, or the elements of anything contiguous, such as a
/// std::vector<double> or a std::span.
class bytes {
public:
    constexpr bytes() noexcept = default;
    constexpr bytes(const void *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template<typename Text, std::enable_if_t<detail::is_text<Text>, int> = 0>
    bytes(const Text &text) noexcept : bytes(std::string_view(text)) {}
    bytes(std::string_view text) noexcept : data_(text.data()), size_(text.size()) {}
    template<typename Range,
             std::enable_if_t<!detail::is_text<Range> && detail::is_contiguous<Range>, int> = 0>
    bytes(const Range &elements) noexcept
        : data_(std::data(elements)), size_(std::size(elements) * sizeof *std::data(elements)) {}

    const void *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    /// A copy.
    std::string str() const { return std::string(detail::view(data_, size_)); }

private:
    const void *data_ = nullptr;
    std::size_t size_ = 0;
};

/// Bytes that came in as elements of a type, copied to where they are aligned.
template<typename T> std::vector<T> values(std::string_view from) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (from.size() % sizeof(T) != 0)
        throw error(FOREBAY_ERR_ARGUMENT, std::to_string(from.size()) +
                                              " bytes are no whole number of elements of " +
                                              std::to_string(sizeof(T)));
    std::vector<T> made(from.size() / sizeof(T));
    if (!made.empty()) std::memcpy(made.data(), from.data(), from.size());
    return made;
}

/// The library that runs, which may be newer than this header; such as "0.1.0".
inline std::string_view version() noexcept {
    return forebay_version();
}
/// The same as one number.
inline std::uint32_t version_number() noexcept {
    return forebay_version_number();
}
/// The number of its binary interface.
inline std::uint32_t abi() noexcept {
    return forebay_abi();
}
/// Whether it has a feature, such as "curve".
inline bool has(const std::string &feature) noexcept {
    return forebay_has(feature.c_str()) != 0;
}
/// A status's name, such as "ERR_BUSY".
inline std::string_view status_name(forebay_status_t status) noexcept {
    return forebay_status_name(status);
}

/// How a job stands or ended.
enum class outcome : std::int32_t {
    waiting = FOREBAY_OUTCOME_WAITING,
    running = FOREBAY_OUTCOME_RUNNING,
    done = FOREBAY_OUTCOME_DONE,
    failed = FOREBAY_OUTCOME_FAILED,
    timed_out = FOREBAY_OUTCOME_TIMED_OUT,
    cancelled = FOREBAY_OUTCOME_CANCELLED,
    expired = FOREBAY_OUTCOME_EXPIRED,
    quarantined = FOREBAY_OUTCOME_QUARANTINED,
    rejected = FOREBAY_OUTCOME_REJECTED,
    lost = FOREBAY_OUTCOME_LOST
};

/// Its name, such as "CANCELLED".
inline const char *name(outcome how) noexcept {
    return forebay_outcome_name(static_cast<std::int32_t>(how));
}

/// What a piece of news is. `1u << kind` is its bit in submit::want; see want().
enum class kind : std::int32_t {
    accepted = FOREBAY_KIND_ACCEPTED,
    refused = FOREBAY_KIND_REFUSED,
    progress = FOREBAY_KIND_PROGRESS,
    partial = FOREBAY_KIND_PARTIAL,
    result = FOREBAY_KIND_RESULT
};

/// The bits of submit::want, as in want(kind::result, kind::progress).
template<typename... Kinds> constexpr std::uint32_t want(Kinds... kinds) noexcept {
    return ((1u << static_cast<unsigned>(kinds)) | ... | 0u);
}

/// What a handle is at.
enum class state : std::int32_t {
    connecting = FOREBAY_STATE_CONNECTING,
    ready = FOREBAY_STATE_READY,
    draining = FOREBAY_STATE_DRAINING,
    refused = FOREBAY_STATE_REFUSED,
    closed = FOREBAY_STATE_CLOSED
};

/// A job's id.
class id {
public:
    /// A new one.
    id() { detail::caught().check(forebay_id_new(&id_)); }
    id(const forebay_id_t &raw) noexcept : id_(raw) {}
    /// From its text of 36 characters.
    explicit id(const std::string &text) { detail::caught().check(forebay_id_parse(text.c_str(), &id_)); }

    std::string text() const {
        char buf[FOREBAY_ID_TEXT_CAP];
        forebay_id_text(&id_, buf, sizeof buf);
        return buf;
    }
    const forebay_id_t *raw() const noexcept { return &id_; }

    friend bool operator==(const id &a, const id &b) noexcept { return compare(a, b) == 0; }
    friend bool operator!=(const id &a, const id &b) noexcept { return compare(a, b) != 0; }
    friend bool operator<(const id &a, const id &b) noexcept { return compare(a, b) < 0; }

private:
    static int compare(const id &a, const id &b) noexcept {
        return std::memcmp(a.id_.bytes, b.id_.bytes, sizeof a.id_.bytes);
    }
    forebay_id_t id_;
};

/// Options by text keys; one object may be given to any number of calls.
class options {
public:
    options() : options_(forebay_options_new()) {}

    options &set(const std::string &key, const std::string &value) {
        detail::caught caught;
        caught.check(forebay_options_set(options_.get(), key.c_str(), value.c_str(), caught.out()));
        return *this;
    }
    options &set(const std::string &key, const char *value) { return set(key, std::string(value)); }
    options &set(const std::string &key, std::int64_t value) {
        detail::caught caught;
        caught.check(forebay_options_set_int(options_.get(), key.c_str(), value, caught.out()));
        return *this;
    }
    options &set(const std::string &key, int value) { return set(key, std::int64_t{value}); }
    options &set_bytes(const std::string &key, bytes value) {
        detail::caught caught;
        caught.check(
            forebay_options_set_bytes(options_.get(), key.c_str(), value.data(), value.size(), caught.out()));
        return *this;
    }
    /// Takes a key back, so that environment and default count again.
    options &unset(const std::string &key) {
        detail::caught caught;
        caught.check(forebay_options_unset(options_.get(), key.c_str(), caught.out()));
        return *this;
    }
    options &load(const std::string &toml_path) {
        detail::caught caught;
        caught.check(forebay_options_load(options_.get(), toml_path.c_str(), caught.out()));
        return *this;
    }
    /// The value in effect.
    std::string get(const std::string &key) const {
        detail::caught caught;
        std::size_t needed = 0;
        forebay_status_t status =
            forebay_options_get(options_.get(), key.c_str(), nullptr, 0, &needed, caught.out());
        if (status != FOREBAY_ERR_TOO_LARGE) caught.check(status);
        std::string value(needed + 1, '\0');
        detail::caught again;
        again.check(forebay_options_get(options_.get(), key.c_str(), value.data(), value.size(), &needed,
                                        again.out()));
        value.resize(needed);
        return value;
    }
    const forebay_options_t *raw() const noexcept { return options_.get(); }

private:
    detail::owned<forebay_options_t, forebay_options_free> options_;
};

/// A line of the table of options, or of operators' commands; see all_options and all_commands.
struct table_line {
    std::string_view name;
    std::string_view type; ///< of an option its values and bounds, of a command its arguments
    std::string_view dflt; ///< of an option what it is when nobody says anything
    std::string_view text;
};

/// Every option there is.
inline std::vector<table_line> all_options() {
    std::vector<table_line> lines;
    const char *name, *type, *dflt, *text;
    while (forebay_option_at(lines.size(), &name, &type, &dflt, &text))
        lines.push_back({name, type, dflt, text});
    return lines;
}

/// Every command that client::admin knows.
inline std::vector<table_line> all_commands() {
    std::vector<table_line> lines;
    const char *name, *arguments, *text;
    while (forebay_command_at(lines.size(), &name, &arguments, &text))
        lines.push_back({name, arguments, {}, text});
    return lines;
}

/// Library memory: written once, then given to a submission or to job::complete without a copy.
class buffer {
public:
    explicit buffer(std::size_t len) : len_(len) {
        detail::caught caught;
        forebay_buffer_t *made = nullptr;
        caught.check(forebay_buffer_new(len, &made, &data_, caught.out()));
        buffer_.reset(made);
    }
    void *data() noexcept { return data_; }
    std::size_t size() const noexcept { return len_; }
    const forebay_buffer_t *raw() const noexcept { return buffer_.get(); }

private:
    void *data_ = nullptr;
    std::size_t len_;
    detail::owned<forebay_buffer_t, forebay_buffer_free> buffer_;
};

/// Named bytes beside a payload.
struct header {
    std::string name;
    std::string value;
};

/// The same, lent by a job or a result.
struct header_view {
    std::string_view name;
    std::string_view value;
};

/// A job to submit. Only the queue must be said. What it points to has to live until the call returns.
struct submit {
    submit(std::string to, std::string what = {}) : queue(std::move(to)), payload(std::move(what)) {}
    /// The payload from the elements of anything contiguous.
    template<typename Range,
             std::enable_if_t<!detail::is_text<Range> && detail::is_contiguous<Range>, int> = 0>
    submit(std::string to, const Range &elements) : submit(std::move(to), bytes(elements).str()) {}

    std::string queue;
    std::string payload;
    std::vector<std::string> frames{};         ///< instead of the payload
    const forebay::buffer *buffer = nullptr;   ///< instead of the payload
    std::vector<forebay::header> headers{};    ///< what travels beside it
    const forebay::options *options = nullptr; ///< "job." keys
    std::optional<forebay::id> id{};           ///< for a job that may be submitted again later
    milliseconds delay{0}, queue_timeout{0}, run_timeout{0}, deadline{0}; ///< 0: as the options say
    std::uint32_t attempts = 0, priority = 0;                             ///< 0: as the options say
    std::uint64_t tag = 0;  ///< comes back with every piece of news
    std::uint32_t want = 0; ///< what client::next hands over; see want()
};

namespace detail {

/// Submissions as C wants them, for as long as the call lasts.
class raw_submits {
public:
    explicit raw_submits(const submit *first, std::size_t n) : jobs_(n), parts_(n) {
        for (std::size_t i = 0; i < n; i++) fill(first[i], jobs_[i], parts_[i]);
    }
    const forebay_submit_t *data() const noexcept { return jobs_.data(); }
    std::size_t size() const noexcept { return jobs_.size(); }

private:
    struct parts {
        std::vector<forebay_frame_t> frames;
        std::vector<forebay_header_t> headers;
    };

    static void fill(const submit &from, forebay_submit_t &to, parts &kept) {
        for (const std::string &frame : from.frames) kept.frames.push_back({frame.data(), frame.size()});
        for (const header &header : from.headers)
            kept.headers.push_back({header.name.c_str(), header.value.data(), header.value.size()});
        to = forebay_submit_t{};
        to.struct_size = sizeof to;
        to.id = from.id ? from.id->raw() : nullptr;
        to.queue = from.queue.c_str();
        to.buffer = from.buffer != nullptr ? from.buffer->raw() : nullptr;
        to.frames = kept.frames.data();
        to.frames_len = kept.frames.size();
        if (!from.payload.empty()) {
            to.payload = from.payload.data();
            to.payload_len = from.payload.size();
        }
        to.headers = kept.headers.data();
        to.headers_len = kept.headers.size();
        to.options = from.options != nullptr ? from.options->raw() : nullptr;
        to.delay_ms = from.delay.count();
        to.queue_ms = from.queue_timeout.count();
        to.run_ms = from.run_timeout.count();
        to.deadline_ms = from.deadline.count();
        to.attempts = from.attempts;
        to.priority = from.priority;
        to.tag = from.tag;
        to.want = from.want;
    }

    std::vector<forebay_submit_t> jobs_;
    std::vector<parts> parts_;
};

} // namespace detail

/// One piece of news about a job: its result, progress, a partial result.
class result {
public:
    explicit result(forebay_result_t *raw) : result_(raw) {
        view_.struct_size = sizeof view_;
        detail::caught().check(forebay_result_view(raw, &view_));
    }

    forebay::id id() const noexcept { return view_.id; }
    forebay::kind kind() const noexcept { return static_cast<forebay::kind>(view_.kind); }
    forebay::outcome outcome() const noexcept { return static_cast<forebay::outcome>(view_.outcome); }
    bool done() const noexcept { return view_.outcome == FOREBAY_OUTCOME_DONE; }
    std::uint32_t attempt() const noexcept { return view_.attempt; }
    std::string_view data() const noexcept { return detail::view(view_.data, view_.data_len); }
    std::string_view code() const noexcept { return view_.code; }
    std::string_view message() const noexcept { return view_.message; }
    std::string_view detail() const noexcept { return view_.detail; }
    double progress() const noexcept { return view_.progress; }
    std::uint64_t tag() const noexcept { return view_.tag; }
    std::uint64_t sequence() const noexcept { return view_.sequence; }
    /// Of kind::refused, why; else FOREBAY_OK.
    forebay_status_t status() const noexcept { return view_.status; }
    std::uint32_t frames() const noexcept { return view_.frames; }
    /// Empty past the last.
    std::string_view frame(std::uint32_t i) const noexcept {
        std::size_t len = 0;
        const void *data = forebay_result_frame(result_.get(), i, &len);
        return data == nullptr ? std::string_view() : forebay::detail::view(data, len);
    }
    std::vector<header_view> headers() const {
        std::vector<header_view> all;
        const char *name = nullptr;
        const void *data = nullptr;
        std::size_t len = 0;
        for (std::uint32_t i = 0; forebay_result_header_at(result_.get(), i, &name, &data, &len); i++)
            all.push_back({name, forebay::detail::view(data, len)});
        return all;
    }
    /// The first of this name.
    std::optional<std::string_view> header(std::string_view name) const {
        for (const header_view &each : headers())
            if (each.name == name) return each.value;
        return std::nullopt;
    }
    /// JSON: attempts, worker, times ...
    std::string_view meta() const noexcept { return forebay_result_meta(result_.get()); }
    const forebay_result_t *raw() const noexcept { return result_.get(); }

private:
    forebay::detail::owned<forebay_result_t, forebay_result_free> result_;
    forebay_result_view_t view_{};
};

namespace detail {

inline std::optional<result> wait(forebay_client_t *client, const id &id, milliseconds timeout) {
    caught caught;
    forebay_result_t *made = nullptr;
    if (!caught.check(forebay_client_wait(client, id.raw(), timeout.count(), &made, caught.out())))
        return std::nullopt;
    return result(made);
}

inline std::optional<result> next(forebay_client_t *client, milliseconds timeout) {
    caught caught;
    forebay_result_t *made = nullptr;
    if (!caught.check(forebay_client_next(client, timeout.count(), &made, caught.out()))) return std::nullopt;
    return result(made);
}

} // namespace detail

/// The result of a job that was submitted by client::start, once it is there. No thread waits meanwhile; the
/// client has to outlive it. Destroyed early, the job runs on.
class future {
public:
    future(forebay_client_t *client, forebay::id id) noexcept : client_(client), id_(id) {}

    forebay::id id() const noexcept { return id_; }
    /// Whether the result has not been taken by get.
    bool valid() const noexcept { return client_ != nullptr; }
    /// Whether the result is there, within the time.
    bool wait_for(milliseconds timeout) {
        if (!result_) result_ = detail::wait(client_, id_, timeout);
        return result_.has_value();
    }
    bool ready() { return wait_for(milliseconds(0)); }
    /// Waits for the result and hands it over, once. An interrupt of the client's waits is an error.
    result get() {
        if (!valid()) throw error(FOREBAY_ERR_STATE, "the future's result was taken");
        if (!wait_for(forever)) throw error(FOREBAY_INTERRUPTED, forebay_status_text(FOREBAY_INTERRUPTED));
        client_ = nullptr;
        return std::move(*result_);
    }

private:
    friend class client;
    forebay_client_t *client_;
    forebay::id id_;
    std::optional<result> result_;
};

/// The partial results of one job as a range, in order, as they come; then its result. Made by
/// client::stream; the client has to outlive it, and no other job of it may have news while this is read:
/// client::next is its source.
class stream {
public:
    stream(forebay_client_t *client, forebay::id id) noexcept : client_(client), id_(id) {}

    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = forebay::result;
        using difference_type = std::ptrdiff_t;
        using pointer = const value_type *;
        using reference = const value_type &;

        reference operator*() const noexcept { return *of_->part_; }
        pointer operator->() const noexcept { return &*of_->part_; }
        iterator &operator++() {
            if (!of_->advance()) of_ = nullptr;
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator &a, const iterator &b) noexcept { return a.of_ == b.of_; }
        friend bool operator!=(const iterator &a, const iterator &b) noexcept { return a.of_ != b.of_; }

    private:
        friend class stream;
        explicit iterator(stream *of) noexcept : of_(of) {}
        stream *of_;
    };

    forebay::id id() const noexcept { return id_; }
    /// Waits for the first part. A range of one pass.
    iterator begin() { return iterator(advance() ? this : nullptr); }
    iterator end() noexcept { return iterator(nullptr); }
    /// How the job ended; parts that were not read are skipped. Once.
    forebay::result result() {
        while (!result_) advance();
        return std::move(*result_);
    }

private:
    /// Whether there was one more part.
    bool advance() {
        if (result_) return false;
        auto news = detail::next(client_, forever);
        if (!news) throw error(FOREBAY_INTERRUPTED, forebay_status_text(FOREBAY_INTERRUPTED));
        if (news->id() != id_)
            throw error(FOREBAY_ERR_STATE, "news of job " + news->id().text() + " while " + id_.text() +
                                               " is streamed; give one of them a client of its own");
        const bool is_part = news->kind() == kind::partial;
        (is_part ? part_ : result_) = std::move(news);
        return is_part;
    }

    forebay_client_t *client_;
    forebay::id id_;
    std::optional<forebay::result> part_, result_;
};

/// A graph of steps, each a job, which client::run has the broker execute as one run.
class pipeline {
public:
    explicit pipeline(const std::string &name) {
        detail::caught caught;
        forebay_pipeline_t *made = nullptr;
        caught.check(forebay_pipeline_new(name.c_str(), &made, caught.out()));
        pipeline_.reset(made);
    }

    /// Adds a step. With `may_fail` the run goes on when it does not end DONE.
    pipeline &step(const std::string &name, const submit &job, bool may_fail = false) {
        return add(name, job, 0, may_fail);
    }
    /// Adds an open stage: client::add adds jobs to it while the run goes on, until client::close. `defaults` is what they have
    /// where they say nothing themselves; it has no payload. A `collected` stage hands its results to a collector.
    pipeline &stage(const std::string &name, const submit &defaults, bool may_fail = false,
                    bool collected = false) {
        return add(name, defaults, FOREBAY_STEP_OPEN | (collected ? FOREBAY_STEP_COLLECT : 0), may_fail);
    }
    /// Adds a step of one job for each frame of the results it takes. Say by `needs` what it takes them of.
    pipeline &each(const std::string &name, const submit &job, bool may_fail = false, bool collected = false) {
        return add(name, job, FOREBAY_STEP_EACH | (collected ? FOREBAY_STEP_COLLECT : 0), may_fail);
    }
    /// Has `step` begin behind `needs`, whose result it is given unless `takes_result` is false.
    pipeline &after(const std::string &step, const std::string &needs, bool takes_result = true) {
        detail::caught caught;
        const std::uint32_t flags = takes_result ? FOREBAY_NEED_RESULT : 0;
        caught.check(forebay_pipeline_after(raw(), step.c_str(), needs.c_str(), flags, caught.out()));
        return *this;
    }
    /// Has each run wait for its context before any step begins.
    pipeline &hold() {
        detail::caught caught;
        caught.check(forebay_pipeline_hold(raw(), caught.out()));
        return *this;
    }
    /// The graph in the language of Graphviz.
    std::string dot() const {
        std::string text(forebay_pipeline_dot(raw(), nullptr, 0), '\0');
        forebay_pipeline_dot(raw(), text.data(), text.size() + 1);
        return text;
    }
    forebay_pipeline_t *raw() const noexcept { return pipeline_.get(); }

private:
    pipeline &add(const std::string &name, const submit &job, std::uint32_t flags, bool may_fail) {
        detail::caught caught;
        detail::raw_submits jobs(&job, 1);
        flags |= may_fail ? FOREBAY_STEP_CONTINUE : 0;
        caught.check(forebay_pipeline_step(raw(), name.c_str(), jobs.data(), flags, caught.out()));
        return *this;
    }

    detail::owned<forebay_pipeline_t, forebay_pipeline_free> pipeline_;
};

/// A connection that submits jobs. Its calls may come from any thread.
class client {
public:
    /// Empty endpoint: $FOREBAY_BROKER, else the default address.
    explicit client(const std::string &endpoint = {}, const options &settings = {}) {
        detail::caught caught;
        forebay_client_t *made = nullptr;
        const char *address = endpoint.empty() ? nullptr : endpoint.c_str();
        caught.check(forebay_client_open(address, settings.raw(), &made, caught.out()));
        client_.reset(made);
    }

    /// Whether the broker has welcomed the client in time.
    bool ready(milliseconds timeout = forever) {
        detail::caught caught;
        return caught.check(forebay_client_ready(raw(), timeout.count(), caught.out()));
    }
    forebay::state state() const noexcept { return static_cast<forebay::state>(forebay_client_state(raw())); }

    /// Returns when the broker holds the job.
    forebay::id submit(const forebay::submit &job, milliseconds timeout = forever) {
        return submit_many(&job, 1, timeout).front();
    }
    std::vector<forebay::id> submit(const std::vector<forebay::submit> &jobs,
                                    milliseconds timeout = forever) {
        return submit_many(jobs.data(), jobs.size(), timeout);
    }
    /// Returns when the broker holds the run; it is waited for, cancelled and acknowledged like a job.
    forebay::id run(const pipeline &what, milliseconds timeout = forever) {
        return run(what, forebay::submit(std::string()), timeout);
    }
    /// The same with an id, options, a deadline ... of the run as a whole; queue and payload are not looked at.
    forebay::id run(const pipeline &what, const forebay::submit &settings, milliseconds timeout = forever) {
        detail::caught caught;
        detail::raw_submits said(&settings, 1);
        forebay_submit_t job = *said.data();
        job.queue = nullptr;
        job.payload = nullptr;
        job.payload_len = 0;
        job.frames_len = 0;
        job.buffer = nullptr;
        forebay_id_t made{};
        caught.check(forebay_client_run(raw(), what.raw(), &job, timeout.count(), &made, caught.out()));
        return made;
    }
    /// Gives a run its context, which each worker gets with a job of it; a run that is held for it begins.
    void context(const forebay::id &run, bytes data, milliseconds timeout = forever) {
        detail::caught caught;
        caught.check(forebay_run_context(raw(), run.raw(), data.data(), data.size(), timeout.count(), caught.out()));
    }
    /// Adds jobs to an open stage of a run; returns when the broker holds them. One with an empty queue waits in the stage's.
    std::vector<forebay::id> add(const forebay::id &run, const std::string &stage,
                                 const std::vector<forebay::submit> &jobs, milliseconds timeout = forever) {
        detail::caught caught;
        detail::raw_submits said(jobs.data(), jobs.size());
        std::vector<forebay_submit_t> added(said.data(), said.data() + said.size());
        for (forebay_submit_t &job : added)
            if (*job.queue == '\0') job.queue = nullptr;
        std::vector<forebay_id_t> made(added.size());
        caught.check(forebay_stage_add(raw(), run.raw(), stage.c_str(), added.data(), added.size(),
                                       timeout.count(), made.data(), nullptr, caught.out()));
        return std::vector<forebay::id>(made.begin(), made.end());
    }
    /// Closes an open stage of a run, to which so many jobs were added; below 0, nobody has counted.
    void close(const forebay::id &run, const std::string &stage, std::int64_t count = -1,
               milliseconds timeout = forever) {
        detail::caught caught;
        caught.check(forebay_stage_close(raw(), run.raw(), stage.c_str(), count, timeout.count(), caught.out()));
    }
    /// What the collector of a stage said with its acknowledgement number `after` + 1; the result's data is that. Empty when the
    /// time is over, after interrupt, and when there will be none.
    std::optional<result> acked(const forebay::id &run, const std::string &stage, std::uint64_t after,
                                milliseconds timeout = forever) {
        detail::caught caught;
        forebay_result_t *made = nullptr;
        if (!caught.check(forebay_stage_acked(raw(), run.raw(), stage.c_str(), after, timeout.count(), &made,
                                              caught.out())))
            return std::nullopt;
        return result(made);
    }
    /// A call in two halves: returns when the broker holds the job, and the future has its result.
    future start(forebay::submit job, milliseconds timeout = forever);
    /// A call whose partial results are a range.
    forebay::stream stream(forebay::submit job, milliseconds timeout = forever);
    /// Never waits; throws FOREBAY_ERR_BUSY when the window is full.
    forebay::id enqueue(const forebay::submit &job) {
        detail::caught caught;
        detail::raw_submits jobs(&job, 1);
        forebay_id_t made{};
        caught.check(forebay_client_enqueue(raw(), jobs.data(), 1, &made, nullptr, caught.out()));
        return made;
    }
    void flush(milliseconds timeout = forever) {
        detail::caught caught;
        caught.check(forebay_client_flush(raw(), timeout.count(), caught.out()));
    }
    /// Submits and waits for the result; the timeout is the job's deadline too.
    result call(const forebay::submit &job, milliseconds timeout = forever) {
        detail::caught caught;
        detail::raw_submits jobs(&job, 1);
        forebay_result_t *made = nullptr;
        caught.check(forebay_client_call(raw(), jobs.data(), timeout.count(), nullptr, &made, caught.out()));
        return result(made);
    }
    /// Empty when the time is over and after interrupt.
    std::optional<result> wait(const forebay::id &id, milliseconds timeout = forever) {
        return detail::wait(raw(), id, timeout);
    }
    /// What `want` asked for, in order of arrival. Empty when the time is over and after interrupt.
    std::optional<result> next(milliseconds timeout = forever) { return detail::next(raw(), timeout); }
    /// Waits for the first and takes what is there, up to `cap`; none when the time is over.
    std::vector<result> next_many(std::size_t cap, milliseconds timeout = forever) {
        detail::caught caught;
        std::vector<forebay_result_t *> made(cap);
        std::size_t got = 0;
        caught.check(forebay_client_next_many(raw(), timeout.count(), made.data(), cap, &got, caught.out()));
        std::vector<result> results;
        for (std::size_t i = 0; i < got; i++) results.emplace_back(made[i]);
        return results;
    }
    /// Waits until at least `at_least` of the futures have their results; how many have. Fewer when the time
    /// is over.
    std::size_t wait(std::vector<future> &futures, std::size_t at_least, milliseconds timeout = forever);
    std::optional<result> peek(const forebay::id &id, milliseconds timeout = forever) {
        detail::caught caught;
        forebay_result_t *made = nullptr;
        if (!caught.check(forebay_client_peek(raw(), id.raw(), timeout.count(), &made, caught.out())))
            return std::nullopt;
        return result(made);
    }
    void ack(const forebay::id &id) {
        detail::caught caught;
        caught.check(forebay_client_ack(raw(), id.raw(), caught.out()));
    }
    void cancel(const forebay::id &id, const std::string &reason = {}, milliseconds timeout = forever) {
        detail::caught caught;
        caught.check(forebay_client_cancel(raw(), id.raw(), reason.c_str(), timeout.count(), caught.out()));
    }
    bool wait_workers(const std::string &queue, std::uint32_t n, milliseconds timeout = forever) {
        detail::caught caught;
        return caught.check(
            forebay_client_wait_workers(raw(), queue.c_str(), n, timeout.count(), caught.out()));
    }
    /// An operator's command; the result's data is JSON.
    result admin(const std::string &command, const options &arguments = {}, milliseconds timeout = forever) {
        detail::caught caught;
        forebay_result_t *made = nullptr;
        caught.check(forebay_client_admin(raw(), command.c_str(), arguments.raw(), timeout.count(), &made,
                                          caught.out()));
        return result(made);
    }
    result stats() {
        detail::caught caught;
        forebay_result_t *made = nullptr;
        caught.check(forebay_client_stats(raw(), &made, caught.out()));
        return result(made);
    }
    /// Readable exactly while next would not wait.
    std::int64_t fd() const noexcept { return forebay_client_fd(raw()); }
    /// Async-signal-safe.
    void interrupt() noexcept { forebay_client_interrupt(raw()); }
    forebay_client_t *raw() const noexcept { return client_.get(); }

private:
    std::vector<forebay::id> submit_many(const forebay::submit *first, std::size_t n, milliseconds timeout) {
        detail::caught caught;
        detail::raw_submits jobs(first, n);
        std::vector<forebay_id_t> made(n);
        caught.check(forebay_client_submit(raw(), jobs.data(), n, timeout.count(), made.data(), nullptr,
                                           caught.out()));
        return {made.begin(), made.end()};
    }

    detail::owned<forebay_client_t, forebay_client_free> client_;
};

/// Takes the results of a collected stage one by one, known by its name. Any thread, one at a time in next.
class collector {
public:
    collector(const client &of, const forebay::id &run, const std::string &stage, const std::string &name,
              bool in_order = false) {
        detail::caught caught;
        forebay_collector_t *made = nullptr;
        const std::uint32_t flags = in_order ? FOREBAY_COLLECT_IN_ORDER : 0;
        caught.check(forebay_collector_open(of.raw(), run.raw(), stage.c_str(), name.c_str(), flags, &made,
                                            caught.out()));
        collector_.reset(made);
    }

    /// Empty behind the last one (see drained), when the time is over, and after interrupt of the client.
    std::optional<result> next(milliseconds timeout = forever) {
        detail::caught caught;
        forebay_result_t *made = nullptr;
        const forebay_status_t status =
            forebay_collector_next(raw(), timeout.count(), &made, caught.out());
        drained_ = status == FOREBAY_DRAINED;
        if (!caught.check(status)) return std::nullopt;
        return result(made);
    }
    /// Whether the last next came behind the last result.
    bool drained() const noexcept { return drained_; }
    /// Nobody is handed the result of this job again; `data` is what client::acked hands over.
    void ack(const forebay::id &job, bytes data = {}, milliseconds timeout = forever) {
        detail::caught caught;
        caught.check(forebay_collector_ack(raw(), job.raw(), data.data(), data.size(), timeout.count(),
                                           caught.out()));
    }
    /// The context of the run, as it was when next last asked; empty before, and without one.
    std::string context() const {
        std::string bytes(forebay_collector_context(raw(), nullptr, 0), '\0');
        const std::size_t len = forebay_collector_context(raw(), &bytes[0], bytes.size());
        // It may have got another one in between.
        bytes.resize(len < bytes.size() ? len : bytes.size());
        return bytes;
    }
    forebay_collector_t *raw() const noexcept { return collector_.get(); }

private:
    detail::owned<forebay_collector_t, forebay_collector_free> collector_;
    bool drained_ = false;
};

inline future client::start(forebay::submit job, milliseconds timeout) {
    job.want &= ~want(kind::result);
    return {raw(), submit(job, timeout)};
}

inline stream client::stream(forebay::submit job, milliseconds timeout) {
    job.want = want(kind::partial, kind::result);
    return {raw(), submit(job, timeout)};
}

inline std::size_t client::wait(std::vector<future> &futures, std::size_t at_least, milliseconds timeout) {
    std::vector<forebay_id_t> ids;
    std::vector<future *> open;
    for (future &each : futures) {
        if (!each.valid() || each.result_) continue;
        ids.push_back(*each.id_.raw());
        open.push_back(&each);
    }
    const std::size_t there = futures.size() - open.size();
    if (there >= at_least) return there;
    detail::caught caught;
    std::vector<forebay_result_t *> made(ids.size());
    std::size_t ended = 0;
    const forebay_status_t status = forebay_client_wait_many(
        raw(), ids.data(), ids.size(), at_least - there, timeout.count(), made.data(), &ended, caught.out());
    for (std::size_t i = 0; i < made.size(); i++)
        if (made[i] != nullptr) open[i]->result_.emplace(made[i]);
    caught.check(status);
    return there + ended;
}

/// Whether a computation is to stop: one word that the library sets, read without a call. Copied freely; any
/// thread.
class stop_token {
public:
    /// One that never asks to stop.
    stop_token() noexcept = default;
    explicit stop_token(const volatile std::uint32_t *flag) noexcept : flag_(flag) {}

    bool stop_requested() const noexcept { return reasons() != 0; }
    /// An OR of FOREBAY_STOP_....
    std::uint32_t reasons() const noexcept { return flag_ == nullptr ? 0 : *flag_; }

private:
    const volatile std::uint32_t *flag_ = nullptr;
};

/// A job a worker has received. Destroyed without an answer, the attempt has failed with the code
/// "abandoned".
class job {
public:
    explicit job(forebay_job_t *raw) : job_(raw) {}

    /// A job no broker knows, to test a handler with; see test_result.
    static job for_test(const submit &what) {
        detail::caught caught;
        detail::raw_submits jobs(&what, 1);
        forebay_job_t *made = nullptr;
        caught.check(forebay_job_new_test(jobs.data(), &made, caught.out()));
        return job(made);
    }
    result test_result() const {
        detail::caught caught;
        forebay_result_t *made = nullptr;
        caught.check(forebay_job_test_result(raw(), &made, caught.out()));
        return result(made);
    }

    forebay::id id() const { return view().id; }
    std::string_view queue() const { return view().queue; }
    std::uint32_t attempt() const { return view().attempt; }
    std::uint32_t attempts_max() const { return view().attempts_max; }
    /// Empty when there is no end.
    std::optional<milliseconds> time_left() const {
        std::int64_t left = view().time_left_ms;
        return left < 0 ? std::nullopt : std::optional<milliseconds>(left);
    }
    std::string_view payload() const noexcept {
        std::size_t len = 0;
        const void *data = forebay_job_payload(raw(), &len);
        return detail::view(data, len);
    }
    std::uint32_t frames() const { return view().frames; }
    /// The context of the run whose job this is; empty without one.
    std::string_view context() const noexcept {
        std::size_t len = 0;
        const void *data = forebay_job_context(raw(), &len);
        return {static_cast<const char *>(data), data == nullptr ? 0 : len};
    }
    /// Empty past the last.
    std::string_view frame(std::uint32_t i) const noexcept {
        std::size_t len = 0;
        const void *data = forebay_job_frame(raw(), i, &len);
        return data == nullptr ? std::string_view() : detail::view(data, len);
    }
    std::optional<std::string_view> header(const std::string &name) const noexcept {
        std::size_t len = 0;
        const void *data = forebay_job_header(raw(), name.c_str(), &len);
        if (data == nullptr) return std::nullopt;
        return detail::view(data, len);
    }
    std::vector<header_view> headers() const {
        std::vector<header_view> all;
        const char *name = nullptr;
        const void *data = nullptr;
        std::size_t len = 0;
        for (std::uint32_t i = 0; forebay_job_header_at(raw(), i, &name, &data, &len); i++)
            all.push_back({name, detail::view(data, len)});
        return all;
    }
    /// For code that computes and knows nothing of jobs; it is good for as long as the job lives.
    forebay::stop_token stop_token() const noexcept { return forebay::stop_token(stop_flag()); }
    /// Not 0: stop; an OR of FOREBAY_STOP_....
    std::uint32_t stop() const noexcept { return forebay_job_stop(raw()); }
    const volatile std::uint32_t *stop_flag() const noexcept { return forebay_job_stop_flag(raw()); }
    /// An OR of FOREBAY_HINT_....
    std::uint32_t hints() const noexcept { return forebay_job_hints(raw()); }
    /// Never waits; answers the stop bits.
    std::uint32_t progress(double fraction, const std::string &note = {}) noexcept {
        return forebay_job_progress(raw(), fraction, note.c_str());
    }
    /// A partial result, for a client that wants them; see client::stream.
    void send(bytes part, milliseconds timeout = forever) {
        detail::caught caught;
        caught.check(forebay_job_send(raw(), part.data(), part.size(), timeout.count(), caught.out()));
    }
    void set_header(const std::string &name, bytes value) {
        detail::caught caught;
        caught.check(forebay_job_set_header(raw(), name.c_str(), value.data(), value.size(), caught.out()));
    }
    void complete(bytes data = {}) {
        detail::caught caught;
        caught.check(forebay_job_complete(raw(), data.data(), data.size(), caught.out()));
    }
    void complete(const buffer &data) {
        detail::caught caught;
        caught.check(forebay_job_complete_buffer(raw(), data.raw(), caught.out()));
    }
    void complete_frames(const std::vector<bytes> &frames) {
        detail::caught caught;
        std::vector<forebay_frame_t> kept;
        for (bytes frame : frames) kept.push_back({frame.data(), frame.size()});
        caught.check(forebay_job_complete_frames(raw(), kept.data(), kept.size(), caught.out()));
    }
    /// `retry_ms`: FOREBAY_RETRY_POLICY, FOREBAY_RETRY_NEVER, or after so many milliseconds.
    void fail(const std::string &code, const std::string &message,
              std::int64_t retry_ms = FOREBAY_RETRY_POLICY, const std::string &detail = {}) {
        forebay::detail::caught caught;
        caught.check(
            forebay_job_fail(raw(), retry_ms, code.c_str(), message.c_str(), detail.c_str(), caught.out()));
    }
    void release(milliseconds delay = milliseconds(0)) {
        detail::caught caught;
        caught.check(forebay_job_release(raw(), delay.count(), caught.out()));
    }
    forebay_job_t *raw() const noexcept { return job_.get(); }

private:
    forebay_job_view_t view() const {
        forebay_job_view_t seen{};
        seen.struct_size = sizeof seen;
        detail::caught().check(forebay_job_view(raw(), &seen));
        return seen;
    }

    detail::owned<forebay_job_t, forebay_job_free> job_;
};

/// A connection that takes jobs. Its calls may come from any thread.
class worker {
public:
    /// Empty endpoint: $FOREBAY_BROKER, else the default address.
    explicit worker(const std::string &endpoint = {}, const options &settings = {}) {
        detail::caught caught;
        forebay_worker_t *made = nullptr;
        const char *address = endpoint.empty() ? nullptr : endpoint.c_str();
        caught.check(forebay_worker_open(address, settings.raw(), &made, caught.out()));
        worker_.reset(made);
    }

    worker &register_queue(const std::string &queue, const options &settings = {}) {
        detail::caught caught;
        caught.check(forebay_worker_register(raw(), queue.c_str(), settings.raw(), caught.out()));
        return *this;
    }
    void unregister_queue(const std::string &queue) {
        detail::caught caught;
        caught.check(forebay_worker_unregister(raw(), queue.c_str(), caught.out()));
    }
    bool ready(milliseconds timeout = forever) {
        detail::caught caught;
        return caught.check(forebay_worker_ready(raw(), timeout.count(), caught.out()));
    }
    forebay::state state() const noexcept { return static_cast<forebay::state>(forebay_worker_state(raw())); }

    /// Empty when the time is over, after interrupt, and for good after stop.
    std::optional<job> receive(milliseconds timeout = forever) {
        detail::caught caught;
        forebay_job_t *made = nullptr;
        if (!caught.check(forebay_worker_receive(raw(), timeout.count(), &made, caught.out())))
            return std::nullopt;
        return job(made);
    }

    /// Waits for the first and takes what is there, up to `cap`; none as for receive.
    std::vector<job> receive_many(std::size_t cap, milliseconds timeout = forever) {
        detail::caught caught;
        std::vector<forebay_job_t *> made(cap);
        std::size_t got = 0;
        caught.check(
            forebay_worker_receive_many(raw(), timeout.count(), made.data(), cap, &got, caught.out()));
        return {made.begin(), made.begin() + static_cast<std::ptrdiff_t>(got)};
    }

    /// Works on `threads` threads until stop is called: `handle` gets each job and answers it. An exception
    /// it throws is the failure of that attempt, with the code "exception". Throws what ended the worker
    /// otherwise.
    template<typename Handle> void run(unsigned threads, Handle handle) {
        run(threads, [] { return 0; }, [&handle](int, job &job) { handle(job); });
    }

    /// The same with something of its own for each thread: `make` is called once in each, and `handle` gets
    /// what it made.
    template<typename Make, typename Handle> void run(unsigned threads, Make make, Handle handle) {
        std::exception_ptr first;
        std::mutex lock;
        auto work = [&] {
            try {
                auto own = make();
                work_until_drained(own, handle);
            } catch (...) {
                std::lock_guard<std::mutex> locked(lock);
                if (!first) first = std::current_exception();
                stop();
            }
        };
        std::vector<std::thread> others;
        try {
            for (unsigned i = 1; i < threads; i++) others.emplace_back(work);
        } catch (...) {
            stop();
            for (std::thread &other : others) other.join();
            throw;
        }
        work();
        for (std::thread &other : others) other.join();
        if (first) std::rethrow_exception(first);
    }

    /// Async-signal-safe, and for good: run and receive end.
    void stop() noexcept { forebay_worker_stop(raw()); }
    void drain(milliseconds timeout = forever) {
        detail::caught caught;
        caught.check(forebay_worker_drain(raw(), timeout.count(), caught.out()));
    }
    result stats() {
        detail::caught caught;
        forebay_result_t *made = nullptr;
        caught.check(forebay_worker_stats(raw(), &made, caught.out()));
        return result(made);
    }
    /// Readable exactly while receive would not wait.
    std::int64_t fd() const noexcept { return forebay_worker_fd(raw()); }
    /// Async-signal-safe.
    void interrupt() noexcept { forebay_worker_interrupt(raw()); }
    forebay_worker_t *raw() const noexcept { return worker_.get(); }

private:
    template<typename Own, typename Handle> void work_until_drained(Own &own, Handle &handle) {
        for (;;) {
            detail::caught caught;
            forebay_job_t *made = nullptr;
            forebay_status_t status = forebay_worker_receive(raw(), FOREBAY_FOREVER, &made, caught.out());
            if (status == FOREBAY_DRAINED) return;
            if (!caught.check(status)) continue;
            job got(made);
            try {
                handle(own, got);
            } catch (const std::exception &failure) {
                // Refused when the job is answered or lost by now; then there is nobody to tell.
                forebay_job_fail(got.raw(), FOREBAY_RETRY_POLICY, "exception", failure.what(), nullptr,
                                 nullptr);
            } catch (...) {
                forebay_job_fail(got.raw(), FOREBAY_RETRY_POLICY, "exception", "not a std::exception",
                                 nullptr, nullptr);
            }
        }
    }

    detail::owned<forebay_worker_t, forebay_worker_free> worker_;
};

/// Runs the plugins that `settings` name until host_stop; see forebay_host_run.
inline void host_run(const options &settings) {
    detail::caught caught;
    caught.check(forebay_host_run(settings.raw(), caught.out()));
}

/// Ends host_run once the jobs in hand are answered. May be called from a signal handler.
inline void host_stop() noexcept {
    forebay_host_stop();
}

/// What a plugin answers to one job, without a broker.
inline result host_test(const options &settings, const submit &what) {
    detail::caught caught;
    detail::raw_submits jobs(&what, 1);
    forebay_result_t *made = nullptr;
    caught.check(forebay_host_test(settings.raw(), jobs.data(), &made, caught.out()));
    return result(made);
}

/// A broker inside the program.
class broker {
public:
    explicit broker(const options &settings = {}) {
        detail::caught caught;
        forebay_broker_t *made = nullptr;
        caught.check(forebay_broker_start(settings.raw(), &made, caught.out()));
        broker_.reset(made);
    }

    /// The address with this number as clients use it; empty past the last.
    std::string endpoint(std::uint32_t i = 0) const {
        const char *text = forebay_broker_endpoint(raw(), i);
        return text == nullptr ? std::string() : std::string(text);
    }
    /// Whether it has ended in time. Throws why when it ended by itself.
    bool wait(milliseconds timeout = forever) {
        detail::caught caught;
        return caught.check(forebay_broker_wait(raw(), timeout.count(), caught.out()));
    }
    void drain(milliseconds timeout = forever) {
        detail::caught caught;
        caught.check(forebay_broker_drain(raw(), timeout.count(), caught.out()));
    }
    void stop(milliseconds timeout = forever) {
        detail::caught caught;
        caught.check(forebay_broker_stop(raw(), timeout.count(), caught.out()));
    }
    forebay_broker_t *raw() const noexcept { return broker_.get(); }

private:
    detail::owned<forebay_broker_t, forebay_broker_free> broker_;
};

/// A level of the log, the most important first.
enum class log_level : std::int32_t {
    error = FOREBAY_LOG_ERROR,
    warn = FOREBAY_LOG_WARN,
    info = FOREBAY_LOG_INFO,
    debug = FOREBAY_LOG_DEBUG,
    trace = FOREBAY_LOG_TRACE
};

/// Takes a line of the log: its level, the part that speaks, and the text. It must not throw nor call
/// forebay.
using log_sink = std::function<void(log_level, std::string_view, std::string_view)>;

/// Sets the levels, such as "warn,broker=debug" (empty: as they are), and who takes the lines: stderr when
/// nobody. What was there before is idle and gone on return.
inline void set_log(const std::string &levels, log_sink sink = {}) {
    static std::mutex lock;
    static log_sink *current = nullptr; // never destroyed at exit, when the library's threads may still speak
    std::lock_guard<std::mutex> locked(lock);
    auto next = sink ? std::make_unique<log_sink>(std::move(sink)) : nullptr;
    forebay_log_fn call = [](void *to, std::int32_t level, const char *part, const char *text) {
        (*static_cast<log_sink *>(to))(static_cast<log_level>(level), part, text);
    };
    detail::caught().check(
        forebay_log_set(levels.empty() ? nullptr : levels.c_str(), next ? call : nullptr, next.get()));
    delete current;
    current = next.release();
}

/// A line of the log.
struct log_line {
    log_level level;
    std::string text; ///< "part: text"
};

/// The next line of the log, which is collected from the first call on. Empty when none came in time.
inline std::optional<log_line> next_log(milliseconds timeout = forever) {
    std::int32_t level = 0;
    std::string text(256, '\0');
    for (;;) {
        std::size_t needed = 0;
        const forebay_status_t status =
            forebay_log_next(timeout.count(), &level, text.data(), text.size(), &needed);
        if (status != FOREBAY_ERR_TOO_LARGE) {
            if (!detail::caught().check(status)) return std::nullopt;
            text.resize(needed);
            return log_line{static_cast<log_level>(level), std::move(text)};
        }
        text.resize(needed + 1);
    }
}

} // namespace forebay

/// So that ids can be keys of unordered maps. The last bytes of an id are random.
template<> struct std::hash<forebay::id> {
    std::size_t operator()(const forebay::id &id) const noexcept {
        std::size_t bits;
        std::memcpy(&bits, id.raw()->bytes + sizeof id.raw()->bytes - sizeof bits, sizeof bits);
        return bits;
    }
};

#endif // FOREBAY_HPP
