/* Every line about a job names it: one job's way is told by client, worker and broker, in a file of JSON lines. */
#include "check.h"

int main(int argc, char **argv) {
    CHECK(argc == 2);
    char path[256], text[FOREBAY_ID_TEXT_CAP], line[4096], wanted[64];
    const char *folder = strstr(argv[1], "/");
    CHECK(folder != NULL && strlen(folder) < 200);
    while (folder[1] == '/') folder++;
    snprintf(path, sizeof path, "%s.log", folder);

    forebay_options_t *options = forebay_options_new();
    DONE(forebay_options_set(options, "broker.listen", argv[1], &err));
    DONE(forebay_options_set(options, "broker.log_file", path, &err));
    DONE(forebay_options_set(options, "broker.log_format", "json", &err));
    CHECK(forebay_log_set("debug", NULL, NULL) == FOREBAY_OK);
    DONE(forebay_broker_start(options, &broker, &err));
    forebay_options_free(options);
    endpoint = forebay_broker_endpoint(broker, 0);
    forebay_client_t *client = open_client();
    forebay_worker_t *worker = open_worker("q");
    forebay_submit_t job = a_job("q", "x");
    forebay_id_t id;
    forebay_job_t *got = NULL;
    forebay_result_t *result = NULL;
    job.attempts = 1;
    DONE(forebay_client_submit(client, &job, 1, 30000, &id, NULL, &err));
    DONE(forebay_worker_receive(worker, 30000, &got, &err));
    DONE(forebay_job_fail(got, FOREBAY_RETRY_NEVER, "c", "m", NULL, &err));
    forebay_job_free(got);
    DONE(forebay_client_wait(client, &id, 30000, &result, &err));
    forebay_result_free(result);
    forebay_worker_free(worker);
    forebay_client_free(client);
    forebay_broker_free(broker);

    forebay_id_text(&id, text, sizeof text);
    snprintf(wanted, sizeof wanted, "\"job\":\"%s\"", text);
    int by_client = 0, by_worker = 0, by_broker = 0, ended = 0;
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        CHECK(line[0] == '{' && strstr(line, "\"time\":\"20") && line[strlen(line) - 2] == '}');
        if (strstr(line, wanted) == NULL) continue;
        by_client |= strstr(line, "\"part\":\"client\"") != NULL;
        by_worker |= strstr(line, "\"part\":\"worker\"") != NULL;
        by_broker |= strstr(line, "\"part\":\"broker\"") != NULL;
        ended |= strstr(line, "\"outcome\":\"FAILED\"") && strstr(line, "\"level\":\"info\"");
    }
    fclose(file);
    CHECK(by_client && by_worker && by_broker && ended);
    return 0;
}
