/* Files as the one thread of a simulation changes them: at any change the power may fail.
 *
 * From then on nothing changes: each attempt answers EIO, and a write in which it fails is torn. So
 * the files are what a machine finds that is switched on again, whatever the dying node still tries.
 * What other threads do, such as RocksDB's, is never stopped.
 *
 * The link /simulated/power, which is in no file system, tells how many changes are left, and at
 * what places counting begins if it has not yet: "17 /installing". Once the power has failed it
 * tells where: "off /dev/shm/x/n1.3/shard/CURRENT.new". To make the link is to set it, to remove it
 * is to cut the power. So the simulation calls no foreign function, which would be unsafe in Rust. */

#define _GNU_SOURCE
#undef _FORTIFY_SOURCE /* It has bodies of its own for some of these. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define POWER "/simulated/power"
#define FOREVER UINT64_MAX

/* See os.c. */
int simulation_is_here(void);

static uint64_t left = FOREVER;
/* Changes count once there was one at such a place; empty if they do already. */
static char begins[64];
/* Where the power failed; empty while it is on. */
static char failed[2 * PATH_MAX];

static int is_metered(void) { return simulation_is_here() && (left != FOREVER || failed[0]); }

/* Where something is: below a directory, or what a descriptor stands for if there is no path. */
static void find(char place[2 * PATH_MAX], int at, const char *path) {
    char link[64], dir[PATH_MAX] = "";
    if (at != AT_FDCWD && (!path || path[0] != '/')) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t length = syscall(SYS_readlink, link, dir, sizeof dir - 1);
        dir[length < 0 ? 0 : length] = 0;
    }
    snprintf(place, 2 * PATH_MAX, "%s/%s", dir, path ? path : "");
}

/* Whether there is power for one more change. */
static int change(int at, const char *path) {
    char place[2 * PATH_MAX];
    if (!is_metered()) return 1;
    if (begins[0]) {
        find(place, at, path);
        if (!failed[0] && !strstr(place, begins)) return 1;
        begins[0] = 0;
    }
    if (!failed[0] && left > 0) {
        left--;
        return 1;
    }
    if (!failed[0]) find(failed, at, path);
    errno = EIO;
    return 0;
}

/* Only files are written with power; a waker of epoll or a terminal is something else. */
static int is_file(int descriptor) {
    struct stat found;
    if (!is_metered() || descriptor < 3) return 0;
    return fstat(descriptor, &found) == 0 && S_ISREG(found.st_mode);
}

int symlink(const char *text, const char *path) {
    if (strcmp(path, POWER) != 0)
        return change(AT_FDCWD, path) ? (int)syscall(SYS_symlink, text, path) : -1;
    failed[0] = 0;
    char *rest;
    left = strtoull(text, &rest, 10);
    snprintf(begins, sizeof begins, "%s", *rest ? rest + 1 : "");
    return 0;
}

ssize_t readlink(const char *path, char *text, size_t size) {
    if (strcmp(path, POWER) != 0) return syscall(SYS_readlink, path, text, size);
    char shown[sizeof failed + 32];
    int length = failed[0] ? snprintf(shown, sizeof shown, "off %s", failed)
                           : snprintf(shown, sizeof shown, "%llu %s", (unsigned long long)left, begins);
    size_t fits = (size_t)length < size ? (size_t)length : size;
    memcpy(text, shown, fits);
    return (ssize_t)fits;
}

int unlink(const char *path) {
    if (strcmp(path, POWER) != 0)
        return change(AT_FDCWD, path) ? (int)syscall(SYS_unlink, path) : -1;
    if (!failed[0]) snprintf(failed, sizeof failed, "elsewhere");
    return 0;
}

static int open_in(int at, const char *path, int flags, mode_t mode) {
    if (flags & (O_CREAT | O_TRUNC) && !change(at, path)) return -1;
    return (int)syscall(SYS_openat, at, path, flags, mode);
}

#define OPEN(name, parameters, at, path)                                                           \
    int name(parameters int flags, ...) {                                                          \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;                  \
        va_end(rest);                                                                              \
        return open_in(at, path, flags, mode);                                                     \
    }
#define COMMA ,
OPEN(open, const char *path COMMA, AT_FDCWD, path)
OPEN(open64, const char *path COMMA, AT_FDCWD, path)
OPEN(openat, int at COMMA const char *path COMMA, at, path)
OPEN(openat64, int at COMMA const char *path COMMA, at, path)

/* Writes, or a part of it if the power fails meanwhile. */
#define WRITE(name, parameters, arguments, number)                                                 \
    ssize_t name(int descriptor, const void *bytes, size_t length parameters) {                    \
        int was_on = !failed[0];                                                                   \
        if (!is_file(descriptor) || change(descriptor, NULL))                                      \
            return syscall(number, descriptor, bytes, length arguments);                           \
        if (was_on) syscall(number, descriptor, bytes, length / 2 arguments);                      \
        errno = EIO;                                                                               \
        return -1;                                                                                 \
    }
WRITE(write, , , SYS_write)
WRITE(pwrite, COMMA off_t offset, COMMA offset, SYS_pwrite64)
WRITE(pwrite64, COMMA off64_t offset, COMMA offset, SYS_pwrite64)

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    if (is_file(descriptor) && !change(descriptor, NULL)) return -1;
    return syscall(SYS_writev, descriptor, parts, count);
}

/* Whatever changes in one call, or not at all. */
#define CHANGE(name, parameters, at, path, ...)                                                    \
    int name parameters { return change(at, path) ? (int)syscall(__VA_ARGS__) : -1; }
#define WITHIN(name, parameters, ...) CHANGE(name, parameters, descriptor, NULL, __VA_ARGS__)

CHANGE(rename, (const char *from, const char *to), AT_FDCWD, from, SYS_rename, from, to)
CHANGE(link, (const char *from, const char *to), AT_FDCWD, to, SYS_link, from, to)
CHANGE(linkat, (int at, const char *from, int there, const char *to, int flags), there, to,
       SYS_linkat, at, from, there, to, flags)
CHANGE(unlinkat, (int at, const char *path, int flags), at, path, SYS_unlinkat, at, path, flags)
CHANGE(mkdir, (const char *path, mode_t mode), AT_FDCWD, path, SYS_mkdir, path, mode)
CHANGE(rmdir, (const char *path), AT_FDCWD, path, SYS_rmdir, path)
WITHIN(ftruncate, (int descriptor, off_t length), SYS_ftruncate, descriptor, length)
WITHIN(ftruncate64, (int descriptor, off64_t length), SYS_ftruncate, descriptor, length)
WITHIN(fallocate, (int descriptor, int mode, off_t offset, off_t length), SYS_fallocate,
       descriptor, mode, offset, length)
WITHIN(fsync, (int descriptor), SYS_fsync, descriptor)
WITHIN(fdatasync, (int descriptor), SYS_fdatasync, descriptor)

ssize_t copy_file_range(int from, off64_t *from_offset, int descriptor, off64_t *offset,
                        size_t length, unsigned int flags) {
    if (!change(descriptor, NULL)) return -1;
    return syscall(SYS_copy_file_range, from, from_offset, descriptor, offset, length, flags);
}
