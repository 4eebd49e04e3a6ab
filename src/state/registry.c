// The registry of workers: state/registry.h.
#include "state/registry.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/fingerprint.h"
#include "base/limits.h"
#include "base/mem.h"
#include "state/digest.h"
#include "wire/command.h"
#include "wire/message.h"

struct registered {
    struct trie_leaf leaf;
    // In the list of offline workers. Of the present registry only and never read by another thread, so these and `row`
    // change in a leaf that a version shares, too.
    struct registered *offline_before;
    struct registered *offline_behind;
    uint32_t row;
    uint32_t reason_len;
    struct pb_register_worker_request *registration;  // owned
    uint64_t registration_fingerprint;
    uint64_t fingerprint;  // its part of the digest; 0: none yet
    uint64_t epoch;
    uint64_t first_epoch;
    uint64_t since_index;
    int64_t seen_unix_ms;
    uint64_t departure;  // the registry's count when it went offline; 0: it is online
    char reason[ID_MAX];
    uint8_t id[];
};

static_assert(offsetof(struct registered, leaf) == 0, "a leaf is its worker");
static_assert((int)PB_WORKER_CHANGE_REASON_MAX_BYTES <= (int)ID_MAX, "a reason has room");

static struct slice reason_of(const struct registered *worker) {
    return slice_of(worker->reason, worker->reason_len);
}

static bool is_online(const struct registered *worker) {
    return worker->departure == 0;
}

static struct state_worker view_of(const struct registered *worker) {
    return (struct state_worker){
        .id = trie_key(&worker->leaf),
        .registration = worker->registration,
        .epoch = worker->epoch,
        .first_epoch = worker->first_epoch,
        .online = is_online(worker),
        .reason = reason_of(worker),
        .since_index = worker->since_index,
        .seen_unix_ms = worker->seen_unix_ms,
        .row = worker->row,
    };
}

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

// Puts a copy where the worker is in the list.
static void replace_offline(struct registry *registry, struct registered *worker, struct registered *copy) {
    copy->offline_before = worker->offline_before;
    copy->offline_behind = worker->offline_behind;
    *(copy->offline_before == NULL ? &registry->offline_first : &copy->offline_before->offline_behind) = copy;
    *(copy->offline_behind == NULL ? &registry->offline_last : &copy->offline_behind->offline_before) = copy;
}

// --- rows ---

static void take_row(struct registry *registry, struct registered *worker) {
    worker->row = registry->free_count > 0 ? registry->free_rows[--registry->free_count] : registry->rows++;
    array_reserve(registry->by_row, registry->by_row_cap, worker->row + 1);
    registry->by_row[worker->row] = worker;
}

static void free_row(struct registry *registry, uint32_t row) {
    assert(registry->by_row[row] != NULL);
    registry->by_row[row] = NULL;
    array_reserve(registry->free_rows, registry->free_cap, registry->free_count + 1);
    registry->free_rows[registry->free_count++] = row;
}

void registry_free_rows(struct registry *registry) {
    free(registry->free_rows);
    free(registry->by_row);
}

// --- one worker ---

static uint64_t fingerprint_of(const struct pb_register_worker_request *request) {
    return pb_fingerprint(&pb_register_worker_request_type, request, DIGEST_WORKER);
}

static void take_registration(struct registered *worker, const struct pb_register_worker_request *request) {
    free(worker->registration);
    worker->registration = pb_clone(&pb_register_worker_request_type, request);
    worker->registration_fingerprint = fingerprint_of(request);
}

static void destroy_worker(struct trie_leaf *leaf) {
    struct registered *worker = (struct registered *)leaf;
    free(worker->registration);
    free(worker);
}

void registry_init(struct registry *registry) {
    *registry = (struct registry){.by_id = {.destroy = destroy_worker}};
}

static struct registered *new_worker(struct slice id) {
    struct registered *worker = mem_zalloc(sizeof *worker + id.len);
    memcpy(worker->id, id.data, id.len);
    worker->leaf = (struct trie_leaf){.key_offset = offsetof(struct registered, id), .key_len = (uint16_t)id.len};
    return worker;
}

// The worker in its place, for changing it: a copy, if a version has it.
static struct registered *own_worker(struct registry *registry, struct trie_leaf **place) {
    struct registered *worker = (struct registered *)*place;
    if (!trie_is_shared(*place)) {
        return worker;
    }
    struct registered *copy = new_worker(trie_key(*place));
    take_registration(copy, worker->registration);
    copy->row = worker->row;
    copy->fingerprint = worker->fingerprint;
    copy->epoch = worker->epoch;
    copy->first_epoch = worker->first_epoch;
    copy->since_index = worker->since_index;
    copy->seen_unix_ms = worker->seen_unix_ms;
    copy->departure = worker->departure;
    copy->reason_len = worker->reason_len;
    memcpy(copy->reason, worker->reason, sizeof copy->reason);
    if (!is_online(worker)) {
        replace_offline(registry, worker, copy);
    }
    registry->by_row[copy->row] = copy;
    trie_replace(&registry->by_id, place, &copy->leaf);
    return copy;
}

