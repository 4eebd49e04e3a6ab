// A 64-bit fingerprint of a run of fields: equal for equal fields on every machine, and, but for chance, different for
// different ones. Not against somebody who looks for collisions.
#ifndef BATON_STATE_FINGERPRINT_H
#define BATON_STATE_FINGERPRINT_H

#include "base/slice.h"

static inline uint64_t fingerprint_u64(uint64_t fingerprint, uint64_t value) {
    // Both halves of a 128-bit product, so that every bit of the input reaches every bit of the result.
    unsigned __int128 product = (unsigned __int128)(fingerprint ^ value ^ 0x9e3779b97f4a7c15) * 0xd6e8feb86659fd93;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

// With its length, so that neighbouring fields cannot trade bytes.
static inline uint64_t fingerprint_bytes(uint64_t fingerprint, struct slice bytes) {
    fingerprint = fingerprint_u64(fingerprint, bytes.len);
    size_t i = 0;
    for (; i + 8 <= bytes.len; i += 8) {
        uint64_t word;
        memcpy(&word, bytes.data + i, 8);
        fingerprint = fingerprint_u64(fingerprint, word);
    }
    uint64_t rest = 0;
    for (size_t shift = 0; i < bytes.len; i++, shift += 8) {
        rest |= (uint64_t)bytes.data[i] << shift;
    }
    return fingerprint_u64(fingerprint, rest);
}

#endif
