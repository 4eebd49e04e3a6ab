// Client sessions: state/session.h.
#include "state/session.h"

#include <assert.h>
#include <stdlib.h>

#include "base/fingerprint.h"
#include "base/mem.h"
#include "state/digest.h"
#include "wire/message.h"

struct session_result {
    uint64_t sequence;
    uint64_t fingerprint;  // of the operation and its payload
    struct state_result result;
};

struct session {
    struct trie_leaf leaf;
    // In the list by last use. Of the present sessions only and never read by another thread, so they change in a leaf that
    // a version shares, too.
    struct session *older;
    struct session *newer;
    uint64_t client_fingerprint;
    uint64_t last_used;  // the index of the entry
    uint64_t held_from;  // results below are dropped: acknowledged, or too many
    // results[first .. first + count - 1], by sequence; at most SESSION_RESULTS_MAX.
    struct session_result *results;
    uint32_t first;
    uint32_t count;
    uint32_t cap;
    uint8_t client_id[];
};

static_assert(offsetof(struct session, leaf) == 0, "a leaf is its session");

// The measure of SESSIONS_BYTES_MAX: about what they take, and the same for ever, since it decides who is evicted.
enum { SESSION_BYTES = 160, RESULT_BYTES = 64 };

static_assert(SESSION_BYTES + ID_MAX + SESSION_RESULTS_MAX * RESULT_BYTES < SESSIONS_BYTES_MAX, "one session has room");

static uint64_t session_bytes(const struct session *session) {
    return SESSION_BYTES + session->leaf.key_len + (uint64_t)session->count * RESULT_BYTES;
}

// --- the digest ---

// Of a session without its results.
static uint64_t session_fingerprint(const struct session *session) {
    return fingerprint_u64(fingerprint_u64(session->client_fingerprint, session->held_from), session->last_used);
}

static uint64_t result_fingerprint(const struct session *session, const struct session_result *recorded) {
    const struct state_result *result = &recorded->result;
    uint64_t fingerprint = fingerprint_u64(session->client_fingerprint ^ DIGEST_RESULT, recorded->sequence);
    fingerprint = fingerprint_u64(fingerprint, recorded->fingerprint);
    fingerprint = fingerprint_u64(fingerprint_u64(fingerprint, result->revision), result->epoch);
    return fingerprint_u64(fingerprint, (uint64_t)result->outcome << 1 | result->existed);
}

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

// --- sessions ---

static void destroy_session(struct trie_leaf *leaf) {
    struct session *session = (struct session *)leaf;
    free(session->results);
    free(session);
}

void sessions_init(struct sessions *sessions) {
    *sessions = (struct sessions){.by_client = {.destroy = destroy_session}};
}

static void evict_oldest(struct sessions *sessions) {
    struct session *evicted = sessions->oldest;
    sessions->digest -= session_fingerprint(evicted);
    for (size_t i = 0; i < evicted->count; i++) {
        sessions->digest -= result_fingerprint(evicted, &evicted->results[evicted->first + i]);
    }
    sessions->bytes -= session_bytes(evicted);
    unlink_session(sessions, evicted);
    trie_remove(&sessions->by_client, trie_key(&evicted->leaf));
}

void sessions_limit_bytes(struct sessions *sessions) {
    while (sessions->bytes > SESSIONS_BYTES_MAX) {
        evict_oldest(sessions);
    }
}

static struct session *new_session(struct slice client_id) {
    struct session *session = mem_alloc(sizeof *session + client_id.len);
    *session = (struct session){
        .leaf = {.key_offset = offsetof(struct session, client_id), .key_len = (uint16_t)client_id.len},
        .client_fingerprint = fingerprint_bytes(DIGEST_SESSION, client_id),
        .held_from = 1,
    };
    memcpy(session->client_id, client_id.data, client_id.len);
    return session;
}

static struct session *open_session(struct sessions *sessions, struct slice client_id) {
    if (sessions->by_client.tree.count == SESSIONS_MAX) {
        evict_oldest(sessions);
    }
    struct session *session = new_session(client_id);
    sessions->bytes += session_bytes(session);
    sessions->digest += session_fingerprint(session);
    trie_insert(&sessions->by_client, &session->leaf);
    link_newest(sessions, session);
    return session;
}

