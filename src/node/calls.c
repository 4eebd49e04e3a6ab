// The path of a call: node/calls.h.
#include "node/calls.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "node/access.h"
#include "node/audit.h"
#include "node/internal.h"
#include "node/quarantine.h"
#include "node/read_index.h"
#include "wire/codec.h"
#include "wire/command.h"
#include "wire/json.h"

// Of a read that any node may answer, until it is refused: with the pauses between them as long as an election takes.
enum { READ_TRIES_MAX = 4 };

// The `user` of each rpc_method.
struct bound_verb {
    struct node *node;
    const struct verb *verb;
};

struct calls {
    struct bound_verb *bound;
    size_t count;
    struct rpc_method *methods;  // of all services, each service's together
    struct rpc_service *services;
    size_t service_count;
};

// --- replies ---

void node_reply(struct node *node, struct rpc_call call, const struct pb_method *method, const void *response) {
    buf_clear(&node->out);
    pb_encode(method->response, response, &node->out);
    audit_end(node->audit, call, "OK");
    rpc_reply(node->server, call, buf_slice(&node->out));
}

void node_tell(struct node *node, struct rpc_call call, enum outcome outcome, const struct outcome_facts *facts) {
    audit_end(node->audit, call, outcome_word(outcome));
    outcome_tell(node->server, call, outcome, facts);
}

void node_refuse(struct node *node, struct rpc_call call, const struct error *error) {
    audit_end(node->audit, call, rpc_status_name(outcome_refusal(error)));
    outcome_refuse(node->server, call, error);
}

void node_redirect(struct node *node, struct rpc_call call) {
    const struct wire_member *leader = node_leader(node);
    if (leader == NULL || raft_id_equal(&leader->id, node_id(node))) {
        node_tell(node, call, OUTCOME_NO_LEADER, NULL);
        return;
    }
    struct outcome_facts facts = {
        .name = raft_id_slice(node_id(node)),
        .leader = raft_id_slice(&leader->id),
        .address = slice_of_str(leader->address),
    };
    node_tell(node, call, OUTCOME_NOT_LEADER, &facts);
}

bool node_leads_or_redirects(struct node *node, struct rpc_call call) {
    if (node_leads(node)) {
        return true;
    }
    node_redirect(node, call);
    return false;
}

// --- requests ---

// The request, decoded into the scratch arena and checked; NULL: the call has been answered.
static void *take_request(struct node *node, const struct verb *verb, struct rpc_call call, struct slice message) {
    const struct pb_type *type = verb->method->request;
    struct error error = {0};
    arena_reset(&node->scratch);
    void *request = arena_alloc(&node->scratch, type->size);
    assert(request != NULL);
    enum error_code code = pb_decode(&node->scratch, type, message, request, &error);
    if (code == OK) {
        code = pb_check(type, request, &error);
    }
    if (code == OK && verb->check != NULL) {
        code = verb->check(request, &error);
    }
    if (code == OK) {
        return request;
    }
    node_refuse(node, call, &error);
    return NULL;
}

static bool is_ready(struct node *node, const struct verb *verb, struct rpc_call call) {
    if (verb->ready != NULL) {
        return verb->ready(node, call);
    }
    if (node_leads(node)) {
        return true;
    }
    node_redirect(node, call);
    return false;
}

// Also tells the verb; true: a client waits for an answer.
static bool tell_lost(struct node *node, const struct verb *verb) {
    if (verb->lost != NULL) {
        verb->lost(node);
    }
    return verb->method != NULL;
}

// In quarantine a waiting call ends here, unless its answer says nothing of the state. True: it has.
static bool end_in_quarantine(struct node *node, const struct verb *verb, struct rpc_call call, bool in_doubt) {
    if (!quarantine_begun(node) || verb->in_quarantine) {
        return false;
    }
    if (tell_lost(node, verb)) {
        quarantine_tell(node, call, in_doubt);
    }
    return true;
}

// --- audit ---