static struct registered *find_worker(struct registry *registry, struct slice id) {
    struct trie_leaf **place = trie_place(&registry->by_id, id);
    return place == NULL ? NULL : own_worker(registry, place);
}

static uint64_t worker_fingerprint(const struct registered *worker, uint64_t registration_fingerprint) {
    uint64_t fingerprint = fingerprint_u64(registration_fingerprint, worker->epoch);
    fingerprint = fingerprint_u64(fingerprint_u64(fingerprint, worker->first_epoch), worker->since_index);
    fingerprint = fingerprint_u64(fingerprint_u64(fingerprint, (uint64_t)worker->seen_unix_ms), worker->departure);
    return fingerprint_bytes(fingerprint, reason_of(worker));
}

// After a change.
static void settle(struct registry *registry, struct registered *worker) {
    uint64_t fingerprint = worker_fingerprint(worker, worker->registration_fingerprint);
    registry->digest += fingerprint - worker->fingerprint;
    worker->fingerprint = fingerprint;
}

static void set_reason(struct registered *worker, struct slice reason) {
    assert(reason.len <= sizeof worker->reason);
    worker->reason_len = (uint32_t)reason.len;
    if (reason.len != 0) {
        memcpy(worker->reason, reason.data, reason.len);
    }
}

static void set_online(struct registry *registry, struct registered *worker, raft_index index) {
    if (!is_online(worker)) {
        remove_offline(registry, worker);
    }
    worker->departure = 0;
    set_reason(worker, slice_of(NULL, 0));
    worker->since_index = index;
}

static void set_offline(struct registry *registry, struct registered *worker, raft_index index, struct slice reason) {
    if (is_online(worker)) {
        worker->departure = ++registry->departures;
        append_offline(registry, worker);
    }
    set_reason(worker, reason);
    worker->since_index = index;
}

// --- commands ---

// NULL: the registry is full and no worker is offline.
static struct registered *add_worker(struct registry *registry, struct slice id) {
    if (registry->by_id.tree.count == WORKERS_MAX) {
        struct registered *dropped = registry->offline_first;
        if (dropped == NULL) {
            return NULL;
        }
        remove_offline(registry, dropped);
        free_row(registry, dropped->row);
        registry->digest -= dropped->fingerprint;
        trie_remove(&registry->by_id, trie_key(&dropped->leaf));
    }
    struct registered *worker = new_worker(id);
    take_row(registry, worker);
    trie_insert(&registry->by_id, &worker->leaf);
    return worker;
}

// Whether the command brings an offline worker back under a new epoch: its work may have gone to another worker, so what it
// wrote before must be fenced. At level 0 it had the same epoch.
static bool returns(const struct registered *worker, const struct pb_command *command) {
    return command->level >= COMMAND_LEVEL_EPOCH_ON_RETURN && !is_online(worker);
}

static bool has_left(const struct registered *worker) {
    return !is_online(worker) && slice_equal(reason_of(worker), slice_of_str("left"));
}

void registry_register(struct registry *registry, raft_index index, const struct pb_command *command,
                       struct state_result *result) {
    const struct pb_register_worker_request *request = &command->register_worker;
    struct registered *worker = find_worker(registry, request->worker_id);
    if (worker == NULL && (worker = add_worker(registry, request->worker_id)) == NULL) {
        result->outcome = STATE_TOO_MANY;
        return;
    }
    bool added = worker->registration == NULL;
    if (added || !slice_equal(worker->registration->instance_id, request->instance_id) || returns(worker, command)) {
        worker->epoch = worker->first_epoch = index;
    }
    bool differs = added || !pb_equal(&pb_register_worker_request_type, worker->registration, request);
    if (differs) {
        take_registration(worker, request);
    }
    if (differs || !is_online(worker)) {
        set_online(registry, worker, index);
    }
    worker->seen_unix_ms = command->time_unix_ms;
    settle(registry, worker);
    result->revision = index;
    result->epoch = worker->epoch;
}

static bool is_deregistration(const struct pb_worker_change *change) {
    return !change->online && slice_equal(change->reason, slice_of_str("left"));
}

// Whether the change applies to the current registration. A return or deregistration, which the worker itself has asked for,
// applies under any epoch of the registration: a return just before it may have begun a new one. Missed heartbeats apply
// only to the epoch in which they were missed. At level 0 a registration has a single epoch.
static bool applies_to(const struct registered *worker, const struct pb_worker_change *change) {
    uint64_t from = change->online || is_deregistration(change) ? worker->first_epoch : worker->epoch;
    return change->epoch >= from && change->epoch <= worker->epoch;
}

