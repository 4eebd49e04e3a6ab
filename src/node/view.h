// A node's view of itself, in the generated messages: for its services, and for the debug pages, which see nothing else of
// the node. All slices are borrowed, until the function that returns them, or the callback that it calls, has returned.
#ifndef BATON_NODE_VIEW_H
#define BATON_NODE_VIEW_H

#include "base/buf.h"
#include "base/limits.h"
#include "baton/v1/control.pb.h"

struct node_status {
    struct pb_status_response response;  // points into what follows, and into the node
    struct pb_member_status members[MEMBERS_MAX];
    struct pb_state_digest digests[DIGESTS_TOLD_MAX];
    struct pb_round_trip round_trips[MEMBERS_MAX][MEMBERS_MAX];
    // This node leads and has applied the no-op of its term: its registry holds all that was ever acknowledged.
    bool leader_ready;
    // When this node's state was last known to be the cluster's: now, or when the last leader was lost; 0: never.
    int64_t current_unix_ms;
    int64_t snapshot_unix_ms;  // when the newest image was written, or had arrived; 0: unknown
};

#define TIMELINE_SPAN_US (TIMELINE_SAMPLES * TIMELINE_PERIOD_MS * US_PER_MS)

// The node's last ten minutes (node/timeline.h).
struct view_timeline {
    uint64_t now_us;                  // monotonic
    struct slice peers[MEMBERS_MAX];  // the columns of rtt_ms; an empty id: of none
    size_t count;
    struct view_sample {  // of the time since the one before; the oldest first
        uint64_t at_us;   // its end
        uint64_t term;    // at its end; so are the round trips
        bool leads;
        uint8_t leader;       // the column of the peer that this node followed at its end; MEMBERS_MAX: of none, or itself
        float writes_per_s;   // that this node committed as the leader
        float commit_p50_ms;  // 0: none was committed
        float commit_p99_ms;
        float rtt_ms[MEMBERS_MAX];  // 0: unknown, or not reachable
    } samples[TIMELINE_SAMPLES];
};

typedef bool view_visit_worker(void *arg, const struct pb_worker_info *worker);

// The interface of the debug pages; implemented by the node, called on the loop's thread only.
struct http_source {
    void *user;
    void (*status)(void *user, struct node_status *out);
    // Visits the workers of this node's own state with ids > start_after in id order, until `visit` returns false; then
    // false. While leader_ready they are the cluster's.
    bool (*workers)(void *user, struct slice start_after, view_visit_worker *visit, void *arg);
    void (*timeline)(void *user, struct view_timeline *out);
    // Appends the metrics as text.
    void (*metrics)(void *user, struct buf *out);
    // Whether this node can serve; if not, appends the reasons, one a line.
    bool (*ready)(void *user, struct buf *reasons);
};

#endif
