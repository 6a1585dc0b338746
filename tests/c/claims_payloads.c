/* A client for tests that sends payloads of given sizes, with every byte there is, and compares what comes back.
 *
 *     claims_payloads QUEUE SIZE...
 *
 * Prints for each size `SIZE as it was`, or `SIZE refused STATUS MESSAGE` when the job was not taken. Every job has a header
 * of all 256 bytes and an empty one. */
#define _GNU_SOURCE
#include <forebay.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 120000 };

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "claims_payloads: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
}

/* Bytes that are the same at no two places in a row and depend on the seed. */
static void fill(unsigned char *to, size_t len, uint32_t seed) {
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525u + 1013904223u;
        to[i] = (unsigned char)(seed >> 24);
    }
}

static int same_headers(const forebay_result_t *result, const forebay_header_t *headers, size_t n) {
    const char *name;
    const void *data;
    size_t len, found = 0;
    for (uint32_t i = 0; forebay_result_header_at(result, i, &name, &data, &len); i++)
        for (size_t k = 0; k < n; k++)
            if (strcmp(name, headers[k].name) == 0 && len == headers[k].len &&
                (len == 0 || memcmp(data, headers[k].data, len) == 0))
                found++;
    return found == n;
}

/* One payload there and back. Returns 0 when it came back as it was, or was refused. */
static int round_trip(forebay_client_t *client, const char *queue, size_t size) {
    forebay_error_t *error = NULL;
    forebay_result_t *result;
    unsigned char every[256], *payload = malloc(size + 1);
    const forebay_header_t headers[] = {{"every-byte", every, sizeof every}, {"empty", NULL, 0}};
    if (payload == NULL) return 1;
    for (int i = 0; i < 256; i++) every[i] = (unsigned char)i;
    fill(payload, size, (uint32_t)size);

    forebay_submit_t job = {.struct_size = sizeof job};
    job.queue = queue;
    job.payload = payload;
    job.payload_len = size;
    job.headers = headers;
    job.headers_len = 2;
    forebay_status_t status = forebay_client_call(client, &job, TIMEOUT_MS, NULL, &result, &error);
    if (status < 0) {
        printf("%zu refused %s %s\n", size, forebay_status_name(status), forebay_error_message(error));
        forebay_error_free(error);
        free(payload);
        return 0;
    }
    forebay_result_view_t view = {.struct_size = sizeof view};
    forebay_result_view(result, &view);
    int right = view.outcome == FOREBAY_OUTCOME_DONE && view.data_len == size &&
                (size == 0 || memcmp(view.data, payload, size) == 0) && same_headers(result, headers, 2);
    if (right) printf("%zu as it was\n", size);
    else
        fprintf(stderr, "%zu: %s %s, %zu bytes, headers %s\n", size, forebay_outcome_name(view.outcome), view.message,
                view.data_len, same_headers(result, headers, 2) ? "right" : "wrong");
    forebay_result_free(result);
    free(payload);
    return !right;
}

int main(int argc, char **argv) {
    forebay_error_t *error = NULL;
    forebay_client_t *client;
    int bad = 0;
    if (argc < 3) return 2;
    if (forebay_client_open(NULL, NULL, &client, &error) < 0) return failed("open", error);
    for (int i = 2; i < argc && !bad; i++) bad = round_trip(client, argv[1], strtoul(argv[i], NULL, 10));
    forebay_client_free(client);
    return bad;
}
