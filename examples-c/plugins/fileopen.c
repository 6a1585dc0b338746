/* Hands out files: the payload is a path, the result the file's bytes. Only files below its parameter `folder`.
 *
 *     forebay worker --load ./libfileopen.so --param folder=/srv/files      forebay call fileopen --data notes.txt */
#include <errno.h>
#include <fcntl.h>
#include <forebay.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder, opened once in each process. */
static int folder = -1;

static int32_t process_init(const forebay_options_t *params, void **process, char *why, size_t why_cap) {
    char path[4096];
    (void)process;
    if (forebay_options_get(params, "param.folder", path, sizeof path, NULL, NULL) < 0) {
        snprintf(why, why_cap, "the folder's path is too long");
        return 1;
    }
    folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) return 0;
    snprintf(why, why_cap, "%s: %s", path, strerror(errno));
    return 1;
}

static void process_fini(void *process) {
    (void)process;
    close(folder);
}

/* The job's payload as a path below the folder, or NULL. */
static const char *path_of(forebay_job_t *job, char *path, size_t cap) {
    size_t len;
    const char *payload = forebay_job_payload(job, &len);
    while (len > 0 && payload[len - 1] == '\n') len--;
    if (len == 0 || len >= cap || payload[0] == '/' || memchr(payload, '\0', len) != NULL) return NULL;
    memcpy(path, payload, len);
    path[len] = '\0';
    for (const char *part = path; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0')) return NULL;
    }
    return path;
}

/* Reads a whole file into memory of the library. Returns 0, or the errno that says why not. */
static int read_file(const char *path, forebay_buffer_t **buffer) {
    struct stat about;
    void *data;
    int file = openat(folder, path, O_RDONLY | O_CLOEXEC);
    int why = 0;
    if (file < 0) return errno;
    if (fstat(file, &about) != 0)
        why = errno;
    else if (!S_ISREG(about.st_mode))
        why = EISDIR;
    else if (forebay_buffer_new((size_t)about.st_size, buffer, &data, NULL) < 0)
        why = ENOMEM;
    for (off_t at = 0; why == 0 && at < about.st_size;) {
        ssize_t got = read(file, (char *)data + at, (size_t)(about.st_size - at));
        if (got > 0)
            at += got;
        else if (got == 0)
            why = EIO; /* it became shorter under our hands */
        else if (errno != EINTR)
            why = errno;
    }
    close(file);
    return why;
}

static int32_t handle(forebay_job_t *job, void *process, void *thread) {
    char path[4096];
    forebay_buffer_t *buffer = NULL;
    (void)process, (void)thread;
    if (path_of(job, path, sizeof path) == NULL) {
        forebay_job_fail(job, FOREBAY_RETRY_NEVER, "bad_path",
                         "the payload has to be a path below the plugin's folder", NULL, NULL);
        return 0;
    }
    int why = read_file(path, &buffer);
    if (why == 0)
        forebay_job_complete_buffer(job, buffer, NULL);
    else
        forebay_job_fail(job, FOREBAY_RETRY_NEVER, "cannot_read", strerror(why), path, NULL);
    forebay_buffer_free(buffer);
    return 0;
}

const forebay_plugin_t *forebay_plugin_v1(void) {
    static const char *const queues[] = {"fileopen", NULL};
    static const char *const params[] = {"folder", NULL, "the folder whose files it hands out", NULL};
    static const forebay_plugin_t plugin = {.struct_size = sizeof plugin,
                                            .abi = FOREBAY_PLUGIN_ABI,
                                            .name = "fileopen",
                                            .queues = queues,
                                            .params = params,
                                            .process_init = process_init,
                                            .process_fini = process_fini,
                                            .handle = handle};
    return &plugin;
}
