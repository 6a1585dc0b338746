/* A plugin of forebay that greets: the payload is a name, the result a greeting.
 *
 *     make
 *     printf World | forebay plugin test ./lib@NAME@.so
 *     forebay worker --load ./lib@NAME@.so
 *
 * `forebay worker` opens it in processes of its own, one for each core, and calls handle for each job of the queue
 * "@NAME@". Everything of forebay.h may be called; there is nothing to link. */
#include <forebay.h>
#include <stdio.h>

/* What process_init leaves for all the others; a plugin without such a thing needs neither function. */
static char greeting[64];

static int32_t process_init(const forebay_options_t *params, void **process, char *why, size_t why_cap) {
    (void)process;
    if (forebay_options_get(params, "param.greeting", greeting, sizeof greeting, NULL, NULL) == FOREBAY_OK)
        return 0;
    snprintf(why, why_cap, "greeting has more than %zu bytes", sizeof greeting - 1);
    return 1;
}

static int32_t handle(forebay_job_t *job, void *process, void *thread) {
    char text[512];
    size_t len;
    const char *name = forebay_job_payload(job, &len);
    (void)process, (void)thread;
    if (len > 256) {
        forebay_job_fail(job, FOREBAY_RETRY_NEVER, "long_name", "a name has up to 256 bytes", NULL, NULL);
        return 0;
    }
    int text_len = snprintf(text, sizeof text, "%s, %.*s!", greeting, (int)len, name);
    forebay_job_complete(job, text, (size_t)text_len, NULL);
    return 0;
}

const forebay_plugin_t *forebay_plugin_v1(void) {
    static const char *const queues[] = {"@NAME@", NULL};
    static const char *const params[] = {"greeting", "Hello", "what comes before the name", NULL};
    static const forebay_plugin_t plugin = {
        .struct_size = sizeof plugin,
        .abi = FOREBAY_PLUGIN_ABI,
        .name = "@NAME@",
        .version = "0.1.0",
        .queues = queues,
        .params = params,
        .process_init = process_init,
        .handle = handle,
    };
    return &plugin;
}
