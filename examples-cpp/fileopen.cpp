// A worker that hands out files: the payload is a path, the result the file's bytes.
//
//     fileopen [FOLDER]        forebay call fileopen <<< notes.txt
//
// Only files below FOLDER (default: where it was started). The bytes are read straight into the library's
// memory and sent from there. A file that cannot be read is a failed job that says why.
#include <forebay.hpp>

#include <cerrno>
#include <csignal>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace fs = std::filesystem;

namespace {

forebay::worker *running = nullptr;

extern "C" void on_signal(int) {
    running->stop();
}

// The payload as a path below the folder.
std::optional<fs::path> parse_path(std::string_view text) {
    while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    if (text.empty() || text.find('\0') != std::string_view::npos) return std::nullopt;
    const fs::path path(text);
    if (path.is_absolute()) return std::nullopt;
    for (const fs::path &part : path)
        if (part == "..") return std::nullopt;
    return path;
}

// A whole file in memory of the library; throws std::system_error.
forebay::buffer read_file(const fs::path &path) {
    auto failed = [](int why) { return std::system_error(why, std::generic_category()); };
    if (fs::exists(path) && !fs::is_regular_file(path)) throw failed(EISDIR);
    errno = 0;
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file) throw failed(errno != 0 ? errno : EIO);
    const std::streamoff size = file.tellg();
    forebay::buffer buffer(static_cast<std::size_t>(size));
    file.seekg(0);
    file.read(static_cast<char *>(buffer.data()), size);
    if (file.gcount() != size) throw failed(EIO); // it became shorter under our hands
    return buffer;
}

void serve(forebay::job &job) {
    const auto path = parse_path(job.payload());
    if (!path)
        return job.fail("bad_path", "the payload has to be a path below the worker's folder",
                        FOREBAY_RETRY_NEVER);
    try {
        job.complete(read_file(*path));
    } catch (const std::system_error &error) {
        job.fail("cannot_read", error.code().message(), FOREBAY_RETRY_NEVER, path->string());
    }
}

} // namespace

int main(int argc, char **argv) {
    try {
        if (argc > 1) fs::current_path(argv[1]);
        forebay::worker worker;
        running = &worker;
        std::signal(SIGTERM, on_signal);
        std::signal(SIGINT, on_signal);
        worker.register_queue("fileopen");
        worker.run(1, serve);
        return 0;
    } catch (const std::exception &error) {
        std::cerr << "fileopen: " << error.what() << '\n';
        return 1;
    }
}