// Who asks, and for what: first as the request names it, since it may be refused; then, of a write, as its log entry will.
static void begin_audit(struct node *node, const struct verb *verb, struct rpc_call call, const void *request) {
    if (node->audit == NULL || !verb->audited) {
        return;
    }
    struct buf what = {.len = 0};
    if (verb->scope != NULL) {
        buf_append_slice(&what, verb->scope(request));
    } else {
        pb_json_write(verb->method->request, request, &what);
    }
    audit_begin(node->audit, call, rpc_call_peer(node->server, call), verb->method->name, buf_slice(&what));
    buf_free(&what);
}

static void audit_command(struct node *node, const struct verb *verb, struct rpc_call call,
                          const struct pb_command *command) {
    if (node->audit == NULL || !verb->audited) {
        return;
    }
    struct buf what = {.len = 0};
    verb->summarize(command, &what);
    audit_what(node->audit, call, buf_slice(&what));
    buf_free(&what);
}

// --- writes ---

void node_propose(struct node *node, struct rpc_call call, const struct verb *verb, struct pb_command *command) {
    struct error error = {0};
    assert(command->level <= state_level(node->state) || command->op == PB_COMMAND_OP_RAISE_LEVEL);
    command->time_unix_ms = node_command_time_ms(node);
    struct raft_entry *entry = wire_command_encode(node->slab, command, &error);
    if (entry == NULL) {
        tell_lost(node, verb);
        node_refuse(node, call, &error);
        return;
    }
    writes_collect(node->writes, entry, call, verb);
}

static void take_write(struct node *node, const struct verb *verb, struct rpc_call call, struct slice message) {
    if (verb->pauses && transfer_is_running(node->transfer)) {
        if (!transfer_pause(node->transfer, verb, call, message)) {
            node_tell(node, call, OUTCOME_TOO_MANY_PAUSED, NULL);
        }
        return;
    }
    const void *request = take_request(node, verb, call, message);
    if (request == NULL || !is_ready(node, verb, call)) {
        return;
    }
    begin_audit(node, verb, call, request);
    struct pb_command command = {.format = COMMAND_FORMAT};
    if (access_admits(node, verb, call, request) && verb->propose(node, call, request, &command)) {
        audit_command(node, verb, call, &command);
        node_propose(node, call, verb, &command);
    }
}

void calls_resume_write(struct node *node, const struct verb *verb, struct rpc_call call, struct slice message) {
    if (rpc_call_alive(node->server, call) && !end_in_quarantine(node, verb, call, false)) {
        take_write(node, verb, call, message);
    }
}

void calls_write_refused(struct node *node, const struct waiting_write *write, enum raft_refusal refusal) {
    const struct verb *verb = write->verb;
    metric_add(node->m.proposals_failed, 1);
    if (end_in_quarantine(node, verb, write->call, false) || !tell_lost(node, verb)) {
        return;
    }
    if (refusal == RAFT_TOO_MUCH) {
        node_tell(node, write->call, OUTCOME_TOO_MUCH_UNCOMMITTED, NULL);
    } else if (refusal == RAFT_TRANSFERRING) {
        node_tell(node, write->call, OUTCOME_TRANSFERRING, NULL);
    } else if (verb->ready == NULL) {
        node_redirect(node, write->call);
    } else if (verb->ready(node, write->call)) {
        node_tell(node, write->call, OUTCOME_LEADERSHIP_CHANGED, NULL);
    }
}

void calls_write_lost(struct node *node, const struct waiting_write *write, bool overwritten) {
    metric_add(node->m.proposals_failed, 1);
    if (end_in_quarantine(node, write->verb, write->call, !overwritten) || !tell_lost(node, write->verb)) {
        return;
    }
    node_tell(node, write->call, overwritten ? OUTCOME_OVERWRITTEN : OUTCOME_UNKNOWN, NULL);
}

// --- reads ---

// Waits as encoded again, so that unknown fields a client has sent take no memory.
static struct slice understood(struct node *node, const struct verb *verb, const void *request) {
    buf_clear(&node->request);
    pb_encode(verb->method->request, request, &node->request);
    return buf_slice(&node->request);
}

