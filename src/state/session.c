// Client sessions: state/session.h.
#include "state/session.h"

#include <assert.h>
#include <stdlib.h>

#include "base/fingerprint.h"
#include "base/mem.h"
#include "wire/message.h"

struct session_result {
    uint64_t sequence;
    uint64_t fingerprint;  // of the operation and its payload
    struct state_result result;
};

struct session {
    struct trie_leaf leaf;
    struct session *older;
    struct session *newer;
    uint64_t held_from;  // results below are dropped: acknowledged, or too many
    // results[first .. first + count - 1], by sequence; at most SESSION_RESULTS_MAX.
    struct session_result *results;
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
    *session = (struct session){.held_from = 1};
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

// The position of the first result with this sequence or a later one; results_end if there is none.
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
    if (sequence <= session->held_from) {
        return;
    }
    session->held_from = sequence;
    size_t first = find_result(session, sequence);
    session->count -= first - session->first;
    session->first = first;
}

// Makes room for one more at the end; compacts once half of the array was dropped in front.
static void reserve_result(struct session *session) {
    if (results_end(session) < session->cap) {
        return;
    }
    if (session->first > 0 && session->first >= session->cap / 2) {
        memmove(session->results, session->results + session->first, session->count * sizeof *session->results);
        session->first = 0;
        return;
    }
    // Most clients have one write at a time: array_reserve's first capacity would waste memory.
    session->cap = session->cap == 0 ? 1 : session->cap * 2;
    session->results = mem_realloc(session->results, session->cap * sizeof *session->results);
}

// Covers the operation and all its fields, but not the session or the time.
static uint64_t command_fingerprint(const struct pb_command *command) {
    struct pb_command operation = *command;
    operation.time_unix_ms = 0;
    operation.client_id = slice_of(NULL, 0);
    operation.sequence = 0;
    operation.acknowledged_below = 0;
    return pb_fingerprint(&pb_command_type, &operation, 0);
}

bool session_admit(struct sessions *sessions, const struct pb_command *command, struct session **used,
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
    if (command->sequence < session->held_from) {
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

void session_record(struct session *session, const struct pb_command *command, const struct state_result *result) {
    assert(command->sequence >= session->held_from);
    if (session->count == SESSION_RESULTS_MAX) {
        uint64_t oldest = session->results[session->first].sequence;
        if (command->sequence < oldest) {
            session->held_from = command->sequence + 1;
            return;
        }
        drop_results_below(session, oldest + 1);
    }
    reserve_result(session);
    size_t at = find_result(session, command->sequence);
    struct session_result *recorded = &session->results[at];
    assert(at == results_end(session) || recorded->sequence > command->sequence);
    memmove(recorded + 1, recorded, (results_end(session) - at) * sizeof *recorded);
    session->count++;
    *recorded = (struct session_result){
        .sequence = command->sequence,
        .fingerprint = command_fingerprint(command),
        .result = *result,
    };
}

uint64_t sessions_digest(const struct sessions *sessions, uint64_t digest) {
    for (const struct session *session = sessions->oldest; session != NULL; session = session->newer) {
        digest = fingerprint_bytes(digest, session->leaf.key);
        digest = fingerprint_u64(digest, session->held_from);
        for (size_t i = session->first; i < results_end(session); i++) {
            const struct session_result *recorded = &session->results[i];
            digest = fingerprint_u64(fingerprint_u64(digest, recorded->sequence), recorded->fingerprint);
            digest = fingerprint_u64(fingerprint_u64(digest, recorded->result.revision), recorded->result.epoch);
            digest = fingerprint_u64(digest, (uint64_t)recorded->result.outcome << 1 | recorded->result.existed);
        }
    }
    return digest;
}
