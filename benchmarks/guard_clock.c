/* A monotonic clock that counts its readings: time itself must not decide how many instructions run.

   The loop looks at the clock to decide whether to poll while something is ready. Under valgrind the
   same turn lasts longer on a busy machine than on an idle one. guard.py preloads this, so that
   each reading is 100 ns after the one before, on every machine. Sleeping does not move it: no path
   may wait for a timer. */

#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BOOT 1000LL /* seconds */
#define STEP 100LL  /* nanoseconds */
#define SECOND 1000000000LL

static long long readings;

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (clock != CLOCK_MONOTONIC)
        return (int)syscall(SYS_clock_gettime, clock, now);
    long long ns = __atomic_add_fetch(&readings, 1, __ATOMIC_RELAXED) * STEP;
    now->tv_sec = BOOT + ns / SECOND;
    now->tv_nsec = ns % SECOND;
    return 0;
}
