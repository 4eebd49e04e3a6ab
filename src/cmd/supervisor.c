// See supervisor.h.
#include "cmd/supervisor.h"

#include <stdint.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#include "base/limits.h"
#include "base/slog.h"

static void tell(const char *state) {
    int told = sd_notify(0, state);
    if (told < 0) {
        slog(SLOG_WARN, "supervisor-not-told", "cannot tell the service manager", F_STR("reason", strerror(-told)),
             F_STR("state", state));
    }
}

// Runs in the loop and nowhere else, so that a loop that hangs is missed.
static void on_timer(uv_timer_t *timer) {
    struct supervisor *supervisor = timer->data;
    if (!supervisor->ready) {
        supervisor->ready = true;
        tell("READY=1");
    }
    if (uv_timer_get_repeat(timer) > 0) {
        tell("WATCHDOG=1");
    }
}

void supervisor_start(struct supervisor *supervisor, uv_loop_t *loop) {
    *supervisor = (struct supervisor){.ready = false};
    uv_timer_init(loop, &supervisor->timer);
    supervisor->timer.data = supervisor;
    uint64_t limit_us = 0;
    uint64_t every_ms = 0;  // once
    if (sd_watchdog_enabled(0, &limit_us) > 0) {
        every_ms = limit_us / 2 / US_PER_MS;  // half of the limit, as sd_watchdog_enabled(3) wants it
        every_ms = every_ms > 0 ? every_ms : 1;
    }
    uv_timer_start(&supervisor->timer, on_timer, 0, every_ms);
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
