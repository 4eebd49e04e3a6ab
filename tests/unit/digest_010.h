// The digest that version 0.1.0 made of its state, made of today's state: so a log that it wrote is shown to be replayed to
// the same digest, though today's own digest (state_digest) is computed otherwise.
//
// 0.1.0 mixed every key, every session with its results, every worker, and the order in which workers went offline. Keys and
// workers are read from the state; sessions and that order are not visible from outside, so they are followed here, command
// by command, by the rules of 0.1.0.
#ifndef BATON_TESTS_DIGEST_010_H
#define BATON_TESTS_DIGEST_010_H

#include "state/state.h"

struct digest_010;

struct digest_010 *digest_010_new(void);
void digest_010_free(struct digest_010 *digest);

// Before the command is applied: notes who is online.
void digest_010_before(struct digest_010 *digest, const struct state *state, const struct pb_command *command);

// After it: follows sessions and the order of those offline.
void digest_010_after(struct digest_010 *digest, const struct state *state, const struct pb_command *command,
                      const struct state_result *result);

// What state_digest of 0.1.0 gave for this state.
uint64_t digest_010_of(const struct digest_010 *digest, const struct state *state);

#endif
