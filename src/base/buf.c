// The growable buffer: doubles, so that appending is amortised constant.
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

enum { BUF_MIN = 64 };

uint8_t *buf_reserve(struct buf *buf, size_t extra) {
    if (extra > buf->cap - buf->len) {
        // Input is bounded, so a size that overflows is a bug of ours.
        assert(extra <= SIZE_MAX / 2 - buf->len);
        size_t needed = buf->len + extra;
        size_t cap = buf->cap < BUF_MIN ? BUF_MIN : buf->cap * 2;
        cap = cap < needed ? needed : cap;
        buf->data = mem_realloc(buf->data, cap);
        buf->cap = cap;
    } else if (buf->data == NULL) {
        buf->data = mem_alloc(BUF_MIN);
        buf->cap = BUF_MIN;
    }
    return buf->data + buf->len;
}

void buf_append(struct buf *buf, const void *data, size_t len) {
    if (len > 0) {
        memcpy(buf_reserve(buf, len), data, len);
        buf->len += len;
    }
}

void buf_append_u64(struct buf *buf, uint64_t value) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    buf_append(buf, digits + at, sizeof digits - at);
}

void buf_printf(struct buf *buf, const char *format, ...) {
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    size_t room = buf->cap - buf->len;
    int len = vsnprintf(room == 0 ? NULL : (char *)buf->data + buf->len, room, format, args);
    va_end(args);
    assert(len >= 0);
    if ((size_t)len >= room) {
        // vsnprintf also writes a NUL, which len does not count.
        len = vsnprintf((char *)buf_reserve(buf, (size_t)len + 1), (size_t)len + 1, format, again);
    }
    va_end(again);
    buf->len += (size_t)len;
}

void buf_free(struct buf *buf) {
    free(buf->data);
    *buf = (struct buf){0};
}
