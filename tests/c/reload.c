/* The library loaded, used and unloaded, many times: no thread and no descriptor stays, and memory is flat.
 *
 *     reload LIBRARY TIMES [plant]     with `plant` a client is not freed in each round, which must be seen */
#include <dirent.h>
#include <dlfcn.h>
#include <forebay.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                          \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

static void *library;

/* The function of the library under the name it has in the header. */
#define CALL(function) ((__typeof__(&function))sought(#function))

static void *sought(const char *name) {
    void *found = dlsym(library, name);
    if (found == NULL) fprintf(stderr, "no %s\n", name);
    CHECK(found != NULL);
    return found;
}

static int entries(const char *path) {
    int count = 0;
    DIR *folder = opendir(path);
    CHECK(folder != NULL);
    while (readdir(folder) != NULL) count++;
    closedir(folder);
    return count;
}

/* The threads of this process. One that was joined may be listed for a moment more. */
static int threads(int expected) {
    int count = entries("/proc/self/task") - 2; /* "." and ".." */
    for (int i = 0; i < 5000 && count != expected; i++) {
        usleep(1000);
        count = entries("/proc/self/task") - 2;
    }
    return count;
}

static long resident_kib(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%*d %ld", &pages) == 1);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Broker, worker and client in this process, and one job through all of them. */
static void use(int plant) {
    forebay_broker_t *broker;
    forebay_client_t *client;
    forebay_worker_t *worker;
    forebay_job_t *job;
    forebay_result_t *result;
    forebay_id_t id;
    forebay_options_t *options = CALL(forebay_options_new)();
    forebay_submit_t submit = {.struct_size = sizeof submit};
    submit.queue = "q";
    CHECK(CALL(forebay_options_set)(options, "broker.listen", "inproc://reload", NULL) == FOREBAY_OK);
    CHECK(CALL(forebay_broker_start)(options, &broker, NULL) == FOREBAY_OK);
    CHECK(CALL(forebay_client_open)("inproc://reload", NULL, &client, NULL) == FOREBAY_OK);
    CHECK(CALL(forebay_worker_open)("inproc://reload", NULL, &worker, NULL) == FOREBAY_OK);
    CHECK(CALL(forebay_worker_register)(worker, "q", NULL, NULL) == FOREBAY_OK);
    CHECK(CALL(forebay_client_submit)(client, &submit, 1, 30000, &id, NULL, NULL) == FOREBAY_OK);
    CHECK(CALL(forebay_worker_receive)(worker, 30000, &job, NULL) == FOREBAY_OK);
    CHECK(CALL(forebay_job_complete)(job, "y", 1, NULL) == FOREBAY_OK);
    CHECK(CALL(forebay_client_wait)(client, &id, 30000, &result, NULL) == FOREBAY_OK);
    CALL(forebay_result_free)(result);
    CALL(forebay_job_free)(job);
    CALL(forebay_worker_free)(worker);
    if (!plant) CALL(forebay_client_free)(client);
    CALL(forebay_broker_free)(broker);
    CALL(forebay_options_free)(options);
}

/* The library is used in a thread of its own: what a thread keeps of a library for itself goes when the thread ends. */
static void *round_of_use(void *plant) {
    use(plant != NULL);
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc > 2);
    int times = atoi(argv[2]), plant = argc > 3, descriptors = 0;
    long settled_kib = 0;
    for (int i = 1; i <= times; i++) {
        pthread_t thread;
        library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        if (library == NULL) fprintf(stderr, "%s\n", dlerror());
        CHECK(library != NULL);
        CHECK(pthread_create(&thread, NULL, round_of_use, plant ? argv : NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(dlclose(library) == 0);
        if (i == 1) descriptors = entries("/proc/self/fd");
        CHECK(threads(1) == 1);
        CHECK(entries("/proc/self/fd") == descriptors);
        CHECK(dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD) == NULL); /* it is gone */
        malloc_trim(0);
        if (i == 20) settled_kib = resident_kib();
    }
    printf("%d rounds: 1 thread, %d descriptors, %ld KiB after the 20th and %ld KiB after the last\n", times,
           descriptors - 3, settled_kib, resident_kib());
    CHECK(resident_kib() - settled_kib < 512);
    return 0;
}
