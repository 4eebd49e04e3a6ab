// The table behind policy/liveness.h: a doubly linked list of slots, oldest deadline first, in one array.
#include "policy/liveness.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { NONE = UINT32_MAX };

struct slot {
    uint32_t before;  // in the list; NONE at its ends
    uint32_t after;
    bool watched;
    bool heard;
    uint64_t since_us;  // the deadline counts from here
    uint64_t heard_us;
};

struct liveness {
    struct slot *slots;
    uint32_t count;
    uint32_t oldest;  // ends of the list
    uint32_t newest;
};

struct liveness *liveness_new(void) {
    struct liveness *liveness = mem_zalloc(sizeof *liveness);
    liveness->oldest = liveness->newest = NONE;
    return liveness;
}

void liveness_free(struct liveness *liveness) {
    free(liveness->slots);
    free(liveness);
}

void liveness_reset(struct liveness *liveness) {
    if (liveness->count > 0) {
        memset(liveness->slots, 0, liveness->count * sizeof *liveness->slots);
    }
    liveness->oldest = liveness->newest = NONE;
}

static struct slot *slot_at(struct liveness *liveness, uint32_t slot) {
    assert(slot < WORKERS_MAX);
    if (slot >= liveness->count) {
        uint32_t count = liveness->count == 0 ? 64 : liveness->count * 2;
        while (count <= slot) {
            count *= 2;
        }
        liveness->slots = mem_realloc(liveness->slots, count * sizeof *liveness->slots);
        memset(liveness->slots + liveness->count, 0, (count - liveness->count) * sizeof *liveness->slots);
        liveness->count = count;
    }
    return &liveness->slots[slot];
}

static void unlink_slot(struct liveness *liveness, struct slot *s) {
    if (s->before != NONE) {
        liveness->slots[s->before].after = s->after;
    } else {
        liveness->oldest = s->after;
    }
    if (s->after != NONE) {
        liveness->slots[s->after].before = s->before;
    } else {
        liveness->newest = s->before;
    }
    s->watched = false;
}

void liveness_watch(struct liveness *liveness, uint32_t slot, uint64_t now_us) {
    struct slot *s = slot_at(liveness, slot);
    if (s->watched) {
        unlink_slot(liveness, s);
    }
    s->watched = true;
    s->since_us = now_us;
    s->before = liveness->newest;
    s->after = NONE;
    if (liveness->newest != NONE) {
        assert(liveness->slots[liveness->newest].since_us <= s->since_us);
        liveness->slots[liveness->newest].after = slot;
    } else {
        liveness->oldest = slot;
    }
    liveness->newest = slot;
}

void liveness_heard(struct liveness *liveness, uint32_t slot, uint64_t now_us) {
    liveness_watch(liveness, slot, now_us);
    struct slot *s = &liveness->slots[slot];
    s->heard = true;
    s->heard_us = now_us;
}

void liveness_forget(struct liveness *liveness, uint32_t slot) {
    struct slot *s = slot_at(liveness, slot);
    if (s->watched) {
        unlink_slot(liveness, s);
    }
}

bool liveness_watches(const struct liveness *liveness, uint32_t slot) {
    return slot < liveness->count && liveness->slots[slot].watched;
}

bool liveness_last_heard(const struct liveness *liveness, uint32_t slot, uint64_t *heard_us) {
    if (slot >= liveness->count || !liveness->slots[slot].heard) {
        return false;
    }
    *heard_us = liveness->slots[slot].heard_us;
    return true;
}

size_t liveness_expired(const struct liveness *liveness, uint64_t now_us, uint32_t *slots, size_t max) {
    size_t count = 0;
    for (uint32_t at = liveness->oldest; at != NONE && count < max; at = liveness->slots[at].after) {
        if (now_us < liveness->slots[at].since_us + LIVENESS_TIMEOUT_US) {
            break;
        }
        slots[count++] = at;
    }
    return count;
}

uint64_t liveness_next_us(const struct liveness *liveness) {
    if (liveness->oldest == NONE) {
        return UINT64_MAX;
    }
    return liveness->slots[liveness->oldest].since_us + LIVENESS_TIMEOUT_US;
}
