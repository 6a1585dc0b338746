/* A computation without any call of the library, for a caller in another language: ctypes.PyDLL keeps Python's
 * global lock throughout. */
#include <stdint.h>
#include <time.h>

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Computes for so many seconds. */
uint64_t burn(double seconds) {
    const double end = now_s() + seconds;
    volatile uint64_t x = 88172645463325252u;
    while (now_s() < end)
        for (int i = 0; i < 1000000; i++) x = x * 6364136223846793005u + 1;
    return x;
}
