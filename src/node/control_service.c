// ControlService: what operators and control-plane programs ask. Requests are decoded and checked by wire; writes go to the
// core as proposals and are answered when applied, reads after a quorum round (or at once, if stale), the rest at once.
#include <stdio.h>

#include "base/array.h"
#include "base/slog.h"
#include "node/internal.h"

static void finish_error(struct node *node, struct rpc_call call, const struct error *error) {
    enum rpc_status status = RPC_INVALID_ARGUMENT;
    if (error->code == ERR_NO_MEMORY || error->code == ERR_TOO_LARGE) {
        status = RPC_RESOURCE_EXHAUSTED;
    }
    rpc_finish(node->server, call, status, error->message);
}

void control_redirect(struct node *node, struct rpc_call call) {
    const struct wire_member *leader = node->raft == NULL ? NULL : node_member(node, raft_leader(node->raft));
    if (leader == NULL || raft_id_equal(&leader->id, &node->config->node_id)) {
        rpc_finish(node->server, call, RPC_UNAVAILABLE, "there is no leader at the moment; nothing was done, try again");
        return;
    }
    char text[2 * ID_MAX + ADDRESS_MAX + 64];
    snprintf(text, sizeof text, "%s does not lead; ask the leader %s at %s", node->config->node_id.text, leader->id.text,
             leader->address);
    rpc_call_trailer(node->server, call, "baton-leader-id", raft_id_slice(&leader->id));
    rpc_call_trailer(node->server, call, "baton-leader-address", slice_of_str(leader->address));
    rpc_finish(node->server, call, RPC_FAILED_PRECONDITION, text);
}

static bool leading(const struct node *node) {
    return node->raft != NULL && raft_state(node->raft) == RAFT_LEADER;
}

// --- writes ---

static void propose(struct node *node, struct rpc_call call, struct state_command *command, enum write_kind kind) {
    struct error error = {0};
    size_t size = wire_command_size(command);
    if (size > COMMAND_MAX) {
        error_set(&error, ERR_TOO_LARGE, "the command has %zu bytes; at most %d are allowed", size, COMMAND_MAX);
        finish_error(node, call, &error);
        return;
    }
    command->time_unix_ms = node_command_time_ms(node);
    struct raft_entry *entry = wire_command_encode(node->slab, command);
    if (entry == NULL) {
        error_set(&error, ERR_NO_MEMORY, "no memory for a command of %zu bytes; nothing was written", size);
        finish_error(node, call, &error);
        return;
    }
    writes_collect(node->writes, entry, call, kind);
    node->collected = true;
}

void control_write(struct node *node, struct rpc_call call, enum write_kind kind, struct slice message) {
    if (handover_is_running(node->handover)) {
        handover_pause(node, call, kind, message);
        return;
    }
    if (!leading(node)) {
        control_redirect(node, call);
        return;
    }
    struct error error = {0};
    struct state_command command;
    enum error_code code = kind == WRITE_PUT ? wire_put_request_decode(message, &command, &error)
                                             : wire_delete_request_decode(message, &command, &error);
    if (code != OK) {
        finish_error(node, call, &error);
    } else {
        propose(node, call, &command, kind);
    }
}

static void put(void *user, struct rpc_call call, struct slice message) {
    control_write(user, call, WRITE_PUT, message);
}

static void delete(void *user, struct rpc_call call, struct slice message) {
    control_write(user, call, WRITE_DELETE, message);
}

static void finish_reason(struct node *node, struct rpc_call call, enum rpc_status status, const char *reason,
                          const char *message) {
    rpc_call_trailer(node->server, call, "baton-reason", slice_of_str(reason));
    rpc_finish(node->server, call, status, message);
}

static void write_failed(struct node *node, struct rpc_call call, const struct state_result *result) {
    char text[160];
    switch (result->outcome) {
    case STATE_REVISION_MISMATCH:
        snprintf(text, sizeof text, "%llu", (unsigned long long)result->revision);
        rpc_call_trailer(node->server, call, "baton-revision", slice_of_str(text));
        snprintf(text, sizeof text, "the key's revision is %llu%s; nothing was written",
                 (unsigned long long)result->revision, result->revision == 0 ? " (there is no such key)" : "");
        finish_reason(node, call, RPC_ABORTED, "revision-mismatch", text);
        break;
    case STATE_SESSION_EXPIRED:
        rpc_call_trailer(node->server, call, "baton-outcome", slice_of_str("unknown"));
        finish_reason(
            node, call, RPC_ABORTED, "session-expired",
            "session expired, outcome unknown: the result of this sequence is no longer kept; read before you repeat");
        break;
    case STATE_SEQUENCE_REUSED:
        finish_reason(node, call, RPC_INVALID_ARGUMENT, "sequence-reused",
                      "this client id has used the sequence for another write; nothing was written");
        break;
    default:
        rpc_finish(node->server, call, RPC_INTERNAL, "unexpected outcome of a write");
        break;
    }
}

