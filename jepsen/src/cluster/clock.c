/*
 * A wall clock that is wrong, for a process that is started with this in LD_PRELOAD.
 *
 * The file that JEPSEN_CLOCK names holds three numbers of eight bytes: nanoseconds to add, nanoseconds
 * to add to each second, and since when, in nanoseconds of the true clock. It is mapped, so what is
 * written there holds at once. Nothing here allocates: the allocator asks for the time, too.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static const volatile int64_t *wrong;

__attribute__((constructor)) static void open_file(void) {
    const char *name = getenv("JEPSEN_CLOCK");
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *at = mmap(NULL, 3 * sizeof *wrong, PROT_READ, MAP_SHARED, file, 0);
    if (at != MAP_FAILED) wrong = at;
    close(file);
}

static int is_wall(clockid_t clock) {
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int outcome = syscall(SYS_clock_gettime, clock, time);
    if (outcome != 0 || !wrong || !is_wall(clock)) return outcome;
    int64_t now = time->tv_sec * SECOND + time->tv_nsec;
    double drift = (double)wrong[1] / SECOND * (double)(now - wrong[2]);
    now += wrong[0] + (int64_t)drift;
    time->tv_sec = now / SECOND;
    time->tv_nsec = now % SECOND;
    return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return (time_t)-1;
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
