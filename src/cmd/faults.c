// Faults for tests: cmd/faults.h.
#include "cmd/faults.h"

#include "node/verb.h"
#include "state/machine.h"

static bool flip(void *user, const struct state_item *item) {
    (void)user;
    if (item->value.len > 0) {
        *(uint8_t *)item->value.data ^= 1;  // it is the state's own memory
    }
    return item->value.len == 0;
}

void faults_flip_bit(struct node *node) {
    state_list(node_state(node), slice_of(NULL, 0), slice_of(NULL, 0), flip, NULL);
}

void faults_misapply(struct node *node) {
    ((struct state *)node_state(node))->registry.departures++;
}