// The session in its place, for changing it: a copy, if a version has it.
static struct session *own_session(struct sessions *sessions, struct trie_leaf **place) {
    struct session *session = (struct session *)*place;
    if (!trie_is_shared(*place)) {
        return session;
    }
    struct session *copy = new_session(trie_key(*place));
    copy->last_used = session->last_used;
    copy->held_from = session->held_from;
    copy->count = copy->cap = session->count;
    copy->results = mem_alloc(copy->cap * sizeof *copy->results);
    if (copy->count > 0) {
        memcpy(copy->results, session->results + session->first, copy->count * sizeof *copy->results);
    }
    unlink_session(sessions, session);
    link_newest(sessions, copy);
    trie_replace(&sessions->by_client, place, &copy->leaf);
    return copy;
}

// --- results ---

static uint32_t results_end(const struct session *session) {
    return session->first + session->count;
}

// The position of the first result with this sequence or a later one; results_end if there is none.
static uint32_t find_result(const struct session *session, uint64_t sequence) {
    uint32_t low = session->first;
    uint32_t high = results_end(session);
    if (low < high && session->results[high - 1].sequence < sequence) {
        return high;  // the usual case: a new one
    }
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (session->results[middle].sequence < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void drop_results_below(struct sessions *sessions, struct session *session, uint64_t sequence) {
    if (sequence <= session->held_from) {
        return;
    }
    sessions->digest -= session_fingerprint(session);
    session->held_from = sequence;
    sessions->digest += session_fingerprint(session);
    uint32_t first = find_result(session, sequence);
    for (; session->first < first; session->first++, session->count--) {
        sessions->digest -= result_fingerprint(session, &session->results[session->first]);
        sessions->bytes -= RESULT_BYTES;
    }
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

// The session that the entry `index` uses; NULL: the client has none, and must not open one.
static struct session *use_session(struct sessions *sessions, raft_index index, const struct pb_command *command) {
    struct trie_leaf **place = trie_place(&sessions->by_client, command->client_id);
    struct session *session;
    if (place == NULL) {
        if (command->sequence > 1) {
            return NULL;
        }
        session = open_session(sessions, command->client_id);
    } else {
        session = own_session(sessions, place);
        unlink_session(sessions, session);
        link_newest(sessions, session);
    }
    sessions->digest -= session_fingerprint(session);
    session->last_used = index;
    sessions->digest += session_fingerprint(session);
    drop_results_below(sessions, session, command->acknowledged_below);
    return session;
}

bool session_admit(struct sessions *sessions, raft_index index, const struct pb_command *command, struct session **used,
                   struct state_result *result) {
    struct session *session = use_session(sessions, index, command);
    if (session == NULL || command->sequence < session->held_from) {
        result->outcome = STATE_SESSION_EXPIRED;
        return false;
    }
    *used = session;
    uint32_t at = find_result(session, command->sequence);
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

void session_record(struct sessions *sessions, struct session *session, const struct pb_command *command,
                    const struct state_result *result) {
    assert(command->sequence >= session->held_from);
    if (session->count == SESSION_RESULTS_MAX) {
        uint64_t oldest = session->results[session->first].sequence;
        if (command->sequence < oldest) {
            drop_results_below(sessions, session, command->sequence + 1);
            return;
        }
        drop_results_below(sessions, session, oldest + 1);
    }
    reserve_result(session);
    uint32_t at = find_result(session, command->sequence);
    struct session_result *recorded = &session->results[at];
    assert(at == results_end(session) || recorded->sequence > command->sequence);
    memmove(recorded + 1, recorded, (results_end(session) - at) * sizeof *recorded);
    session->count++;
    *recorded = (struct session_result){
        .sequence = command->sequence,
        .fingerprint = command_fingerprint(command),
        .result = *result,
    };
    sessions->digest += result_fingerprint(session, recorded);
    sessions->bytes += RESULT_BYTES;
}

// --- images ---

void session_save(const struct trie_leaf *leaf, struct pb_image_session *record,
                  struct pb_image_result results[SESSION_RESULTS_MAX]) {
    const struct session *session = (const struct session *)leaf;
    for (uint32_t i = 0; i < session->count; i++) {
        const struct session_result *recorded = &session->results[session->first + i];
        results[i] = (struct pb_image_result){
            .sequence = recorded->sequence,
            .fingerprint = recorded->fingerprint,
            .outcome = recorded->result.outcome,
            .revision = recorded->result.revision,
            .existed = recorded->result.existed,
            .epoch = recorded->result.epoch,
        };
    }
    *record = (struct pb_image_session){
        .client_id = trie_key(leaf),
        .last_used = session->last_used,
        .held_from = session->held_from,
        .results = results,
        .results_count = session->count,
    };
}

// NULL: it can be.
static const char *problem_of(const struct pb_image_session *record) {
    if (record->client_id.len == 0 || record->client_id.len > ID_MAX) {
        return "a client id that is empty or too long";
    }
    if (record->results_count > SESSION_RESULTS_MAX) {
        return "a session with too many results";
    }
    for (size_t i = 0; i < record->results_count; i++) {
        uint64_t sequence = record->results[i].sequence;
        if (i == 0 ? sequence < record->held_from : sequence <= record->results[i - 1].sequence) {
            return "a session's results out of order";
        }
        if (record->results[i].outcome > STATE_OUTCOME_LAST) {
            return "a result that this version does not know";
        }
    }
    return NULL;
}

uint64_t session_part_of_digest(const struct trie_leaf *leaf) {
    const struct session *session = (const struct session *)leaf;
    uint64_t sum = session_fingerprint(session);
    for (uint32_t i = 0; i < session->count; i++) {
        sum += result_fingerprint(session, &session->results[session->first + i]);
    }
    // Those took the client's fingerprint as it was kept.
    return sum + fingerprint_bytes(DIGEST_SESSION, trie_key(leaf)) - session->client_fingerprint;
}

bool session_load(struct sessions *sessions, const struct pb_image_session *record, const char **problem) {
    *problem = problem_of(record);
    if (*problem != NULL) {
        return false;
    }
    struct session *session = new_session(record->client_id);
    session->last_used = record->last_used;
    session->held_from = record->held_from;
    sessions->digest += session_fingerprint(session);
    session->count = session->cap = (uint32_t)record->results_count;
    session->results = mem_alloc(session->cap * sizeof *session->results);
    for (uint32_t i = 0; i < session->count; i++) {
        const struct pb_image_result *result = &record->results[i];
        session->results[i] = (struct session_result){
            .sequence = result->sequence,
            .fingerprint = result->fingerprint,
            .result = {.outcome = result->outcome,
                       .revision = result->revision,
                       .existed = result->existed,
                       .epoch = result->epoch},
        };
        sessions->digest += result_fingerprint(session, &session->results[i]);
    }
    sessions->bytes += session_bytes(session);
    trie_insert(&sessions->by_client, &session->leaf);
    return true;
}

static bool add_to(void *user, struct trie_leaf *leaf) {
    struct session ***at = user;
    *(*at)++ = (struct session *)leaf;
    return true;
}

static int by_last_use(const void *a, const void *b) {
    uint64_t used_a = (*(struct session *const *)a)->last_used;
    uint64_t used_b = (*(struct session *const *)b)->last_used;
    return (used_a > used_b) - (used_a < used_b);
}

bool sessions_loaded(struct sessions *sessions) {
    size_t count = sessions->by_client.tree.count;
    struct session **order = mem_alloc(count * sizeof *order);
    struct session **at = order;
    trie_visit(&sessions->by_client.tree, slice_of(NULL, 0), slice_of(NULL, 0), add_to, &at);
    qsort(order, count, sizeof *order, by_last_use);
    bool distinct = true;
    for (size_t i = 0; i < count; i++) {
        distinct = distinct && (i == 0 || order[i - 1]->last_used < order[i]->last_used);
        link_newest(sessions, order[i]);
    }
    free(order);
    return distinct;
}
