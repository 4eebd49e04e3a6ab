// Long work of the processor: in a thread of its own for each piece, at a lower priority than the loop and the log's thread.
// On a machine whose processors are all busy a snapshot then takes longer, instead of the clients' writes. libuv's threads
// cannot do it: what they do for a chunk that a follower waits for must not wait for an image, and a thread that has lowered
// its priority may not raise it again.
#ifndef BATON_NODE_BACKGROUND_H
#define BATON_NODE_BACKGROUND_H

#include <stdbool.h>

#include <uv.h>

#include "base/error.h"

// Calls work(user) in a new thread and then, once that has ended, done(user) in the loop, which lives until then. `done` may
// free `user`. ERR_NO_MEMORY: the system gives no thread, and neither is called.
enum error_code background_run(uv_loop_t *loop, void (*work)(void *user), void (*done)(void *user), void *user,
                               struct error *error);

#endif
