/* A plugin that does what tests ask for by the payload: "pid", "crash", "spin", "mute", or the path of a file
 * to wait for; behind "deaf" it is waited for whatever the job is told. "cores" tells how many it may use;
 * "begin" the parameter of that name; "leak" and "hog" keep 200 MiB, and "hog" never returns. -DODD_ABI=7
 * makes it one of another interface. */
#include <forebay.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef ODD_ABI
#define ODD_ABI FOREBAY_PLUGIN_ABI
#endif

static char begin[32];

/* The plugin's descriptor as an older header had it: what is behind that is never read. */
#ifndef ODD_SIZE
#define ODD_SIZE sizeof(forebay_plugin_t)
#endif

static int32_t process_init(const forebay_options_t *params, void **process, char *why, size_t why_cap) {
    (void)process;
    forebay_options_get(params, "param.begin", begin, sizeof begin, NULL, NULL);
    if (strcmp(begin, "die") == 0) _exit(9);
    if (strncmp(begin, "well", 4) == 0) return 0;
    snprintf(why, why_cap, "begin is %s", begin);
    return 7;
}

static void process_fini(void *process) {
    (void)process;
    fprintf(stderr, "odd: fini\n");
}

__attribute__((noinline)) static void wait_for(forebay_job_t *job, const char *path, int is_deaf) {
    forebay_job_progress(job, 0.5, "waiting");
    while (access(path, F_OK) != 0 && (is_deaf || forebay_job_stop(job) == 0)) usleep(1000);
}

__attribute__((noinline)) static void crash_here(void) {
    fprintf(stderr, "odd: about to crash\n");
    abort();
}

__attribute__((noinline)) static void spin_here(void) {
    for (volatile unsigned turns = 0;; turns++) continue;
}

/* The memory is used, so that it counts. */
static void leak(void) {
    static char *volatile kept;
    kept = malloc(200 << 20);
    memset(kept, 1, 200 << 20);
}

static void tell_cores(char *text, size_t cap) {
    cpu_set_t set;
    const char *threads = getenv("OMP_NUM_THREADS");
    sched_getaffinity(0, sizeof set, &set);
    snprintf(text, cap, "%d %s", CPU_COUNT(&set), threads == NULL ? "any" : threads);
}

static int32_t handle(forebay_job_t *job, void *process, void *thread) {
    char text[256];
    size_t len;
    const char *payload = forebay_job_payload(job, &len);
    (void)process, (void)thread;
    snprintf(text, sizeof text, "%.*s", (int)len, payload);
    if (strcmp(text, "mute") == 0) return 3;
    if (strcmp(text, "crash") == 0) crash_here();
    if (strcmp(text, "spin") == 0) spin_here();
    if (strcmp(text, "leak") == 0 || strcmp(text, "hog") == 0) leak();
    if (strcmp(text, "hog") == 0) spin_here();
    if (text[0] == '/') wait_for(job, text, 0);
    if (strncmp(text, "deaf/", 5) == 0) wait_for(job, text + 4, 1);
    if (strcmp(text, "cores") == 0)
        tell_cores(text, sizeof text);
    else if (strcmp(text, "begin") == 0)
        snprintf(text, sizeof text, "%s", begin);
    else
        snprintf(text, sizeof text, "%d", (int)getpid());
    forebay_job_complete(job, text, strlen(text), NULL);
    return 0;
}

const forebay_plugin_t *forebay_plugin_v1(void) {
    static const char *const queues[] = {"odd", NULL};
    static const char *const params[] = {"begin", "well", "how it begins", NULL};
    static const forebay_plugin_t plugin = {.struct_size = ODD_SIZE,
                                            .abi = ODD_ABI,
                                            .name = "odd",
                                            .queues = queues,
                                            .params = params,
                                            .process_init = process_init,
                                            .process_fini = process_fini,
                                            .handle = handle};
    return &plugin;
}
