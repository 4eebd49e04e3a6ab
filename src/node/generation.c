// The generation that this node is of: node/generation.h.
#include "node/generation.h"

#include <stdio.h>

#include "node/internal.h"
#include "node/quarantine.h"

void generation_follow(struct node *node, uint64_t generation) {
    if (generation <= node->identity.generation) {
        return;
    }
    node->identity.generation = generation;
    // Before anything is written under it.
    wal_raise_generation(node->wal, generation);
    slog(SLOG_INFO, "generation-changed", "this node is of another generation of the cluster",
         F_U64("generation", generation));
}

void generation_heard(struct node *node, const struct raft_id *from, uint64_t generation) {
    if (generation <= node->identity.generation) {
        return;
    }
    char message[QUARANTINE_MESSAGE_MAX + 1];
    snprintf(
        message, sizeof message,
        "generation %llu of the cluster exists (%s is of it), and this node is of generation %llu: nothing that it says "
        "counts any more. Stop it, and run batond --rejoin with its flags",
        (unsigned long long)generation, from->text, (unsigned long long)node->identity.generation);
    quarantine_begin(node, QUARANTINE_SUPERSEDED, message);
}