// The caller is asked for what it may do only now: this state is as new as the read must be, and so are the grants in it.
static void answer(struct node *node, const struct verb *verb, struct rpc_call call, const void *request, raft_index index) {
    begin_audit(node, verb, call, request);
    if (!access_admits(node, verb, call, request)) {
        return;
    }
    if (verb->is_slow == NULL || !verb->is_slow(request)) {
        verb->answer(node, call, request, index);
        return;
    }
    struct waiting_read read = {.verb = verb, .call = call, .index = index};
    if (!slow_replies_ask(node->slow_replies, &read, understood(node, verb, request))) {
        node_tell(node, call, OUTCOME_TOO_MANY_SLOW, NULL);
    }
}

void calls_reply_slowly(struct node *node, const struct waiting_read *read, struct slice message) {
    if (end_in_quarantine(node, read->verb, read->call, false)) {
        return;
    }
    const void *request = take_request(node, read->verb, read->call, message);
    assert(request != NULL);  // it was checked when it came in
    if (access_admits(node, read->verb, read->call, request)) {
        read->verb->answer(node, read->call, request, read->index);
    }
}

static bool is_anywhere(const struct verb *verb, const void *request) {
    return verb->is_anywhere != NULL && verb->is_anywhere(request);
}

static void take_read(struct node *node, const struct verb *verb, struct rpc_call call, struct slice message) {
    const void *request = take_request(node, verb, call, message);
    if (request == NULL) {
        return;
    }
    if (verb->is_stale != NULL && verb->is_stale(request)) {
        answer(node, verb, call, request, state_last_applied(node->state));
    } else if (is_anywhere(verb, request) && node->configuration.count == 0) {
        node_tell(node, call, OUTCOME_NO_CLUSTER, NULL);
    } else if (is_anywhere(verb, request) && !node_leads(node)) {
        read_index_collect(node, verb, call, understood(node, verb, request));
    } else if (is_ready(node, verb, call)) {
        reads_collect(node->reads, verb, call, understood(node, verb, request));
    }
}

void calls_read_ready(struct node *node, const struct waiting_read *read, struct slice message) {
    if (end_in_quarantine(node, read->verb, read->call, false)) {
        return;
    }
    if (read->verb->method == NULL) {
        read->verb->answer(node, read->call, NULL, read->index);
        return;
    }
    metric_add(node->m.reads, 1);
    const void *request = take_request(node, read->verb, read->call, message);
    assert(request != NULL);
    answer(node, read->verb, read->call, request, read->index);
}

static void tell_unconfirmed(struct node *node, struct rpc_call call) {
    const struct wire_member *leader = node_leader(node);
    if (leader == NULL) {
        node_tell(node, call, OUTCOME_NO_LEADER, NULL);
        return;
    }
    struct outcome_facts facts = {.leader = raft_id_slice(&leader->id), .address = slice_of_str(leader->address)};
    node_tell(node, call, OUTCOME_UNCONFIRMED, &facts);
}

// A read that any node may answer got no index: leadership has changed, or the leader was not reached.
static void try_again(struct node *node, const struct waiting_read *read, const void *request, struct slice message) {
    if (!rpc_call_alive(node->server, read->call)) {
        return;
    }
    if (node_leads(node)) {
        reads_collect_again(node->reads, read, message);
    } else if (read_index_is_unknown(node) && read->verb->was_local) {
        answer(node, read->verb, read->call, request, state_last_applied(node->state));
    } else if (read_index_is_unknown(node)) {
        node_redirect(node, read->call);
    } else if (read->tries + 1 >= READ_TRIES_MAX || node_is_leaderless(node)) {
        tell_unconfirmed(node, read->call);
    } else {
        read_index_collect_again(node, read, message);
    }
}

void calls_read_refused(struct node *node, const struct waiting_read *read, struct slice message) {
    if (end_in_quarantine(node, read->verb, read->call, false) || !tell_lost(node, read->verb)) {
        return;
    }
    const void *request = read->verb->is_anywhere == NULL ? NULL : take_request(node, read->verb, read->call, message);
    if (request != NULL && is_anywhere(read->verb, request)) {
        try_again(node, read, request, message);
    } else {
        node_redirect(node, read->call);
    }
}

