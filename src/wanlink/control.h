// The control protocol of a running wanlink: one line in, one answer out, over a Unix socket with message boundaries
// (SOCK_SEQPACKET).
//
//   show
//   set [delay 25ms] [jitter 5ms] [loss 1%] [direction gcp-to-aws]
//   cut [direction gcp-to-aws]
//   heal [direction gcp-to-aws]
//
// Without a direction, both. The answer is "ok\n" and, for show, a line per direction:
//
//   gcp-to-aws state=open delay=25ms jitter=0ms loss=0% waiting=3 passed=1042 lost=0
//
// or "error: " and what is wrong with the request; nothing has changed then.
#ifndef BATON_WANLINK_CONTROL_H
#define BATON_WANLINK_CONTROL_H

#include <net/if.h>

#include "base/buf.h"
#include "base/error.h"
#include "wanlink/netem.h"

enum {
    CONTROL_CLIENTS_MAX = 16,   // open connections; more wait in the backlog
    CONTROL_REQUEST_MAX = 512,  // bytes
    CONTROL_ANSWER_MAX = 4096,  // bytes
    CONTROL_BACKLOG = 16,
};

struct direction {
    char name[2 * IFNAMSIZ + 4];  // "gcp-to-aws"
    struct netem netem;
};

// Executes the request on the two directions and appends the answer. `request` is modified.
void control_answer(struct direction directions[2], char *request, struct buf *answer);

// Returns a listening socket at `path`, replacing one left there; -1 and *error if that fails.
int control_listen(const char *path, struct error *error);

// The client: sends the request to the wanlink at `path` and fills *answer, without the "ok\n". ERR_UNAVAILABLE: none runs
// there. ERR_INVALID: its error message.
enum error_code control_call(const char *path, const char *request, struct buf *answer, struct error *error);

#endif
