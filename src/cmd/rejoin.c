// Rejoining: rejoin.h.
#include "cmd/rejoin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/aside.h"
#include "cmd/divergent.h"
#include "cmd/stopped.h"
#include "ctl/client.h"
#include "wire/codec.h"

enum { TIMEOUT_MS = 5000 };

// The node of the new generation that is asked.
struct guide {
    struct ctl_endpoints endpoint;  // its address alone
    struct raft_id id;
    uint64_t generation;
    raft_index first;   // of the log that it holds
    raft_index commit;  // up to which it tells it
    bool leads;
};

// --- whom to ask ---

static void consider(const struct stopped *stopped, const struct ctl_probe *probe, struct guide *guide) {
    struct arena arena = {.limit = MIB};
    struct pb_status_response status;
    bool read = probe->answered &&
                pb_decode(&arena, &pb_status_response_type, buf_slice(&probe->answer), &status, NULL) == OK &&
                slice_equal(status.cluster_id, raft_id_slice(&stopped->config->cluster_id)) && status.node.len <= ID_MAX;
    // One that waits to be added knows nothing, and one in quarantine may be wrong.
    if (read && status.generation > stopped->generation && status.configuration_index > 0 && status.quarantine.len == 0) {
        bool leads = slice_equal(status.role, slice_of_str("leader"));
        bool better = status.generation > guide->generation ||
                      (status.generation == guide->generation &&
                       (leads > guide->leads || (leads == guide->leads && status.commit_index > guide->commit)));
        if (better) {
            *guide = (struct guide){
                .endpoint = {.source = "--peers", .count = 1},
                .id = raft_id_of(status.node),
                .generation = status.generation,
                .first = status.log_first_index,
                .commit = status.commit_index,
                .leads = leads,
            };
            memcpy(guide->endpoint.addresses[0], probe->address, sizeof probe->address);
        }
    }
    arena_free(&arena);
}

static enum error_code find_guide(const struct stopped *stopped, struct tls *tls, struct guide *guide, struct error *error) {
    const struct node_config *config = stopped->config;
    struct ctl_probe probes[MEMBERS_MAX] = {{.answered = false}};
    struct ctl_endpoints all = {.source = "--peers"};
    for (size_t i = 0; i < config->peer_count; i++) {
        if (!raft_id_equal(&config->peers[i].id, &config->node_id)) {
            memcpy(all.addresses[all.count], config->peers[i].address, sizeof config->peers[i].address);
            memcpy(probes[all.count++].address, config->peers[i].address, sizeof config->peers[i].address);
        }
    }
    if (all.count == 0) {
        return error_set(error, ERR_INVALID, "--rejoin needs --peers, with a node of the new generation among them");
    }
    *guide = (struct guide){.generation = 0};
    struct ctl_client *client = ctl_client_new(&all, tls, TIMEOUT_MS);
    ctl_ask_all(client, pb_control_service_status.path, probes, all.count, TIMEOUT_MS);
    for (size_t i = 0; i < all.count; i++) {
        consider(stopped, &probes[i], guide);
    }
    ctl_probes_free(probes, all.count);
    ctl_client_free(client);
    return guide->generation > 0
               ? OK
               : error_set(error, ERR_UNAVAILABLE,
                           "no node of --peers answers that is of a higher generation of cluster %s than %" PRIu64
                           "; nothing was changed. If there is none, start this node as usual",
                           config->cluster_id.text, stopped->generation);
}

// --- the last entry in common ---

// Whether the new generation's log has this very entry.
static enum error_code is_shared(struct ctl_client *client, const struct raft_entry *entry, bool *shared,
                                 struct error *error) {
    struct pb_read_log_request request = {.from = entry->id.index, .to = entry->id.index};
    struct pb_read_log_response response;
    struct arena arena = {.limit = 0};
    struct buf body = {0};
    struct slice answer;
    pb_encode(&pb_read_log_request_type, &request, &body);
    enum ctl_exit asked = ctl_call(client, CTL_ANY_NODE, pb_control_service_read_log.path, buf_slice(&body), &answer, error);
    enum error_code code = OK;
    if (asked != CTL_OK) {
        error->code = code = ERR_UNAVAILABLE;
        error_wrap(error, "reading entry %" PRIu64 " of the new generation; nothing was changed", entry->id.index);
    } else {
        code = pb_decode(&arena, &pb_read_log_response_type, answer, &response, error);
    }
    if (code == OK && (response.entries_count != 1 || response.entries[0].index != entry->id.index)) {
        code = error_set(error, ERR_UNAVAILABLE, "entry %" PRIu64 " was not told; nothing was changed, try again",
                         entry->id.index);
    }
    if (code == OK) {
        const struct pb_log_entry *theirs = &response.entries[0];
        *shared = theirs->term == entry->id.term && (int)theirs->type == (int)entry->type &&
                  slice_equal(theirs->command, raft_entry_command(entry));
    }
    buf_free(&body);
    arena_free(&arena);
    return code;
}

