// A process that dies at a chosen moment: loaded into a program (LD_PRELOAD), it kills it, before the call, at the
// DYING_AT-th of all calls that change a file or a directory or make that durable.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static void step(void) {
    static long calls;
    const char *at = getenv("DYING_AT");
    if (__atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST) == (at == NULL ? 0 : strtol(at, NULL, 10))) {
        raise(SIGKILL);
    }
}

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

int fdatasync(int fd) {
    step();
    return REAL(fdatasync)(fd);
}

int fsync(int fd) {
    step();
    return REAL(fsync)(fd);
}

int ftruncate64(int fd, off64_t size) {
    step();
    return REAL(ftruncate64)(fd, size);
}

int mkdirat(int dir, const char *name, mode_t mode) {
    step();
    return REAL(mkdirat)(dir, name, mode);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    step();
    return REAL(renameat)(from_dir, from, to_dir, to);
}

int unlinkat(int dir, const char *name, int flags) {
    step();
    return REAL(unlinkat)(dir, name, flags);
}

int openat64(int dir, const char *name, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (flags & O_CREAT) {
        step();
    }
    return REAL(openat64)(dir, name, flags, mode);
}

ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t offset, int flags) {
    step();
    return REAL(pwritev64v2)(fd, parts, count, offset, flags);
}
