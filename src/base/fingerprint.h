// A 64-bit fingerprint of a run of values: equal for equal values on every machine, and, but for chance, different for
// different ones. Not against an adversary who looks for collisions.
#ifndef BATON_BASE_FINGERPRINT_H
#define BATON_BASE_FINGERPRINT_H

#include <endian.h>

#include "base/slice.h"

static inline uint64_t fingerprint_u64(uint64_t fingerprint, uint64_t value) {
    // Both halves of a 128-bit product, so that every bit of the input reaches every bit of the result.
    unsigned __int128 product = (unsigned __int128)(fingerprint ^ value ^ 0x9e3779b97f4a7c15) * 0xd6e8feb86659fd93;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

// The bytes as a little-endian number, whatever the machine's order.
static inline uint64_t fingerprint_word(const uint8_t *bytes, size_t len) {
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++) {
        word |= (uint64_t)bytes[i] << (8 * i);
    }
    return word;
}

// The same for eight bytes, by one load.
static inline uint64_t fingerprint_load(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return le64toh(word);
}

// With its length, so that neighbouring fields cannot trade bytes.
static inline uint64_t fingerprint_bytes(uint64_t fingerprint, struct slice bytes) {
    fingerprint = fingerprint_u64(fingerprint, bytes.len);
    const uint8_t *at = bytes.data;
    size_t left = bytes.len;
    for (; left >= 8; left -= 8, at += 8) {
        fingerprint = fingerprint_u64(fingerprint, fingerprint_load(at));
    }
    return fingerprint_u64(fingerprint, fingerprint_word(at, left));
}

#endif
