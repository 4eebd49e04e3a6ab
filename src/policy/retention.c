// How much of the log stays: policy/retention.h.
#include "policy/retention.h"

static raft_index lower(raft_index a, raft_index b) {
    return a < b ? a : b;
}

// The first of the log's entries such that it and those after it have at most bytes_max; entries are taken to be of average
// size.
static raft_index affordable(const struct retention *r) {
    raft_index count = r->last_index - r->base_index;
    if (r->log_bytes <= r->bytes_max || count == 0) {
        return r->base_index;
    }
    double share = (double)r->bytes_max / (double)r->log_bytes;
    return r->last_index - (raft_index)((double)count * share);
}

raft_index retention_limit(const struct retention *r) {
    raft_index limit = r->image_index > RETAINED_ENTRIES ? r->image_index - RETAINED_ENTRIES : 0;
    if (r->lowest_match < limit) {
        raft_index first = affordable(r);
        limit = lower(limit, r->lowest_match > first ? r->lowest_match : first);
    }
    limit = lower(limit, r->sending_index);
    return limit > r->base_index ? limit : r->base_index;
}
