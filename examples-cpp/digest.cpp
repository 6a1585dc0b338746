// A worker that digests files: the payload is a file's bytes, the result one line of text,
//
//     SHA-256 in hex, number of line ends, of words, of bytes, with one space between
//
// as `sha256sum` and `wc` count them in the C locale. Self-contained: SHA-256 is written out below, as FIPS
// 180-4 defines it. A job that is told to stop stops within 64 bytes.
#include <forebay.hpp>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <exception>
#include <iomanip>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

namespace {

constexpr std::array<std::uint32_t, 64> K = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

class sha256 {
public:
    // The digest in hex; nothing when told to stop.
    static std::optional<std::string> of(std::string_view data, forebay::stop_token stop) {
        sha256 sha;
        std::size_t at = 0;
        for (; data.size() - at >= 64; at += 64) {
            if (stop.stop_requested()) return std::nullopt;
            sha.take(data.data() + at);
        }
        // What is left, a bit, zeros, and the length in bits at the end of a block.
        std::string last(data.substr(at));
        last += '\x80';
        while (last.size() % 64 != 56) last += '\0';
        for (int shift = 56; shift >= 0; shift -= 8)
            last += static_cast<char>(static_cast<std::uint64_t>(data.size()) * 8 >> shift);
        for (at = 0; at < last.size(); at += 64) sha.take(last.data() + at);
        return sha.hex();
    }

private:
    static std::uint32_t rotate(std::uint32_t word, int by) { return word >> by | word << (32 - by); }

    void take(const char *block) {
        std::array<std::uint32_t, 64> w{};
        for (std::size_t i = 0; i < 64; i++)
            if (i < 16) {
                for (std::size_t j = 0; j < 4; j++)
                    w[i] = w[i] << 8 | static_cast<unsigned char>(block[4 * i + j]);
            } else {
                const std::uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
                const std::uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
                w[i] = w[i - 16] + s0 + w[i - 7] + s1;
            }
        auto s = state_;
        for (std::size_t i = 0; i < 64; i++) {
            const std::uint32_t s1 = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
            const std::uint32_t t1 = s[7] + s1 + ((s[4] & s[5]) ^ (~s[4] & s[6])) + K[i] + w[i];
            const std::uint32_t s0 = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
            const std::uint32_t t2 = s0 + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
            s = {t1 + t2, s[0], s[1], s[2], s[3] + t1, s[4], s[5], s[6]};
        }
        for (std::size_t i = 0; i < 8; i++) state_[i] += s[i];
    }

    std::string hex() const {
        std::ostringstream text;
        text << std::hex << std::setfill('0');
        for (std::uint32_t word : state_) text << std::setw(8) << word;
        return text.str();
    }

    std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                           0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
};

std::string counts(std::string_view data) {
    std::size_t lines = 0, words = 0;
    bool in_word = false;
    for (char each : data) {
        const bool is_space = each == ' ' || (each >= '\t' && each <= '\r');
        lines += each == '\n';
        words += !is_space && !in_word;
        in_word = !is_space;
    }
    std::ostringstream text;
    text << lines << ' ' << words << ' ' << data.size();
    return text.str();
}

forebay::worker *running = nullptr;

extern "C" void on_signal(int) {
    running->stop();
}

} // namespace

int main() {
    try {
        forebay::worker worker;
        running = &worker;
        std::signal(SIGTERM, on_signal);
        std::signal(SIGINT, on_signal);
        worker.register_queue("digest");
        worker.run(1, [](forebay::job &job) {
            // Told to stop: without an answer, which nobody waits for any more.
            if (auto digest = sha256::of(job.payload(), job.stop_token()))
                job.complete(*digest + ' ' + counts(job.payload()));
        });
        return 0;
    } catch (const std::exception &error) {
        std::cerr << "digest: " << error.what() << '\n';
        return 1;
    }
}
