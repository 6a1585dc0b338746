/* How long it takes from the start of the program to a client that is open, in microseconds: the loader's work with the
 * library's relocations, and the library's own beginnings. The first argument is when it was started. */
#include "check.h"

#include <inttypes.h>
#include <time.h>

static int64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int main(int argc, char **argv) {
    int64_t begin_us = argc > 1 ? strtoll(argv[1], NULL, 10) : 0;
    forebay_client_t *client = NULL;
    int64_t loaded_us = now_us();
    DONE(forebay_client_open("inproc://nobody", NULL, &client, &err));
    printf("%" PRId64 " %" PRId64 "\n", loaded_us - begin_us, now_us() - loaded_us);
    forebay_client_free(client);
    return 0;
}
