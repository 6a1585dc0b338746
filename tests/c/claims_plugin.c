/* A plugin that crashes on one payload, "poison", having said when, never
 * returns from another, "spin", and gives back every other; "nap" after 20 ms. -DVERSION="2: " puts that before each. */
#include <forebay.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION ""
#endif

__attribute__((noinline)) static void swallow(volatile int *nothing) {
    *nothing = 1;
}

__attribute__((noinline)) static void spin(void) {
    for (volatile unsigned turns = 0;; turns++) continue;
}

static int32_t handle(forebay_job_t *job, void *process, void *thread) {
    size_t len;
    const char *payload = forebay_job_payload(job, &len);
    (void)process, (void)thread;
    if (len == 6 && memcmp(payload, "poison", 6) == 0) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        fprintf(stderr, "claims: poison at %lld\n", now.tv_sec * 1000LL + now.tv_nsec / 1000000);
        swallow(NULL);
    }
    if (len == 4 && memcmp(payload, "spin", 4) == 0) spin();
    usleep(len >= 3 && memcmp(payload, "nap", 3) == 0 ? 20000 : 1000);
    char text[256];
    snprintf(text, sizeof text, "%s%.*s", VERSION, (int)len, payload);
    forebay_job_complete(job, text, strlen(text), NULL);
    return 0;
}

const forebay_plugin_t *forebay_plugin_v1(void) {
    static const char *const queues[] = {"claims", NULL};
    static const forebay_plugin_t plugin = {.struct_size = sizeof plugin,
                                            .abi = FOREBAY_PLUGIN_ABI,
                                            .name = "claims",
                                            .queues = queues,
                                            .handle = handle};
    return &plugin;
}
