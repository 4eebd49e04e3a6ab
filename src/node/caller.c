// Another node asks for this one's Status: what it says of this node, in the metadata of the call.
#include <stdio.h>

#include "node/internal.h"
#include "node/lost_entries.h"
#include "node/membership.h"

// How often it is logged that the data directory is not the member's.
#define WIPED_LOGGED_US (30 * US_PER_S)

// The caller closes the connection, so no message of Raft comes that would say it.
static void compare_directory(struct node *node, struct slice known, struct slice asker) {
    uint64_t now_us = node_clock_us();
    bool told = node->wiped_told_us != 0 && now_us - node->wiped_told_us < WIPED_LOGGED_US;
    if (known.len == 0 || told || slice_equal(known, slice_of_str(node->identity.incarnation))) {
        return;
    }
    node->wiped_told_us = now_us;
    slog(SLOG_ERROR, "directory-unknown",
         "the cluster knows this node with another data directory: this one was wiped or replaced, and this node neither "
         "votes "
         "nor follows; stop it, remove it from the cluster, and add the machine under a new id",
         F_BYTES("told_by", asker), F_STR("dir", node->config->data_dir));
}

// The core tells a removed node for a while only, and nobody votes for it or sends to it afterwards.
static void tell_removal(struct node *node, struct rpc_call call, const struct raft_id *asker) {
    raft_index index = membership_removal(node, asker);
    if (index > 0) {
        char text[24];
        snprintf(text, sizeof text, "%llu", (unsigned long long)index);
        rpc_call_trailer(node->server, call, PEER_TRAILER_REMOVED, slice_of_str(text));
    }
}

void node_heard_peer(struct node *node, struct rpc_call call) {
    struct slice asker = rpc_call_metadata(node->server, call, PEER_METADATA);
    if (asker.len > 0 && asker.len <= ID_MAX) {
        struct raft_id id = raft_id_of(asker);
        peers_heard(node->peers, &id);
        compare_directory(node, rpc_call_metadata(node->server, call, PEER_METADATA_DIRECTORY), asker);
        lost_entries_told(node, call, &id);
        tell_removal(node, call, &id);
    }
}
