// The operator: operator.h.
#include "operator.h"

#include <stdio.h>
#include <string.h>

#include "baton/v1/control.pb.h"
#include "endpoints.h"
#include "host.h"
#include "ledger.h"
#include "members.h"
#include "wire/codec.h"
#include "world.h"

enum { CALL_MS = 4000, QUEUE = 16, TRIES = 12, REGROWN = 3 };
#define LOOK_MIN_US (50 * US_PER_MS)
#define LOOK_MAX_US (600 * US_PER_MS)
#define IN_DOUBT_US (20 * US_PER_S)  // a request may be late by what a cut lasts, and no more

struct asked {
    enum task task;
    uint64_t draw;
};

static struct {
    int host;
    struct endpoints nodes;
    uv_loop_t *loop;
    struct asked queue[QUEUE];
    size_t queued;
    bool busy;
    struct asked now;
    int target;
    unsigned tries;
    uint64_t doubtful_until_us;
    struct buf request;
    bool stopped, closed;
} o;

static const struct pb_method *const methods[TASKS] = {
    [TASK_ADD] = &pb_control_service_member_add,       [TASK_PROMOTE] = &pb_control_service_member_promote,
    [TASK_REMOVE] = &pb_control_service_member_remove, [TASK_TRANSFER] = &pb_control_service_transfer_leadership,
    [TASK_SNAPSHOT] = &pb_control_service_snapshot,
};

static void look(void *a, uint64_t b);
static void send_call(void *a, uint64_t b);

static void on_loop(void *a, uint64_t b) {
    (void)a;
    if (!o.closed) {
        loop_post(o.loop, b == 0 ? look : send_call, NULL, 0);
    }
}

static void later(bool again) {
    world_at(world_now() + world_between(LOOK_MIN_US, LOOK_MAX_US), on_loop, NULL, again);
}

// --- what to do ---

static int target_of(const struct asked *asked) {
    switch (asked->task) {
    case TASK_ADD:
        return members_spare(asked->draw);
    case TASK_PROMOTE:
        return members_learner(asked->draw);
    default:
        return members_any(asked->draw);
    }
}

// A node that is lost is replaced: one is added, promoted, the lost one removed, in whatever order happens.
static bool replace(struct asked *next) {
    int lost = members_lost();
    if (lost == NO_HOST) {
        return false;
    }
    uint64_t draw = world_between(0, UINT32_MAX);
    *next = (struct asked){.task = (enum task)world_between(TASK_ADD, TASK_REMOVE), .draw = draw};
    if (next->task == TASK_ADD && members_count() >= MEMBERS_MAX) {
        next->task = TASK_REMOVE;
    }
    o.target = next->task == TASK_REMOVE ? lost : target_of(next);
    return o.target != NO_HOST;
}

// A survivor takes others in.
static bool regrow(struct asked *next) {
    if (ledger_generation() == 1 || members_voters() >= REGROWN) {
        return false;
    }
    *next = (struct asked){.task = world_chance(2) ? TASK_ADD : TASK_PROMOTE, .draw = world_between(0, UINT32_MAX)};
    o.target = members_count() >= MEMBERS_MAX && next->task == TASK_ADD ? NO_HOST : target_of(next);
    return o.target != NO_HOST;
}

static bool take_asked(struct asked *next) {
    if (o.queued == 0) {
        return false;
    }
    *next = o.queue[0];
    memmove(o.queue, o.queue + 1, --o.queued * sizeof o.queue[0]);
    o.target = target_of(next);
    bool risky = next->task == TASK_REMOVE && (members_voters() < 2 || members_are_hurt());
    return o.target != NO_HOST && !risky;
}

static void encode(void) {
    struct slice id = slice_of_str(host_of(o.target)->name);
    buf_clear(&o.request);
    switch (o.now.task) {
    case TASK_ADD:
        pb_encode(&pb_member_add_request_type,
                  &(struct pb_member_add_request){.id = id,
                                                  .address = slice_of_str(host_address(o.target)),
                                                  .cloud = slice_of_str(host_of(o.target)->cloud)},
                  &o.request);
        break;
    case TASK_PROMOTE:
        pb_encode(&pb_member_promote_request_type, &(struct pb_member_promote_request){.id = id}, &o.request);
        break;
    case TASK_REMOVE:
        pb_encode(&pb_member_remove_request_type, &(struct pb_member_remove_request){.id = id}, &o.request);
        break;
    case TASK_TRANSFER:
        pb_encode(&pb_transfer_leadership_request_type, &(struct pb_transfer_leadership_request){.target = id}, &o.request);
        break;
    default:
        break;
    }
}

