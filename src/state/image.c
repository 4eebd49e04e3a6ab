// Versions of the state and their records: state/image.h.
#include "state/image.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/mem.h"
#include "state/digest.h"
#include "state/machine.h"

struct state_version {
    raft_index last_applied;
    int64_t time_unix_ms;
    uint32_t level;
    uint64_t departures;
    uint64_t command_bytes;
    uint64_t digest;
    struct effects effects;
    struct trie_tree sessions;
    struct trie_tree workers;
    struct trie_tree items;
    struct trie_tree grants;
};

struct state_version *state_version_new(struct state *state) {
    struct state_version *version = mem_alloc(sizeof *version);
    *version = (struct state_version){
        .last_applied = state->last_applied,
        .time_unix_ms = state->time_unix_ms,
        .level = state->level,
        .departures = state->registry.departures,
        .command_bytes = state->command_bytes,
        .digest = state_digest(state),
        .effects = state->effects,
        .sessions = trie_share(&state->sessions.by_client),
        .workers = trie_share(&state->registry.by_id),
        .items = trie_share(&state->store.items),
        .grants = trie_share(&state->grants.by_subject),
    };
    return version;
}

void state_version_release(struct state *state, struct state_version *version) {
    trie_drop(&state->sessions.by_client, version->sessions);
    trie_drop(&state->registry.by_id, version->workers);
    trie_drop(&state->store.items, version->items);
    trie_drop(&state->grants.by_subject, version->grants);
    free(version);
}

raft_index state_version_index(const struct state_version *version) {
    return version->last_applied;
}

uint64_t state_version_digest(const struct state_version *version) {
    return version->digest;
}

void state_version_list(const struct state_version *version, struct slice prefix, struct slice start_after,
                        bool (*visit)(void *user, const struct state_item *item), void *user) {
    store_list(&version->items, prefix, start_after, visit, user);
}

void state_version_workers(const struct state_version *version, struct slice start_after,
                           bool (*visit)(void *user, const struct state_worker *worker), void *user) {
    registry_visit(&version->workers, start_after, visit, user);
}

// --- records ---

// Leaves gathered by one descent of a tree.
enum { LEAVES_MAX = 256 };

enum stage { STAGE_META, STAGE_SESSIONS, STAGE_WORKERS, STAGE_ITEMS, STAGE_GRANTS, STAGE_END };

struct state_records {
    const struct state_version *version;
    enum stage stage;
    struct trie_leaf *leaves[LEAVES_MAX];  // the next ones of this stage's tree
    size_t count;
    size_t next;
    uint64_t sum;       // of the parts of the digest of all records so far
    struct slice last;  // the key of the last one gathered; empty: none yet
    uint8_t without_effect[EFFECTS_BYTES];
    struct pb_image_result results[SESSION_RESULTS_MAX];
};

struct state_records *state_records_new(const struct state_version *version) {
    struct state_records *records = mem_zalloc(sizeof *records);
    records->version = version;
    return records;
}

void state_records_free(struct state_records *records) {
    free(records);
}

static bool gather(void *user, struct trie_leaf *leaf) {
    struct state_records *records = user;
    __builtin_prefetch(leaf);  // leaves are all over the memory
    records->leaves[records->count++] = leaf;
    return records->count < LEAVES_MAX;
}

// The tree's next leaf, in key order; NULL: that was the last one.
static struct trie_leaf *next_leaf(struct state_records *records, const struct trie_tree *tree) {
    if (records->next == records->count) {
        records->next = records->count = 0;
        trie_visit(tree, slice_of(NULL, 0), records->last, gather, records);
        if (records->count == 0) {
            records->last = slice_of(NULL, 0);
            return NULL;
        }
        records->last = trie_key(records->leaves[records->count - 1]);
    }
    return records->leaves[records->next++];
}

static void save_meta(struct state_records *records, struct pb_image_meta *meta) {
    const struct state_version *version = records->version;
    size_t bytes = effects_save(&version->effects, version->last_applied, records->without_effect);
    *meta = (struct pb_image_meta){
        .last_applied = version->last_applied,
        .time_unix_ms = version->time_unix_ms,
        .level = version->level,
        .departures = version->departures,
        .command_bytes = version->command_bytes,
        .sessions = version->sessions.count,
        .workers = version->workers.count,
        .items = version->items.count,
        .grants = version->grants.count,
        .without_effect = slice_of(records->without_effect, bytes),
    };
}

// False: the stage has no more.
static bool next_of_stage(struct state_records *records, struct pb_image_record *record) {
    const struct state_version *version = records->version;
    const struct trie_leaf *leaf = NULL;
    switch (records->stage) {
    case STAGE_META:
        record->record = PB_IMAGE_RECORD_RECORD_META;
        save_meta(records, &record->meta);
        records->stage = STAGE_SESSIONS;
        return true;
    case STAGE_SESSIONS:
        if ((leaf = next_leaf(records, &version->sessions)) != NULL) {
            record->record = PB_IMAGE_RECORD_RECORD_SESSION;
            session_save(leaf, &record->session, records->results);
            records->sum += session_part_of_digest(leaf);
        }
        return leaf != NULL;
    case STAGE_WORKERS:
        if ((leaf = next_leaf(records, &version->workers)) != NULL) {
            record->record = PB_IMAGE_RECORD_RECORD_WORKER;
            registry_save(leaf, &record->worker);
            records->sum += registry_part_of_digest(leaf);
        }
        return leaf != NULL;
    case STAGE_ITEMS:
        if ((leaf = next_leaf(records, &version->items)) != NULL) {
            record->record = PB_IMAGE_RECORD_RECORD_ITEM;
            store_save(leaf, &record->item);
            records->sum += store_part_of_digest(leaf);
        }
        return leaf != NULL;
    case STAGE_GRANTS:
        if ((leaf = next_leaf(records, &version->grants)) != NULL) {
            record->record = PB_IMAGE_RECORD_RECORD_GRANT;
            grants_save(leaf, &record->grant);
            records->sum += grants_part_of_digest(leaf);
        }
        return leaf != NULL;
    case STAGE_END:
        break;
    }
    return false;
}

bool state_records_next(struct state_records *records, struct pb_image_record *record) {
    while (records->stage != STAGE_END) {
        if (next_of_stage(records, record)) {
            return true;
        }
        records->stage++;
    }
    return false;
}

uint64_t state_records_digest(const struct state_records *records) {
    const struct state_version *version = records->version;
    assert(records->stage == STAGE_END);
    return digest_of(records->sum, version->last_applied, version->time_unix_ms, version->level, version->departures,
                     version->command_bytes);
}
