// See supervisor.h. The protocol of sd_notify(3) is a datagram; libsystemd's own function waits, and so the loop would,
// while the receiver's queue is full.
#include "cmd/supervisor.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/env.h"
#include "base/limits.h"
#include "base/slog.h"

enum { RETRY_MS = 100 };

// 0, or an errno.
static int send_state(const char *path, const char *state) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || length >= sizeof address.sun_path) {
        return EAFNOSUPPORT;
    }
    memcpy(address.sun_path, path, length);
    if (path[0] == '@') {  // an abstract address begins with a NUL
        address.sun_path[0] = '\0';
    }
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return errno;
    }
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address, size);
    int failure = sent < 0 ? errno : 0;
    close(fd);
    return failure;
}

// False: the manager does not read at the moment.
static bool tell(const char *state) {
    const char *path = env_get("NOTIFY_SOCKET");
    int failure = path == NULL ? 0 : send_state(path, state);
    if (failure != 0) {
        slog(SLOG_WARN, "supervisor-not-told", "cannot tell the service manager", F_STR("reason", strerror(failure)),
             F_STR("state", state));
    }
    return failure != EAGAIN;
}

// Half of the limit, as sd_watchdog_enabled(3) wants it; 0: nobody watches this process.
static uint64_t watchdog_ms(void) {
    const char *limit = env_get("WATCHDOG_USEC");
    const char *pid = env_get("WATCHDOG_PID");
    if (limit == NULL || (pid != NULL && strtoll(pid, NULL, 10) != getpid())) {
        return 0;
    }
    uint64_t limit_us = strtoull(limit, NULL, 10);
    uint64_t every_ms = limit_us / 2 / US_PER_MS;
    return limit_us > 0 && every_ms == 0 ? 1 : every_ms;
}

// Runs in the loop and nowhere else, so that a loop that hangs is missed.
static void on_timer(uv_timer_t *timer) {
    struct supervisor *supervisor = timer->data;
    supervisor->ready = supervisor->ready || tell("READY=1");
    if (supervisor->every_ms > 0) {
        tell("WATCHDOG=1");
    }
    uint64_t next_ms = supervisor->ready ? supervisor->every_ms : RETRY_MS;
    if (next_ms > 0) {
        uv_timer_start(timer, on_timer, next_ms, 0);
    }
}

void supervisor_start(struct supervisor *supervisor, uv_loop_t *loop) {
    *supervisor = (struct supervisor){.every_ms = watchdog_ms()};
    uv_timer_init(loop, &supervisor->timer);
    supervisor->timer.data = supervisor;
    uv_timer_start(&supervisor->timer, on_timer, 0, 0);
}

void supervisor_stopping(struct supervisor *supervisor) {
    if (!supervisor->stopping) {
        supervisor->stopping = true;
        tell("STOPPING=1");
    }
}

void supervisor_close(struct supervisor *supervisor) {
    supervisor_stopping(supervisor);
    uv_close((uv_handle_t *)&supervisor->timer, NULL);
}
