// The table behind policy/liveness.h: a doubly linked list of rows, oldest deadline first, in one array.
#include "policy/liveness.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/mem.h"

enum { NONE = UINT32_MAX };

struct row {
    uint32_t before;  // in the list; NONE at its ends
    uint32_t after;
    bool watched;
    bool heard;
    uint64_t since_us;  // the deadline counts from here
    uint64_t heard_us;
};

struct liveness {
    struct row *rows;
    uint32_t count;
    uint32_t oldest;  // ends of the list
    uint32_t newest;
    uint32_t granted;  // watched rows that are granted
};

struct liveness *liveness_new(void) {
    struct liveness *liveness = mem_zalloc(sizeof *liveness);
    liveness->oldest = liveness->newest = NONE;
    return liveness;
}

void liveness_free(struct liveness *liveness) {
    free(liveness->rows);
    free(liveness);
}

void liveness_reset(struct liveness *liveness) {
    if (liveness->count > 0) {
        memset(liveness->rows, 0, liveness->count * sizeof *liveness->rows);
    }
    liveness->oldest = liveness->newest = NONE;
    liveness->granted = 0;
}

// Whether its deadline was granted by liveness_watch and does not count from its last heartbeat.
static bool is_granted(const struct row *r) {
    return !r->heard || r->heard_us != r->since_us;
}

static struct row *row_at(struct liveness *liveness, uint32_t row) {
    assert(row < WORKERS_MAX);
    uint32_t count = liveness->count;
    if (row >= count) {
        array_reserve(liveness->rows, liveness->count, row + 1);
        memset(liveness->rows + count, 0, (liveness->count - count) * sizeof *liveness->rows);
    }
    return &liveness->rows[row];
}

static void unlink_row(struct liveness *liveness, struct row *r) {
    if (r->before != NONE) {
        liveness->rows[r->before].after = r->after;
    } else {
        liveness->oldest = r->after;
    }
    if (r->after != NONE) {
        liveness->rows[r->after].before = r->before;
    } else {
        liveness->newest = r->before;
    }
    r->watched = false;
    liveness->granted -= is_granted(r);
    assert(liveness->oldest != NONE || liveness->granted == 0);
}

static void link_row(struct liveness *liveness, uint32_t row, uint64_t now_us) {
    struct row *r = &liveness->rows[row];
    assert(!r->watched);
    r->watched = true;
    r->since_us = now_us;
    liveness->granted += is_granted(r);
    r->before = liveness->newest;
    r->after = NONE;
    if (liveness->newest != NONE) {
        assert(liveness->rows[liveness->newest].since_us <= r->since_us);
        liveness->rows[liveness->newest].after = row;
    } else {
        liveness->oldest = row;
    }
    liveness->newest = row;
}

void liveness_forget(struct liveness *liveness, uint32_t row) {
    struct row *r = row_at(liveness, row);
    if (r->watched) {
        unlink_row(liveness, r);
    }
}

void liveness_watch(struct liveness *liveness, uint32_t row, uint64_t now_us) {
    liveness_forget(liveness, row);
    link_row(liveness, row, now_us);
}

void liveness_heard(struct liveness *liveness, uint32_t row, uint64_t now_us) {
    liveness_forget(liveness, row);
    struct row *r = &liveness->rows[row];
    r->heard = true;
    r->heard_us = now_us;
    link_row(liveness, row, now_us);
}

bool liveness_watches(const struct liveness *liveness, uint32_t row) {
    return row < liveness->count && liveness->rows[row].watched;
}

bool liveness_last_heard(const struct liveness *liveness, uint32_t row, uint64_t *heard_us) {
    if (row >= liveness->count || !liveness->rows[row].heard) {
        return false;
    }
    *heard_us = liveness->rows[row].heard_us;
    return true;
}

// The list is in the order of deadlines. If all count from heartbeats, its first row was heard longest ago. Otherwise, for
// at most one timeout, all rows are visited; right after a change of leader already the first has not been heard.
bool liveness_heard_since(const struct liveness *liveness, uint64_t *heard_us) {
    *heard_us = UINT64_MAX;
    if (liveness->granted == 0 && liveness->oldest != NONE) {
        *heard_us = liveness->rows[liveness->oldest].heard_us;
        return true;
    }
    for (uint32_t at = liveness->oldest; at != NONE; at = liveness->rows[at].after) {
        if (!liveness->rows[at].heard) {
            return false;
        }
        if (liveness->rows[at].heard_us < *heard_us) {
            *heard_us = liveness->rows[at].heard_us;
        }
    }
    return liveness->oldest != NONE;
}

size_t liveness_expired(const struct liveness *liveness, uint64_t now_us, uint32_t *rows, size_t max) {
    size_t count = 0;
    for (uint32_t at = liveness->oldest; at != NONE && count < max; at = liveness->rows[at].after) {
        if (now_us < liveness->rows[at].since_us + LIVENESS_TIMEOUT_US) {
            break;
        }
        rows[count++] = at;
    }
    return count;
}

uint64_t liveness_next_us(const struct liveness *liveness) {
    if (liveness->oldest == NONE) {
        return UINT64_MAX;
    }
    return liveness->rows[liveness->oldest].since_us + LIVENESS_TIMEOUT_US;
}
