// ReadLog: reads a range of the committed log of this node.
#include "base/limits.h"
#include "raft/raft.h"
#include "verbs/summary.h"
#include "verbs/verbs.h"

enum { ENTRIES_MAX = 4096 };

static enum error_code check(const void *message, struct error *error) {
    const struct pb_read_log_request *request = message;
    if (request->to == 0 || request->from <= request->to) {
        return OK;
    }
    return error_set(error, ERR_INVALID, "from: %llu is after to, %llu", (unsigned long long)request->from,
                     (unsigned long long)request->to);
}

static bool ready(struct node *node, struct rpc_call call) {
    if (node_configuration(node)->count > 0) {
        return true;
    }
    node_redirect(node, call);
    return false;
}

static bool is_slow(const void *message) {
    (void)message;
    return true;
}

// All summaries go into one buffer, which moves while it grows, so their slices are set at the end.
static size_t gather(struct node *node, raft_index from, raft_index to, struct pb_log_entry *entries,
                     struct buf *summaries) {
    size_t count = 0;
    size_t bytes = 0;
    for (raft_index index = from; index <= to && count < ENTRIES_MAX; index++) {
        const struct raft_entry *entry = raft_entry_at(node_raft(node), index);
        size_t before = summaries->len;
        summarize_entry(entry, summaries);
        size_t summary = summaries->len - before;
        bytes += entry->len + summary;  // a key of control characters grows fourfold
        if (count > 0 && bytes > READ_LOG_BYTES_MAX) {
            break;
        }
        entries[count++] = (struct pb_log_entry){
            .index = entry->id.index,
            .term = entry->id.term,
            .type = entry->type,
            .command = raft_entry_command(entry),
            .summary = slice_of(NULL, summary),
        };
    }
    const uint8_t *text = summaries->data;
    for (size_t i = 0; i < count; i++) {
        entries[i].summary.data = text;
        text += entries[i].summary.len;
    }
    return count;
}

static void answer(struct node *node, struct rpc_call call, const void *message, raft_index index) {
    (void)index;
    const struct pb_read_log_request *request = message;
    raft_index first = raft_base(node_raft(node)).index + 1;
    raft_index commit = raft_commit_index(node_raft(node));
    raft_index from = request->from == 0 ? first : request->from;
    raft_index to = request->to == 0 || request->to > commit ? commit : request->to;
    if (from < first) {
        node_tell(node, call, OUTCOME_ENTRY_GONE, &(struct outcome_facts){.number = from, .limit = first});
        return;
    }
    struct pb_log_entry *entries = arena_alloc(node_scratch(node), ENTRIES_MAX * sizeof *entries);
    if (entries == NULL) {
        node_tell(node, call, OUTCOME_LIST_TOO_LONG, NULL);
        return;
    }
    struct buf summaries = {0};
    size_t count = gather(node, from, to, entries, &summaries);
    struct pb_read_log_response response = {
        .entries = entries,
        .entries_count = count,
        .next = from + count <= to ? from + count : 0,
        .commit_index = commit,
    };
    node_reply(node, call, verb_read_log.method, &response);
    buf_free(&summaries);
}

const struct verb verb_read_log = {
    .method = &pb_control_service_read_log,
    .check = check,
    .ready = ready,
    .answer = answer,
    .is_slow = is_slow,
    .in_quarantine = true,
};
