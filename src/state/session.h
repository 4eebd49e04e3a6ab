// Client sessions, which make a write safe to retry (thesis section 6.3): the results of each client's writes are retained
// from `acknowledged_below` on, so that a duplicate is answered with the first result instead of being applied.
//
// Sessions are a function of the log alone: applying an entry of a client uses its session, and beyond SESSIONS_MAX, or from
// level 2 on SESSIONS_BYTES_MAX, the least recently used one is dropped.
#ifndef BATON_STATE_SESSION_H
#define BATON_STATE_SESSION_H

#include "base/limits.h"
#include "baton/v1/image.pb.h"
#include "state/trie.h"
#include "state/types.h"

struct session;

struct sessions {
    struct trie by_client;   // struct session, in session.c
    struct session *oldest;  // by last use
    struct session *newest;
    uint64_t bytes;   // of all sessions, by a measure that is the same on every node
    uint64_t digest;  // the sum of the fingerprints of all sessions and results
};

void sessions_init(struct sessions *sessions);

// Looks up a command with a client id, of the entry `index`. True: it is new; apply it and record the result in *session by
// session_record. False: it must not be applied, and *result answers it.
bool session_admit(struct sessions *sessions, raft_index index, const struct pb_command *command, struct session **session,
                   struct state_result *result);

void session_record(struct sessions *sessions, struct session *session, const struct pb_command *command,
                    const struct state_result *result);

// Drops the least recently used sessions until all together have at most SESSIONS_BYTES_MAX.
void sessions_limit_bytes(struct sessions *sessions);

// --- images ---

// The part of the digest of a session and its results, made anew of all that it holds now. On any thread.
uint64_t session_part_of_digest(const struct trie_leaf *leaf);

// The record of a session in an image, which borrows from the leaf, with its results in `results`. On any thread.
void session_save(const struct trie_leaf *leaf, struct pb_image_session *record,
                  struct pb_image_result results[SESSION_RESULTS_MAX]);

// Adds the session of a record, whose client must be above all others. False: what it says is impossible; `*problem` says
// why.
bool session_load(struct sessions *sessions, const struct pb_image_session *record, const char **problem);

// Orders the loaded sessions by their last use. False: two were used last by the same entry.
bool sessions_loaded(struct sessions *sessions);

#endif
