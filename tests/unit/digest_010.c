// The digest of 0.1.0, behind digest_010.h.
#include "digest_010.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/fingerprint.h"

// Far more than the golden log has; a test that needs more fails by assertion.
enum { CLIENTS_MAX = 64, RESULTS_MAX = 256, OFFLINE_MAX = 64 };

struct kept_result {
    uint64_t sequence;
    uint64_t fingerprint;
    struct state_result result;
};

struct client {
    char id[ID_MAX];
    size_t id_len;
    uint64_t kept_from;
    struct kept_result results[RESULTS_MAX];
    size_t count;
};

struct worker_name {
    char id[ID_MAX];
    size_t len;
};

struct digest_010 {
    struct client *clients[CLIENTS_MAX];  // least recently used first
    size_t client_count;
    struct worker_name offline[OFFLINE_MAX];  // in the order in which they went
    size_t offline_count;
    bool *was_online;  // by change of the present command
    size_t was_online_cap;
};

struct digest_010 *digest_010_new(void) {
    return mem_zalloc(sizeof(struct digest_010));
}

void digest_010_free(struct digest_010 *digest) {
    for (size_t i = 0; i < digest->client_count; i++) {
        free(digest->clients[i]);
    }
    free(digest->was_online);
    free(digest);
}

// --- who is offline ---

static bool is_online(const struct state *state, struct slice id) {
    struct state_worker worker;
    return state_worker(state, id, &worker) && worker.online;
}

static struct slice worker_at(const struct pb_command *command, size_t i) {
    return command->op == PB_COMMAND_OP_REGISTER_WORKER ? command->register_worker.worker_id
                                                        : command->change_workers.changes[i].worker_id;
}

static size_t workers_of(const struct pb_command *command) {
    switch (command->op) {
    case PB_COMMAND_OP_REGISTER_WORKER:
        return 1;
    case PB_COMMAND_OP_CHANGE_WORKERS:
        return command->change_workers.changes_count;
    default:
        return 0;
    }
}

void digest_010_before(struct digest_010 *digest, const struct state *state, const struct pb_command *command) {
    array_reserve(digest->was_online, digest->was_online_cap, workers_of(command));
    for (size_t i = 0; i < workers_of(command); i++) {
        digest->was_online[i] = is_online(state, worker_at(command, i));
    }
}

static void remove_offline(struct digest_010 *digest, struct slice id) {
    size_t kept = 0;
    for (size_t i = 0; i < digest->offline_count; i++) {
        if (!slice_equal(slice_of(digest->offline[i].id, digest->offline[i].len), id)) {
            digest->offline[kept++] = digest->offline[i];
        }
    }
    digest->offline_count = kept;
}

static void follow_workers(struct digest_010 *digest, const struct state *state, const struct pb_command *command) {
    for (size_t i = 0; i < workers_of(command); i++) {
        struct slice id = worker_at(command, i);
        bool online = is_online(state, id);
        if (online) {
            remove_offline(digest, id);
        } else if (digest->was_online[i]) {
            assert(digest->offline_count < OFFLINE_MAX && id.len <= ID_MAX);
            struct worker_name *name = &digest->offline[digest->offline_count++];
            memcpy(name->id, id.data, id.len);
            name->len = id.len;
        }
    }
}

// --- sessions ---

static uint64_t command_fingerprint(const struct pb_command *command) {
    enum { PUT = 1, DELETE = 2 };  // as 0.1.0 numbered its operations
    if (command->op == PB_COMMAND_OP_PUT) {
        uint64_t f = fingerprint_bytes(fingerprint_bytes(fingerprint_u64(0, PUT), command->put.key), command->put.value);
        return fingerprint_u64(fingerprint_u64(f, command->put.has_expected_revision), command->put.expected_revision);
    }
    assert(command->op == PB_COMMAND_OP_DELETE);
    uint64_t f = fingerprint_bytes(fingerprint_u64(0, DELETE), command->delete.key);
    return fingerprint_u64(fingerprint_u64(f, command->delete.has_expected_revision), command->delete.expected_revision);
}

static struct slice client_id(const struct client *client) {
    return slice_of(client->id, client->id_len);
}

