// Clients' sessions.
#include "state/session.h"

#include <stdlib.h>

#include "base/mem.h"
#include "state/fingerprint.h"

struct kept_result {
    uint64_t sequence;
    uint64_t fingerprint;  // of the operation and its payload
    struct state_result result;
};

struct session {
    struct trie_leaf leaf;
    struct session *older;
    struct session *newer;
    uint64_t kept_from;  // results below are not kept: acknowledged, or too many
    // results[first .. first + count - 1], by sequence; at most SESSION_RESULTS_MAX.
    struct kept_result *results;
    size_t first;
    size_t count;
    size_t cap;
    uint8_t client_id[];
};

static_assert(offsetof(struct session, leaf) == 0, "a leaf is its session");

// --- the list by last use ---

static void unlink_session(struct sessions *sessions, struct session *session) {
    *(session->older == NULL ? &sessions->oldest : &session->older->newer) = session->newer;
    *(session->newer == NULL ? &sessions->newest : &session->newer->older) = session->older;
}

static void link_newest(struct sessions *sessions, struct session *session) {
    session->older = sessions->newest;
    session->newer = NULL;
    *(sessions->newest == NULL ? &sessions->oldest : &sessions->newest->newer) = session;
    sessions->newest = session;
}

static void release_session(struct trie_leaf *leaf) {
    struct session *session = (struct session *)leaf;
    free(session->results);
    free(session);
}

void sessions_free(struct sessions *sessions) {
    trie_clear(&sessions->by_client, release_session);
}

static struct session *open_session(struct sessions *sessions, struct slice client_id) {
    if (sessions->by_client.count == SESSIONS_MAX) {
        struct session *evicted = sessions->oldest;
        unlink_session(sessions, evicted);
        release_session(trie_remove(&sessions->by_client, evicted->leaf.key));
    }
    struct session *session = mem_alloc(sizeof *session + client_id.len);
    *session = (struct session){.kept_from = 1};
    memcpy(session->client_id, client_id.data, client_id.len);
    session->leaf.key = slice_of(session->client_id, client_id.len);
    trie_insert(&sessions->by_client, &session->leaf);
    link_newest(sessions, session);
    return session;
}

// --- results ---

static size_t results_end(const struct session *session) {
    return session->first + session->count;
}

// The place of the first result kept with this sequence or a later one; results_end if there is none.
static size_t find_result(const struct session *session, uint64_t sequence) {
    size_t low = session->first;
    size_t high = results_end(session);
    if (low < high && session->results[high - 1].sequence < sequence) {
        return high;  // the usual case: a new one
    }
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (session->results[middle].sequence < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void drop_results_below(struct session *session, uint64_t sequence) {
    if (sequence <= session->kept_from) {
        return;
    }
    session->kept_from = sequence;
    size_t first = find_result(session, sequence);
    session->count -= first - session->first;
    session->first = first;
}

// Room for one more behind the last: what was dropped in front is used again once it is half of all.
static void reserve_result(struct session *session) {
    if (results_end(session) < session->cap) {
        return;
    }
    if (session->first > 0 && session->first >= session->cap / 2) {
        memmove(session->results, session->results + session->first, session->count * sizeof *session->results);
        session->first = 0;
        return;
    }
    session->cap = session->cap == 0 ? 1 : session->cap * 2;
    session->results = mem_realloc(session->results, session->cap * sizeof *session->results);
}

// Only writes of the key-value store carry a client id.
static uint64_t command_fingerprint(const struct state_command *command) {
    uint64_t f = fingerprint_u64(0, command->operation);
    if (command->operation == STATE_PUT) {
        f = fingerprint_bytes(fingerprint_bytes(f, command->put.key), command->put.value);
        f = fingerprint_u64(fingerprint_u64(f, command->put.has_expected), command->put.expected_revision);
    } else if (command->operation == STATE_DELETE) {
        f = fingerprint_bytes(f, command->delete.key);
        f = fingerprint_u64(fingerprint_u64(f, command->delete.has_expected), command->delete.expected_revision);
    }
    return f;
}

bool session_admit(struct sessions *sessions, const struct state_command *command, struct session **used,
                   struct state_result *result) {
    struct session *session = (struct session *)trie_find(&sessions->by_client, command->client_id);
    if (session == NULL) {
        if (command->sequence > 1) {
            result->outcome = STATE_SESSION_EXPIRED;
            return false;
        }
        session = open_session(sessions, command->client_id);
    } else if (session != sessions->newest) {
        unlink_session(sessions, session);
        link_newest(sessions, session);
    }
    drop_results_below(session, command->acknowledged_below);
    *used = session;
    if (command->sequence < session->kept_from) {
        result->outcome = STATE_SESSION_EXPIRED;
        return false;
    }
    size_t at = find_result(session, command->sequence);
    if (at == results_end(session) || session->results[at].sequence != command->sequence) {
        return true;
    }
    if (session->results[at].fingerprint != command_fingerprint(command)) {
        result->outcome = STATE_SEQUENCE_REUSED;
        return false;
    }
    *result = session->results[at].result;
    result->repeated = true;
    return false;
}

void session_keep(struct session *session, const struct state_command *command, const struct state_result *result) {
    if (session->count == SESSION_RESULTS_MAX) {
        uint64_t oldest = session->results[session->first].sequence;
        if (command->sequence < oldest) {
            session->kept_from = command->sequence + 1;
            return;
        }
        drop_results_below(session, oldest + 1);
    }
    reserve_result(session);
    size_t at = find_result(session, command->sequence);
    struct kept_result *kept = &session->results[at];
    memmove(kept + 1, kept, (results_end(session) - at) * sizeof *kept);
    session->count++;
    *kept = (struct kept_result){
        .sequence = command->sequence,
        .fingerprint = command_fingerprint(command),
        .result = *result,
    };
}

uint64_t sessions_digest(const struct sessions *sessions, uint64_t digest) {
    for (const struct session *session = sessions->oldest; session != NULL; session = session->newer) {
        digest = fingerprint_bytes(digest, session->leaf.key);
        digest = fingerprint_u64(digest, session->kept_from);
        for (size_t i = session->first; i < results_end(session); i++) {
            const struct kept_result *kept = &session->results[i];
            digest = fingerprint_u64(fingerprint_u64(digest, kept->sequence), kept->fingerprint);
            digest = fingerprint_u64(fingerprint_u64(digest, kept->result.revision), kept->result.epoch);
            digest = fingerprint_u64(digest, (uint64_t)kept->result.outcome << 1 | kept->result.existed);
        }
    }
    return digest;
}
