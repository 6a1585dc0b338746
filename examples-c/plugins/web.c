/* A web page: shows the request it was asked by. The job's headers are the request as CGI (RFC 3875) has it, such as
 * REQUEST_METHOD, PATH_INFO and HTTP_USER_AGENT, its payload the request's body. The result's headers `status` and
 * `content-type` and its bytes are the response. Something that speaks HTTP stands before it, such as
 * bindings/python/examples/gateway.py.
 *
 *     forebay worker --load ./libweb.so           forebay call web --data hi -H REQUEST_METHOD=POST -H PATH_INFO=/ */
#include <forebay.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Writes the request as lines of text. */
static void print(FILE *page, const forebay_job_t *job) {
    const char *name;
    const void *value;
    size_t len;
    for (uint32_t i = 0; forebay_job_header_at(job, i, &name, &value, &len); i++) {
        fprintf(page, "%s=", name);
        fwrite(value, 1, len, page);
        fputc('\n', page);
    }
    value = forebay_job_payload(job, &len);
    fprintf(page, "\n%zu bytes:\n", len);
    fwrite(value, 1, len, page);
}

static int32_t handle(forebay_job_t *job, void *process, void *thread) {
    char *text = NULL;
    size_t len, method_len;
    const char *method = forebay_job_header(job, "REQUEST_METHOD", &method_len);
    (void)process, (void)thread;

    if (method == NULL) {
        forebay_job_fail(job, FOREBAY_RETRY_NEVER, "no_request", "the job has no header REQUEST_METHOD", NULL, NULL);
        return 0;
    }
    FILE *page = open_memstream(&text, &len);
    if (page == NULL) return 1; /* without an answer: the attempt has failed */
    print(page, job);
    if (fclose(page) == 0) {
        forebay_job_set_header(job, "status", "200 OK", 6, NULL);
        forebay_job_set_header(job, "content-type", "text/plain; charset=utf-8", 25, NULL);
        forebay_job_complete(job, text, len, NULL);
    }
    free(text);
    return 0;
}

const forebay_plugin_t *forebay_plugin_v1(void) {
    static const char *const queues[] = {"web", NULL};
    static const forebay_plugin_t plugin = {.struct_size = sizeof plugin,
                                            .abi = FOREBAY_PLUGIN_ABI,
                                            .name = "web",
                                            .queues = queues,
                                            .handle = handle};
    return &plugin;
}
