// Which of the last writes had no effect: one that expected another revision, one that a session had answered already, a
// delete of a missing key. An entry alone does not tell, so an image lists them: with it the history of changes can be made
// anew from the log's tail (state_recall).
#ifndef BATON_STATE_EFFECTS_H
#define BATON_STATE_EFFECTS_H

#include "base/limits.h"
#include "base/slice.h"
#include "raft/entry.h"

enum { EFFECTS_BYTES = HISTORY_IMAGE / 8 };

// Of the last HISTORY_IMAGE entries, by index modulo HISTORY_IMAGE: a bit that is set is a write without effect.
// Zero-initialised: of an empty log.
struct effects {
    uint8_t bits[EFFECTS_BYTES];
};

// The next entry was applied.
void effects_note(struct effects *effects, raft_index index, bool without_effect);

// Whether the entry, one of the last HISTORY_IMAGE, is a write without effect.
bool effects_lacks(const struct effects *effects, raft_index index);

// For an image of the entry `last`: bit k of byte j is the entry last - (8 j + k). Returns the number of bytes up to the
// last one that is not zero.
size_t effects_save(const struct effects *effects, raft_index last, uint8_t bits[EFFECTS_BYTES]);

// The reverse. False: a bit of an entry before the first, more than EFFECTS_BYTES, or a last byte of zero.
bool effects_load(struct effects *effects, raft_index last, struct slice bits);

#endif