void registry_change(struct registry *registry, raft_index index, const struct pb_command *command,
                     struct state_result *result) {
    result->revision = index;
    for (size_t i = 0; i < command->change_workers.changes_count; i++) {
        const struct pb_worker_change *change = &command->change_workers.changes[i];
        struct registered *worker = find_worker(registry, change->worker_id);
        if (worker == NULL || !applies_to(worker, change)) {
            continue;  // proposed before the worker was replaced or dropped
        }
        if (has_left(worker)) {
            continue;  // proposed before it deregistered: it stays offline until it registers again
        }
        if (change->online && !is_online(worker)) {
            worker->epoch = returns(worker, command) ? index : worker->epoch;
            worker->seen_unix_ms = command->time_unix_ms;
            set_online(registry, worker, index);
        } else if (!change->online && (is_online(worker) || !slice_equal(reason_of(worker), change->reason))) {
            set_offline(registry, worker, index, change->reason);
            if (has_left(worker)) {
                worker->seen_unix_ms = command->time_unix_ms;
            }
        }
        settle(registry, worker);
        if (command->level >= COMMAND_LEVEL_EPOCH_ON_RETURN) {
            result->epoch = worker->epoch;
        }
    }
}

// --- reading ---

bool registry_get(const struct registry *registry, struct slice id, struct state_worker *worker) {
    const struct trie_leaf *leaf = trie_find(&registry->by_id.tree, id);
    if (leaf == NULL) {
        return false;
    }
    *worker = view_of((const struct registered *)leaf);
    return true;
}

bool registry_get_at(const struct registry *registry, uint32_t row, struct state_worker *worker) {
    if (row >= registry->rows || registry->by_row[row] == NULL) {
        return false;
    }
    *worker = view_of(registry->by_row[row]);
    return true;
}

struct workers_visit {
    bool (*visit)(void *user, const struct state_worker *worker);
    void *user;
};

static bool visit_worker(void *user, struct trie_leaf *leaf) {
    const struct workers_visit *workers = user;
    struct state_worker worker = view_of((const struct registered *)leaf);
    return workers->visit(workers->user, &worker);
}

void registry_visit(const struct trie_tree *by_id, struct slice start_after,
                    bool (*visit)(void *user, const struct state_worker *worker), void *user) {
    struct workers_visit workers = {.visit = visit, .user = user};
    trie_visit(by_id, slice_of(NULL, 0), start_after, visit_worker, &workers);
}

// --- images ---

void registry_save(const struct trie_leaf *leaf, struct pb_image_worker *record) {
    const struct registered *worker = (const struct registered *)leaf;
    *record = (struct pb_image_worker){
        .has_registration = true,
        .registration = *worker->registration,
        .epoch = worker->epoch,
        .first_epoch = worker->first_epoch,
        .since_index = worker->since_index,
        .seen_unix_ms = worker->seen_unix_ms,
        .departure = worker->departure,
        .reason = reason_of(worker),
    };
}

uint64_t registry_part_of_digest(const struct trie_leaf *leaf) {
    const struct registered *worker = (const struct registered *)leaf;
    return worker_fingerprint(worker, fingerprint_of(worker->registration));
}

bool registry_load(struct registry *registry, const struct pb_image_worker *record, const char **problem) {
    struct slice id = record->registration.worker_id;
    if (!record->has_registration || id.len == 0 || id.len > ID_MAX) {
        *problem = "a worker without an id, or with one that is too long";
        return false;
    }
    if (record->reason.len > sizeof registry->offline_first->reason) {
        *problem = "a worker's reason that is too long";
        return false;
    }
    struct registered *worker = new_worker(id);
    take_registration(worker, &record->registration);
    worker->epoch = record->epoch;
    worker->first_epoch = record->first_epoch;
    worker->since_index = record->since_index;
    worker->seen_unix_ms = record->seen_unix_ms;
    worker->departure = record->departure;
    set_reason(worker, record->reason);
    settle(registry, worker);
    take_row(registry, worker);
    trie_insert(&registry->by_id, &worker->leaf);
    return true;
}

static int by_departure(const void *a, const void *b) {
    uint64_t departure_a = (*(struct registered *const *)a)->departure;
    uint64_t departure_b = (*(struct registered *const *)b)->departure;
    return (departure_a > departure_b) - (departure_a < departure_b);
}

bool registry_loaded(struct registry *registry) {
    struct registered **order = mem_alloc(registry->rows * sizeof *order);
    size_t count = 0;
    for (uint32_t row = 0; row < registry->rows; row++) {
        if (!is_online(registry->by_row[row])) {
            order[count++] = registry->by_row[row];
        }
    }
    qsort(order, count, sizeof *order, by_departure);
    bool distinct = count == 0 || order[count - 1]->departure <= registry->departures;
    for (size_t i = 0; i < count; i++) {
        distinct = distinct && (i == 0 || order[i - 1]->departure < order[i]->departure);
        append_offline(registry, order[i]);
    }
    free(order);
    return distinct;
}