void control_write_done(struct node *node, const struct waiting_write *write, const struct state_result *result) {
    if (result->outcome != STATE_DONE) {
        write_failed(node, write->call, result);
        return;
    }
    buf_clear(&node->out);
    if (write->kind == WRITE_PUT) {
        wire_put_response_encode(result->revision, &node->out);
    } else {
        wire_delete_response_encode(result->revision, result->existed, &node->out);
    }
    rpc_reply(node->server, write->call, buf_slice(&node->out));
}

// --- reads ---

static void answer_get(struct node *node, struct rpc_call call, struct slice key, raft_index index) {
    struct state_item item;
    if (!state_get(node->state, key, &item)) {
        rpc_finish(node->server, call, RPC_NOT_FOUND, "there is no such key");
        return;
    }
    struct wire_get_response response = {.value = item.value, .revision = item.revision, .read_index = index};
    buf_clear(&node->out);
    wire_get_response_encode(&response, &node->out);
    rpc_reply(node->server, call, buf_slice(&node->out));
}

// How much of a list one answer holds.
struct page {
    size_t count;
    size_t limit;
    size_t bytes;
    size_t bytes_max;
    bool more;
};

static size_t page_limit(uint32_t asked) {
    return asked == 0 || asked > LIST_DEFAULT * 10 ? LIST_DEFAULT : asked;
}

// False: the page has no room for one more of so many bytes; but the first always fits.
static bool page_takes(struct page *page, size_t bytes) {
    page->bytes += bytes;
    page->more = page->count == page->limit || (page->count > 0 && page->bytes > page->bytes_max);
    return !page->more;
}

struct listing {
    struct state_item *items;
    struct page page;
};

static bool list_item(void *user, const struct state_item *item) {
    struct listing *listing = user;
    if (!page_takes(&listing->page, item->key.len + item->value.len)) {
        return false;
    }
    listing->items[listing->page.count++] = *item;
    return true;
}

static void answer_list(struct node *node, struct rpc_call call, const struct wire_list_request *request, raft_index index) {
    size_t limit = page_limit(request->limit);
    struct listing listing = {
        .items = arena_alloc(&node->scratch, limit * sizeof(struct state_item)),
        .page = {.limit = limit, .bytes_max = LIST_BYTES_MAX},
    };
    if (listing.items == NULL) {
        rpc_finish(node->server, call, RPC_RESOURCE_EXHAUSTED, "no memory for so long a list; ask for fewer keys");
        return;
    }
    state_list(node->state, request->prefix, request->start_after, list_item, &listing);
    struct wire_list_response response = {
        .items = listing.items, .count = listing.page.count, .more = listing.page.more, .read_index = index};
    buf_clear(&node->out);
    wire_list_response_encode(&response, &node->out);
    rpc_reply(node->server, call, buf_slice(&node->out));
}

struct worker_listing {
    struct node *node;
    struct wire_worker_info *workers;
    struct page page;
};

// Of a worker in an answer, at most: its numbers, its status, and what stands before each text; and before those of a label.
enum { WORKER_FRAME_BYTES = 64, LABEL_FRAME_BYTES = 10 };

static size_t worker_bytes(const struct state_worker *worker) {
    size_t bytes = WORKER_FRAME_BYTES + worker->id.len + worker->address.len + worker->cloud.len + worker->reason.len +
                   worker->instance_id.len;
    for (size_t i = 0; i < worker->label_count; i++) {
        bytes += LABEL_FRAME_BYTES + worker->labels[i].key.len + worker->labels[i].value.len;
    }
    return bytes;
}

static bool list_worker(void *user, const struct state_worker *worker) {
    struct worker_listing *listing = user;
    if (!page_takes(&listing->page, worker_bytes(worker))) {
        return false;
    }
    struct wire_worker_info *info = &listing->workers[listing->page.count++];
    *info = (struct wire_worker_info){.worker = *worker};
    info->has_last_seen = node_worker_last_seen(listing->node, worker->slot, &info->last_seen_unix_ms);
    return true;
}

