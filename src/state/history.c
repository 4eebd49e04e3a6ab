// The history of the store's changes: state/history.h.
#include "state/history.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"

enum { CHUNK_CHANGES = 1024, PREFETCH_AHEAD = 8 };

// Offsets, not pointers, to save memory: there is one for each write of the log's tail.
struct history_change {
    struct raft_entry *entry;  // one reference; its index is the revision
    uint32_t key_at;
    uint32_t value_at;
    uint32_t value_len;
    uint16_t key_len;
    bool is_delete;
};

static_assert(KEY_MAX <= UINT16_MAX && COMMAND_MAX <= UINT32_MAX, "a change's lengths");

static struct history_change **chunk_of(const struct history *history, uint64_t change) {
    return &history->chunks[(change / CHUNK_CHANGES) & (history->chunks_cap - 1)];
}

static struct history_change *change_at(const struct history *history, uint64_t change) {
    return &(*chunk_of(history, change))[change % CHUNK_CHANGES];
}

// Doubles the ring of chunks, whose places depend on its size.
static void grow(struct history *history) {
    struct history larger = *history;
    larger.chunks_cap = history->chunks_cap == 0 ? 4 : 2 * history->chunks_cap;
    larger.chunks = mem_zalloc(larger.chunks_cap * sizeof *larger.chunks);
    for (uint64_t change = history->first / CHUNK_CHANGES * CHUNK_CHANGES; change < history->end; change += CHUNK_CHANGES) {
        *chunk_of(&larger, change) = *chunk_of(history, change);
    }
    free(history->chunks);
    *history = larger;
}

void history_add(struct history *history, struct raft_entry *entry, bool is_delete, struct slice key, struct slice value) {
    if (history->end % CHUNK_CHANGES == 0) {
        uint64_t chunks = history->end / CHUNK_CHANGES - history->first / CHUNK_CHANGES;
        if (chunks == history->chunks_cap) {
            grow(history);
        }
        *chunk_of(history, history->end) = mem_alloc(CHUNK_CHANGES * sizeof(struct history_change));
    }
    *change_at(history, history->end++) = (struct history_change){
        .entry = raft_entry_ref(entry),
        .key_at = (uint32_t)(key.data - entry->data),
        .key_len = (uint16_t)key.len,
        .value_at = value.len == 0 ? 0 : (uint32_t)(value.data - entry->data),
        .value_len = (uint32_t)value.len,
        .is_delete = is_delete,
    };
}

void history_visit(const struct history *history, uint64_t from,
                   bool (*visit)(void *user, const struct state_change *change), void *user) {
    assert(from >= history->from);
    uint64_t low = history->first;
    uint64_t high = history->end;
    while (low < high) {  // the first change with revision >= from
        uint64_t middle = low + (high - low) / 2;
        if (change_at(history, middle)->entry->id.index < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < history->end; low++) {
        const struct history_change *change = change_at(history, low);
        struct state_change told = {
            .is_delete = change->is_delete,
            .key = slice_of(change->entry->data + change->key_at, change->key_len),
            .value = slice_of(change->entry->data + change->value_at, change->value_len),
            .revision = change->entry->id.index,
        };
        if (!visit(user, &told)) {
            return;
        }
    }
}

void history_forget(struct history *history, uint64_t from) {
    history->from = from > history->from ? from : history->from;
}

static void drop_first(struct history *history) {
    raft_entry_unref(change_at(history, history->first)->entry);
    struct history_change *chunk = *chunk_of(history, history->first++);
    if (history->first % CHUNK_CHANGES == 0) {
        free(chunk);
    }
}

static bool has_forgotten(const struct history *history) {
    return history->first < history->end && change_at(history, history->first)->entry->id.index < history->from;
}

bool history_collect(struct history *history, size_t *budget) {
    while (has_forgotten(history) && *budget > 0) {
        if (history->end - history->first > PREFETCH_AHEAD) {  // old entries are in no cache any more
            __builtin_prefetch(change_at(history, history->first + PREFETCH_AHEAD)->entry);
        }
        drop_first(history);
        --*budget;
    }
    return has_forgotten(history);
}

void history_free(struct history *history) {
    while (history->first < history->end) {
        drop_first(history);
    }
    if (history->first % CHUNK_CHANGES != 0) {
        free(*chunk_of(history, history->first));
    }
    free(history->chunks);
}
