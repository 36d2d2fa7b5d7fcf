/* The operating system as the one thread of a simulation sees it: time passes only when that
 * thread sleeps, and chance is drawn from a seed.
 *
 * These functions take the place of the C library's, in this one program. They do so only in its
 * first thread, and only if TALUS_SIMULATION_SEED is set; any other thread, such as RocksDB's, gets
 * what the kernel says. So clocks of std, tokio, hyper and h2 agree, and hash tables, tokio's
 * select! and the election timeouts of consensus are the same each time a seed is run.
 *
 * A runtime that has nothing to do asks epoll to wait. It is answered at once, and when it wanted
 * to be woken is noted: sleep() ends then at the latest. That is how the simulation learns, without
 * asking its runtimes, when something is due next. */

#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000ull
#define DESCRIPTORS 4096

/* Nanoseconds since the machine was started, and when that was. */
static uint64_t now = 1000 * SECOND;
static const uint64_t started = 1800000000ull * SECOND;
/* When the waiters on a descriptor want to be woken; 0 is never. */
static uint64_t deadline[DESCRIPTORS];
static uint64_t chance;
static int simulated;

__attribute__((constructor)) static void begin(void) {
    const char *seed = getenv("TALUS_SIMULATION_SEED");
    simulated = seed != NULL;
    chance = seed ? strtoull(seed, NULL, 10) : 0;
}

/* Whether the caller is the simulation's thread; files.c asks, too. */
int simulation_is_here(void) {
    static __thread int first; /* 0 is not known, -1 is no */
    if (first == 0) first = syscall(SYS_gettid) == getpid() ? 1 : -1;
    return simulated && first == 1;
}

/* splitmix64 */
static uint64_t draw(void) {
    uint64_t z = chance += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

ssize_t getrandom(void *buffer, size_t length, unsigned int flags) {
    if (!simulation_is_here()) return syscall(SYS_getrandom, buffer, length, flags);
    unsigned char *bytes = buffer;
    for (size_t i = 0; i < length; i++) bytes[i] = (unsigned char)draw();
    return (ssize_t)length;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int measured = clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID;
    if (measured || !simulation_is_here()) return (int)syscall(SYS_clock_gettime, clock, time);
    int wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    uint64_t shown = wall ? started + now : now;
    time->tv_sec = (time_t)(shown / SECOND);
    time->tv_nsec = (long)(shown % SECOND);
    return 0;
}

int epoll_wait(int descriptor, struct epoll_event *events, int most, int timeout) {
    if (simulation_is_here()) {
        int known = descriptor >= 0 && descriptor < DESCRIPTORS;
        if (known && timeout != 0)
            deadline[descriptor] = timeout < 0 ? 0 : now + (uint64_t)timeout * 1000000;
        timeout = 0;
    }
    return (int)syscall(SYS_epoll_pwait, descriptor, events, most, timeout, NULL, 8);
}

static void sleep_until(uint64_t then) {
    for (int i = 0; i < DESCRIPTORS; i++)
        if (deadline[i] > now && deadline[i] < then) then = deadline[i];
    if (then > now) now = then;
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *rest) {
    if (!simulation_is_here()) {
        long failed = syscall(SYS_clock_nanosleep, clock, flags, time, rest);
        return failed ? errno : 0;
    }
    uint64_t wanted = (uint64_t)time->tv_sec * SECOND + (uint64_t)time->tv_nsec;
    sleep_until(flags & TIMER_ABSTIME ? wanted : now + wanted);
    return 0;
}

int nanosleep(const struct timespec *time, struct timespec *rest) {
    if (!simulation_is_here()) return (int)syscall(SYS_nanosleep, time, rest);
    return clock_nanosleep(CLOCK_MONOTONIC, 0, time, rest);
}
