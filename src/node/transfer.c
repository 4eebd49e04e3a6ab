// The state of a transfer and its paused writes: node/transfer.h.
#include "node/transfer.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/buf.h"

// A successor becomes known within one and a half round trips, or not at all.
#define TRANSFER_DEADLINE_US (2 * US_PER_S)

struct paused_write {
    struct rpc_call call;
    const struct verb *verb;
    size_t offset;  // of its message in `messages`
    size_t len;
};

struct transfer {
    // WON: the target has a higher term, but who leads it shows only with the new leader's first message.
    enum { IDLE, BEGUN, ASKED, WON } state;
    struct raft_id target;
    uint64_t deadline_us;
    struct rpc_call call;
    transfer_done *done;
    struct paused_write *paused;
    size_t paused_count;
    size_t paused_cap;
    struct buf messages;
};

struct transfer *transfer_new(void) {
    return mem_zalloc(sizeof(struct transfer));
}

void transfer_free(struct transfer *transfer) {
    free(transfer->paused);
    buf_free(&transfer->messages);
    free(transfer);
}

bool transfer_is_running(const struct transfer *transfer) {
    return transfer->state != IDLE;
}

bool transfer_begin(struct transfer *transfer, const struct raft_id *target, struct rpc_call call, transfer_done *done,
                    uint64_t now_us) {
    if (transfer->state != IDLE) {
        return false;
    }
    assert(transfer->paused_count == 0);
    transfer->state = BEGUN;
    transfer->target = *target;
    transfer->call = call;
    transfer->done = done;
    transfer->deadline_us = now_us + TRANSFER_DEADLINE_US;
    return true;
}

bool transfer_has_event(const struct transfer *transfer) {
    return transfer->state == BEGUN;
}

bool transfer_event(struct transfer *transfer, struct raft_event *event) {
    if (transfer->state != BEGUN) {
        return false;
    }
    transfer->state = ASKED;
    *event = (struct raft_event){.type = RAFT_EVENT_TRANSFER, .transfer = {.target = transfer->target}};
    return true;
}

bool transfer_pause(struct transfer *transfer, const struct verb *verb, struct rpc_call call, struct slice message) {
    assert(transfer->state != IDLE);
    if (transfer->paused_count == PAUSED_WRITES_MAX || transfer->messages.len + message.len > UNCOMMITTED_BYTES_MAX) {
        return false;
    }
    array_reserve(transfer->paused, transfer->paused_cap, transfer->paused_count + 1);
    transfer->paused[transfer->paused_count++] =
        (struct paused_write){.call = call, .verb = verb, .offset = transfer->messages.len, .len = message.len};
    buf_append_slice(&transfer->messages, message);
    return true;
}

bool transfer_follow(struct transfer *transfer, const struct raft_update *update, bool leader_known, uint64_t now_us,
                     struct transfer_end *end) {
    *end = (struct transfer_end){.call = transfer->call, .done = transfer->done};
    if (transfer->state == ASKED && update->transfer == RAFT_TRANSFER_DONE) {
        transfer->state = WON;
    }
    if (transfer->state == ASKED && update->transfer != RAFT_TRANSFER_NONE) {
        end->outcome = update->transfer;
        end->refusal = update->transfer_refusal;
    } else if (transfer->state == WON && leader_known) {
        end->outcome = RAFT_TRANSFER_DONE;
    } else if (transfer->state != IDLE && now_us > transfer->deadline_us) {
        end->outcome = RAFT_TRANSFER_FAILED;
    } else {
        return false;
    }
    transfer->state = IDLE;
    return true;
}

// Of messages that are all empty there is no memory.
static struct slice message_of(const struct transfer *transfer, const struct paused_write *paused) {
    return slice_of(paused->len == 0 ? NULL : transfer->messages.data + paused->offset, paused->len);
}

void transfer_resume(struct transfer *transfer,
                     void (*resume)(struct node *node, const struct verb *verb, struct rpc_call call, struct slice message),
                     struct node *node) {
    assert(transfer->state == IDLE);
    for (size_t i = 0; i < transfer->paused_count; i++) {
        const struct paused_write *paused = &transfer->paused[i];
        resume(node, paused->verb, paused->call, message_of(transfer, paused));
    }
    transfer->paused_count = 0;
    buf_clear(&transfer->messages);
}
