/* What libzmq does with descriptors, seen from outside.
 *
 * libzmq is compiled with `socket`, `accept4`, `connect` and `getsockopt` renamed to the functions below, for three
 * things it does not offer:
 *
 * - After fork the child holds copies of all connections, so a killed parent's connections would never drop.
 *   forebay_zmq_close_inherited closes them; it is called in the child and only does what a signal handler may.
 * - A failed connect is reported without its cause. forebay_zmq_connect_error keeps it by descriptor.
 * - Running out of descriptors while accepting on an ipc address aborts the process. Here it is a pause.
 *
 * Invariant: a table slot says which open file had that number when it was noted; a slot that does not match what
 * is open now is stale and ignored. Numbers past the end of the table are not watched.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX 65536

static _Atomic uint64_t file_of[FDS_MAX]; /* 0: nothing noted */
static _Atomic int error_of[FDS_MAX];
static _Atomic int fds_end; /* one past the highest number noted */

/* Names an open file; never 0 for one. */
static uint64_t identify (int fd)
{
    struct stat st;
    if (fstat (fd, &st) != 0)
        return 0;
    return (((uint64_t) st.st_dev * UINT64_C (0x9E3779B97F4A7C15)) ^ (uint64_t) st.st_ino) | (UINT64_C (1) << 63);
}

/* Closes `fd` in a forked child. Call it once the descriptor is open; nothing has to be undone at close. */
void forebay_zmq_close_in_child (int fd)
{
    const int kept_errno = errno;
    if (fd >= 0 && fd < FDS_MAX) {
        atomic_store (&error_of[fd], 0);
        atomic_store (&file_of[fd], identify (fd));
        int end = atomic_load (&fds_end);
        while (end <= fd && !atomic_compare_exchange_weak (&fds_end, &end, fd + 1)) {
        }
    }
    errno = kept_errno;
}

/* Forgets `fd`: it belongs to the child from now on. */
void forebay_zmq_keep_in_child (int fd)
{
    if (fd >= 0 && fd < FDS_MAX)
        atomic_store (&file_of[fd], 0);
}

void forebay_zmq_close_inherited (void)
{
    const int end = atomic_load (&fds_end);
    for (int fd = 0; fd < end; fd++) {
        const uint64_t noted = atomic_exchange (&file_of[fd], 0);
        if (noted != 0 && identify (fd) == noted)
            close (fd);
    }
    atomic_store (&fds_end, 0);
}

/* The cause of the last failed connect on a descriptor of that number, 0 if none; asking clears it. */
int forebay_zmq_connect_error (int fd)
{
    return fd >= 0 && fd < FDS_MAX ? atomic_exchange (&error_of[fd], 0) : 0;
}

static void note_error (int fd, int error)
{
    if (fd >= 0 && fd < FDS_MAX)
        atomic_store (&error_of[fd], error);
}

int forebay_zmq_socket (int domain, int type, int protocol)
{
    const int fd = socket (domain, type, protocol);
    forebay_zmq_close_in_child (fd);
    return fd;
}

int forebay_zmq_connect (int fd, const struct sockaddr *address, socklen_t address_len)
{
    const int rc = connect (fd, address, address_len);
    if (rc != 0 && errno != EINPROGRESS && errno != EINTR)
        note_error (fd, errno);
    return rc;
}

int forebay_zmq_getsockopt (int fd, int level, int name, void *value, socklen_t *value_len)
{
    const int rc = getsockopt (fd, level, name, value, value_len);
    if (rc == 0 && level == SOL_SOCKET && name == SO_ERROR && *(const int *) value != 0)
        note_error (fd, *(const int *) value);
    return rc;
}

/* libzmq takes ENFILE for "later" and every other shortage for a bug. The pause keeps its thread from spinning. */
static int accepted (int fd)
{
    if (fd >= 0) {
        forebay_zmq_close_in_child (fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        const struct timespec pause = {0, 2000000};
        nanosleep (&pause, NULL);
        errno = ENFILE;
    }
    return fd;
}

int forebay_zmq_accept (int listener, struct sockaddr *address, socklen_t *address_len)
{
    return accepted (accept (listener, address, address_len));
}

#if !defined(__APPLE__)
int forebay_zmq_accept4 (int listener, struct sockaddr *address, socklen_t *address_len, int flags)
{
    return accepted (accept4 (listener, address, address_len, flags));
}
#endif
