// A limit on what comes at a rate: pure, with the time as an argument. So much is let through at once as comes in `burst_ns`
// at the rate, and then no more than that. Kept as one time (the "generic cell rate algorithm"): when all that was let
// through would have come, had it come at the rate.
#ifndef BATON_POLICY_TOKEN_BUCKET_H
#define BATON_POLICY_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

// Takes `amount` from the bucket `*used_ns` (0: a full one), at `rate` a second; more than a full bucket counts as a full
// one. False: not now, nothing is taken, and in *wait_ns there will be enough.
bool token_bucket_take(uint64_t *used_ns, uint64_t rate, uint64_t burst_ns, uint64_t amount, uint64_t now_ns,
                       uint64_t *wait_ns);

#endif
