// Versions kept for lists: node/held_versions.h.
#include "node/held_versions.h"

#include <stdlib.h>

#include "base/mem.h"

struct held {
    struct state_version *version;
    uint64_t used_us;
    uint64_t written;  // when it was taken
};

struct held_versions {
    struct held items[LIST_VERSIONS_MAX];
    size_t count;
    uint64_t written;  // bytes that all commands so far may have made older versions hold
};

struct held_versions *held_versions_new(void) {
    return mem_zalloc(sizeof(struct held_versions));
}

static void give_back(struct held_versions *held, struct state *state, size_t at) {
    state_version_release(state, held->items[at].version);
    held->items[at] = held->items[--held->count];
}

void held_versions_free(struct held_versions *held, struct state *state) {
    while (held->count > 0) {
        give_back(held, state, 0);
    }
    free(held);
}

static struct held *find(struct held_versions *held, raft_index index) {
    for (size_t i = 0; i < held->count; i++) {
        if (state_version_index(held->items[i].version) == index) {
            return &held->items[i];
        }
    }
    return NULL;
}

static size_t longest_unused(const struct held_versions *held) {
    size_t oldest = 0;
    for (size_t i = 1; i < held->count; i++) {
        oldest = held->items[i].used_us < held->items[oldest].used_us ? i : oldest;
    }
    return oldest;
}

void held_versions_keep(struct held_versions *held, struct state *state, uint64_t now_us) {
    if (held_versions_find(held, state_last_applied(state), now_us) != NULL) {
        return;
    }
    if (held->count == LIST_VERSIONS_MAX) {
        give_back(held, state, longest_unused(held));
    }
    held->items[held->count++] =
        (struct held){.version = state_version_new(state), .used_us = now_us, .written = held->written};
}

const struct state_version *held_versions_find(struct held_versions *held, raft_index index, uint64_t now_us) {
    struct held *found = find(held, index);
    if (found == NULL) {
        return NULL;
    }
    found->used_us = now_us;
    return found->version;
}

void held_versions_applied(struct held_versions *held, size_t bytes) {
    held->written += bytes + LIST_VERSION_ENTRY_BYTES;
}

void held_versions_turn(struct held_versions *held, struct state *state, uint64_t now_us) {
    for (size_t i = held->count; i-- > 0;) {
        const struct held *item = &held->items[i];
        if (now_us >= item->used_us + LIST_VERSION_US || held->written - item->written > LIST_VERSION_BYTES_MAX) {
            give_back(held, state, i);
        }
    }
}
