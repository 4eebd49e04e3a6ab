// The registry of workers: state/registry.h.
#include "state/registry.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/fingerprint.h"
#include "base/mem.h"
#include "wire/command.h"
#include "wire/message.h"

struct registered {
    struct trie_leaf leaf;
    struct state_worker view;                         // its id is the leaf's, its reason points into `reason`
    struct pb_register_worker_request *registration;  // owned; the view's
    struct registered *offline_before;                // in the list of offline workers
    struct registered *offline_behind;
    char reason[ID_MAX];
    uint8_t id[];
};

static_assert(offsetof(struct registered, leaf) == 0, "a leaf is its worker");

// --- the list of offline workers ---

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

// --- rows ---

static void take_row(struct registry *registry, struct registered *worker) {
    worker->view.row = registry->free_count > 0 ? registry->free_rows[--registry->free_count] : registry->rows++;
    array_reserve(registry->by_row, registry->by_row_cap, worker->view.row + 1);
    registry->by_row[worker->view.row] = worker;
}

static void free_row(struct registry *registry, uint32_t row) {
    assert(registry->by_row[row] != NULL);
    registry->by_row[row] = NULL;
    array_reserve(registry->free_rows, registry->free_cap, registry->free_count + 1);
    registry->free_rows[registry->free_count++] = row;
}

// --- one worker ---

static void take_registration(struct registered *worker, const struct pb_register_worker_request *request) {
    free(worker->registration);
    worker->registration = pb_clone(&pb_register_worker_request_type, request);
    worker->view.registration = worker->registration;
}

static void release_worker(struct trie_leaf *leaf) {
    struct registered *worker = (struct registered *)leaf;
    free(worker->registration);
    free(worker);
}

void registry_free(struct registry *registry) {
    trie_clear(&registry->by_id, release_worker);
    free(registry->free_rows);
    free(registry->by_row);
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

// NULL: the registry is full and no worker is offline.
static struct registered *add_worker(struct registry *registry, struct slice id) {
    if (registry->by_id.count == WORKERS_MAX) {
        struct registered *dropped = registry->offline_first;
        if (dropped == NULL) {
            return NULL;
        }
        remove_offline(registry, dropped);
        free_row(registry, dropped->view.row);
        release_worker(trie_remove(&registry->by_id, dropped->leaf.key));
    }
    struct registered *worker = mem_zalloc(sizeof *worker + id.len);
    memcpy(worker->id, id.data, id.len);
    worker->leaf.key = slice_of(worker->id, id.len);
    worker->view.id = worker->leaf.key;
    take_row(registry, worker);
    worker->view.online = true;
    trie_insert(&registry->by_id, &worker->leaf);
    return worker;
}

// Whether the command brings an offline worker back under a new epoch: its work may have gone to another worker, so what it
// wrote before must be fenced. At level 0 it had the same epoch.
static bool returns(const struct registered *worker, const struct pb_command *command) {
    return command->level >= COMMAND_LEVEL_EPOCH_ON_RETURN && !worker->view.online;
}

static bool has_left(const struct state_worker *worker) {
    return !worker->online && slice_equal(worker->reason, slice_of_str("left"));
}

void registry_register(struct registry *registry, raft_index index, const struct pb_command *command,
                       struct state_result *result) {
    const struct pb_register_worker_request *request = &command->register_worker;
    struct registered *worker = (struct registered *)trie_find(&registry->by_id, request->worker_id);
    if (worker == NULL && (worker = add_worker(registry, request->worker_id)) == NULL) {
        result->outcome = STATE_TOO_MANY;
        return;
    }
    bool added = worker->registration == NULL;
    if (added || !slice_equal(worker->registration->instance_id, request->instance_id) || returns(worker, command)) {
        worker->view.epoch = worker->view.first_epoch = index;
    }
    bool differs = added || !pb_equal(&pb_register_worker_request_type, worker->registration, request);
    if (differs) {
        take_registration(worker, request);
    }
    if (differs || !worker->view.online) {
        set_online(registry, worker, index);
    }
    worker->view.seen_unix_ms = command->time_unix_ms;
    result->revision = index;
    result->epoch = worker->view.epoch;
}

static bool is_deregistration(const struct pb_worker_change *change) {
    return !change->online && slice_equal(change->reason, slice_of_str("left"));
}

// Whether the change applies to the current registration. A return or deregistration, which the worker itself has asked for,
// applies under any epoch of the registration: a return just before it may have begun a new one. Missed heartbeats apply
// only to the epoch in which they were missed. At level 0 a registration has a single epoch.
static bool applies_to(const struct state_worker *worker, const struct pb_worker_change *change) {
    uint64_t from = change->online || is_deregistration(change) ? worker->first_epoch : worker->epoch;
    return change->epoch >= from && change->epoch <= worker->epoch;
}

void registry_change(struct registry *registry, raft_index index, const struct pb_command *command,
                     struct state_result *result) {
    result->revision = index;
    for (size_t i = 0; i < command->change_workers.changes_count; i++) {
        const struct pb_worker_change *change = &command->change_workers.changes[i];
        struct registered *worker = (struct registered *)trie_find(&registry->by_id, change->worker_id);
        if (worker == NULL || !applies_to(&worker->view, change)) {
            continue;  // proposed before the worker was replaced or dropped
        }
        if (has_left(&worker->view)) {
            continue;  // proposed before it deregistered: it stays offline until it registers again
        }
        if (change->online && !worker->view.online) {
            worker->view.epoch = returns(worker, command) ? index : worker->view.epoch;
            worker->view.seen_unix_ms = command->time_unix_ms;
            set_online(registry, worker, index);
        } else if (!change->online && (worker->view.online || !slice_equal(worker->view.reason, change->reason))) {
            set_offline(registry, worker, index, change->reason);
            if (has_left(&worker->view)) {
                worker->view.seen_unix_ms = command->time_unix_ms;
            }
        }
        if (command->level >= COMMAND_LEVEL_EPOCH_ON_RETURN) {
            result->epoch = worker->view.epoch;
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

bool registry_get_at(const struct registry *registry, uint32_t row, struct state_worker *worker) {
    if (row >= registry->rows || registry->by_row[row] == NULL) {
        return false;
    }
    *worker = registry->by_row[row]->view;
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
    digest = pb_fingerprint(&pb_register_worker_request_type, worker->registration, digest);
    digest = fingerprint_u64(fingerprint_u64(digest, worker->epoch), worker->online);
    digest = worker->first_epoch == worker->epoch ? digest : fingerprint_u64(digest, worker->first_epoch);
    digest = fingerprint_u64(fingerprint_u64(digest, worker->since_index), (uint64_t)worker->seen_unix_ms);
    return fingerprint_bytes(digest, worker->reason);
}

static bool digest_worker(void *user, const struct state_worker *worker) {
    uint64_t *digest = user;
    *digest = worker_digest(worker, *digest);
    return true;
}

uint64_t registry_digest(const struct registry *registry, uint64_t digest) {
    registry_visit(registry, slice_of(NULL, 0), digest_worker, &digest);
    // The order in which they would be dropped matters, too.
    for (const struct registered *worker = registry->offline_first; worker != NULL; worker = worker->offline_behind) {
        digest = fingerprint_bytes(digest, worker->leaf.key);
    }
    return digest;
}
