/* A clock for the loop that counts its readings: time must not decide how many instructions run.

   The loop looks at the clock to decide whether to poll while something is ready. Under valgrind the
   same turn lasts longer on a busy machine than on an idle one. guard.py preloads this, so that for
   the extension each reading is 100 ns after the one before, on every machine. Sleeping does not
   move it: no path may wait for a timer. Everybody else gets the real clock, since the interpreter
   gives its readings to the kernel, as deadlines of waits for the GIL. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BOOT 1000LL /* seconds */
#define STEP 100LL  /* nanoseconds */
#define SECOND 1000000000LL
#define SITES 64

static long long readings;

/* Where the clock is read, and whether that is in the extension: asking the linker takes long. */
static struct {
    const void *address;
    int ours;
} sites[SITES];
static int known;

static int is_ours(const void *caller) {
    for (int at = 0; at < known; at++)
        if (sites[at].address == caller)
            return sites[at].ours;
    Dl_info found;
    int ours = dladdr(caller, &found) && strstr(found.dli_fname, "/_aioxide.");
    if (known < SITES) {
        sites[known].ours = ours;
        sites[known].address = caller;
        known++;
    }
    return ours;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (clock != CLOCK_MONOTONIC || !is_ours(__builtin_return_address(0)))
        return (int)syscall(SYS_clock_gettime, clock, now);
    long long ns = __atomic_add_fetch(&readings, 1, __ATOMIC_RELAXED) * STEP;
    now->tv_sec = BOOT + ns / SECOND;
    now->tv_nsec = ns % SECOND;
    return 0;
}
