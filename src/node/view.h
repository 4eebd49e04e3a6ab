// What a node tells about itself: plain values for the debug pages, which see nothing else of the node. All slices are
// borrowed: valid until the call that hands them out, or the callback it makes, has returned and the loop goes on.
#ifndef BATON_NODE_VIEW_H
#define BATON_NODE_VIEW_H

#include "base/buf.h"
#include "base/limits.h"

enum view_role { VIEW_FOLLOWER, VIEW_CANDIDATE, VIEW_LEADER };

struct view_member {
    struct slice id;
    struct slice address;       // gRPC
    struct slice http_address;  // of the debug pages; empty: not known
    struct slice cloud;
    bool voter;
    bool reachable;        // has answered lately; true for the node itself
    double rtt_ms;         // round trip as this node measures it; 0 to itself, negative: not known
    uint64_t match_index;  // durable there as far as this leader knows; 0 on other nodes
    // As the member says itself; negative: not known.
    double round_trips_ms[MEMBERS_MAX];  // to all members, in their order
    double disk_sync_ms;                 // of its log, smoothed
    double commit_ms;                    // estimated: a commit if this member led
};

// Where the leader serves best (docs/design.md), as this node sees it.
struct view_placement {
    bool on;
    struct slice leader_cloud;  // preferred; empty: none
    uint64_t pause_ms;          // left, after an operator's transfer
    uint64_t cooldown_ms;       // left, after the last move
    struct slice decision;      // what this node thinks now, and why
    struct slice moved_to;      // this node's last move; empty: none
    struct slice moved_why;
    uint64_t moved_ago_ms;
};

struct view_status {
    struct slice node_id;
    struct slice cluster_id;
    enum view_role role;
    uint64_t term;
    struct slice leader_id;  // empty: none known
    uint64_t commit_index;
    uint64_t last_applied;
    uint64_t uptime_ms;
    // This node leads and has applied the no-op of its term: its registry holds all that was ever acknowledged.
    bool leader_ready;
    struct view_member members[MEMBERS_MAX];
    size_t member_count;
    struct view_placement placement;
};

struct view_label {
    struct slice key;
    struct slice value;
};

enum { VIEW_NEVER = -1 };

struct view_worker {
    struct slice id;
    struct slice instance_id;
    struct slice address;
    struct slice cloud;
    bool online;
    struct slice reason;        // why offline; empty while online
    int64_t last_seen_unix_ms;  // VIEW_NEVER until this leader has heard it
    uint64_t epoch;
    uint32_t slots;
    const struct view_label *labels;
    size_t label_count;
};

typedef bool view_visit_worker(void *arg, const struct view_worker *worker);

// How the debug pages ask; implemented by the node, called on the loop's thread only.
struct http_source {
    void *user;
    void (*status)(void *user, struct view_status *out);
    // Visits all workers in id order, until `visit` returns false. Asked only while leader_ready.
    void (*workers)(void *user, view_visit_worker *visit, void *arg);
    // Appends the metrics as text.
    void (*metrics)(void *user, struct buf *out);
    // Whether this node can serve; when not, appends why, one reason a line.
    bool (*ready)(void *user, struct buf *reasons);
};

#endif
