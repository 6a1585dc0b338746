/* Options, ids, errors and buffers: what needs no broker. */
#include "check.h"

static void keys_and_values(void) {
    forebay_options_t *options = forebay_options_new();
    forebay_error_t *error = NULL;
    char value[64];
    size_t needed = 0;

    DONE(forebay_options_get(options, "client.window_jobs", value, sizeof value, &needed, &err));
    CHECK(strcmp(value, "10000") == 0 && needed == 5);
    setenv("FOREBAY_CLIENT_WINDOW_JOBS", "77", 1);
    DONE(forebay_options_get(options, "client.window_jobs", value, sizeof value, &needed, &err));
    CHECK(strcmp(value, "77") == 0);
    DONE(forebay_options_set_int(options, "client.window_jobs", 500, &err));
    DONE(forebay_options_get(options, "client.window_jobs", value, sizeof value, NULL, &err));
    CHECK(strcmp(value, "500") == 0);
    DONE(forebay_options_unset(options, "client.window_jobs", &err));
    setenv("FOREBAY_CLIENT_WINDOW_JOBS", "many", 1);
    CHECK(forebay_options_get(options, "client.window_jobs", value, sizeof value, NULL, &error) ==
          FOREBAY_ERR_OPTION);
    CHECK(strstr(forebay_error_message(error), "FOREBAY_CLIENT_WINDOW_JOBS") != NULL);
    forebay_error_free(error);
    unsetenv("FOREBAY_CLIENT_WINDOW_JOBS");

    CHECK(forebay_options_set(options, "client.window_job", "5", &error) == FOREBAY_ERR_OPTION);
    CHECK(strstr(forebay_error_message(error), "nearest is client.window_jobs") != NULL);
    CHECK(forebay_error_retryable(error) == 0 && forebay_error_retry_after_ms(error) == -1);
    forebay_error_free(error);

    DONE(forebay_options_set(options, "client.window_bytes", "8Mi", &err));
    memset(value, 'x', sizeof value);
    CHECK(forebay_options_get(options, "client.window_bytes", value, 7, &needed, NULL) == FOREBAY_ERR_TOO_LARGE);
    CHECK(needed == 7 && value[0] == 'x');
    DONE(forebay_options_get(options, "client.window_bytes", value, 8, &needed, &err));
    CHECK(strcmp(value, "8388608") == 0);

    DONE(forebay_options_set_bytes(options, "job.header.any", "\0\xff", 2, &err));
    DONE(forebay_options_get(options, "job.header.any", value, sizeof value, &needed, &err));
    CHECK(needed == 2 && memcmp(value, "\0\xff", 3) == 0);
    forebay_options_free(options);
}

static void every_row(void) {
    const char *key = NULL, *type = NULL, *dflt = NULL, *text = NULL;
    size_t i = 0;
    int found = 0;
    while (forebay_option_at(i, &key, &type, &dflt, &text) == 1) {
        CHECK(strchr(key, '.') && type[0] && dflt != NULL && text[0]);
        found |= strcmp(key, "broker.listen") == 0;
        i++;
    }
    CHECK(found && i > 40);
    CHECK(forebay_option_at(SIZE_MAX, &key, NULL, NULL, NULL) == 0);
}

static void ids(void) {
    forebay_id_t last, id, read;
    char text[FOREBAY_ID_TEXT_CAP], part[5];
    CHECK(forebay_id_new(&last) == FOREBAY_OK);
    for (int i = 0; i < 1000; i++) {
        CHECK(forebay_id_new(&id) == FOREBAY_OK);
        CHECK(memcmp(id.bytes, last.bytes, sizeof id.bytes) > 0);
        last = id;
    }
    CHECK(forebay_id_text(&id, text, sizeof text) == 36 && strlen(text) == 36 && text[14] == '7');
    CHECK(forebay_id_parse(text, &read) == FOREBAY_OK && memcmp(&read, &id, sizeof id) == 0);
    CHECK(forebay_id_text(&id, part, sizeof part) == 36 && strncmp(part, text, 4) == 0 && part[4] == 0);
    text[3] = 'g';
    read = last;
    CHECK(forebay_id_parse(text, &read) == FOREBAY_ERR_ARGUMENT && memcmp(&read, &last, sizeof last) == 0);
}

static void errors(void) {
    forebay_error_t *error = forebay_error_new(FOREBAY_ERR_BUSY, "not now");
    CHECK(forebay_error_status(error) == FOREBAY_ERR_BUSY && forebay_error_retryable(error) == 1);
    CHECK(strcmp(forebay_error_message(error), "not now") == 0);
    forebay_error_free(error);
    error = forebay_error_new(5, "no status");
    CHECK(forebay_error_status(error) == FOREBAY_ERR_ARGUMENT);
    forebay_error_free(error);
    CHECK(strcmp(forebay_status_name(FOREBAY_ERR_TOO_OLD), "ERR_TOO_OLD") == 0);
    CHECK(strcmp(forebay_outcome_name(FOREBAY_OUTCOME_EXPIRED), "EXPIRED") == 0);
}

static void buffers(void) {
    forebay_buffer_t *buffer = NULL;
    void *data = NULL;
    DONE(forebay_buffer_new(100, &buffer, &data, &err));
    CHECK((size_t)data % 64 == 0);
    memset(data, 1, 100);
    forebay_buffer_free(buffer);
    DONE(forebay_buffer_new(0, &buffer, &data, &err));
    CHECK(data != NULL);
    forebay_buffer_free(buffer);
}

int main(void) {
    keys_and_values();
    every_row();
    ids();
    errors();
    buffers();
    return 0;
}
