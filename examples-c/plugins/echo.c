/* Gives back what it gets, frames and headers too. The smallest plugin that does something.
 *
 *     forebay worker --load ./libecho.so          forebay call echo --data hello */
#include <forebay.h>
#include <stdlib.h>

static int32_t handle(forebay_job_t *job, void *process, void *thread) {
    forebay_job_view_t view = {.struct_size = sizeof view};
    const char *name;
    const void *data;
    size_t len;
    (void)process, (void)thread;
    forebay_job_view(job, &view);
    for (uint32_t i = 0; forebay_job_header_at(job, i, &name, &data, &len); i++)
        forebay_job_set_header(job, name, data, len, NULL);
    forebay_frame_t *frames = calloc(view.frames + 1, sizeof *frames);
    if (frames == NULL) return 1; /* without an answer: the attempt has failed */
    for (uint32_t i = 0; i < view.frames; i++) frames[i].data = forebay_job_frame(job, i, &frames[i].len);
    forebay_job_complete_frames(job, frames, view.frames, NULL);
    free(frames);
    return 0;
}

const forebay_plugin_t *forebay_plugin_v1(void) {
    static const char *const queues[] = {"echo", NULL};
    static const forebay_plugin_t plugin = {.struct_size = sizeof plugin,
                                            .abi = FOREBAY_PLUGIN_ABI,
                                            .name = "echo",
                                            .queues = queues,
                                            .handle = handle};
    return &plugin;
}
