// Report: what this node is made of, for who has to find out from afar what is wrong with it.
#include "base/slog.h"
#include "verbs/verbs.h"

static void answer(struct node *node, struct rpc_call call, const void *message, raft_index index) {
    (void)message;  // has no fields
    (void)index;
    struct buf metrics = {0}, log = {0};
    node_metrics(node, &metrics);
    slog_kept(&log);
    struct pb_report_response response = {
        .node = raft_id_slice(node_id(node)),
        .version = slice_of_str(BATON_VERSION),
        .settings = slice_of_str(node_settings(node)),
        .metrics = buf_slice(&metrics),
        .log = buf_slice(&log),
    };
    node_reply(node, call, verb_report.method, &response);
    buf_free(&metrics);
    buf_free(&log);
}

const struct verb verb_report = {.method = &pb_control_service_report, .answer = answer, .in_quarantine = true};
