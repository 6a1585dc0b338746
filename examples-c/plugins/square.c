/* Squares whole numbers: the payload is a number in decimal digits, the result its square. What is no number fails the
 * job, and nothing is gained by trying again. The header "slot" of each result says which slot did it.
 *
 *     forebay worker --load ./libsquare.so        seq 100 | forebay call square --lines */
#include <forebay.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What each thread has of its own: the number of its slot as text. */
static int32_t thread_init(void *process, uint32_t slot, void **thread, char *why, size_t why_cap) {
    char *name = malloc(16);
    (void)process;
    if (name == NULL) {
        snprintf(why, why_cap, "no memory");
        return 1;
    }
    snprintf(name, 16, "%" PRIu32, slot);
    *thread = name;
    return 0;
}

static void thread_fini(void *process, void *thread) {
    (void)process;
    free(thread);
}

/* The number in a payload, which has no NUL at its end. */
static int parse(const char *payload, size_t len, uint32_t *number) {
    char text[16];
    if (len == 0 || len >= sizeof text) return 0;
    memcpy(text, payload, len);
    text[len] = '\0';
    if (strspn(text, "0123456789") < len) return 0;
    unsigned long long value = strtoull(text, NULL, 10); /* 15 digits at most: it fits */
    *number = (uint32_t)value;
    return value <= UINT32_MAX;
}

static int32_t handle(forebay_job_t *job, void *process, void *thread) {
    char text[32];
    uint32_t number;
    size_t len;
    const char *payload = forebay_job_payload(job, &len);
    (void)process;
    if (!parse(payload, len, &number)) {
        forebay_job_fail(job, FOREBAY_RETRY_NEVER, "not_a_number",
                         "the payload has to be a whole number from 0 to 4294967295", NULL, NULL);
        return 0;
    }
    snprintf(text, sizeof text, "%" PRIu64, (uint64_t)number * number);
    forebay_job_set_header(job, "slot", thread, strlen(thread), NULL);
    forebay_job_complete(job, text, strlen(text), NULL);
    return 0;
}

const forebay_plugin_t *forebay_plugin_v1(void) {
    static const char *const queues[] = {"square", NULL};
    static const forebay_plugin_t plugin = {.struct_size = sizeof plugin,
                                            .abi = FOREBAY_PLUGIN_ABI,
                                            .name = "square",
                                            .queues = queues,
                                            .thread_init = thread_init,
                                            .thread_fini = thread_fini,
                                            .handle = handle};
    return &plugin;
}
