/* A worker that hands out files: the payload is a path, the result the file's bytes.
 *
 *     fileopen [FOLDER]        forebay call fileopen <<< notes.txt
 *
 * Only files below FOLDER (default: where it was started). The bytes are read straight into the library's
 * memory and sent from there. A file that cannot be read is a failed job that says why. */
#include <errno.h>
#include <fcntl.h>
#include <forebay.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static forebay_worker_t *worker;

static void on_signal(int signal) {
    (void)signal;
    forebay_worker_stop(worker);
}

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "fileopen: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
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
    int file = open(path, O_RDONLY | O_CLOEXEC);
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

static forebay_status_t serve(forebay_job_t *job, forebay_error_t **error) {
    char path[4096];
    if (path_of(job, path, sizeof path) == NULL)
        return forebay_job_fail(job, FOREBAY_RETRY_NEVER, "bad_path",
                                "the payload has to be a path below the worker's folder", NULL, error);
    forebay_buffer_t *buffer = NULL;
    int why = read_file(path, &buffer);
    forebay_status_t status =
        why == 0 ? forebay_job_complete_buffer(job, buffer, error)
                 : forebay_job_fail(job, FOREBAY_RETRY_NEVER, "cannot_read", strerror(why), path, error);
    forebay_buffer_free(buffer);
    return status;
}

int main(int argc, char **argv) {
    forebay_error_t *error = NULL;
    forebay_job_t *job;
    forebay_status_t status;

    if (argc > 1 && chdir(argv[1]) != 0) {
        perror(argv[1]);
        return 1;
    }
    if (forebay_worker_open(NULL, NULL, &worker, &error) < 0) return failed("open", error);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    if (forebay_worker_register(worker, "fileopen", NULL, &error) < 0) return failed("register", error);

    while ((status = forebay_worker_receive(worker, -1, &job, &error)) == FOREBAY_OK) {
        if (serve(job, &error) < 0) failed("answer", error);
        forebay_job_free(job);
    }
    if (status < 0) return failed("receive", error);
    forebay_worker_free(worker);
    return 0;
}
