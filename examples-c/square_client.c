/* Sends many jobs at once and takes the results as they come, in any order.
 *
 *     square_client [N]
 *
 * N random numbers (default 1000) go to the queue "square". Each result is checked. */
#include <forebay.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS_MAX = 64 };

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "square_client: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
}

/* Counts the different workers that results name. */
static void note_worker(const forebay_result_t *result, char workers[][32], size_t *count) {
    const char *name;
    const void *data;
    size_t len;
    for (uint32_t i = 0; forebay_result_header_at(result, i, &name, &data, &len); i++) {
        if (strcmp(name, "worker") != 0) continue;
        char worker[32] = "";
        memcpy(worker, data, len < sizeof worker - 1 ? len : sizeof worker - 1);
        size_t at = 0;
        while (at < *count && strcmp(workers[at], worker) != 0) at++;
        if (at == *count && at < WORKERS_MAX) memcpy(workers[(*count)++], worker, sizeof worker);
    }
}

int main(int argc, char **argv) {
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    uint32_t *numbers = malloc(n * sizeof *numbers);
    char workers[WORKERS_MAX][32];
    size_t right = 0, workers_count = 0;
    forebay_error_t *error = NULL;
    forebay_client_t *client;

    if (numbers == NULL) return 1;
    if (forebay_client_open(NULL, NULL, &client, &error) < 0) return failed("open", error);
    srandom((unsigned)(uintptr_t)numbers);
    for (size_t i = 0; i < n; i++) {
        char text[16];
        numbers[i] = (uint32_t)random();
        snprintf(text, sizeof text, "%" PRIu32, numbers[i]);
        forebay_submit_t job = {.struct_size = sizeof job};
        job.queue = "square";
        job.payload = text;
        job.payload_len = strlen(text);
        job.tag = i;                          /* comes back with the result */
        job.want = 1u << FOREBAY_KIND_RESULT; /* forebay_client_next hands it over */
        if (forebay_client_submit(client, &job, 1, 10000, NULL, NULL, &error) < 0)
            return failed("submit", error);
    }
    for (size_t i = 0; i < n; i++) {
        forebay_result_t *result;
        forebay_status_t status = forebay_client_next(client, 30000, &result, &error);
        if (status < 0) return failed("next", error);
        if (status > 0) {
            fprintf(stderr, "square_client: no result for 30 s; %zu of %zu came\n", i, n);
            return 1;
        }
        forebay_result_view_t view = {.struct_size = sizeof view};
        char want[32];
        forebay_result_view(result, &view);
        snprintf(want, sizeof want, "%" PRIu64, (uint64_t)numbers[view.tag] * numbers[view.tag]);
        if (view.outcome == FOREBAY_OUTCOME_DONE && view.data_len == strlen(want) &&
            memcmp(view.data, want, view.data_len) == 0)
            right++;
        else
            fprintf(stderr, "square_client: %" PRIu32 ": %s, %s\n", numbers[view.tag],
                    forebay_outcome_name(view.outcome), view.message);
        note_worker(result, workers, &workers_count);
        forebay_result_free(result);
    }
    printf("%zu of %zu squares right, by %zu workers\n", right, n, workers_count);
    forebay_client_free(client);
    free(numbers);
    return right == n ? 0 : 1;
}
