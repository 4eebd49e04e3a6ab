// The registry of workers.
#include "state/registry.h"

#include <stdlib.h>

#include "base/mem.h"
#include "state/fingerprint.h"

struct registered {
    struct trie_leaf leaf;
    struct state_worker view;  // its slices point into text and reason, but for the id's: those are the leaf's
    uint8_t *text;             // instance id, address, cloud and labels, copied
    struct state_label *labels;
    struct registered *offline_before;  // in the list of those offline
    struct registered *offline_behind;
    char reason[ID_MAX];
    uint8_t id[];
};

static_assert(offsetof(struct registered, leaf) == 0, "a leaf is its worker");

// --- the list of those offline ---

static void append_offline(struct registry *registry, struct registered *worker) {
    worker->offline_before = registry->offline_last;
    worker->offline_behind = NULL;
    *(registry->offline_last == NULL ? &registry->offline_first : &registry->offline_last->offline_behind) = worker;
    registry->offline_last = worker;
}

static void remove_offline(struct registry *registry, struct registered *worker) {
    *(worker->offline_before == NULL ? &registry->offline_first : &worker->offline_before->offline_behind) =
        worker->offline_behind;
    *(worker->offline_behind == NULL ? &registry->offline_last : &worker->offline_behind->offline_before) =
        worker->offline_before;
}

// --- slots ---

static void take_slot(struct registry *registry, struct registered *worker) {
    worker->view.slot = registry->free_count > 0 ? registry->free_slots[--registry->free_count] : registry->slots++;
    if (worker->view.slot >= registry->by_slot_cap) {
        registry->by_slot_cap = registry->by_slot_cap == 0 ? 64 : registry->by_slot_cap * 2;
        registry->by_slot = mem_realloc(registry->by_slot, registry->by_slot_cap * sizeof(struct registered *));
    }
    registry->by_slot[worker->view.slot] = worker;
}

static void give_slot(struct registry *registry, uint32_t slot) {
    registry->by_slot[slot] = NULL;
    if (registry->free_count == registry->free_cap) {
        registry->free_cap = registry->free_cap == 0 ? 16 : registry->free_cap * 2;
        registry->free_slots = mem_realloc(registry->free_slots, registry->free_cap * sizeof *registry->free_slots);
    }
    registry->free_slots[registry->free_count++] = slot;
}

// --- one worker ---

static struct slice copy_text(uint8_t **at, struct slice text) {
    struct slice copy = slice_of(*at, text.len);
    if (text.len != 0) {
        memcpy(*at, text.data, text.len);
    }
    *at += text.len;
    return copy;
}

// What the worker says about itself.
static void take_description(struct registered *worker, const struct state_command *c) {
    size_t count = c->register_worker.label_count;
    size_t size = c->register_worker.instance_id.len + c->register_worker.address.len + c->register_worker.cloud.len;
    for (size_t i = 0; i < count; i++) {
        size += c->register_worker.labels[i].key.len + c->register_worker.labels[i].value.len;
    }
    free(worker->text);
    free(worker->labels);
    worker->text = mem_alloc(size + 1);
    worker->labels = mem_alloc((count + 1) * sizeof *worker->labels);
    uint8_t *at = worker->text;
    worker->view.instance_id = copy_text(&at, c->register_worker.instance_id);
    worker->view.address = copy_text(&at, c->register_worker.address);
    worker->view.cloud = copy_text(&at, c->register_worker.cloud);
    worker->view.slots = c->register_worker.slots;
    for (size_t i = 0; i < count; i++) {
        worker->labels[i].key = copy_text(&at, c->register_worker.labels[i].key);
        worker->labels[i].value = copy_text(&at, c->register_worker.labels[i].value);
    }
    worker->view.labels = worker->labels;
    worker->view.label_count = count;
}

static bool description_equal(const struct state_worker *view, const struct state_command *c) {
    if (!slice_equal(view->address, c->register_worker.address) || !slice_equal(view->cloud, c->register_worker.cloud) ||
        view->slots != c->register_worker.slots || view->label_count != c->register_worker.label_count) {
        return false;
    }
    for (size_t i = 0; i < view->label_count; i++) {
        if (!slice_equal(view->labels[i].key, c->register_worker.labels[i].key) ||
            !slice_equal(view->labels[i].value, c->register_worker.labels[i].value)) {
            return false;
        }
    }
    return true;
}

static void release_worker(struct trie_leaf *leaf) {
    struct registered *worker = (struct registered *)leaf;
    free(worker->text);
    free(worker->labels);
    free(worker);
}

void registry_free(struct registry *registry) {
    trie_clear(&registry->by_id, release_worker);
    free(registry->free_slots);
    free(registry->by_slot);
}

static void set_online(struct registry *registry, struct registered *worker, raft_index index) {
    if (!worker->view.online) {
        remove_offline(registry, worker);
    }
    worker->view.online = true;
    worker->view.reason = slice_of(worker->reason, 0);
    worker->view.since_index = index;
}

static void set_offline(struct registry *registry, struct registered *worker, raft_index index, struct slice reason) {
    assert(reason.len <= sizeof worker->reason);
    if (worker->view.online) {
        append_offline(registry, worker);
    }
    worker->view.online = false;
    if (reason.len != 0) {
        memcpy(worker->reason, reason.data, reason.len);
    }
    worker->view.reason = slice_of(worker->reason, reason.len);
    worker->view.since_index = index;
}

