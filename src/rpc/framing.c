// The buffer grows with the bytes received, not with the length announced: a prefix alone costs no memory.
#include "rpc/framing.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"

enum {
    RETAINED_MAX = 4 * KIB,  // of a reader between two calls
    GROWTH_MIN = 512,
};

static bool grow(struct rpc_reader *reader, size_t extra) {
    size_t needed = reader->len + extra;
    if (needed <= reader->cap) {
        return true;
    }
    assert(needed <= MESSAGE_MAX);
    size_t cap = array_next_cap(reader->cap, needed < GROWTH_MIN ? GROWTH_MIN : needed);
    uint8_t *data = mem_try_alloc(cap);
    if (data == NULL) {
        return false;
    }
    if (reader->len > 0) {
        memcpy(data, reader->data, reader->len);
    }
    free(reader->data);
    reader->data = data;
    reader->cap = (uint32_t)cap;
    return true;
}

static struct slice take(struct slice *bytes, size_t len) {
    struct slice taken = slice_of(bytes->data, len);
    bytes->data += len;
    bytes->len -= len;
    return taken;
}

// RPC_READ_MESSAGE: the prefix is complete and valid.
static enum rpc_read read_prefix(struct rpc_reader *reader, struct slice *bytes) {
    while (reader->prefix_len < RPC_PREFIX) {
        if (bytes->len == 0) {
            return RPC_READ_MORE;
        }
        reader->prefix[reader->prefix_len++] = *take(bytes, 1).data;
        if (reader->prefix_len == RPC_PREFIX) {
            const uint8_t *p = reader->prefix;
            reader->size = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
            reader->len = 0;
            if (p[0] != 0) {
                return RPC_READ_COMPRESSED;
            }
            if (reader->size > MESSAGE_MAX) {
                return RPC_READ_TOO_LARGE;
            }
        }
    }
    return RPC_READ_MESSAGE;
}

enum rpc_read rpc_reader_next(struct rpc_reader *reader, struct slice *bytes, struct slice *message) {
    enum rpc_read result = read_prefix(reader, bytes);
    if (result != RPC_READ_MESSAGE) {
        return result;
    }
    if (reader->len == 0 && bytes->len >= reader->size) {
        *message = take(bytes, reader->size);
        reader->prefix_len = 0;
        return RPC_READ_MESSAGE;
    }
    assert(reader->len < reader->size);
    size_t missing = reader->size - reader->len;
    size_t len = bytes->len < missing ? bytes->len : missing;
    if (len == 0) {
        return RPC_READ_MORE;
    }
    if (!grow(reader, len)) {
        return RPC_READ_NO_MEMORY;
    }
    memcpy(reader->data + reader->len, take(bytes, len).data, len);
    reader->len += (uint32_t)len;
    if (reader->len < reader->size) {
        return RPC_READ_MORE;
    }
    *message = slice_of(reader->data, reader->len);
    reader->prefix_len = 0;
    return RPC_READ_MESSAGE;
}

bool rpc_reader_copy(struct rpc_reader *reader, struct slice *message) {
    if (message->len == 0 || message->data == reader->data) {
        return true;
    }
    reader->len = 0;
    if (!grow(reader, message->len)) {
        return false;
    }
    memcpy(reader->data, message->data, message->len);
    reader->len = (uint32_t)message->len;
    message->data = reader->data;
    return true;
}

void rpc_reader_reset(struct rpc_reader *reader) {
    if (reader->cap > RETAINED_MAX) {
        rpc_reader_free(reader);
    }
    reader->prefix_len = 0;
    reader->size = reader->len = 0;
}

void rpc_reader_free(struct rpc_reader *reader) {
    free(reader->data);
    *reader = (struct rpc_reader){0};
}
