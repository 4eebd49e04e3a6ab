// A disk that now and then takes long: loaded into batond (LD_PRELOAD), it delays what makes a write durable, once a second
// by SLOW_DISK_MS, as long as the file SLOW_DISK_WHILE exists. Nothing fails and nothing is reordered. Each delay adds one
// byte to the file SLOW_DISK_TOLD, so that a test knows that it was felt.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static void stall(void) {
    static _Thread_local time_t last;
    struct timespec now;
    const char *file = getenv("SLOW_DISK_WHILE");
    const char *ms = getenv("SLOW_DISK_MS");
    const char *told = getenv("SLOW_DISK_TOLD");
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec == last || file == NULL || ms == NULL || access(file, F_OK) != 0) {
        return;
    }
    last = now.tv_sec;
    struct timespec pause = {.tv_nsec = strtol(ms, NULL, 10) * 1000000};
    nanosleep(&pause, NULL);
    int fd = told == NULL ? -1 : open(told, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0 && write(fd, ".", 1) < 0) {
        abort();
    }
    if (fd >= 0) {
        close(fd);
    }
}

int fdatasync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    stall();
    return real(fd);
}

// What pwritev2 is called by where files may be large.
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t offset, int flags) {
    ssize_t (*real)(int, const struct iovec *, int, off64_t, int) =
        (ssize_t(*)(int, const struct iovec *, int, off64_t, int))dlsym(RTLD_NEXT, "pwritev64v2");
    if (flags & RWF_DSYNC) {
        stall();
    }
    return real(fd, parts, count, offset, flags);
}
