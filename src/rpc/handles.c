// The free entries are chained, the last freed first: it is probably still in the cache.
#include "rpc/handles.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"

uint32_t rpc_handles_add(struct rpc_handles *handles, void *object) {
    uint32_t index;
    if (handles->free_head != 0) {
        index = handles->free_head - 1;
        handles->free_head = handles->entries[index].next_free;
    } else {
        array_reserve(handles->entries, handles->cap, handles->used + 1);
        index = handles->used++;
        handles->entries[index].generation = 0;
    }
    struct rpc_handle_entry *entry = &handles->entries[index];
    entry->object = object;
    entry->generation += entry->generation == UINT32_MAX ? 2 : 1;  // 0 is never valid
    handles->count++;
    assert(entry->generation != 0 && handles->count <= handles->used && handles->used <= handles->cap);
    return index;
}

void rpc_handles_remove(struct rpc_handles *handles, uint32_t index) {
    assert(index < handles->used && handles->entries[index].object != NULL);
    handles->entries[index].object = NULL;
    handles->entries[index].next_free = handles->free_head;
    handles->free_head = index + 1;
    handles->count--;
}

void rpc_handles_free(struct rpc_handles *handles) {
    assert(handles->count == 0);
    free(handles->entries);
    *handles = (struct rpc_handles){0};
}
