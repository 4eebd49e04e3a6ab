// A member whose disk has lost entries: node/lost_entries.h.
#include "node/lost_entries.h"

#include <inttypes.h>
#include <stdio.h>

#include "node/internal.h"
#include "node/marks.h"
#include "node/raft_service.h"

// In the metadata of the Status call, four decimal numbers.
struct claim {
    uint64_t generation;
    raft_term term;              // in which the entry was acknowledged
    struct raft_entry_id entry;  // term 0: the leader does not know it any more
};

static bool parse(struct slice text, struct claim *claim) {
    char copy[PEER_LOST_MAX];
    int end = 0;
    if (text.len == 0 || text.len >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    int count = sscanf(copy, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 "%n", &claim->generation, &claim->term,
                       &claim->entry.index, &claim->entry.term, &end);
    return count == 4 && copy[end] == '\0';
}

// --- the leader ---

void lost_entries_settle(struct node *node, const struct raft_update *update) {
    struct raft_progress progress[MEMBERS_MAX];
    size_t count = update->peer_forgot ? raft_progress(node->raft, progress) : 0;
    for (size_t i = 0; i < count; i++) {
        const struct raft_progress *peer = &progress[i];
        char claim[PEER_LOST_MAX];
        snprintf(claim, sizeof claim, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, node->identity.generation,
                 raft_current_term(node->raft), peer->forgot.index, peer->forgot.term);
        if (peer->forgot.index > 0 && peers_tell_lost(node->peers, &peer->id, claim)) {
            slog(SLOG_ERROR, "member-lost-entries",
                 "a member has lost entries that it had acknowledged as durable: its data directory was set back. It counts "
                 "for nothing any more, and is told to stop; remove it, and add the machine under a new id",
                 F_STR("peer", peer->id.text), F_U64("entry", peer->forgot.index));
        }
    }
}

bool lost_entries_of(const struct node *node, const struct raft_id *id) {
    struct raft_progress progress[MEMBERS_MAX];
    for (size_t i = 0, count = raft_progress(node->raft, progress); i < count; i++) {
        if (raft_id_equal(&progress[i].id, id)) {
            return progress[i].forgot.index > 0;
        }
    }
    return false;
}

// --- the member ---

// What was acknowledged in a term was durable, and so was the term; within it nothing of that is truncated.
static bool is_lost(const struct node *node, const struct claim *claim) {
    const struct raft_entry *entry = raft_entry_at(node->raft, claim->entry.index);
    bool differs = entry == NULL || (claim->entry.term != 0 && entry->id.term != claim->entry.term);
    return claim->generation == node->identity.generation && raft_current_term(node->raft) <= claim->term &&
           claim->entry.index > raft_base(node->raft).index && differs;
}

void lost_entries_told(struct node *node, struct rpc_call call, const struct raft_id *from) {
    struct claim claim;
    bool is_member = wire_configuration_member(&node->configuration, from) != NULL;
    if (!is_member || !raft_service_is_sender(rpc_call_peer(node->server, call), from) ||
        !parse(rpc_call_metadata(node->server, call, PEER_METADATA_LOST), &claim) || !is_lost(node, &claim)) {
        return;
    }
    char reason[ERROR_MESSAGE_MAX];
    snprintf(reason, sizeof reason,
             "%s has lost entries: this node had acknowledged entry %" PRIu64 " as durable to %s in term %" PRIu64
             ", and its log ends at %" PRIu64
             " or differs. The directory was restored from an older copy, or the disk does not keep what it has synced. Its "
             "votes may be lost, too: never start this node again; remove it from the cluster, and add the machine under a "
             "new id",
             node->config->data_dir, claim.entry.index, from->text, claim.term, raft_last_log(node->raft).index);
    struct error error = {0};
    if (mark_leave(node->config->data_dir, MARK_LOST, reason, &error) != OK) {
        slog(SLOG_ERROR, "lost-entries-unmarked", "a later start will not know that entries were lost",
             F_STR("reason", error.message));
    }
    node_fail(node, ERR_WAL_GAP, reason);
}
