/* A client: sends one job to the queue "hello" and prints its result.
 *
 *     hello_client [NAME] */
#include <forebay.h>
#include <stdio.h>
#include <string.h>

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "hello_client: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "World";
    forebay_error_t *error = NULL;
    forebay_client_t *client;
    forebay_result_t *result;

    forebay_submit_t job = {.struct_size = sizeof job}; /* what stays 0 has its default */
    job.queue = "hello";
    job.payload = name;
    job.payload_len = strlen(name);

    if (forebay_client_open(NULL, NULL, &client, &error) < 0) return failed("open", error);
    if (forebay_client_call(client, &job, 10000, NULL, &result, &error) < 0) return failed("call", error);

    /* The call went well; how the job ended is another matter. */
    forebay_result_view_t view = {.struct_size = sizeof view};
    forebay_result_view(result, &view);
    int done = view.outcome == FOREBAY_OUTCOME_DONE;
    if (done)
        printf("%.*s\n", (int)view.data_len, (const char *)view.data);
    else
        fprintf(stderr, "hello_client: the job ended %s: %s\n", forebay_outcome_name(view.outcome),
                view.message);

    forebay_result_free(result);
    forebay_client_free(client);
    return done ? 0 : 1;
}
