// Client sessions, which make a write safe to retry (thesis section 6.3): the results of each client's writes are retained
// from `acknowledged_below` on, so that a duplicate is answered with the first result instead of being applied.
//
// Sessions are a function of the log alone: applying an entry of a client uses its session, and beyond SESSIONS_MAX the
// least recently used one is dropped.
#ifndef BATON_STATE_SESSION_H
#define BATON_STATE_SESSION_H

#include "state/state.h"
#include "state/trie.h"

struct session;

struct sessions {
    struct trie by_client;
    struct session *oldest;  // by last use
    struct session *newest;
};

void sessions_free(struct sessions *sessions);

// Looks up a command with a client id. True: it is new; apply it and record the result in *session by session_record. False:
// it must not be applied, and *result answers it.
bool session_admit(struct sessions *sessions, const struct pb_command *command, struct session **session,
                   struct state_result *result);

void session_record(struct session *session, const struct pb_command *command, const struct state_result *result);

uint64_t sessions_digest(const struct sessions *sessions, uint64_t digest);

#endif