// --- commands ---

// NULL: there are WORKERS_MAX, and none is offline.
static struct registered *add_worker(struct registry *registry, struct slice id) {
    if (registry->by_id.count == WORKERS_MAX) {
        struct registered *dropped = registry->offline_first;
        if (dropped == NULL) {
            return NULL;
        }
        remove_offline(registry, dropped);
        give_slot(registry, dropped->view.slot);
        release_worker(trie_remove(&registry->by_id, dropped->leaf.key));
    }
    struct registered *worker = mem_zalloc(sizeof *worker + id.len);
    memcpy(worker->id, id.data, id.len);
    worker->leaf.key = slice_of(worker->id, id.len);
    worker->view.id = worker->leaf.key;
    take_slot(registry, worker);
    worker->view.online = true;
    trie_insert(&registry->by_id, &worker->leaf);
    return worker;
}

void registry_register(struct registry *registry, raft_index index, const struct state_command *command,
                       struct state_result *result) {
    struct slice id = command->register_worker.worker_id;
    struct registered *worker = (struct registered *)trie_find(&registry->by_id, id);
    if (worker == NULL && (worker = add_worker(registry, id)) == NULL) {
        result->outcome = STATE_TOO_MANY;
        return;
    }
    bool same_instance = slice_equal(worker->view.instance_id, command->register_worker.instance_id);
    bool same_description = same_instance && description_equal(&worker->view, command);
    if (!same_instance) {
        worker->view.epoch = index;
    }
    if (!same_description) {
        take_description(worker, command);
    }
    if (!same_description || !worker->view.online) {
        set_online(registry, worker, index);
    }
    result->revision = index;
    result->epoch = worker->view.epoch;
}

static bool has_left(const struct state_worker *worker) {
    return !worker->online && slice_equal(worker->reason, slice_of_str("left"));
}

void registry_change(struct registry *registry, raft_index index, const struct state_command *command,
                     struct state_result *result) {
    result->revision = index;
    for (size_t i = 0; i < command->change_workers.count; i++) {
        const struct state_worker_change *change = &command->change_workers.changes[i];
        struct registered *worker = (struct registered *)trie_find(&registry->by_id, change->worker_id);
        if (worker == NULL || worker->view.epoch != change->epoch) {
            continue;  // decided before it was replaced or dropped
        }
        if (has_left(&worker->view)) {
            continue;  // decided before its goodbye: it is gone until it registers again
        }
        if (change->online && !worker->view.online) {
            set_online(registry, worker, index);
        } else if (!change->online && (worker->view.online || !slice_equal(worker->view.reason, change->reason))) {
            set_offline(registry, worker, index, change->reason);
        }
    }
}

// --- reading ---

bool registry_get(const struct registry *registry, struct slice id, struct state_worker *worker) {
    const struct trie_leaf *leaf = trie_find(&registry->by_id, id);
    if (leaf == NULL) {
        return false;
    }
    *worker = ((const struct registered *)leaf)->view;
    return true;
}

bool registry_get_at(const struct registry *registry, uint32_t slot, struct state_worker *worker) {
    if (slot >= registry->slots || registry->by_slot[slot] == NULL) {
        return false;
    }
    *worker = registry->by_slot[slot]->view;
    return true;
}

struct workers_visit {
    bool (*visit)(void *user, const struct state_worker *worker);
    void *user;
};

static bool visit_worker(void *user, struct trie_leaf *leaf) {
    const struct workers_visit *workers = user;
    return workers->visit(workers->user, &((const struct registered *)leaf)->view);
}

void registry_visit(const struct registry *registry, struct slice start_after,
                    bool (*visit)(void *user, const struct state_worker *worker), void *user) {
    struct workers_visit workers = {.visit = visit, .user = user};
    trie_visit(&registry->by_id, slice_of(NULL, 0), start_after, visit_worker, &workers);
}

static uint64_t worker_digest(const struct state_worker *worker, uint64_t digest) {
    digest = fingerprint_bytes(fingerprint_bytes(digest, worker->id), worker->instance_id);
    digest = fingerprint_bytes(fingerprint_bytes(digest, worker->address), worker->cloud);
    digest = fingerprint_u64(fingerprint_u64(digest, worker->slots), worker->epoch);
    digest = fingerprint_u64(fingerprint_u64(digest, worker->online), worker->since_index);
    digest = fingerprint_bytes(digest, worker->reason);
    for (size_t i = 0; i < worker->label_count; i++) {
        digest = fingerprint_bytes(fingerprint_bytes(digest, worker->labels[i].key), worker->labels[i].value);
    }
    return digest;
}

static bool digest_worker(void *user, const struct state_worker *worker) {
    uint64_t *digest = user;
    *digest = worker_digest(worker, *digest);
    return true;
}

uint64_t registry_digest(const struct registry *registry, uint64_t digest) {
    registry_visit(registry, slice_of(NULL, 0), digest_worker, &digest);
    // The order in which they would be dropped.
    for (const struct registered *worker = registry->offline_first; worker != NULL; worker = worker->offline_behind) {
        digest = fingerprint_bytes(digest, worker->leaf.key);
    }
    return digest;
}
