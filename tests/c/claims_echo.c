/* A worker for tests that gives everything back as it came: every frame of the payload, every header.
 *
 *     claims_echo QUEUE */
#define _GNU_SOURCE
#include <forebay.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static forebay_worker_t *worker;

static void on_signal(int signal) {
    (void)signal;
    forebay_worker_stop(worker);
}

static int failed(const char *what, forebay_error_t *error) {
    fprintf(stderr, "claims_echo: %s: %s\n", what, forebay_error_message(error));
    forebay_error_free(error);
    return 1;
}

static forebay_status_t echo(forebay_job_t *job, forebay_error_t **error) {
    forebay_job_view_t view = {.struct_size = sizeof view};
    const char *name;
    const void *data;
    size_t len;
    forebay_job_view(job, &view);
    for (uint32_t i = 0; forebay_job_header_at(job, i, &name, &data, &len); i++) {
        forebay_status_t status = forebay_job_set_header(job, name, data, len, error);
        if (status < 0) return status;
    }
    forebay_frame_t *frames = calloc(view.frames + 1, sizeof *frames);
    if (frames == NULL) return FOREBAY_ERR_MEMORY;
    for (uint32_t i = 0; i < view.frames; i++) frames[i].data = forebay_job_frame(job, i, &frames[i].len);
    forebay_status_t status = forebay_job_complete_frames(job, frames, view.frames, error);
    free(frames);
    return status;
}

int main(int argc, char **argv) {
    forebay_error_t *error = NULL;
    forebay_job_t *job;
    forebay_status_t status;

    if (argc < 2) return 2;
    if (forebay_worker_open(NULL, NULL, &worker, &error) < 0) return failed("open", error);
    signal(SIGTERM, on_signal);
    if (forebay_worker_register(worker, argv[1], NULL, &error) < 0) return failed("register", error);
    while ((status = forebay_worker_receive(worker, -1, &job, &error)) == FOREBAY_OK) {
        if (echo(job, &error) < 0) failed("echo", error);
        error = NULL;
        forebay_job_free(job);
    }
    if (status < 0) return failed("receive", error);
    forebay_worker_free(worker);
    return 0;
}
