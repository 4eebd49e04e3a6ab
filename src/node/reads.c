// Groups of reads: node/reads.h. One group a turn, in a ring indexed by the tag that the core returns.
#include "node/reads.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/mem.h"

struct item {
    const struct verb *verb;
    struct rpc_call call;
    size_t offset;  // of the request in the group's bytes
    size_t len;
    unsigned tries;
};

struct group {
    struct item *items;
    size_t count;
    size_t cap;
    struct buf requests;
    enum { ASKED, ANSWERED, RELEASED } state;
    enum raft_refusal refusal;
    raft_index index;
};

struct reads {
    // Groups first_tag .. first_tag + count - 1 at ring[tag & (cap - 1)]; the last is being collected while `open`.
    struct group *ring;
    size_t cap;
    size_t count;
    uint64_t first_tag;
    bool open;
    size_t answered;  // groups in state ANSWERED
};

struct reads *reads_new(void) {
    struct reads *reads = mem_zalloc(sizeof *reads);
    reads->cap = 16;
    reads->ring = mem_zalloc(reads->cap * sizeof *reads->ring);
    reads->first_tag = 1;
    return reads;
}

void reads_free(struct reads *reads) {
    for (size_t i = 0; i < reads->cap; i++) {
        free(reads->ring[i].items);
        buf_free(&reads->ring[i].requests);
    }
    free(reads->ring);
    free(reads);
}

static struct group *group_of(struct reads *reads, uint64_t tag) {
    return &reads->ring[tag & (reads->cap - 1)];
}

static void grow(struct reads *reads) {
    size_t cap = reads->cap * 2;
    struct group *ring = mem_zalloc(cap * sizeof *ring);
    for (size_t i = 0; i < reads->cap; i++) {
        uint64_t tag = reads->first_tag + i;
        ring[tag & (cap - 1)] = *group_of(reads, tag);
    }
    free(reads->ring);
    reads->ring = ring;
    reads->cap = cap;
}

static void collect(struct reads *reads, const struct waiting_read *read, struct slice request) {
    if (!reads->open) {
        if (reads->count == reads->cap) {
            grow(reads);
        }
        reads->count++;
        reads->open = true;
        struct group *fresh = group_of(reads, reads->first_tag + reads->count - 1);
        fresh->count = 0;
        fresh->state = ASKED;
        buf_clear(&fresh->requests);
    }
    struct group *group = group_of(reads, reads->first_tag + reads->count - 1);
    array_reserve(group->items, group->cap, group->count + 1);
    group->items[group->count++] = (struct item){
        .verb = read->verb,
        .call = read->call,
        .offset = group->requests.len,
        .len = request.len,
        .tries = read->tries,
    };
    buf_append_slice(&group->requests, request);
}

void reads_collect(struct reads *reads, const struct verb *verb, struct rpc_call call, struct slice request) {
    collect(reads, &(struct waiting_read){.verb = verb, .call = call}, request);
}

void reads_collect_again(struct reads *reads, const struct waiting_read *read, struct slice request) {
    struct waiting_read again = *read;
    again.tries++;
    collect(reads, &again, request);
}

bool reads_collected(const struct reads *reads) {
    return reads->open;
}

bool reads_event(struct reads *reads, struct raft_event *event) {
    if (!reads->open) {
        return false;
    }
    reads->open = false;
    *event = (struct raft_event){.type = RAFT_EVENT_READ, .read = {.tag = reads->first_tag + reads->count - 1}};
    return true;
}

void reads_answered(struct reads *reads, const struct raft_read *answer) {
    assert(answer->tag >= reads->first_tag && answer->tag < reads->first_tag + reads->count);
    struct group *group = group_of(reads, answer->tag);
    assert(group->state == ASKED);
    group->state = ANSWERED;
    group->refusal = answer->refusal;
    group->index = answer->index;
    reads->answered++;
}

static void release_group(struct group *group,
                          void (*ready)(void *user, const struct waiting_read *read, struct slice request,
                                        enum raft_refusal refusal),
                          void *user) {
    for (size_t i = 0; i < group->count; i++) {
        struct waiting_read read = {
            .verb = group->items[i].verb,
            .call = group->items[i].call,
            .index = group->index,
            .tries = group->items[i].tries,
        };
        // Requests without a field have no bytes, and a group of such has no memory for them.
        size_t len = group->items[i].len;
        struct slice request = slice_of(len == 0 ? NULL : group->requests.data + group->items[i].offset, len);
        ready(user, &read, request, group->refusal);
    }
}

void reads_release(struct reads *reads, raft_index applied,
                   void (*ready)(void *user, const struct waiting_read *read, struct slice request,
                                 enum raft_refusal refusal),
                   void *user) {
    if (reads->answered == 0) {
        return;
    }
    size_t count = reads->count;
    for (size_t i = 0; i < count && reads->answered > 0; i++) {
        const struct group *waiting = group_of(reads, reads->first_tag + i);
        if (waiting->state != ANSWERED || (waiting->refusal == RAFT_ACCEPTED && waiting->index > applied)) {
            continue;
        }
        struct group group = *waiting;
        // A callback may collect reads and so reallocate the ring: the group's memory is taken out of it meanwhile.
        *group_of(reads, reads->first_tag + i) = (struct group){.state = RELEASED};
        reads->answered--;
        release_group(&group, ready, user);
        group.state = RELEASED;
        *group_of(reads, reads->first_tag + i) = group;
    }
    while (reads->count > 0 && group_of(reads, reads->first_tag)->state == RELEASED) {
        reads->first_tag++;
        reads->count--;
    }
}
