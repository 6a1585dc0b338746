// Draws the Mandelbrot set: many workers compute tiles, one client puts them together into a PNG.
//
//     mandelbrot worker [THREADS]                  start as many as you like, on as many machines
//     mandelbrot draw FILE.png [WIDTH HEIGHT]      default 1200 900
//
// Queue "mandelbrot". The payload is one line of text, "width height x y tile_width tile_height"; the result
// is the tile's pixels, three bytes each, row by row.
#include <forebay.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr int tile_side = 64;
constexpr int rounds_max = 1000;

struct tile {
    int width, height;        // of the whole picture
    int x, y, tile_w, tile_h; // the part of it
};

// ---- the computation

std::array<unsigned char, 3> colour(std::complex<double> c) {
    std::complex<double> z = 0;
    int round = 0;
    while (round < rounds_max && std::norm(z) < 256) z = z * z + c, round++;
    if (round == rounds_max) return {0, 0, 0};
    // How far it got, without steps between rounds, as a way around the colours.
    double way = 0.35 * std::sqrt(round + 1 - std::log2(std::log2(std::norm(z)) / 2));
    auto part = [way](double shift) {
        return static_cast<unsigned char>(127.5 + 127.5 * std::cos(6.2831853 * (way + shift)));
    };
    return {part(0.5), part(0.6), part(0.75)};
}

std::string compute(const tile &t, const volatile std::uint32_t *stop) {
    const double scale = 2.4 / t.height; // the picture is 2.4 high, around -0.7
    std::string pixels;
    pixels.reserve(static_cast<std::size_t>(3) * t.tile_w * t.tile_h);
    for (int y = t.y; y < t.y + t.tile_h && !*stop; y++)
        for (int x = t.x; x < t.x + t.tile_w; x++) {
            auto rgb = colour({-0.7 + (x - t.width / 2.0) * scale, (t.height / 2.0 - y) * scale});
            pixels.append(rgb.begin(), rgb.end());
        }
    return pixels;
}

tile parse(std::string_view text) {
    tile t{};
    std::istringstream in{std::string(text)};
    if (!(in >> t.width >> t.height >> t.x >> t.y >> t.tile_w >> t.tile_h) || t.height < 1 || t.tile_w < 1 ||
        t.tile_h < 1 || t.tile_w > 4096 || t.tile_h > 4096)
        throw std::invalid_argument("the payload has to be: width height x y tile_width tile_height");
    return t;
}

// ---- a PNG without a library: its data is stored, not compressed (RFC 1950, RFC 1951, W3C PNG)

std::uint32_t crc32(std::string_view bytes) {
    std::uint32_t crc = ~0u;
    for (unsigned char byte : bytes) {
        crc ^= byte;
        for (int i = 0; i < 8; i++) crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    return ~crc;
}

std::uint32_t adler32(std::string_view bytes) {
    std::uint32_t a = 1, b = 0;
    for (unsigned char byte : bytes) a = (a + byte) % 65521, b = (b + a) % 65521;
    return b << 16 | a;
}

std::string big_endian(std::uint32_t n) {
    return {static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8),
            static_cast<char>(n)};
}

void write_chunk(std::ostream &out, const std::string &name_and_data) {
    out << big_endian(static_cast<std::uint32_t>(name_and_data.size() - 4)) << name_and_data
        << big_endian(crc32(name_and_data));
}

void write_png(std::ostream &out, int width, int height, const std::string &pixels) {
    const std::size_t row = static_cast<std::size_t>(3) * width;
    std::string raw; // each row begins with its filter: 0, none
    for (int y = 0; y < height; y++) raw.append(1, '\0').append(pixels, y * row, row);
    std::string data = "\x78\x01";
    for (std::size_t at = 0; at < raw.size(); at += 65535) {
        std::size_t len = std::min<std::size_t>(65535, raw.size() - at);
        char head[5] = {at + len == raw.size(), static_cast<char>(len), static_cast<char>(len >> 8),
                        static_cast<char>(~len), static_cast<char>(~len >> 8)};
        data.append(head, sizeof head).append(raw, at, len);
    }
    data += big_endian(adler32(raw));
    out << "\x89PNG\r\n\x1a\n";
    write_chunk(out, "IHDR" + big_endian(width) + big_endian(height) + std::string("\x08\x02\0\0\0", 5));
    write_chunk(out, "IDAT" + data);
    write_chunk(out, "IEND");
}

// ---- worker and client

forebay::worker *running = nullptr;

extern "C" void on_signal(int) {
    running->stop();
}

int work(unsigned threads) {
    forebay::worker worker;
    running = &worker;
    std::signal(SIGTERM, on_signal);
    std::signal(SIGINT, on_signal);
    worker.register_queue("mandelbrot");
    worker.run(threads,
               [](forebay::job &job) { job.complete(compute(parse(job.payload()), job.stop_flag())); });
    return 0;
}

int draw(const char *file, int width, int height) {
    const std::size_t row = static_cast<std::size_t>(3) * width;
    std::string pixels(row * height, '\0');
    std::vector<tile> tiles;
    forebay::client client;
    for (int y = 0; y < height; y += tile_side)
        for (int x = 0; x < width; x += tile_side) {
            tile t{width, height, x, y, std::min(tile_side, width - x), std::min(tile_side, height - y)};
            std::ostringstream text;
            text << t.width << ' ' << t.height << ' ' << t.x << ' ' << t.y << ' ' << t.tile_w << ' '
                 << t.tile_h;
            const std::string payload = text.str();
            forebay::submit job{"mandelbrot", payload};
            job.tag = tiles.size();
            job.want = forebay::want(forebay::kind::result);
            client.submit(job, std::chrono::seconds(10));
            tiles.push_back(t);
        }
    for (std::size_t done = 0; done < tiles.size(); done++) {
        auto result = client.next(std::chrono::seconds(60));
        if (!result) throw std::runtime_error("no tile for 60 s; is there a `mandelbrot worker`?");
        const tile &t = tiles[result->tag()];
        const std::size_t tile_row = static_cast<std::size_t>(3) * t.tile_w;
        if (!result->done() || result->data().size() != tile_row * t.tile_h)
            throw std::runtime_error("a tile failed: " + std::string(result->message()));
        for (int y = 0; y < t.tile_h; y++)
            std::memcpy(&pixels[(t.y + y) * row + 3 * static_cast<std::size_t>(t.x)],
                        result->data().data() + y * tile_row, tile_row);
    }
    std::ofstream out(file, std::ios::binary);
    write_png(out, width, height, pixels);
    if (!out.flush()) throw std::runtime_error(std::string("cannot write ") + file);
    std::cout << file << ": " << width << " x " << height << " pixels from " << tiles.size() << " tiles\n";
    return 0;
}

} // namespace

int main(int argc, char **argv) {
    try {
        const std::string role = argc > 1 ? argv[1] : "";
        const int width = argc > 4 ? std::atoi(argv[3]) : 1200, height = argc > 4 ? std::atoi(argv[4]) : 900;
        if (role == "worker")
            return work(argc > 2 ? static_cast<unsigned>(std::max(1, std::atoi(argv[2]))) : 1);
        if (role == "draw" && argc > 2 && width > 0 && height > 0 && width <= 20000 && height <= 20000)
            return draw(argv[2], width, height);
        std::cerr << "usage: mandelbrot worker [THREADS] | draw FILE.png [WIDTH HEIGHT]\n";
        return 2;
    } catch (const std::exception &error) {
        std::cerr << "mandelbrot: " << error.what() << '\n';
        return 1;
    }
}
