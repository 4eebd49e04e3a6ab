// The key-value store: state/store.h.
#include "state/store.h"

#include <stdlib.h>

#include "base/fingerprint.h"
#include "base/limits.h"
#include "base/mem.h"
#include "state/digest.h"

struct store_item {
    struct trie_leaf leaf;
    uint64_t revision;
    uint64_t fingerprint;  // of key, value and revision: its part of the digest
    uint32_t value_len;
    uint8_t bytes[];  // the key, then the value
};

static_assert(offsetof(struct store_item, leaf) == 0, "a leaf is its item");
static_assert(COMMAND_MAX <= UINT32_MAX && KEY_MAX <= UINT16_MAX, "lengths");

static void destroy_item(struct trie_leaf *leaf) {
    free((struct store_item *)leaf);
}

void store_init(struct store *store) {
    *store = (struct store){.items = {.destroy = destroy_item}};
}

// --- reading ---

static struct slice value_of(const struct store_item *item) {
    return slice_of(item->bytes + item->leaf.key_len, item->value_len);
}

static struct state_item item_view(const struct store_item *item) {
    return (struct state_item){.key = trie_key(&item->leaf), .value = value_of(item), .revision = item->revision};
}

bool store_get(const struct store *store, struct slice key, struct state_item *item) {
    const struct trie_leaf *leaf = trie_find(&store->items.tree, key);
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

void store_list(const struct trie_tree *items, struct slice prefix, struct slice start_after,
                bool (*visit)(void *user, const struct state_item *item), void *user) {
    struct list_visit list = {.visit = visit, .user = user};
    trie_visit(items, prefix, start_after, visit_item, &list);
}

// --- change ---

static bool expectation_holds(const struct trie_leaf *leaf, bool has_expected_revision, uint64_t expected,
                              struct state_result *result) {
    uint64_t revision = leaf == NULL ? 0 : ((const struct store_item *)leaf)->revision;
    if (!has_expected_revision || expected == revision) {
        return true;
    }
    result->outcome = STATE_REVISION_MISMATCH;
    result->revision = revision;
    return false;
}

static void copy_to(uint8_t *at, struct slice bytes) {
    if (bytes.len != 0) {
        memcpy(at, bytes.data, bytes.len);
    }
}

static uint64_t item_fingerprint(struct slice key, struct slice value, uint64_t revision) {
    return fingerprint_u64(fingerprint_bytes(fingerprint_bytes(DIGEST_ITEM, key), value), revision);
}

static struct store_item *new_item(struct slice key, struct slice value, uint64_t revision) {
    size_t size = offsetof(struct store_item, bytes) + key.len + value.len;  // the bytes begin within the padding
    struct store_item *item = mem_alloc(size > sizeof *item ? size : sizeof *item);
    *item = (struct store_item){
        .leaf = {.key_offset = offsetof(struct store_item, bytes), .key_len = (uint16_t)key.len},
        .revision = revision,
        .value_len = (uint32_t)value.len,
    };
    copy_to(item->bytes, key);
    copy_to(item->bytes + key.len, value);
    item->fingerprint = item_fingerprint(key, value, revision);
    return item;
}

bool store_put(struct store *store, raft_index index, const struct pb_command *command, struct state_result *result) {
    const struct pb_put_request *put = &command->put;
    struct trie_leaf **place = trie_place(&store->items, put->key);
    if (!expectation_holds(place == NULL ? NULL : *place, put->has_expected_revision, put->expected_revision, result)) {
        return false;
    }
    struct store_item *item = new_item(put->key, put->value, index);
    store->digest += item->fingerprint;
    if (place == NULL) {
        trie_insert(&store->items, &item->leaf);
    } else {
        store->digest -= ((const struct store_item *)*place)->fingerprint;
        trie_replace(&store->items, place, &item->leaf);
    }
    result->revision = index;
    return true;
}

bool store_delete(struct store *store, raft_index index, const struct pb_command *command, struct state_result *result) {
    const struct pb_delete_request *request = &command->delete;
    const struct trie_leaf *leaf = trie_find(&store->items.tree, request->key);
    if (!expectation_holds(leaf, request->has_expected_revision, request->expected_revision, result)) {
        return false;
    }
    result->revision = index;
    if (leaf == NULL) {
        return false;
    }
    store->digest -= ((const struct store_item *)leaf)->fingerprint;
    trie_remove(&store->items, request->key);
    result->existed = true;
    return true;
}

// --- images ---

void store_save(const struct trie_leaf *leaf, struct pb_image_item *record) {
    const struct store_item *item = (const struct store_item *)leaf;
    *record = (struct pb_image_item){.key = trie_key(leaf), .revision = item->revision, .value = value_of(item)};
}

uint64_t store_part_of_digest(const struct trie_leaf *leaf) {
    const struct store_item *item = (const struct store_item *)leaf;
    return item_fingerprint(trie_key(leaf), value_of(item), item->revision);
}

void store_load(struct store *store, const struct pb_image_item *record) {
    struct store_item *item = new_item(record->key, record->value, record->revision);
    store->digest += item->fingerprint;
    trie_insert(&store->items, &item->leaf);
}
