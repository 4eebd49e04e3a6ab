// Taking this node out of service: node/quarantine.h.
#include "node/quarantine.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "baton/v1/worker.pb.h"
#include "node/internal.h"

enum { REASONS = QUARANTINE_DIVERGED + 1 };

static const struct {
    const char *cause;
    const char *labels;
} texts[REASONS] = {
    [QUARANTINE_SUPERSEDED] = {"superseded", "reason=\"superseded\""},
    [QUARANTINE_DIVERGED] = {"diverged", "reason=\"diverged\""},
};

struct quarantine {
    bool begun;
    enum quarantine_reason reason;
    char message[QUARANTINE_MESSAGE_MAX + 1];
    struct metric *metrics[REASONS];
};

struct quarantine *quarantine_new(struct metrics *metrics) {
    struct quarantine *own = mem_zalloc(sizeof *own);
    for (size_t reason = 0; reason < REASONS; reason++) {
        own->metrics[reason] = metrics_add(metrics, METRIC_GAUGE, "baton_quarantined",
                                           "1 while this node serves no clients, by reason.", texts[reason].labels);
    }
    return own;
}

void quarantine_free(struct quarantine *own) {
    free(own);
}

bool quarantine_begun(const struct node *node) {
    return node->quarantine->begun;
}

bool quarantine_is_silent(const struct node *node) {
    return node->quarantine->begun && node->quarantine->reason == QUARANTINE_SUPERSEDED;
}

const char *quarantine_message(const struct node *node) {
    return node->quarantine->message;
}

void quarantine_tell(struct node *node, struct rpc_call call, bool in_doubt) {
    struct outcome_facts facts = {.name = slice_of_str(node->quarantine->message)};
    node_tell(node, call, in_doubt ? OUTCOME_QUARANTINED_IN_DOUBT : OUTCOME_QUARANTINED, &facts);
}

// Its log is good, so the successor can be brought up to date; who is fit for it is not in quarantine itself.
static struct raft_event resignation(const struct node *node) {
    struct raft_event event = {.type = RAFT_EVENT_RESIGN};
    const struct raft_id *successor = placement_successor(&node->placement, node_clock_us());
    if (!quarantine_is_silent(node)) {
        event.resign.hand_over = true;
        event.resign.target = successor != NULL ? *successor : (struct raft_id){0};
    }
    return event;
}

void quarantine_begin(struct node *node, enum quarantine_reason reason, const char *message) {
    struct quarantine *own = node->quarantine;
    if (node->stopping == STOPPED || (own->begun && (own->reason == reason || reason == QUARANTINE_DIVERGED))) {
        return;
    }
    own->begun = true;
    own->reason = reason;
    snprintf(own->message, sizeof own->message, "%s", message);
    slog(SLOG_ERROR, "quarantined", "this node stops serving", F_STR("cause", texts[reason].cause),
         F_STR("reason", own->message));
    for (size_t i = 0; i < REASONS; i++) {
        metric_set(own->metrics[i], i == reason);
    }
    rpc_server_set_serving(node->server, "", false);
    rpc_server_set_serving(node->server, pb_control_service.name, false);
    rpc_server_set_serving(node->server, pb_worker_service.name, false);
    if (quarantine_is_silent(node)) {
        rpc_server_set_serving(node->server, pb_raft_service.name, false);
    }
    *node_event(node) = resignation(node);
    watches_finish(node->watches, OUTCOME_WATCH_QUARANTINED);
}
