/* Addresses that are none are refused with what would be right; those that are, are taken, broker or not. */
#include "check.h"

static void refused(const char *address, const char *right) {
    forebay_client_t *client = NULL;
    forebay_worker_t *worker = NULL;
    forebay_broker_t *other = NULL;
    forebay_error_t *error = NULL;
    forebay_options_t *options = forebay_options_new();
    CHECK(forebay_client_open(address, NULL, &client, &error) == FOREBAY_ERR_ADDRESS);
    const char *message = forebay_error_message(error);
    if (strstr(message, right) == NULL) {
        fprintf(stderr, "\"%s\": \"%s\" does not say \"%s\"\n", address, message, right);
        exit(1);
    }
    forebay_error_free(error);
    ANSWERS(FOREBAY_ERR_ADDRESS, forebay_worker_open(address, NULL, &worker, &err));
    if (address[0] != 0) {
        DONE(forebay_options_set(options, "broker.listen", address, &err));
        DONE(forebay_options_set(options, "broker.insecure", "true", &err));
        ANSWERS(FOREBAY_ERR_ADDRESS, forebay_broker_start(options, &other, &err));
    }
    CHECK(client == NULL && worker == NULL && other == NULL);
    forebay_options_free(options);
}

static void taken(const char *address) {
    forebay_options_t *options = forebay_options_new();
    forebay_client_t *client = NULL;
    DONE(forebay_options_set_int(options, "client.linger_ms", 0, &err));
    DONE(forebay_client_open(address, options, &client, &err));
    CHECK(forebay_client_state(client) == FOREBAY_STATE_CONNECTING);
    /* Nobody listens there; the client may have found that out already. */
    forebay_error_t *err = NULL;
    forebay_status_t ready = forebay_client_ready(client, 0, &err);
    CHECK(ready == FOREBAY_TIMED_OUT || ready == FOREBAY_ERR_IO);
    forebay_error_free(err);
    forebay_client_free(client);
    forebay_options_free(options);
}

int main(void) {
    char path[200] = "ipc:///";
    memset(path + 7, 'x', 108);
    refused("blah", "tcp://");
    refused("tpc://x:1", "tcp://");
    refused("tcp:/x", "tcp://");
    refused("tcp://x", "tcp://");
    refused("tcp://x:port", "tcp://");
    refused("tcp://x:70000", "65535");
    refused(path, "107");
    refused("ipc://", "ipc://");
    taken("tcp://[::1]:1");
    taken("tcp://127.0.0.1:1");
    taken("ipc:///tmp/forebay-nobody-here");
    taken("ipc://relative");
    taken("inproc://nobody");
    taken("ipc:///tmp/forebay-nobody-here,tcp://127.0.0.1:1");
    return 0;
}
