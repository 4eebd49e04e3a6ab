// A model of sessions (thesis section 6.3), which shares no code with src/state/session.c: which writes are new, and whose
// session is gone, since others wrote more lately.
#ifndef BATON_TESTS_WORLD_SESSIONS_H
#define BATON_TESTS_WORLD_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "small_sessions.h"

struct session_model {
    uint64_t client;
    uint64_t held_from;                     // results below are not held
    uint64_t results[SESSION_RESULTS_MAX];  // sequences, in order
    size_t count;
};

struct sessions_model {
    struct session_model sessions[SESSIONS_MAX];  // by their last use
    size_t count;
    bool by_bytes;  // the cluster's level is such that SESSIONS_BYTES_MAX holds
    uint64_t evicted;
};

enum session_use { SESSION_NEW, SESSION_REPEATED, SESSION_EXPIRED };

// A command of this client is applied.
enum session_use sessions_use(struct sessions_model *model, uint64_t client, uint64_t sequence, uint64_t acknowledged_below);

// From now on SESSIONS_BYTES_MAX holds.
void sessions_bound_bytes(struct sessions_model *model);

#endif