static void look(void *a, uint64_t b) {
    (void)a;
    (void)b;
    if (o.closed || o.busy) {
        return;
    }
    if (o.stopped || !(replace(&o.now) || take_asked(&o.now) || regrow(&o.now))) {
        later(false);
        return;
    }
    o.busy = true;
    o.tries = 0;
    o.nodes.guess = o.now.task == TASK_SNAPSHOT ? o.target : members_any(world_between(0, UINT32_MAX));
    encode();
    send_call(NULL, 0);
}

// --- a call ---

static void end_call(bool in_doubt) {
    o.busy = false;
    if (in_doubt) {
        o.doubtful_until_us = world_now() + IN_DOUBT_US;
    }
    later(false);
}

// What a change that is acknowledged says is committed, if nothing earlier can have changed it again.
static void check_done(void) {
    bool is_so = world_now() < o.doubtful_until_us ? true
                 : o.now.task == TASK_ADD          ? members_had(o.target)
                 : o.now.task == TASK_PROMOTE      ? members_vote(o.target)
                 : o.now.task == TASK_REMOVE       ? !members_have(o.target)
                                                   : true;
    if (!is_so) {
        world_broken("a change of members is acknowledged (task %d, %s), and is not committed", (int)o.now.task,
                     host_of(o.target)->name);
    }
}

static bool follow_redirect(const struct rpc_result *result) {
    if (o.tries == TRIES || !endpoints_follow(&o.nodes, rpc_result_trailer(result, "baton-leader-address"))) {
        return false;
    }
    o.tries++;
    later(true);
    return true;
}

static void on_done(void *user, uint64_t tag, const struct rpc_result *result) {
    (void)user;
    (void)tag;
    if (o.closed) {
        return;
    }
    world_note((uint64_t)result->status << 32 | (uint64_t)o.host);
    switch (result->status) {
    case RPC_OK:
        if (network_generation() == ledger_generation()) {
            check_done();
        }
        end_call(false);
        return;
    case RPC_FAILED_PRECONDITION:
        if (!follow_redirect(result)) {
            end_call(o.tries > 0);
        }
        return;
    case RPC_NOT_FOUND:
    case RPC_ABORTED:
    case RPC_RESOURCE_EXHAUSTED:
        end_call(false);
        return;
    case RPC_INVALID_ARGUMENT:
    case RPC_UNIMPLEMENTED:
    case RPC_INTERNAL:
        world_broken("the operator's call ends with %s: %.*s", rpc_status_name(result->status), (int)result->message.len,
                     (const char *)result->message.data);
    default:
        end_call(true);
        return;
    }
}

static void send_call(void *a, uint64_t b) {
    (void)a;
    (void)b;
    if (o.closed) {
        return;
    }
    rpc_channel_call(endpoints_channel(&o.nodes), &(struct rpc_request){.path = methods[o.now.task]->path,
                                                                        .body = buf_slice(&o.request),
                                                                        .timeout_ms = CALL_MS,
                                                                        .wait_for_ready = true,
                                                                        .on_done = on_done});
}

// --- life ---

void operator_ask(enum task task, uint64_t draw) {
    if (o.queued < QUEUE) {
        o.queue[o.queued++] = (struct asked){task, draw};
    }
}

bool operator_is_idle(void) {
    return !o.busy && world_now() >= o.doubtful_until_us;
}

static void start(void *user, uv_loop_t *loop) {
    (void)user;
    o.loop = loop;
    endpoints_open(&o.nodes, loop);
    later(false);
}

void operator_start(int host) {
    o.host = host;
    host_run_client(host, start, NULL);
}

void operator_stop(void) {
    o.stopped = true;
}

static void close_channels(void *a, uint64_t b) {
    (void)a;
    (void)b;
    endpoints_close(&o.nodes);
}

void operator_close(void) {
    o.closed = true;
    loop_post(o.loop, close_channels, NULL, 0);
}

void operator_leave(void) {
    loop_leave(o.loop);
}

void operator_reset(void) {
    endpoints_free(&o.nodes);
    buf_free(&o.request);
    memset(&o, 0, sizeof o);
}
