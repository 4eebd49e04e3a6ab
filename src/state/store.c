// The key-value store and its history: state/store.h.
#include "state/store.h"

#include <stdlib.h>

#include "base/mem.h"

struct store_item {
    struct trie_leaf leaf;
    struct raft_entry *entry;  // one reference; its index is the item's revision
    const uint8_t *value;      // within the entry
    uint32_t value_len;
    uint8_t key[];
};

static_assert(offsetof(struct store_item, leaf) == 0, "a leaf is its item");

// Offsets, not pointers, to save memory: there are up to 100,000.
struct store_change {
    struct raft_entry *entry;  // one reference; its index is the revision
    uint32_t key_at;
    uint32_t value_at;
    uint32_t value_len;
    uint16_t key_len;
    bool is_delete;
};

static_assert(KEY_MAX <= UINT16_MAX && COMMAND_MAX <= UINT32_MAX, "a change's lengths");

void store_init(struct store *store) {
    *store = (struct store){.history_from = 1};
    store->history = mem_alloc(HISTORY_MAX * sizeof *store->history);
}

static void release_item(struct trie_leaf *leaf) {
    struct store_item *item = (struct store_item *)leaf;
    raft_entry_unref(item->entry);
    free(item);
}

void store_free(struct store *store) {
    trie_clear(&store->items, release_item);
    for (size_t i = 0; i < store->history_count; i++) {
        raft_entry_unref(store->history[(store->history_first + i) % HISTORY_MAX].entry);
    }
    free(store->history);
}

// --- history ---

enum { PREFETCH_AHEAD = 8 };

static void remember(struct store *store, struct raft_entry *entry, bool is_delete, struct slice key, struct slice value) {
    if (store->history_count == HISTORY_MAX) {
        struct raft_entry *oldest = store->history[store->history_first].entry;
        store->history_from = oldest->id.index + 1;
        store->history_first = (store->history_first + 1) % HISTORY_MAX;
        store->history_count--;
        raft_entry_unref(oldest);
        // The oldest changes are in no cache any more: prefetches the next ones to drop.
        __builtin_prefetch(store->history[(store->history_first + PREFETCH_AHEAD) % HISTORY_MAX].entry);
    }
    store->history[(store->history_first + store->history_count++) % HISTORY_MAX] = (struct store_change){
        .entry = raft_entry_ref(entry),
        .key_at = (uint32_t)(key.data - entry->data),
        .key_len = (uint16_t)key.len,
        .value_at = value.len == 0 ? 0 : (uint32_t)(value.data - entry->data),
        .value_len = (uint32_t)value.len,
        .is_delete = is_delete,
    };
}

static const struct store_change *change_at(const struct store *store, size_t i) {
    return &store->history[(store->history_first + i) % HISTORY_MAX];
}

void store_history(const struct store *store, uint64_t from, bool (*visit)(void *user, const struct state_change *change),
                   void *user) {
    assert(from >= store->history_from);
    size_t low = 0;
    size_t high = store->history_count;
    while (low < high) {  // the first change with revision >= from
        size_t middle = (low + high) / 2;
        if (change_at(store, middle)->entry->id.index < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < store->history_count; low++) {
        const struct store_change *change = change_at(store, low);
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

// --- reading ---

static struct state_item item_view(const struct store_item *item) {
    return (struct state_item){
        .key = item->leaf.key,
        .value = slice_of(item->value, item->value_len),
        .revision = item->entry->id.index,
    };
}

bool store_get(const struct store *store, struct slice key, struct state_item *item) {
    const struct trie_leaf *leaf = trie_find(&store->items, key);
    if (leaf == NULL) {
        return false;
    }
    *item = item_view((const struct store_item *)leaf);
    return true;
}

struct list_visit {
    bool (*visit)(void *user, const struct state_item *item);
    void *user;
};

static bool visit_item(void *user, struct trie_leaf *leaf) {
    const struct list_visit *list = user;
    struct state_item item = item_view((const struct store_item *)leaf);
    return list->visit(list->user, &item);
}

void store_list(const struct store *store, struct slice prefix, struct slice start_after,
                bool (*visit)(void *user, const struct state_item *item), void *user) {
    struct list_visit list = {.visit = visit, .user = user};
    trie_visit(&store->items, prefix, start_after, visit_item, &list);
}

// --- change ---

static bool expectation_holds(const struct store_item *item, bool has_expected_revision, uint64_t expected,
                              struct state_result *result) {
    uint64_t revision = item == NULL ? 0 : item->entry->id.index;
    if (!has_expected_revision || expected == revision) {
        return true;
    }
    result->outcome = STATE_REVISION_MISMATCH;
    result->revision = revision;
    return false;
}

static struct store_item *add_item(struct store *store, struct slice key) {
    struct store_item *item = mem_alloc(sizeof *item + key.len);
    memcpy(item->key, key.data, key.len);
    item->leaf.key = slice_of(item->key, key.len);
    trie_insert(&store->items, &item->leaf);
    return item;
}

void store_put(struct store *store, struct raft_entry *entry, const struct pb_command *command,
               struct state_result *result) {
    struct slice key = command->put.key;
    struct store_item *item = (struct store_item *)trie_find(&store->items, key);
    if (!expectation_holds(item, command->put.has_expected_revision, command->put.expected_revision, result)) {
        return;
    }
    struct raft_entry *old = item == NULL ? NULL : item->entry;
    if (item == NULL) {
        item = add_item(store, key);
    }
    item->entry = raft_entry_ref(entry);
    item->value = command->put.value.data;
    item->value_len = (uint32_t)command->put.value.len;
    if (old != NULL) {
        raft_entry_unref(old);
    }
    remember(store, entry, false, key, command->put.value);
    result->revision = entry->id.index;
}

void store_delete(struct store *store, struct raft_entry *entry, const struct pb_command *command,
                  struct state_result *result) {
    struct slice key = command->delete.key;
    struct trie_leaf *leaf = trie_find(&store->items, key);
    if (!expectation_holds((struct store_item *)leaf, command->delete.has_expected_revision,
                           command->delete.expected_revision, result)) {
        return;
    }
    result->revision = entry->id.index;
    if (leaf == NULL) {
        return;
    }
    trie_remove(&store->items, key);
    release_item(leaf);
    remember(store, entry, true, key, slice_of(NULL, 0));
    result->existed = true;
}
