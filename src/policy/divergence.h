// Whether a node's state has diverged: nodes that have applied the same entries have the same state, so the digests of one
// index are equal (state/digest.h). Pure.
//
// A node is diverged if a majority of the voters, itself counted, tell another digest than its own for one index. Where
// digests differ and no majority agrees, nobody can say whose is right.
#ifndef BATON_POLICY_DIVERGENCE_H
#define BATON_POLICY_DIVERGENCE_H

#include "base/limits.h"
#include "raft/entry.h"

// The digest of the state after the entry of an index.
struct index_digest {
    raft_index index;
    uint64_t digest;
};

enum {
    DIGEST_INTERVAL = 10000,  // entries: every node keeps the digest of each index that is a multiple
    DIGESTS_KEPT = 64,        // so that it can be compared with nodes that lag by 640,000 entries
};

// The newest digests of a node, by rising index.
struct digests {
    struct index_digest list[DIGESTS_KEPT];
    size_t count;
};

// Adds one; the oldest gives way if there is no room. An index that is not above all others takes their place: the state was
// replaced by another, and what it was before is not known.
void digests_note(struct digests *digests, raft_index index, uint64_t digest);

struct divergence_member {
    bool voter;
    const struct digests *digests;
};

enum divergence_verdict {
    DIVERGENCE_NONE,       // that can be told
    DIVERGENCE_OWN,        // this node's state is not the majority's
    DIVERGENCE_UNDECIDED,  // there are different ones, and none is a majority's yet
};

struct divergence {
    enum divergence_verdict verdict;
    raft_index index;  // the lowest at which it shows
    uint64_t own;      // this node's digest there
    uint64_t other;    // the majority's, or one that differs
};

// members[self] is this node.
struct divergence divergence_find(const struct divergence_member *members, size_t count, size_t self);

#endif
