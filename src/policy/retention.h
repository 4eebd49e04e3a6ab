// How much of the log stays in memory behind an image, for followers that lag and for Watches: pure.
#ifndef BATON_POLICY_RETENTION_H
#define BATON_POLICY_RETENTION_H

#include "base/limits.h"
#include "raft/entry.h"

struct retention {
    raft_index image_index;  // of the newest durable image; 0: there is none
    raft_index base_index;   // the log in memory begins after it
    raft_index last_index;
    uint64_t log_bytes;  // of the log in memory
    uint64_t bytes_max;  // --log-retention
    // The leader's: the lowest match index of the followers that do not need an image, and the index of an image on its way
    // to one. On other nodes, and where there is none: UINT64_MAX.
    raft_index lowest_match;
    raft_index sending_index;
};

// The index up to which entries may be dropped; base_index: none. RETAINED_ENTRIES before the image's index stay, and what a
// follower still lacks, unless that is more than bytes_max; what follows an image that is being sent stays in any case.
raft_index retention_limit(const struct retention *retention);

#endif
