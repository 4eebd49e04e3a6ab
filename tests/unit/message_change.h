// Every change that can be made to a message, one at a time: a field that is another, is there or is not, a list with an
// item more or fewer. From the tables, so that a new field is among them by itself.
#ifndef BATON_TESTS_MESSAGE_CHANGE_H
#define BATON_TESTS_MESSAGE_CHANGE_H

#include "base/arena.h"
#include "wire/schema.h"

struct change {
    uint64_t *seed;
    struct arena *arena;  // of what the changed message points to
};

// Makes the change of that number, from 0; false: the message has fewer places where it can change.
bool change_message(const struct change *change, const struct pb_type *type, void *message, size_t which);

#endif
