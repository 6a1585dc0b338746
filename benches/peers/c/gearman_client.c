/* An echo client of gearmand: adds as many tasks as are to be in flight and runs them together, as libgearman's manual
 * does it; a library that runs tasks in sets has no other way to have many under way.
 *
 *     gearman_client HOST PORT */
#include "echo.h"

#include <libgearman/gearman.h>

static round_t current;

static gearman_return_t completed(gearman_task_st *task) {
    current.now_ns = now_ns();
    round_answer(&current, gearman_task_data(task), gearman_task_data_size(task));
    return GEARMAN_SUCCESS;
}

static gearman_return_t failed(gearman_task_st *task) {
    die("a task", gearman_task_error(task));
    return GEARMAN_FATAL;
}

static void done(gearman_client_st *client, gearman_return_t status, const char *what) {
    if (gearman_failed(status)) die(what, gearman_client_error(client));
}

static void run(gearman_client_st *client, round_t *round) {
    while (round->open > 0) {
        for (size_t slot = 0; slot < round->in_flight; slot++) {
            gearman_return_t status;
            round->sent_ns[slot] = now_ns();
            gearman_client_add_task(client, NULL, NULL, "echo", NULL, payload_at(round, slot), round->size, &status);
            done(client, status, "add");
        }
        done(client, gearman_client_run_tasks(client), "run");
        gearman_client_task_free_all(client);
        /* A set that was cut by the end of the round is not followed by another. */
        if (!round_goes_on(round) || round->open < round->in_flight) return;
    }
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    gearman_client_st *client = gearman_client_create(NULL);
    done(client, gearman_client_add_server(client, argv[1], (in_port_t)atoi(argv[2])), "server");
    gearman_client_set_complete_fn(client, completed);
    gearman_client_set_fail_fn(client, failed);
    ready();
    while (round_next(&current)) {
        run(client, &current);
        round_tell(&current);
    }
    gearman_client_free(client);
    return 0;
}
