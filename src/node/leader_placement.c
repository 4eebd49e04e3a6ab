// Feeds placement and carries out its decision: node/leader_placement.h.
#include "node/leader_placement.h"

#include "node/internal.h"
#include "node/leadership.h"
#include "node/quarantine.h"

// All members, in the configuration's order, and behind them this node if it is none; *self: where this node is.
static size_t list_members(const struct node *node, struct placement_member members[PLACEMENT_MEMBERS_MAX], size_t *self) {
    const struct wire_configuration *configuration = &node->configuration;
    size_t count = configuration->count;
    *self = count;
    for (size_t i = 0; i < count; i++) {
        members[i] = (struct placement_member){.id = configuration->members[i].id, .voter = configuration->members[i].voter};
        memcpy(members[i].cloud, configuration->members[i].cloud, sizeof members[i].cloud);
        if (raft_id_equal(&members[i].id, node_id(node))) {
            *self = i;
        }
    }
    if (*self == count) {
        members[count] = (struct placement_member){.id = *node_id(node)};
        memcpy(members[count].cloud, node->config->cloud, sizeof members[count].cloud);
        count++;
    }
    return count;
}

// A mistyped cloud would have no effect, and nobody would notice.
static void warn_of_no_voter(const struct node *node) {
    const char *cloud = node->config->leader_cloud;
    bool any = cloud[0] == '\0' || node->configuration.count == 0;
    for (size_t i = 0; i < node->configuration.count; i++) {
        any |= node->configuration.members[i].voter && strcmp(node->configuration.members[i].cloud, cloud) == 0;
    }
    if (!any) {
        slog(SLOG_WARN, "leader-cloud-without-voter", "no voter is in the cloud of --leader-cloud, so it has no effect",
             F_STR("cloud", cloud));
    }
}

void leader_placement_start(struct node *node) {
    struct placement_member members[PLACEMENT_MEMBERS_MAX];
    size_t self;
    size_t count = list_members(node, members, &self);
    placement_init(&node->placement, node->config->placement, node->config->leader_cloud, members, count, self);
    warn_of_no_voter(node);
}

void leader_placement_follow(struct node *node) {
    struct placement_member members[PLACEMENT_MEMBERS_MAX];
    size_t self;
    size_t count = list_members(node, members, &self);
    placement_follow(&node->placement, members, count, self);
    warn_of_no_voter(node);
}

// --- what this node sees ---

// The mean of the syncs within the last second, smoothed over seconds, so that a single slow sync does not count for much.
static void sample_disk(struct sync_time *syncs) {
    if (syncs->count > 0) {
        double mean_ms = syncs->seconds * 1000 / (double)syncs->count;
        syncs->smoothed_ms = syncs->smoothed_ms == 0 ? mean_ms : syncs->smoothed_ms * 0.75 + mean_ms * 0.25;
    }
    syncs->count = 0;
    syncs->seconds = 0;
}

// The smoothed time, or what the sync under way has taken already if that is longer.
static double disk_sync_ms(const struct node *node) {
    uint64_t pending_us = node->wal_status.oldest_pending_us;
    uint64_t now_us = node_clock_us();
    double pending_ms = pending_us == 0 || pending_us > now_us ? 0 : (double)(now_us - pending_us) / (double)US_PER_MS;
    return pending_ms > node->sync_time.smoothed_ms ? pending_ms : node->sync_time.smoothed_ms;
}

static void report_own(struct node *node, uint64_t now_us) {
    struct placement_report report = {
        .disk_full = node->wal_status.condition == WAL_FULL,
        .quarantined = quarantine_begun(node),
        .disk_sync_ms = disk_sync_ms(node),
    };
    for (size_t i = 0; i < node->configuration.count; i++) {
        const struct peer_view *view = peers_view(node->peers, &node->configuration.members[i].id);
        if (view != NULL && view->reachable) {
            report.links[i] = (struct placement_link){.rtt_ms = view->rtt_ms,
                                                      .least_ms = view->rtt_least_ms,
                                                      .spread_ms = view->rtt_spread_ms,
                                                      .losses = view->losses};
        }
    }
    placement_heard(&node->placement, now_us, node->placement.self, &report);
}

// --- the decision ---

static void decide(struct node *node) {
    uint64_t now_us = node_clock_us();
    bool leading = node_leads(node) && raft_leader_is_established(node->raft) && node->stopping == RUNNING &&
                   !quarantine_begun(node) && !transfer_is_running(node->transfer);
    raft_index match_index[PLACEMENT_MEMBERS_MAX] = {0};
    for (size_t i = 0; i < node->configuration.count; i++) {
        match_index[i] = node_match_index(node, &node->configuration.members[i].id);
    }
    placement_lead(&node->placement, raft_current_term(node->raft), leading);
    if (leading) {
        placement_progress(&node->placement, now_us, raft_commit_index(node->raft), match_index);
    }
    const struct raft_id *target = placement_decide(&node->placement, now_us);
    if (target == NULL) {
        return;
    }
    slog(SLOG_INFO, "placement-moves", "leadership goes where it serves better", F_STR("target", target->text),
         F_STR("reason", node->placement.moved_why));
    metric_add(node->m.placement_moves, 1);
    leadership_hand_over(node, target, "placement");
}

// --- what peers report ---

static size_t member_index(const struct node *node, struct slice id) {
    size_t i = 0;
    while (i < node->configuration.count && !slice_equal(id, raft_id_slice(&node->configuration.members[i].id))) {
        i++;
    }
    return i;
}

static uint64_t us_of_ms(uint64_t ms) {
    return ms < UINT64_MAX / US_PER_MS ? ms * US_PER_MS : UINT64_MAX;
}

void leader_placement_heard(void *user, const struct raft_id *peer, const struct pb_status_response *status) {
    struct node *node = user;
    struct placement_report report = {
        .pause = {.term = status->placement.pause_term, .left_us = us_of_ms(status->placement.pause_ms)},
        .cooldown = {.term = status->placement.cooldown_term, .left_us = us_of_ms(status->placement.cooldown_ms)},
    };
    for (size_t i = 0; i < status->members_count; i++) {
        const struct pb_member_status *member = &status->members[i];
        size_t to = member_index(node, member->id);
        if (to == node->configuration.count) {
            continue;
        }
        if (raft_id_equal(peer, &node->configuration.members[to].id)) {
            report.disk_full = member->disk_full;
            report.quarantined = member->quarantine.len > 0;
            report.disk_sync_ms = member->disk_sync_ms;
        } else if (member->reachable) {
            report.links[to] = (struct placement_link){
                .rtt_ms = member->rtt_ms, .spread_ms = member->rtt_spread_ms, .losses = member->losses};
        }
    }
    size_t from = member_index(node, raft_id_slice(peer));
    if (from < node->configuration.count) {  // one that has been removed may report still
        placement_heard(&node->placement, node_clock_us(), from, &report);
    }
    decide(node);
}

void leader_placement_sample(struct node *node) {
    sample_disk(&node->sync_time);
    report_own(node, node_clock_us());
    decide(node);
}
