// A growable byte buffer for building messages and lines.
#ifndef BATON_BASE_BUF_H
#define BATON_BASE_BUF_H

#include "base/slice.h"

// Zero-initialised is an empty buffer. Owns `data`; free it with buf_free.
struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
};

// Makes room for `extra` more bytes at data + len and returns that place; the caller fills them and adds them to len. Never
// NULL, as mem_alloc. Invalidates pointers into the buffer.
uint8_t *buf_reserve(struct buf *buf, size_t extra);

// `data` must not point into the buffer.
void buf_append(struct buf *buf, const void *data, size_t len);
void buf_append_u64(struct buf *buf, uint64_t value);  // in decimal
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Inline: the compiler knows the length of a literal.
static inline void buf_append_str(struct buf *buf, const char *text) {
    buf_append(buf, text, strlen(text));
}

static inline void buf_append_slice(struct buf *buf, struct slice s) {
    buf_append(buf, s.data, s.len);
}

static inline struct slice buf_slice(const struct buf *buf) {
    return slice_of(buf->data, buf->len);
}

static inline void buf_clear(struct buf *buf) {
    buf->len = 0;
}

void buf_free(struct buf *buf);

#endif
