/* Fills a queue: submits COUNT durable jobs of LEN bytes and ends when the broker holds them all.
 *
 *     claims_fill QUEUE COUNT LEN
 *
 * Each payload begins with "echo " and the job's number. */
#include <forebay.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 2000 };

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "claims_fill: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
}

int main(int argc, char **argv) {
    static forebay_submit_t jobs[AT_ONCE];
    forebay_client_t *client;
    forebay_options_t *durable = forebay_options_new();
    forebay_error_t *error = NULL;

    if (argc < 4) return 2;
    const size_t count = strtoul(argv[2], NULL, 10), len = strtoul(argv[3], NULL, 10);
    char *payloads = calloc(AT_ONCE, len + 32);
    if (payloads == NULL) return 1;
    if (forebay_options_set(durable, "job.level", "durable", &error) < 0) return failed("job.level", error);
    if (forebay_client_open(NULL, NULL, &client, &error) < 0) return failed("open", error);
    for (size_t done = 0; done < count;) {
        size_t n = count - done < AT_ONCE ? count - done : AT_ONCE;
        for (size_t i = 0; i < n; i++) {
            char *payload = payloads + i * (len + 32);
            memset(payload, ' ', len);
            payload[snprintf(payload, 32, "echo %zu", done + i)] = ' ';
            jobs[i] = (forebay_submit_t){.struct_size = sizeof jobs[i], .queue = argv[1], .options = durable};
            jobs[i].payload = payload;
            jobs[i].payload_len = len;
        }
        if (forebay_client_submit(client, jobs, n, 60000, NULL, NULL, &error) < 0) return failed("submit", error);
        done += n;
    }
    forebay_client_free(client);
    forebay_options_free(durable);
    free(payloads);
    return 0;
}
