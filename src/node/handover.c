// The handover behind node/handover.h.
#include "node/handover.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/slog.h"
#include "node/internal.h"

// A successor is known after one round trip and a half, or not at all.
#define HANDOVER_PATIENCE_US (2 * US_PER_S)

struct paused {
    struct rpc_call call;
    enum write_kind kind;
    size_t offset;  // of its request in `requests`
    size_t len;
};

struct handover {
    // A higher term is there, but who leads it shows only with its first message.
    enum { IDLE, BEGUN, ASKED, WON } state;
    struct raft_id target;
    uint64_t until_us;
    struct rpc_call call;
    struct paused *paused;
    size_t paused_count;
    size_t paused_cap;
    struct buf requests;
};

struct handover *handover_new(void) {
    return mem_zalloc(sizeof(struct handover));
}

void handover_free(struct handover *handover) {
    free(handover->paused);
    buf_free(&handover->requests);
    free(handover);
}

bool handover_is_running(const struct handover *handover) {
    return handover->state != IDLE;
}

void handover_begin(struct node *node, const struct raft_id *target, struct rpc_call call) {
    struct handover *handover = node->handover;
    if (handover->state != IDLE) {
        rpc_finish(node->server, call, RPC_FAILED_PRECONDITION, "leadership is being handed over already; wait for its end");
        return;
    }
    slog(SLOG_INFO, "handing leadership over",
         F_STR("target", target->len > 0 ? target->text : "the most up-to-date voter"));
    handover->state = BEGUN;
    handover->target = *target;
    handover->call = call;
    handover->until_us = node_clock_us() + HANDOVER_PATIENCE_US;
    node->collected = true;
}

bool handover_event(struct handover *handover, struct raft_event *event) {
    if (handover->state != BEGUN) {
        return false;
    }
    handover->state = ASKED;
    *event = (struct raft_event){.type = RAFT_EVENT_TRANSFER, .transfer = {.target = handover->target}};
    return true;
}

void handover_pause(struct node *node, struct rpc_call call, enum write_kind kind, struct slice request) {
    struct handover *handover = node->handover;
    if (handover->paused_count == PAUSED_WRITES_MAX || handover->requests.len + request.len > UNCOMMITTED_BYTES_MAX) {
        rpc_finish(node->server, call, RPC_RESOURCE_EXHAUSTED,
                   "leadership is being handed over and too many writes wait for it; nothing was written, try again");
        return;
    }
    if (handover->paused_count == handover->paused_cap) {
        handover->paused_cap = handover->paused_cap == 0 ? 256 : handover->paused_cap * 2;
        handover->paused = mem_realloc(handover->paused, handover->paused_cap * sizeof *handover->paused);
    }
    handover->paused[handover->paused_count++] =
        (struct paused){.call = call, .kind = kind, .offset = handover->requests.len, .len = request.len};
    buf_append_slice(&handover->requests, request);
}

static void resume_writes(struct node *node) {
    struct handover *handover = node->handover;
    for (size_t i = 0; i < handover->paused_count; i++) {
        const struct paused *paused = &handover->paused[i];
        if (rpc_call_alive(node->server, paused->call)) {
            control_write(node, paused->call, paused->kind, slice_of(handover->requests.data + paused->offset, paused->len));
        }
    }
    handover->paused_count = 0;
    buf_clear(&handover->requests);
}

static void end(struct node *node, enum raft_transfer_outcome outcome, enum raft_refusal refusal) {
    struct handover *handover = node->handover;
    handover->state = IDLE;
    control_transfer_done(node, handover->call, outcome, refusal);
    resume_writes(node);
}

void handover_follow(struct node *node, const struct raft_update *update) {
    struct handover *handover = node->handover;
    if (handover->state == ASKED && update->transfer == RAFT_TRANSFER_DONE) {
        handover->state = WON;
    } else if (handover->state == ASKED && update->transfer != RAFT_TRANSFER_NONE) {
        end(node, update->transfer, update->transfer_refusal);
    }
    if (handover->state == WON && raft_leader(node->raft)->len > 0) {
        end(node, RAFT_TRANSFER_DONE, RAFT_ACCEPTED);
    }
    if (handover->state != IDLE && node->now_us > handover->until_us) {
        end(node, RAFT_TRANSFER_FAILED, RAFT_ACCEPTED);
    }
}
