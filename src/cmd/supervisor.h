// What batond tells whoever started it, if that is systemd (sd_notify(3)): that it serves, that it stops, and that its loop
// turns. Without NOTIFY_SOCKET nothing is told.
#ifndef BATON_CMD_SUPERVISOR_H
#define BATON_CMD_SUPERVISOR_H

#include <stdbool.h>

#include <uv.h>

struct supervisor {
    uv_timer_t timer;
    uint64_t every_ms;  // WATCHDOG=1 is told so often; 0: never
    bool ready;         // READY=1 is told
    bool stopping;      // STOPPING=1 is told
};

// The ports listen: READY=1 is told in the loop's next turn, since a node whose loop does not turn serves nobody. From then
// on WATCHDOG=1 as often as WATCHDOG_USEC asks for it.
void supervisor_start(struct supervisor *supervisor, uv_loop_t *loop);

// The shutdown begins. May be called again.
void supervisor_stopping(struct supervisor *supervisor);

// Once the loop has ended. Its handle needs one more run.
void supervisor_close(struct supervisor *supervisor);

#endif
