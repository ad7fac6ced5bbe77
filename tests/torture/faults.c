/* A disk that fails when it is told to. Loaded before libc (LD_PRELOAD), it fails the N-th call of one kind that
 * concerns a file below one folder, and passes everything else on.
 *
 *   FAULTS_ROOT    the folder, an absolute path without links; what lies elsewhere is never failed nor counted
 *   FAULTS_KIND    write sync close rename open read look map size remove folder (a column of the table at the end)
 *   FAULTS_AT      the number of the call that fails, from 1; 0: none, count only
 *   FAULTS_ERRNO   what it fails with; 0: a write writes half of what it was given, as a disk that is almost full does
 *   FAULTS_STICKY  1: every call from that one on fails, as on a disk that stays full
 *   FAULTS_STATE   a file of 16 bytes, mapped by all processes of the run: calls seen, calls failed (int64 each)
 *
 * "open" is an open for writing, "read" opening or reading what is open for reading, "look" stat and the like,
 * "size" ftruncate and fallocate.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[PATH_MAX], kind[32];
static size_t root_length;
static int64_t at;
static int error, sticky, ready;
static int64_t *state;

/* Read the environment. A process that was forked without an exec calls it again. */
__attribute__((constructor)) void faults_begin(void) {
    ready = 0;
    const char *r = getenv("FAULTS_ROOT"), *k = getenv("FAULTS_KIND"), *s = getenv("FAULTS_STATE");
    if (!r || !k || !s || strlen(r) >= sizeof root || strlen(k) >= sizeof kind) return;
    strcpy(root, r);
    strcpy(kind, k);
    root_length = strlen(root);
    const char *n = getenv("FAULTS_AT"), *e = getenv("FAULTS_ERRNO"), *t = getenv("FAULTS_STICKY");
    at = n ? atoll(n) : 0;
    error = e ? atoi(e) : 0;
    sticky = t && *t == '1';
    int fd = (int)syscall(SYS_openat, AT_FDCWD, s, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return;
    void *map = (void *)syscall(SYS_mmap, NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (map == MAP_FAILED) return;
    state = map;
    ready = 1;
}

static int below(const char *path) {
    return !strncmp(path, root, root_length) && (path[root_length] == '/' || path[root_length] == 0);
}

/* Whether this call is the one. */
static int now(void) {
    int64_t n = __atomic_add_fetch(&state[0], 1, __ATOMIC_SEQ_CST);
    if (!at || (sticky ? n < at : n != at)) return 0;
    __atomic_add_fetch(&state[1], 1, __ATOMIC_SEQ_CST);
    return 1;
}

static int of_fd(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return below(path);
}

static int of_path(int folder, const char *name) {
    char path[PATH_MAX];
    if (!name) return 0;
    if (*name == '/') return below(name);
    if (folder == AT_FDCWD) {
        if (!getcwd(path, sizeof path)) return 0;
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
        if (n <= 0) return 0;
        path[n] = 0;
    }
    return below(path);  /* names with .. are of no program that is tested here */
}

#define IS(what) (ready && !strcmp(kind, what))
#define FAIL_FD(what, fd) (IS(what) && of_fd(fd) && now())
#define FAIL_PATH(what, folder, name) (IS(what) && of_path(folder, name) && now())
#define REAL(name) ((__typeof__(&name))next(#name))

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

static int fails(void) {
    errno = error ? error : EIO;
    return -1;
}

/* ---- write */

#define WRITE(name, args, half_args, ...)                                                       \
    ssize_t name(int fd, const void *data, size_t count, ##__VA_ARGS__) {                       \
        static __typeof__(&name) real;                                                          \
        if (!real) real = REAL(name);                                                           \
        if (IS("write") && of_fd(fd) && (error || count > 1) && now()) {                        \
            if (error) return fails();                                                          \
            return real half_args;                                                              \
        }                                                                                       \
        return real args;                                                                       \
    }
WRITE(write, (fd, data, count), (fd, data, count / 2))
WRITE(pwrite, (fd, data, count, offset), (fd, data, count / 2, offset), off_t offset)
WRITE(pwrite64, (fd, data, count, offset), (fd, data, count / 2, offset), off64_t offset)

ssize_t writev(int fd, const struct iovec *parts, int count) {
    static __typeof__(&writev) real;
    if (!real) real = REAL(writev);
    if (error && FAIL_FD("write", fd)) return fails();
    return real(fd, parts, count);
}

/* ---- sync, close, size */

#define ON_FD(what, type, name, args, ...)                                                      \
    type name(int fd, ##__VA_ARGS__) {                                                          \
        static __typeof__(&name) real;                                                          \
        if (!real) real = REAL(name);                                                           \
        if (FAIL_FD(what, fd)) return fails();                                                  \
        return real args;                                                                       \
    }
ON_FD("sync", int, fsync, (fd))
ON_FD("sync", int, fdatasync, (fd))
ON_FD("size", int, ftruncate, (fd, length), off_t length)
ON_FD("size", int, ftruncate64, (fd, length), off64_t length)
ON_FD("size", int, fallocate, (fd, mode, offset, length), int mode, off_t offset, off_t length)
ON_FD("size", int, fallocate64, (fd, mode, offset, length), int mode, off64_t offset, off64_t length)
ON_FD("read", ssize_t, read, (fd, data, count), void *data, size_t count)
ON_FD("read", ssize_t, pread, (fd, data, count, offset), void *data, size_t count, off_t offset)
ON_FD("read", ssize_t, pread64, (fd, data, count, offset), void *data, size_t count, off64_t offset)
ON_FD("read", ssize_t, readv, (fd, parts, count), const struct iovec *parts, int count)

int posix_fallocate(int fd, off_t offset, off_t length) {
    static __typeof__(&posix_fallocate) real;
    if (!real) real = REAL(posix_fallocate);
    return FAIL_FD("size", fd) ? (error ? error : EIO) : real(fd, offset, length);
}

int posix_fallocate64(int fd, off64_t offset, off64_t length) {
    static __typeof__(&posix_fallocate64) real;
    if (!real) real = REAL(posix_fallocate64);
    return FAIL_FD("size", fd) ? (error ? error : EIO) : real(fd, offset, length);
}

/* A network file system says at last, in close, what became of the writes; the descriptor is gone all the same. */
int close(int fd) {
    static __typeof__(&close) real;
    if (!real) real = REAL(close);
    int fail = 0;
    if (IS("close") && of_fd(fd)) {
        int flags = (int)syscall(SYS_fcntl, fd, F_GETFL);
        fail = flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && now();
    }
    int answer = real(fd);
    return fail ? fails() : answer;
}

/* ---- open */

static int may_not_open(int folder, const char *name, int flags) {
    if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT)) return FAIL_PATH("open", folder, name);
    return FAIL_PATH("read", folder, name);
}

