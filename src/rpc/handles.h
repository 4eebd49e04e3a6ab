// Handles: an object's index in a table, and a generation that tells it from earlier objects of that index. Looking up the
// handle of a removed object finds nothing, also when its index is in use again.
#ifndef BATON_RPC_HANDLES_H
#define BATON_RPC_HANDLES_H

#include <stddef.h>
#include <stdint.h>

struct rpc_handle_entry {
    void *object;         // NULL: free
    uint32_t generation;  // of the object, or of the last one; 0: there has been none
    uint32_t next_free;   // index + 1; 0: none
};

// Zero-initialised is ready to use.
struct rpc_handles {
    struct rpc_handle_entry *entries;
    uint32_t cap;
    uint32_t count;      // objects
    uint32_t used;       // entries that have ever had one
    uint32_t free_head;  // index + 1; 0: none
};

// Returns the object's index; its generation is entries[index].generation. `object` is not NULL.
uint32_t rpc_handles_add(struct rpc_handles *handles, void *object);

// Invalidates the handle of the object at `index`.
void rpc_handles_remove(struct rpc_handles *handles, uint32_t index);

// All objects must have been removed.
void rpc_handles_free(struct rpc_handles *handles);

// NULL: the handle is invalid.
static inline void *rpc_handles_get(const struct rpc_handles *handles, uint32_t index, uint32_t generation) {
    return index < handles->used && handles->entries[index].generation == generation ? handles->entries[index].object : NULL;
}

#endif
