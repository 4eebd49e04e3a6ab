// A growing array with its free slots chained through it, the last freed first: its lines are warm.
#include "rpc/slots.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

uint32_t rpc_slots_add(struct rpc_slots *slots, void *tenant) {
    uint32_t index;
    if (slots->free_head != 0) {
        index = slots->free_head - 1;
        slots->free_head = slots->slots[index].next_free;
    } else {
        if (slots->used == slots->cap) {
            slots->cap = slots->cap == 0 ? 64 : slots->cap * 2;
            slots->slots = mem_realloc(slots->slots, slots->cap * sizeof *slots->slots);
        }
        index = slots->used++;
        slots->slots[index].generation = 0;
    }
    struct rpc_slot *slot = &slots->slots[index];
    slot->tenant = tenant;
    slot->generation += slot->generation == UINT32_MAX ? 2 : 1;  // 0 names nothing
    slots->count++;
    return index;
}

void rpc_slots_remove(struct rpc_slots *slots, uint32_t index) {
    assert(index < slots->used && slots->slots[index].tenant != NULL);
    slots->slots[index].tenant = NULL;
    slots->slots[index].next_free = slots->free_head;
    slots->free_head = index + 1;
    slots->count--;
}

void rpc_slots_free(struct rpc_slots *slots) {
    assert(slots->count == 0);
    free(slots->slots);
    *slots = (struct rpc_slots){0};
}