// Whoever asks for all (a program that knows no pages) gets all or none: part of them would pass for all.
static void answer_workers(struct node *node, struct rpc_call call, const struct wire_list_workers_request *request,
                           raft_index index) {
    bool all = request->limit == 0;
    size_t limit = all ? MESSAGE_MAX / WORKER_FRAME_BYTES : page_limit(request->limit);
    struct worker_listing listing = {
        .node = node,
        .workers = arena_alloc(&node->scratch, limit * sizeof(struct wire_worker_info)),
        .page = {.limit = limit, .bytes_max = all ? MESSAGE_MAX : LIST_BYTES_MAX},
    };
    if (listing.workers == NULL) {
        rpc_finish(node->server, call, RPC_RESOURCE_EXHAUSTED, "no memory for so many workers; ask for fewer");
        return;
    }
    state_workers(node->state, request->start_after, list_worker, &listing);
    if (all && listing.page.more) {
        rpc_finish(node->server, call, RPC_RESOURCE_EXHAUSTED,
                   "the workers are too many for one answer; ask for them in pages, by limit and start_after");
        return;
    }
    struct wire_list_workers_response response = {
        .workers = listing.workers, .count = listing.page.count, .more = listing.page.more, .read_index = index};
    buf_clear(&node->out);
    wire_list_workers_response_encode(&response, &node->out);
    rpc_reply(node->server, call, buf_slice(&node->out));
}

static void start_watch(struct node *node, struct rpc_call call, const struct wire_watch_request *request);
static void answer_log(struct node *node, struct rpc_call call, const struct wire_read_log_request *request);

// All requests were decoded before, when they came in.
static void make_answer(void *user, const struct waiting_read *read, struct slice request) {
    struct node *node = user;
    struct wire_list_request list_request;
    struct wire_list_workers_request workers_request;
    struct wire_read_log_request log_request;
    struct wire_watch_request watch_request;
    arena_reset(&node->scratch);
    switch (read->kind) {
    case READ_LIST:
        if (wire_list_request_decode(request, &list_request, NULL) == OK) {
            answer_list(node, read->call, &list_request, read->index);
        }
        break;
    case READ_WORKERS:
        if (wire_list_workers_request_decode(request, &workers_request, NULL) == OK) {
            answer_workers(node, read->call, &workers_request, read->index);
        }
        break;
    case READ_LOG:
        if (wire_read_log_request_decode(request, &log_request, NULL) == OK) {
            answer_log(node, read->call, &log_request);
        }
        break;
    case READ_WATCH:
        if (wire_watch_request_decode(request, &watch_request, NULL) == OK) {
            start_watch(node, read->call, &watch_request);
        }
        break;
    case READ_GET:
    case READ_CONFIRM:
        break;  // take no time
    }
}

static bool is_wanted(void *user, struct rpc_call call) {
    const struct node *node = user;
    return rpc_call_alive(node->server, call);
}

struct answers *control_answers_new(struct node *node) {
    struct answers_maker maker = {.now_us = node_clock_us, .wanted = is_wanted, .make = make_answer, .user = node};
    return answers_new(&maker);
}

static void answer_in_time(struct node *node, const struct waiting_read *read, struct slice request) {
    if (!answers_ask(node->answers, read, request)) {
        rpc_finish(node->server, read->call, RPC_RESOURCE_EXHAUSTED,
                   "too many long answers wait to be made here; try again later");
    }
}

void control_read_ready(struct node *node, const struct waiting_read *read, struct slice request) {
    struct wire_get_request get_request;
    metric_add(node->m.reads, 1);
    if (read->kind != READ_GET) {
        answer_in_time(node, read, request);
    } else if (wire_get_request_decode(request, &get_request, NULL) == OK) {
        answer_get(node, read->call, get_request.key, read->index);
    }
}

// The request waits as what we understand of it, in node->request: whatever else a client has sent along is not kept.
static void ask(struct node *node, enum read_kind kind, struct rpc_call call) {
    if (!leading(node)) {
        control_redirect(node, call);
        return;
    }
    reads_collect(node->reads, kind, call, buf_slice(&node->request));
    node->collected = true;
}

// The same for what needs no quorum.
static void answer_understood(struct node *node, enum read_kind kind, struct rpc_call call) {
    struct waiting_read read = {.kind = kind, .call = call, .index = state_last_applied(node->state)};
    answer_in_time(node, &read, buf_slice(&node->request));
}

static void get(void *user, struct rpc_call call, struct slice message) {
    struct node *node = user;
    struct error error = {0};
    struct wire_get_request request;
    if (wire_get_request_decode(message, &request, &error) != OK) {
        finish_error(node, call, &error);
    } else if (request.stale) {
        answer_get(node, call, request.key, state_last_applied(node->state));
    } else {
        buf_clear(&node->request);
        wire_get_request_encode(&request, &node->request);
        ask(node, READ_GET, call);
    }
}

