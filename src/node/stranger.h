// Whether who answers at a peer's address is the peer. A name may lead elsewhere, and an address may have been given to
// another machine, and a cluster may have been founded anew; nothing else that a stranger says may be used.
#ifndef BATON_NODE_STRANGER_H
#define BATON_NODE_STRANGER_H

#include "baton/v1/control.pb.h"
#include "raft/entry.h"
#include "wire/raft_messages.h"

// Who was found, for people: "node n3 of cluster demo".
struct stranger {
    char text[2 * ID_MAX + 160];
    uint64_t generation;  // it is the one called, but of this generation, and another than ours; 0: anything else
};

// Compares a Status, decoded but not checked, with whom node `us` has called. True: another answered, and *stranger says
// who.
bool stranger_find(const struct wire_identity *us, const struct raft_id *called, const struct pb_status_response *status,
                   struct stranger *stranger);

// Trailer of a refused message of a lower generation: that of the node that refuses, a decimal number.
#define GENERATION_TRAILER "baton-generation"

// The generation in a refusal's trailer; 0: it has none, or not a number.
uint64_t stranger_generation(struct slice trailer);

#endif