#define OPEN(name)                                                                              \
    int name(const char *path, int flags, ...) {                                                \
        static __typeof__(&name) real;                                                          \
        if (!real) real = REAL(name);                                                           \
        va_list rest;                                                                           \
        va_start(rest, flags);                                                                  \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;               \
        va_end(rest);                                                                           \
        return may_not_open(AT_FDCWD, path, flags) ? fails() : real(path, flags, mode);         \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                            \
    int name(int folder, const char *path, int flags, ...) {                                    \
        static __typeof__(&name) real;                                                          \
        if (!real) real = REAL(name);                                                           \
        va_list rest;                                                                           \
        va_start(rest, flags);                                                                  \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;               \
        va_end(rest);                                                                           \
        return may_not_open(folder, path, flags) ? fails() : real(folder, path, flags, mode);   \
    }
OPENAT(openat)
OPENAT(openat64)

#define CREAT(name)                                                                             \
    int name(const char *path, mode_t mode) {                                                   \
        static __typeof__(&name) real;                                                          \
        if (!real) real = REAL(name);                                                           \
        return may_not_open(AT_FDCWD, path, O_WRONLY | O_CREAT) ? fails() : real(path, mode);   \
    }
CREAT(creat)
CREAT(creat64)

#define FOPEN(name)                                                                             \
    FILE *name(const char *path, const char *mode) {                                            \
        static __typeof__(&name) real;                                                          \
        if (!real) real = REAL(name);                                                           \
        int writes = *mode != 'r' || strchr(mode, '+');                                         \
        if (may_not_open(AT_FDCWD, path, writes ? O_WRONLY : O_RDONLY)) {                       \
            fails();                                                                            \
            return NULL;                                                                        \
        }                                                                                       \
        return real(path, mode);                                                                \
    }
FOPEN(fopen)
FOPEN(fopen64)

DIR *opendir(const char *path) {
    static __typeof__(&opendir) real;
    if (!real) real = REAL(opendir);
    if (FAIL_PATH("read", AT_FDCWD, path)) {
        fails();
        return NULL;
    }
    return real(path);
}

/* ---- names */

int rename(const char *from, const char *to) {
    static __typeof__(&rename) real;
    if (!real) real = REAL(rename);
    return FAIL_PATH("rename", AT_FDCWD, to) ? fails() : real(from, to);
}

int renameat(int from_folder, const char *from, int folder, const char *to) {
    static __typeof__(&renameat) real;
    if (!real) real = REAL(renameat);
    return FAIL_PATH("rename", folder, to) ? fails() : real(from_folder, from, folder, to);
}

int renameat2(int from_folder, const char *from, int folder, const char *to, unsigned flags) {
    static __typeof__(&renameat2) real;
    if (!real) real = REAL(renameat2);
    return FAIL_PATH("rename", folder, to) ? fails() : real(from_folder, from, folder, to, flags);
}

int link(const char *from, const char *to) {
    static __typeof__(&link) real;
    if (!real) real = REAL(link);
    return FAIL_PATH("rename", AT_FDCWD, to) ? fails() : real(from, to);
}

#define ON_PATH(what, type, name, args, ...)                                                    \
    type name(const char *path, ##__VA_ARGS__) {                                                \
        static __typeof__(&name) real;                                                          \
        if (!real) real = REAL(name);                                                           \
        return FAIL_PATH(what, AT_FDCWD, path) ? fails() : real args;                           \
    }
ON_PATH("remove", int, unlink, (path))
ON_PATH("remove", int, rmdir, (path))
ON_PATH("folder", int, mkdir, (path, mode), mode_t mode)
ON_PATH("look", int, stat, (path, found), struct stat *found)
ON_PATH("look", int, stat64, (path, found), struct stat64 *found)
ON_PATH("look", int, lstat, (path, found), struct stat *found)
ON_PATH("look", int, lstat64, (path, found), struct stat64 *found)

#define ON_PATH_AT(what, type, name, args, ...)                                                 \
    type name(int folder, const char *path, ##__VA_ARGS__) {                                    \
        static __typeof__(&name) real;                                                          \
        if (!real) real = REAL(name);                                                           \
        return FAIL_PATH(what, folder, path) ? fails() : real args;                             \
    }
ON_PATH_AT("remove", int, unlinkat, (folder, path, flags), int flags)
ON_PATH_AT("folder", int, mkdirat, (folder, path, mode), mode_t mode)
ON_PATH_AT("look", int, fstatat, (folder, path, found, flags), struct stat *found, int flags)
ON_PATH_AT("look", int, fstatat64, (folder, path, found, flags), struct stat64 *found, int flags)

/* ---- mmap of a file */

#define MAP(name, offset_t)                                                                     \
    void *name(void *start, size_t length, int how, int flags, int fd, offset_t offset) {       \
        static __typeof__(&name) real;                                                          \
        if (!real) real = REAL(name);                                                           \
        if (fd >= 0 && !(flags & MAP_ANONYMOUS) && FAIL_FD("map", fd)) {                        \
            fails();                                                                            \
            return MAP_FAILED;                                                                  \
        }                                                                                       \
        return real(start, length, how, flags, fd, offset);                                     \
    }
MAP(mmap, off_t)
MAP(mmap64, off64_t)
