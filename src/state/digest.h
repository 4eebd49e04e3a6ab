// The digest of the state is a sum of fingerprints (base/fingerprint.h), modulo 2^64, of everything that it holds: an item,
// a session, each result of a session, a worker, a grant. A change subtracts the old one's and adds the new one's, so the
// digest is up to date at any time, and does not depend on the order of changes. Only what digest_of is given is mixed in
// besides.
//
// It is a part of the state machine's rules: images end in it, and nodes compare theirs. Changing it takes a higher level.
#ifndef BATON_STATE_DIGEST_H
#define BATON_STATE_DIGEST_H

#include "base/fingerprint.h"

// What a fingerprint begins with, so that different kinds of contents cannot be taken for each other.
#define DIGEST_ITEM    UINT64_C(0x6974656d)
#define DIGEST_SESSION UINT64_C(0x73657373)
#define DIGEST_RESULT  UINT64_C(0x72657375)
#define DIGEST_WORKER  UINT64_C(0x776f726b)
#define DIGEST_GRANT   UINT64_C(0x6772616e)

// The digest of a state whose contents have this sum of fingerprints.
static inline uint64_t digest_of(uint64_t sum, uint64_t last_applied, int64_t time_unix_ms, uint32_t level,
                                 uint64_t departures, uint64_t command_bytes) {
    uint64_t digest = fingerprint_u64(fingerprint_u64(sum, last_applied), (uint64_t)time_unix_ms);
    return fingerprint_u64(fingerprint_u64(fingerprint_u64(digest, level), departures), command_bytes);
}

#endif
