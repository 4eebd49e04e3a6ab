// Names that outlive what they name: a slot of a table and the generation of its tenant. Looking up a name whose tenant has
// gone finds nothing, also when the slot has a new one.
#ifndef BATON_RPC_SLOTS_H
#define BATON_RPC_SLOTS_H

#include <stddef.h>
#include <stdint.h>

struct rpc_slot {
    void *tenant;         // NULL: free
    uint32_t generation;  // of the tenant, or the one before the next; never 0 with a tenant
    uint32_t next_free;   // index + 1; 0: none
};

// Zero-initialised is ready to use.
struct rpc_slots {
    struct rpc_slot *slots;
    uint32_t cap;
    uint32_t count;      // tenants
    uint32_t used;       // slots that have ever had one
    uint32_t free_head;  // index + 1; 0: none
};

// The tenant's slot; its generation is slots[slot].generation.
uint32_t rpc_slots_add(struct rpc_slots *slots, void *tenant);

void rpc_slots_remove(struct rpc_slots *slots, uint32_t slot);
void rpc_slots_free(struct rpc_slots *slots);

static inline void *rpc_slots_get(const struct rpc_slots *slots, uint32_t slot, uint32_t generation) {
    return slot < slots->used && slots->slots[slot].generation == generation ? slots->slots[slot].tenant : NULL;
}

#endif
