/* A worker that digests files: the payload is a file's bytes, the result one line of text,
 *
 *     SHA-256 in hex, number of line ends, of words, of bytes, with one space between
 *
 * as `sha256sum` and `wc` count them in the C locale. Self-contained: SHA-256 is written out below, as FIPS
 * 180-4 defines it. `forebay demo` compiles this very file. */
#include <forebay.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    uint32_t state[8];
    unsigned char block[64];
} sha256_t;

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t word, int by) {
    return word >> by | word << (32 - by);
}

static void sha256_block(sha256_t *sha, const unsigned char *block) {
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    memcpy(s, sha->state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t s1 = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
        uint32_t t1 = s[7] + s1 + ((s[4] & s[5]) ^ (~s[4] & s[6])) + K[i] + w[i];
        uint32_t s0 = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
        uint32_t t2 = s0 + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) sha->state[i] += s[i];
}

/* The digest of len bytes in hex. Looks at the stop flag after each 64 bytes; returns 0 when it was told to
 * stop. */
static int sha256(const unsigned char *data, size_t len, const volatile uint32_t *stop, char hex[65]) {
    sha256_t sha = {
        {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
        {0}};
    size_t left = len;
    for (; left >= 64; data += 64, left -= 64) {
        if (*stop) return 0;
        sha256_block(&sha, data);
    }
    if (left > 0) memcpy(sha.block, data, left);
    sha.block[left] = 0x80;
    if (left >= 56) { /* no room for the length: one more block */
        sha256_block(&sha, sha.block);
        memset(sha.block, 0, sizeof sha.block);
    }
    for (int i = 0; i < 8; i++) sha.block[63 - i] = (unsigned char)((uint64_t)len * 8 >> 8 * i);
    sha256_block(&sha, sha.block);
    for (int i = 0; i < 8; i++) snprintf(hex + 8 * i, 9, "%08" PRIx32, sha.state[i]);
    return 1;
}

static void count(const unsigned char *data, size_t len, size_t *lines, size_t *words) {
    int in_word = 0;
    *lines = *words = 0;
    for (size_t i = 0; i < len; i++) {
        int space = data[i] == ' ' || (data[i] >= '\t' && data[i] <= '\r');
        *lines += data[i] == '\n';
        *words += !space && !in_word;
        in_word = !space;
    }
}

static forebay_worker_t *worker;

static void on_signal(int signal) {
    (void)signal;
    forebay_worker_stop(worker);
}

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "digest: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
}

int main(void) {
    forebay_error_t *error = NULL;
    forebay_job_t *job;
    forebay_status_t status;

    if (forebay_worker_open(NULL, NULL, &worker, &error) < 0) return failed("open", error);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    if (forebay_worker_register(worker, "digest", NULL, &error) < 0) return failed("register", error);

    while ((status = forebay_worker_receive(worker, -1, &job, &error)) == FOREBAY_OK) {
        size_t len, lines, words;
        const unsigned char *data = forebay_job_payload(job, &len);
        char hex[65], text[160];
        if (sha256(data, len, forebay_job_stop_flag(job), hex)) {
            count(data, len, &lines, &words);
            snprintf(text, sizeof text, "%s %zu %zu %zu", hex, lines, words, len);
            if (forebay_job_complete(job, text, strlen(text), &error) < 0) failed("complete", error);
        }
        forebay_job_free(job); /* told to stop: without an answer, which nobody waits for any more */
    }
    if (status < 0) return failed("receive", error);
    forebay_worker_free(worker);
    return 0;
}
