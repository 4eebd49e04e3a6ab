// How this node sees the cluster: ControlService.Status and /status.
#include "node/digests.h"
#include "node/internal.h"
#include "node/lost_entries.h"
#include "node/quarantine.h"
#include "node/snapshot_sender.h"
#include "node/snapshots.h"
#include "node/worker_liveness.h"
#include "wire/command.h"

static const char *role_of(const struct node *node) {
    switch (raft_state(node->raft)) {
    case RAFT_LEADER:
        return "leader";
    case RAFT_CANDIDATE:
        return "candidate";
    case RAFT_FOLLOWER:
        break;
    }
    return "follower";
}

// A row of the matrix; the answering node's own is made of what it measures itself.
static size_t describe_round_trips(const struct node *node, size_t member, struct pb_round_trip *round_trips) {
    size_t count = 0;
    for (size_t i = 0; i < node->configuration.count; i++) {
        double rtt_ms = node->placement.states[member].report.links[i].rtt_ms;
        if (rtt_ms > 0) {
            round_trips[count++] =
                (struct pb_round_trip){.id = raft_id_slice(&node->configuration.members[i].id), .rtt_ms = rtt_ms};
        }
    }
    return count;
}

static void describe_member(const struct node *node, size_t index, struct pb_member_status *out,
                            struct pb_round_trip *round_trips) {
    const struct wire_member *member = &node->configuration.members[index];
    const struct placement_report *report = &node->placement.states[index].report;
    double commit_ms = placement_commit_ms(&node->placement, node_clock_us(), index);
    *out = (struct pb_member_status){
        .id = raft_id_slice(&member->id),
        .address = slice_of_str(member->address),
        .cloud = slice_of_str(member->cloud),
        .voter = member->voter,
        .match_index = node_match_index(node, &member->id),
        .commit_ms = commit_ms > 0 ? commit_ms : 0,
        .round_trips = round_trips,
        .round_trips_count = describe_round_trips(node, index, round_trips),
        .disk_sync_ms = report->disk_sync_ms,
        .disk_full = report->disk_full,
    };
    struct snapshot_sending sending = snapshot_senders_status(node->snapshot_senders, &member->id);
    out->snapshot_sent = sending.sent;
    out->snapshot_size = sending.size;
    const struct peer_view *view = peers_view(node->peers, &member->id);
    if (view != NULL) {
        out->http_address = slice_of_str(view->http_address);
        out->reachable = view->reachable;
        out->level = view->level;
        out->unreachable = slice_of_str(view->unreachable);
        out->rtt_ms = view->rtt_ms;
        out->rtt_spread_ms = view->rtt_spread_ms;
        out->losses = view->losses;
        out->plaintext = view->plaintext;
        out->generation = view->generation;
        out->quarantine = slice_of_str(view->quarantine);
    } else if (raft_id_equal(&member->id, &node->config->node_id)) {
        out->generation = node->identity.generation;
        out->http_address = slice_of_str(node->config->advertise_http);
        out->reachable = true;
        out->quarantine = slice_of_str(quarantine_message(node));
        out->level = COMMAND_LEVEL;
    }
    if (lost_entries_of(node, &member->id)) {
        out->reachable = false;
        out->unreachable = slice_of_str(LOST_ENTRIES_TEXT);
    }
}

static struct pb_placement describe_placement(const struct node *node, uint64_t now_us) {
    const struct placement *placement = &node->placement;
    struct placement_suspension pause = placement_pause_left(placement, now_us);
    struct placement_suspension cooldown = placement_cooldown_left(placement, now_us);
    return (struct pb_placement){
        .on = placement->on,
        .leader_cloud = slice_of_str(placement->leader_cloud),
        .pause_ms = pause.left_us / US_PER_MS,
        .pause_term = pause.term,
        .cooldown_ms = cooldown.left_us / US_PER_MS,
        .cooldown_term = cooldown.term,
        .decision = slice_of_str(placement->verdict),
        .moved_to = raft_id_slice(&placement->moved_to),
        .moved_why = slice_of_str(placement->moved_why),
        .moved_ago_ms = placement->moved_us == 0 ? 0 : (now_us - placement->moved_us) / US_PER_MS,
    };
}

// A node that has known no leader since its start knows only when its last command was proposed.
static int64_t current_unix_ms(const struct node *node, uint64_t now_us) {
    if (node->leader_lost_us == 0) {
        return node_wall_ms();
    }
    return node->leader_lost_us == node->started_us
               ? state_time_unix_ms(node->state)
               : node_wall_ms() - (int64_t)((now_us - node->leader_lost_us) / US_PER_MS);
}

void node_status(struct node *node, struct node_status *out) {
    uint64_t now_us = node_clock_us();
    const struct wire_member *leader = node_leader(node);
    struct snapshot_status snapshot = snapshots_status(node->snapshots);
    out->leader_ready = node->serving_workers;
    out->current_unix_ms = current_unix_ms(node, now_us);
    out->snapshot_unix_ms = snapshot.written_unix_ms;
    out->response = (struct pb_status_response){
        .node = raft_id_slice(&node->config->node_id),
        .cluster_id = raft_id_slice(&node->config->cluster_id),
        .role = slice_of_str(role_of(node)),
        .term = raft_current_term(node->raft),
        .leader = raft_id_slice(node_leader_id(node)),
        .leader_address = leader == NULL ? slice_of(NULL, 0) : slice_of_str(leader->address),
        .commit_index = raft_commit_index(node->raft),
        .last_applied = state_last_applied(node->state),
        .last_log_index = raft_last_log(node->raft).index,
        .version = slice_of_str(BATON_VERSION),
        .uptime_ms = (now_us - node->started_us) / US_PER_MS,
        .incarnation = slice_of_str(node->identity.incarnation),
        .configuration_index = node->configuration.index,
        .cluster_level = state_level(node->state),
        .level = COMMAND_LEVEL,
        .members = out->members,
        .members_count = node->configuration.count,
        .has_placement = true,
        .placement = describe_placement(node, now_us),
        .workers_heard_since_unix_ms = worker_liveness_heard_since_ms(node),
        .snapshot_index = snapshot.last.index,
        .snapshot_bytes = snapshot.bytes,
        .generation = node->identity.generation,
        .digests = out->digests,
        .digests_count = digests_tell(node, out->digests),
        .quarantine = slice_of_str(quarantine_message(node)),
        .certificates_expire_unix = node->certificates_expire_unix,
        .tls_migrate = node->config->tls_migrate,
        .plaintext_connections = rpc_server_plaintext(node->server).open,
        .log_first_index = node->configuration.count == 0 ? 0 : raft_base(node->raft).index + 1,
    };
    for (size_t i = 0; i < node->configuration.count; i++) {
        describe_member(node, i, &out->members[i], out->round_trips[i]);
    }
}