static void list(void *user, struct rpc_call call, struct slice message) {
    struct node *node = user;
    struct error error = {0};
    struct wire_list_request request;
    if (wire_list_request_decode(message, &request, &error) != OK) {
        finish_error(node, call, &error);
        return;
    }
    buf_clear(&node->request);
    wire_list_request_encode(&request, &node->request);
    if (request.stale) {
        answer_understood(node, READ_LIST, call);
    } else {
        ask(node, READ_LIST, call);
    }
}

static void list_workers(void *user, struct rpc_call call, struct slice message) {
    struct node *node = user;
    struct error error = {0};
    struct wire_list_workers_request request;
    if (wire_list_workers_request_decode(message, &request, &error) != OK) {
        finish_error(node, call, &error);
    } else {
        buf_clear(&node->request);
        wire_list_workers_request_encode(&request, &node->request);
        ask(node, READ_WORKERS, call);
    }
}

// --- watch ---

static void start_watch(struct node *node, struct rpc_call call, const struct wire_watch_request *request) {
    uint64_t next = state_last_applied(node->state) + 1;
    uint64_t from = request->has_from ? request->from_revision : next;
    char text[160];
    if (from > next) {
        snprintf(text, sizeof text, "revision %llu is not there yet; this node is at %llu", (unsigned long long)from,
                 (unsigned long long)next - 1);
        finish_reason(node, call, RPC_OUT_OF_RANGE, "revision-ahead", text);  // another node may have it
    } else if (from < state_history_from(node->state)) {
        snprintf(text, sizeof text,
                 "revision %llu is no longer held; the oldest is %llu: list the keys, then watch from there",
                 (unsigned long long)from, (unsigned long long)state_history_from(node->state));
        rpc_finish(node->server, call, RPC_OUT_OF_RANGE, text);
    } else if (!watches_add(node->watches, call, request->prefix, from)) {
        rpc_finish(node->server, call, RPC_RESOURCE_EXHAUSTED, "this node has as many watches as it takes; ask another");
    }
}

static void watch(void *user, struct rpc_call call, struct slice message) {
    struct node *node = user;
    struct error error = {0};
    struct wire_watch_request request;
    if (wire_watch_request_decode(message, &request, &error) != OK) {
        finish_error(node, call, &error);
    } else if (!request.has_from) {
        start_watch(node, call, &request);
    } else {
        buf_clear(&node->request);
        wire_watch_request_encode(&request, &node->request);
        answer_understood(node, READ_WATCH, call);
    }
}

static void watch_cancelled(void *user, struct rpc_call call) {
    struct node *node = user;
    watches_remove(node->watches, call);
}

static void watch_writable(void *user, struct rpc_call call) {
    struct node *node = user;
    watches_writable(node->watches, call);
}

// --- status, log, leadership ---

static void tell_status(void *user, struct rpc_call call, struct slice message) {
    struct node *node = user;
    (void)message;  // has no fields
    struct slice asker = rpc_call_metadata(node->server, call, PEER_METADATA);
    if (asker.len > 0 && asker.len <= ID_MAX) {
        struct raft_id id = raft_id_of(asker);
        peers_heard(node->peers, &id);
    }
    struct node_status status;
    node_status(node, &status);
    buf_clear(&node->out);
    wire_status_response_encode(&status.response, &node->out);
    rpc_reply(node->server, call, buf_slice(&node->out));
}