// The client's session, now the most recently used; NULL: it has expired, or never was.
static struct client *use_session(struct digest_010 *digest, const struct pb_command *command) {
    struct client *client = NULL;
    size_t kept = 0;
    for (size_t i = 0; i < digest->client_count; i++) {
        if (slice_equal(client_id(digest->clients[i]), command->client_id)) {
            client = digest->clients[i];
        } else {
            digest->clients[kept++] = digest->clients[i];
        }
    }
    if (client == NULL && command->sequence > 1) {
        return NULL;
    }
    if (client == NULL) {
        assert(kept < CLIENTS_MAX);
        client = mem_zalloc(sizeof *client);
        client->kept_from = 1;
        client->id_len = command->client_id.len;
        memcpy(client->id, command->client_id.data, client->id_len);
    }
    digest->clients[kept++] = client;
    digest->client_count = kept;
    return client;
}

static void follow_session(struct digest_010 *digest, const struct pb_command *command, const struct state_result *result) {
    struct client *client = use_session(digest, command);
    if (client == NULL) {
        return;
    }
    size_t kept = 0;
    client->kept_from = command->acknowledged_below > client->kept_from ? command->acknowledged_below : client->kept_from;
    for (size_t i = 0; i < client->count; i++) {
        if (client->results[i].sequence >= client->kept_from) {
            client->results[kept++] = client->results[i];
        }
    }
    client->count = kept;
    size_t at = 0;
    while (at < client->count && client->results[at].sequence < command->sequence) {
        at++;
    }
    if (command->sequence < client->kept_from || (at < client->count && client->results[at].sequence == command->sequence)) {
        return;
    }
    assert(client->count < RESULTS_MAX);
    memmove(&client->results[at + 1], &client->results[at], (client->count - at) * sizeof client->results[0]);
    client->results[at] =
        (struct kept_result){.sequence = command->sequence, .fingerprint = command_fingerprint(command), .result = *result};
    client->count++;
}

void digest_010_after(struct digest_010 *digest, const struct state *state, const struct pb_command *command,
                      const struct state_result *result) {
    follow_workers(digest, state, command);
    if (command->client_id.len > 0) {
        follow_session(digest, command, result);
    }
}

// --- the digest ---

static bool mix_item(void *user, const struct state_item *item) {
    uint64_t *digest = user;
    *digest = fingerprint_bytes(fingerprint_bytes(*digest, item->key), item->value);
    *digest = fingerprint_u64(*digest, item->revision);
    return true;
}

static uint64_t mix_clients(const struct digest_010 *model, uint64_t digest) {
    for (size_t i = 0; i < model->client_count; i++) {
        const struct client *client = model->clients[i];
        digest = fingerprint_u64(fingerprint_bytes(digest, client_id(client)), client->kept_from);
        for (size_t k = 0; k < client->count; k++) {
            const struct kept_result *kept = &client->results[k];
            digest = fingerprint_u64(fingerprint_u64(digest, kept->sequence), kept->fingerprint);
            digest = fingerprint_u64(fingerprint_u64(digest, kept->result.revision), kept->result.epoch);
            digest = fingerprint_u64(digest, (uint64_t)kept->result.outcome << 1 | kept->result.existed);
        }
    }
    return digest;
}

static bool mix_worker(void *user, const struct state_worker *worker) {
    const struct pb_register_worker_request *registration = worker->registration;
    uint64_t digest = *(uint64_t *)user;
    digest = fingerprint_bytes(fingerprint_bytes(digest, worker->id), registration->instance_id);
    digest = fingerprint_bytes(fingerprint_bytes(digest, registration->address), registration->cloud);
    digest = fingerprint_u64(fingerprint_u64(digest, registration->slots), worker->epoch);
    digest = fingerprint_u64(fingerprint_u64(digest, worker->online), worker->since_index);
    digest = fingerprint_bytes(digest, worker->reason);
    for (size_t i = 0; i < registration->labels_count; i++) {
        digest = fingerprint_bytes(fingerprint_bytes(digest, registration->labels[i].key), registration->labels[i].value);
    }
    *(uint64_t *)user = digest;
    return true;
}

uint64_t digest_010_of(const struct digest_010 *model, const struct state *state) {
    uint64_t digest = fingerprint_u64(state_last_applied(state), (uint64_t)state_time_unix_ms(state));
    state_list(state, slice_of(NULL, 0), slice_of(NULL, 0), mix_item, &digest);
    digest = mix_clients(model, digest);
    state_workers(state, slice_of(NULL, 0), mix_worker, &digest);
    for (size_t i = 0; i < model->offline_count; i++) {
        digest = fingerprint_bytes(digest, slice_of(model->offline[i].id, model->offline[i].len));
    }
    return digest;
}
