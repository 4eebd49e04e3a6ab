// A borrowed run of bytes. The function that returns a slice says how long it stays valid.
#ifndef BATON_BASE_SLICE_H
#define BATON_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *data;  // may be NULL when len is 0
    size_t len;           // bytes
};

// An item of a map from text to text.
struct slice_pair {
    struct slice key;
    struct slice value;
};

static inline struct slice slice_of(const void *data, size_t len) {
    return (struct slice){.data = data, .len = len};
}

static inline struct slice slice_of_str(const char *text) {
    return slice_of(text, strlen(text));
}

static inline bool slice_equal(struct slice a, struct slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

// Lexicographic by bytes, a prefix before what it begins: < 0, 0 or > 0, as memcmp.
static inline int slice_compare(struct slice a, struct slice b) {
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static inline bool slice_starts_with(struct slice s, struct slice prefix) {
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

#endif
