/* Collects the results of a stage, or adds to one what its collector says.
 *
 *     claims_collector collect RUN STEP NAME     prints `got ID DATA` for each result, acknowledges it with DATA, prints `acked ID`
 *     claims_collector chain RUN STEP COUNT      adds 0, waits for what is said with the acknowledgement, adds that, COUNT times;
 *                                                then closes the stage and prints what was said last */
#include <forebay.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "claims_collector: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
}

/* Broker and collector are killed meanwhile: what was not confirmed is said again. */
static forebay_status_t acknowledge(forebay_collector_t *collector, const forebay_result_view_t *view,
                                    forebay_error_t **error) {
    for (;;) {
        const forebay_status_t status =
            forebay_collector_ack(collector, &view->id, view->data, view->data_len, 10000, error);
        if (status != FOREBAY_ERR_UNCONFIRMED) return status;
        forebay_error_free(*error);
        *error = NULL;
    }
}

static int collect(forebay_client_t *client, const forebay_id_t *run, const char *step, const char *name) {
    forebay_error_t *error = NULL;
    forebay_collector_t *collector;
    forebay_status_t status;
    if (forebay_collector_open(client, run, step, name, 0, &collector, &error) < 0) return failed("open", error);
    for (;;) {
        forebay_result_t *result;
        forebay_result_view_t view = {.struct_size = sizeof view};
        char id[FOREBAY_ID_TEXT_CAP];
        status = forebay_collector_next(collector, 120000, &result, &error);
        if (status != FOREBAY_OK) break;
        forebay_result_view(result, &view);
        forebay_id_text(&view.id, id, sizeof id);
        printf("got %s %.*s\n", id, (int)view.data_len, (const char *)view.data);
        fflush(stdout);
        if (acknowledge(collector, &view, &error) < 0) return failed("ack", error);
        printf("acked %s\n", id);
        fflush(stdout);
        forebay_result_free(result);
    }
    if (status < 0) return failed("next", error);
    puts(status == FOREBAY_DRAINED ? "drained" : "nothing came");
    forebay_collector_free(collector);
    return 0;
}

static int chain(forebay_client_t *client, const forebay_id_t *run, const char *step, uint64_t count) {
    forebay_error_t *error = NULL;
    char said[64] = "0";
    for (uint64_t i = 0; i < count; i++) {
        forebay_submit_t job = {.struct_size = sizeof job};
        forebay_result_t *result;
        forebay_result_view_t view = {.struct_size = sizeof view};
        job.payload = said;
        job.payload_len = strlen(said);
        if (forebay_stage_add(client, run, step, &job, 1, 60000, NULL, NULL, &error) < 0) return failed("add", error);
        const forebay_status_t status = forebay_stage_acked(client, run, step, i, 60000, &result, &error);
        if (status < 0) return failed("acked", error);
        if (status > 0) return 3;
        forebay_result_view(result, &view);
        if (view.sequence != i + 1 || view.data_len >= sizeof said) return 4;
        memcpy(said, view.data, view.data_len);
        said[view.data_len] = 0;
        forebay_result_free(result);
    }
    if (forebay_stage_close(client, run, step, (int64_t)count, 60000, &error) < 0) return failed("close", error);
    puts(said);
    return 0;
}

int main(int argc, char **argv) {
    forebay_error_t *error = NULL;
    forebay_client_t *client;
    forebay_id_t run;
    if (argc < 5 || forebay_id_parse(argv[2], &run) != FOREBAY_OK) return 2;
    if (forebay_client_open(NULL, NULL, &client, &error) < 0) return failed("open", error);
    const int code = strcmp(argv[1], "collect") == 0 ? collect(client, &run, argv[3], argv[4])
                                                     : chain(client, &run, argv[3], strtoull(argv[4], NULL, 10));
    forebay_client_free(client);
    return code;
}
