/* Counts the lines of what a store has under the job's key, and keeps the count there, too: the store's two
 * functions. Here the store is a folder; a key is a file's name, and its result is KEY.lines.
 *
 *     forebay worker --load ./libkeep.so --param store=/srv/data      forebay call keep --data notes.txt */
#include <errno.h>
#include <fcntl.h>
#include <forebay.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder, opened once in each process. */
static int store = -1;

static int32_t process_init(const forebay_options_t *params, void **process, char *why, size_t why_cap) {
    char path[4096];
    (void)process;
    if (forebay_options_get(params, "param.store", path, sizeof path, NULL, NULL) < 0) {
        snprintf(why, why_cap, "the path is too long");
        return 1;
    }
    store = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store >= 0) return 0;
    snprintf(why, why_cap, "%s: %s", path, strerror(errno));
    return 1;
}

static void process_fini(void *process) {
    (void)process;
    close(store);
}

/* A key as a file's name, with something behind it. Returns 0, or 1 with the reason in `why`. */
static int name_of(const void *key, size_t len, const char *behind, char *name, size_t cap, char *why,
                   size_t why_cap) {
    if (len == 0 || len + strlen(behind) >= cap || memchr(key, '/', len) != NULL ||
        memchr(key, '\0', len) != NULL) {
        snprintf(why, why_cap, "the key has to be the name of a file");
        return 1;
    }
    memcpy(name, key, len);
    strcpy(name + len, behind);
    return 0;
}

/* Reads or writes all of it. Returns 0, or -1 with errno. */
static int all(int file, char *data, size_t len, int writes) {
    while (len > 0) {
        ssize_t done = writes ? write(file, data, len) : read(file, data, len);
        if (done == 0) errno = EIO; /* it became shorter under our hands */
        if (done == 0 || (done < 0 && errno != EINTR)) return -1;
        if (done < 0) continue;
        data += done;
        len -= (size_t)done;
    }
    return 0;
}

static int32_t retrieve(forebay_job_t *job, void *process, void *thread, forebay_buffer_t **value, char *why,
                        size_t why_cap) {
    char name[256];
    struct stat about;
    void *data;
    size_t len;
    const void *key = forebay_job_payload(job, &len);
    (void)process, (void)thread;
    if (name_of(key, len, "", name, sizeof name, why, why_cap) != 0) return 1;
    int file = openat(store, name, O_RDONLY | O_CLOEXEC);
    int is_read = file >= 0 && fstat(file, &about) == 0 &&
                  forebay_buffer_new((size_t)about.st_size, value, &data, NULL) == FOREBAY_OK &&
                  all(file, data, (size_t)about.st_size, 0) == 0;
    if (!is_read) snprintf(why, why_cap, "%s: %s", name, strerror(errno));
    if (file >= 0) close(file);
    return is_read ? 0 : 1;
}

static int32_t handle(forebay_job_t *job, void *process, void *thread) {
    char text[32];
    size_t len, lines = 0;
    const char *value = forebay_job_payload(job, &len);
    (void)process, (void)thread;
    for (size_t at = 0; at < len; at++) lines += value[at] == '\n';
    snprintf(text, sizeof text, "%zu", lines);
    forebay_job_complete(job, text, strlen(text), NULL);
    return 0;
}

static int32_t save(const forebay_frame_t *key, const forebay_frame_t *frames, size_t frames_len,
                    void *process, void *thread, forebay_buffer_t **instead, char *why, size_t why_cap) {
    char name[256];
    void *data;
    (void)process, (void)thread;
    if (name_of(key->data, key->len, ".lines", name, sizeof name, why, why_cap) != 0) return 1;
    int file = openat(store, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int is_kept = file >= 0;
    for (size_t i = 0; is_kept && i < frames_len; i++)
        is_kept = all(file, (char *)frames[i].data, frames[i].len, 1) == 0;
    if (file >= 0) is_kept = close(file) == 0 && is_kept;
    /* Where it is now: that is what the client gets. */
    is_kept = is_kept && forebay_buffer_new(strlen(name), instead, &data, NULL) == FOREBAY_OK;
    if (is_kept)
        memcpy(data, name, strlen(name));
    else
        snprintf(why, why_cap, "%s: %s", name, strerror(errno));
    return is_kept ? 0 : 1;
}

const forebay_plugin_t *forebay_plugin_v1(void) {
    static const char *const queues[] = {"keep", NULL};
    static const char *const params[] = {"store", NULL, "the folder that is the store", NULL};
    static const forebay_plugin_t plugin = {.struct_size = sizeof plugin,
                                            .abi = FOREBAY_PLUGIN_ABI,
                                            .name = "keep",
                                            .queues = queues,
                                            .params = params,
                                            .process_init = process_init,
                                            .process_fini = process_fini,
                                            .handle = handle,
                                            .retrieve = retrieve,
                                            .save = save};
    return &plugin;
}
