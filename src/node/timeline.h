// The node's last ten minutes, for the dashboard's charts: a ring of samples of its metrics, allocated once. Pure, with the
// time as an argument.
#ifndef BATON_NODE_TIMELINE_H
#define BATON_NODE_TIMELINE_H

#include "base/metrics.h"
#include "node/view.h"

struct timeline;

// At the node's start, when all its counters are zero.
struct timeline *timeline_new(uint64_t now_us);
void timeline_free(struct timeline *timeline);

// What a sample is made of; borrowed for the call.
struct timeline_now {
    uint64_t now_us;  // monotonic
    uint64_t term;
    bool leads;
    struct slice leader;                      // that this node follows; empty: none
    double writes;                            // a counter since the node's start
    const struct histogram *commit_ms;        // the same, of times to commit
    size_t peers_count;                       // at most MEMBERS_MAX
    struct pb_round_trip peers[MEMBERS_MAX];  // rtt_ms 0: unknown, or not reachable
};

// Takes a sample if one is due, which is so every TIMELINE_PERIOD_MS; call it once a second.
void timeline_take(struct timeline *timeline, const struct timeline_now *now);

// The samples of the last TIMELINE_SPAN_US. The peers' ids in `out` are borrowed until the next timeline_take.
void timeline_read(const struct timeline *timeline, uint64_t now_us, struct view_timeline *out);

#endif
