/* The log: a sink takes the lines, one at a time, and calls nothing; what cannot be called back fetches them. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>

static atomic_int lines, inside, refused, gone;

static void sink(void *user_data, int32_t level, const char *part, const char *text) {
    CHECK(atomic_fetch_add(&inside, 1) == 0);
    CHECK(*(int *)user_data == 7);
    CHECK(level >= FOREBAY_LOG_ERROR && level <= FOREBAY_LOG_TRACE && part[0] && text[0]);
    CHECK(!atomic_load(&gone));
    forebay_options_t *options = forebay_options_new();
    forebay_error_t *error = NULL;
    CHECK(forebay_options_set(options, "client.name", "x", &error) == FOREBAY_ERR_STATE);
    CHECK(strstr(forebay_error_message(error), "sink") != NULL);
    forebay_error_free(error);
    CHECK(forebay_log_set("info", NULL, NULL) == FOREBAY_ERR_STATE);
    forebay_options_free(options);
    atomic_fetch_add(&refused, 1);
    atomic_fetch_add(&lines, 1);
    atomic_fetch_sub(&inside, 1);
}

/* A broker that anybody may reach warns of it. */
static void make_noise(void) {
    forebay_broker_t *open = NULL;
    forebay_options_t *options = forebay_options_new();
    DONE(forebay_options_set(options, "broker.listen", "tcp://127.0.0.1:0", &err));
    DONE(forebay_options_set(options, "broker.insecure", "true", &err));
    DONE(forebay_broker_start(options, &open, &err));
    forebay_options_free(options);
    forebay_broker_free(open);
}

static void *noise(void *unused) {
    (void)unused;
    for (int i = 0; i < 20; i++) make_noise();
    return NULL;
}

int main(int argc, char **argv) {
    int word = 7;
    int32_t level = 0;
    char buf[1024];
    size_t needed = 0;
    pthread_t threads[4];
    CHECK(argc == 2 && argv[1] != NULL);
    CHECK(forebay_log_set("debug", sink, &word) == FOREBAY_OK);
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, noise, NULL) == 0);
    while (lines < 10) make_noise();
    /* On return the old sink is idle and gone: what it used may go away. */
    CHECK(forebay_log_set("debug", NULL, NULL) == FOREBAY_OK);
    atomic_store(&gone, 1);
    word = 0;
    CHECK(inside == 0 && lines > 0 && refused == lines);

    CHECK(forebay_log_set("loud", NULL, NULL) == FOREBAY_ERR_ARGUMENT);
    CHECK(forebay_log_next(0, &level, buf, sizeof buf, &needed) <= FOREBAY_TIMED_OUT);
    make_noise();
    CHECK(forebay_log_next(30000, &level, buf, 2, &needed) == FOREBAY_ERR_TOO_LARGE && needed > 2);
    size_t wanted = needed;
    CHECK(forebay_log_next(0, &level, buf, sizeof buf, &needed) == FOREBAY_OK);
    CHECK(needed == wanted && strlen(buf) == needed && strstr(buf, ": ") != NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    CHECK(forebay_log_set("off", NULL, NULL) == FOREBAY_OK);
    return 0;
}
