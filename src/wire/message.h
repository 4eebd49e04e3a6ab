// Copies, comparison and fingerprints of decoded messages, for the state machine. Driven by the tables (wire/schema.h), so
// that a new field is covered without a line of code.
#ifndef BATON_WIRE_MESSAGE_H
#define BATON_WIRE_MESSAGE_H

#include "base/slice.h"
#include "wire/schema.h"

// A copy of the message with all texts and lists, in one allocation: free it with free(). Never NULL (mem_alloc's promise;
// messages are bounded by COMMAND_MAX).
void *pb_clone(const struct pb_type *type, const void *message);

// Whether both have the same fields with the same values; lists in the same order.
bool pb_equal(const struct pb_type *type, const void *a, const void *b);

// Mixes every present field, with its number, into the fingerprint (base/fingerprint.h). The same on every machine.
uint64_t pb_fingerprint(const struct pb_type *type, const void *message, uint64_t fingerprint);

#endif