static size_t gather_log(struct node *node, raft_index from, raft_index to, struct wire_log_entry *entries, size_t max,
                         struct buf *summaries) {
    size_t count = 0;
    size_t bytes = 0;
    for (raft_index index = from; index <= to && count < max; index++) {
        const struct raft_entry *entry = raft_entry_at(node->raft, index);
        size_t before = summaries->len;
        wire_command_summary(entry, summaries);
        size_t summary = summaries->len - before;
        bytes += entry->len + summary;  // a key of control characters grows fourfold
        if (count > 0 && bytes > READ_LOG_BYTES_MAX) {
            break;
        }
        entries[count++] = (struct wire_log_entry){
            .id = entry->id,
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

static void answer_log(struct node *node, struct rpc_call call, const struct wire_read_log_request *request) {
    raft_index first = raft_base(node->raft).index + 1;
    raft_index commit = raft_commit_index(node->raft);
    raft_index from = request->from == 0 ? first : request->from;
    raft_index to = request->to == 0 || request->to > commit ? commit : request->to;
    if (from < first) {
        char text[96];
        snprintf(text, sizeof text, "entry %llu is no longer held; the first is %llu", (unsigned long long)from,
                 (unsigned long long)first);
        rpc_finish(node->server, call, RPC_OUT_OF_RANGE, text);
        return;
    }
    enum { ENTRIES_MAX = 4096 };
    struct wire_log_entry *entries = arena_alloc(&node->scratch, ENTRIES_MAX * sizeof *entries);
    if (entries == NULL) {
        rpc_finish(node->server, call, RPC_RESOURCE_EXHAUSTED, "no memory for a part of the log; try again later");
        return;
    }
    struct buf summaries = {0};
    size_t count = gather_log(node, from, to, entries, ENTRIES_MAX, &summaries);
    struct wire_read_log_response response = {
        .entries = entries,
        .count = count,
        .next = from + count <= to ? from + count : 0,
        .commit_index = commit,
    };
    buf_clear(&node->out);
    wire_read_log_response_encode(&response, &node->out);
    buf_free(&summaries);
    rpc_reply(node->server, call, buf_slice(&node->out));
}

static void read_log(void *user, struct rpc_call call, struct slice message) {
    struct node *node = user;
    struct error error = {0};
    struct wire_read_log_request request;
    if (wire_read_log_request_decode(message, &request, &error) != OK) {
        finish_error(node, call, &error);
    } else if (node->raft == NULL) {
        control_redirect(node, call);
    } else {
        buf_clear(&node->request);
        wire_read_log_request_encode(&request, &node->request);
        answer_understood(node, READ_LOG, call);
    }
}

static void transfer_leadership(void *user, struct rpc_call call, struct slice message) {
    struct node *node = user;
    struct error error = {0};
    struct raft_id target;
    if (wire_transfer_request_decode(message, &target, &error) != OK) {
        finish_error(node, call, &error);
    } else if (!leading(node)) {
        control_redirect(node, call);
    } else if (raft_id_equal(&target, &node->config->node_id)) {
        control_transfer_done(node, call, RAFT_TRANSFER_DONE, RAFT_ACCEPTED);  // as it was asked for
    } else {
        handover_begin(node, &target, call);
    }
}

static const char *transfer_refusal_text(enum raft_refusal refusal) {
    switch (refusal) {
    case RAFT_NO_SUCH_NODE:
        return "there is no such voter to hand over to; see batonctl member list";
    case RAFT_BUSY:
        return "a transfer is under way already; wait for its end";
    default:
        return "this node does not lead any more";
    }
}

void control_transfer_done(struct node *node, struct rpc_call call, enum raft_transfer_outcome outcome,
                           enum raft_refusal refusal) {
    bool asked_for = call.generation != 0;  // by an operator
    if (asked_for && outcome != RAFT_TRANSFER_REFUSED) {
        placement_pause(&node->placement, node->now_us, raft_current_term(node->raft));
    }
    if (outcome == RAFT_TRANSFER_DONE) {
        buf_clear(&node->out);
        wire_transfer_response_encode(raft_leader(node->raft), raft_current_term(node->raft), &node->out);
        rpc_reply(node->server, call, buf_slice(&node->out));
    } else if (outcome == RAFT_TRANSFER_REFUSED) {
        rpc_finish(node->server, call, RPC_FAILED_PRECONDITION, transfer_refusal_text(refusal));
    } else {
        rpc_finish(node->server, call, RPC_ABORTED,
                   "the target did not take over in time; see batonctl status for who leads");
    }
}

static const struct rpc_method methods[] = {
    {.name = "Put", .kind = RPC_UNARY, .on_message = put},
    {.name = "Get", .kind = RPC_UNARY, .on_message = get},
    {.name = "Delete", .kind = RPC_UNARY, .on_message = delete},
    {.name = "List", .kind = RPC_UNARY, .on_message = list},
    {.name = "Watch",
     .kind = RPC_SERVER_STREAM,
     .on_message = watch,
     .on_cancel = watch_cancelled,
     .on_writable = watch_writable},
    {.name = "Status", .kind = RPC_UNARY, .on_message = tell_status},
    {.name = "ReadLog", .kind = RPC_UNARY, .on_message = read_log},
    {.name = "ListWorkers", .kind = RPC_UNARY, .on_message = list_workers},
    {.name = "TransferLeadership", .kind = RPC_UNARY, .on_message = transfer_leadership},
};

// Nodes ask each other for their status. Workers have no business here.
static const char *const roles[] = {"operator", "node", NULL};

const struct rpc_service control_service = {
    .roles = roles,
    .name = "baton.v1.ControlService",
    .methods = methods,
    .method_count = ARRAY_COUNT(methods),
};