static void take_local(struct node *node, const struct verb *verb, struct rpc_call call, struct slice message) {
    const void *request = take_request(node, verb, call, message);
    if (request != NULL && (verb->ready == NULL || verb->ready(node, call))) {
        answer(node, verb, call, request, state_last_applied(node->state));
    }
}

// --- the server's callbacks ---

static void on_message(void *user, struct rpc_call call, struct slice message) {
    const struct bound_verb *bound = user;
    if (quarantine_begun(bound->node) && !bound->verb->in_quarantine) {
        quarantine_tell(bound->node, call, false);
        return;
    }
    switch (bound->verb->method->access) {
    case PB_ACCESS_WRITE:
        take_write(bound->node, bound->verb, call, message);
        break;
    case PB_ACCESS_READ:
        take_read(bound->node, bound->verb, call, message);
        break;
    case PB_ACCESS_LOCAL:
        take_local(bound->node, bound->verb, call, message);
        break;
    case PB_ACCESS_UNSPECIFIED:
        assert(false);  // calls_new has refused it
    }
}

static void on_cancel(void *user, struct rpc_call call) {
    const struct bound_verb *bound = user;
    bound->verb->cancelled(bound->node, call);
}

static void on_writable(void *user, struct rpc_call call) {
    const struct bound_verb *bound = user;
    bound->verb->writable(bound->node, call);
}

static struct rpc_method method_of(struct bound_verb *bound) {
    const struct verb *verb = bound->verb;
    const struct pb_method *method = verb->method;
    assert(method->access != PB_ACCESS_UNSPECIFIED);
    assert((method->access == PB_ACCESS_WRITE) == (verb->propose != NULL && verb->applied != NULL));
    assert((method->access == PB_ACCESS_WRITE) == (verb->answer == NULL));
    return (struct rpc_method){
        .name = method->name,
        .kind = method->server_streaming ? RPC_SERVER_STREAM : RPC_UNARY,
        .on_message = on_message,
        .on_cancel = verb->cancelled == NULL ? NULL : on_cancel,
        .on_writable = verb->writable == NULL ? NULL : on_writable,
        .user = bound,
        .roles = method->roles,
    };
}

// All verbs of one service, in one run of calls->methods.
static size_t add_service(struct calls *calls, const struct pb_service *service, size_t first) {
    size_t count = 0;
    for (size_t i = 0; i < calls->count; i++) {
        if (calls->bound[i].verb->method->service == service) {
            calls->methods[first + count++] = method_of(&calls->bound[i]);
        }
    }
    assert(count == service->method_count);  // every call that the .proto names has its verb
    calls->services[calls->service_count++] = (struct rpc_service){
        .name = service->name,
        .methods = &calls->methods[first],
        .method_count = count,
        .roles = service->roles,
    };
    return count;
}

static bool is_served(const struct calls *calls, const struct pb_service *service) {
    for (size_t i = 0; i < calls->service_count; i++) {
        if (calls->services[i].name == service->name) {
            return true;
        }
    }
    return false;
}

struct calls *calls_new(struct node *node) {
    struct calls *calls = mem_zalloc(sizeof *calls);
    const struct verb *const *verbs = node->config->verbs;
    while (verbs[calls->count] != NULL) {
        calls->count++;
    }
    calls->bound = mem_alloc(calls->count * sizeof *calls->bound);
    calls->methods = mem_alloc(calls->count * sizeof *calls->methods);
    calls->services = mem_alloc(calls->count * sizeof *calls->services);
    for (size_t i = 0; i < calls->count; i++) {
        calls->bound[i] = (struct bound_verb){.node = node, .verb = verbs[i]};
    }
    size_t methods = 0;
    for (size_t i = 0; i < calls->count; i++) {
        if (!is_served(calls, verbs[i]->method->service)) {
            methods += add_service(calls, verbs[i]->method->service, methods);
        }
    }
    for (size_t i = 0; i < calls->service_count; i++) {
        rpc_server_add_service(node->server, &calls->services[i]);
        rpc_server_set_serving(node->server, calls->services[i].name, true);
    }
    return calls;
}

void calls_free(struct calls *calls) {
    free(calls->bound);
    free(calls->methods);
    free(calls->services);
    free(calls);
}
