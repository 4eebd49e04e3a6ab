// The queue of slow replies: node/slow_replies.h.
#include "node/slow_replies.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"

struct waiting {
    struct waiting *next;
    struct waiting_read read;
    size_t len;
    uint8_t request[];
};

struct slow_replies {
    struct slow_replies_maker maker;
    uint64_t spent_us;  // in this turn
    struct waiting *first;
    struct waiting **end;
    size_t count;
};

struct slow_replies *slow_replies_new(const struct slow_replies_maker *maker) {
    struct slow_replies *replies = mem_zalloc(sizeof *replies);
    replies->maker = *maker;
    replies->end = &replies->first;
    return replies;
}

static struct waiting *take(struct slow_replies *replies) {
    struct waiting *waiting = replies->first;
    replies->first = waiting->next;
    if (replies->first == NULL) {
        replies->end = &replies->first;
    }
    replies->count--;
    return waiting;
}

void slow_replies_free(struct slow_replies *replies) {
    while (replies->first != NULL) {
        free(take(replies));
    }
    free(replies);
}

static void make(struct slow_replies *replies, const struct waiting_read *read, struct slice request) {
    uint64_t began_us = replies->maker.now_us();
    replies->maker.make(replies->maker.user, read, request);
    replies->spent_us += replies->maker.now_us() - began_us;
}

bool slow_replies_ask(struct slow_replies *replies, const struct waiting_read *read, struct slice request) {
    if (replies->first == NULL && replies->spent_us < ANSWERS_TURN_US) {
        make(replies, read, request);
        return true;
    }
    if (replies->count == ANSWERS_MAX) {
        return false;
    }
    struct waiting *waiting = mem_alloc(sizeof *waiting + request.len);
    *waiting = (struct waiting){.read = *read, .len = request.len};
    if (request.len > 0) {
        memcpy(waiting->request, request.data, request.len);
    }
    *replies->end = waiting;
    replies->end = &waiting->next;
    replies->count++;
    return true;
}

void slow_replies_turn(struct slow_replies *replies) {
    replies->spent_us = 0;
    while (replies->first != NULL && replies->spent_us < ANSWERS_TURN_US) {
        struct waiting *waiting = take(replies);
        if (replies->maker.wanted(replies->maker.user, waiting->read.call)) {
            make(replies, &waiting->read, slice_of(waiting->request, waiting->len));
        }
        free(waiting);
    }
}

bool slow_replies_waiting(const struct slow_replies *replies) {
    return replies->first != NULL;
}