// The first own entry that the new generation does not have (paper figure 3, Log Matching: all before are the same); one
// behind the last: it has all. If the two logs have no index in common, or differ from there on, the first own one.
static enum error_code find_divergence(const struct stopped *stopped, const struct guide *guide, struct tls *tls,
                                       raft_index *first, struct error *error) {
    const struct raft_restored *log = &stopped->recovered.log;
    raft_index low = log->base.index + 1 > guide->first ? log->base.index + 1 : guide->first;
    raft_index high = log->base.index + log->count < guide->commit ? log->base.index + log->count : guide->commit;
    raft_index base = low - 1;  // that is shared, if anything is
    struct ctl_client *client = ctl_client_new(&guide->endpoint, tls, TIMEOUT_MS);
    enum error_code code = OK;
    while (code == OK && low <= high) {
        raft_index middle = low + (high - low) / 2;
        bool shared = false;
        code = is_shared(client, log->entries[middle - log->base.index - 1], &shared, error);
        if (shared) {
            low = middle + 1;
        } else {
            high = middle - 1;
        }
    }
    ctl_client_free(client);
    bool compared = low - 1 > base;
    *first = compared ? low : log->base.index + 1;
    if (code == OK && !compared && log->count > 0) {
        printf("%s holds no entry that is the same here (its log begins with %" PRIu64
               "), so all that this log has is kept\n",
               guide->id.text, guide->first);
    }
    return code;
}

// --- all of it ---

static enum error_code complete(const struct node_config *config, struct error *error) {
    uint64_t old;
    enum error_code code = aside_complete(config, &wal_io_system, &old, error);
    if (code == OK) {
        printf("the log and the snapshots of generation %" PRIu64 " are in %s/generation-%" PRIu64
               ". Start %s as usual: it waits until it is added (batonctl member add %s=%s/%s).\n",
               old, config->data_dir, old, config->node_id.text, config->node_id.text, config->advertise, config->cloud);
    }
    return code;
}

static enum error_code leave(const struct stopped *stopped, struct tls *tls, struct error *error) {
    const struct raft_restored *log = &stopped->recovered.log;
    struct guide guide;
    raft_index first = 0;
    enum error_code code = find_guide(stopped, tls, &guide, error);
    if (code == OK) {
        code = find_divergence(stopped, &guide, tls, &first, error);
    }
    if (code == OK && first <= log->base.index + log->count) {
        char name[DIVERGENT_NAME_SIZE];
        code = divergent_write(stopped, first, name, error);
        if (code == OK) {
            printf("entries %" PRIu64 " to %" PRIu64 " are not in generation %" PRIu64 ": kept in %s/%s\n", first,
                   log->base.index + log->count, guide.generation, stopped->config->data_dir, name);
        }
    } else if (code == OK) {
        printf("generation %" PRIu64 " has all entries that this node has\n", guide.generation);
    }
    return code == OK ? aside_begin(stopped->config, &wal_io_system, guide.generation, error) : code;
}

enum error_code rejoin(const struct node_config *config, struct tls *tls, struct error *error) {
    enum error_code code = OK;
    if (!aside_begun(config->data_dir, &wal_io_system)) {
        struct stopped stopped;
        code = stopped_open(config, &stopped, error);
        if (code == OK) {
            code = leave(&stopped, tls, error);
        }
        stopped_close(&stopped);
    }
    struct wal_directory lock = {.path = NULL};
    if (code == OK) {
        code = wal_directory_hold(&lock, config->data_dir, &wal_io_system, error);
    }
    if (code == OK) {
        code = complete(config, error);
    }
    if (lock.path != NULL) {
        wal_directory_close(&lock);
    }
    return code;
}
