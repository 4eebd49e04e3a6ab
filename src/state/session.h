// Clients' sessions: what makes a write safe to send again (thesis section 6.3). For each client the results of its writes
// are kept from `acknowledged_below` on, so that a repetition is answered with the first result instead of being applied.
//
// Everything here follows from the log alone: a session is used when an entry that names it is applied, and when one more
// than SESSIONS_MAX is needed the one least recently used goes.
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

// Looks a command with a client id up. True: it is new, apply it and hand the result to session_keep, for *session. False:
// it is answered, in *result, without being applied.
bool session_admit(struct sessions *sessions, const struct state_command *command, struct session **session,
                   struct state_result *result);

void session_keep(struct session *session, const struct state_command *command, const struct state_result *result);

uint64_t sessions_digest(const struct sessions *sessions, uint64_t digest);

#endif
