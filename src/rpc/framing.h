// gRPC's length-prefixed messages: one byte that says whether it is compressed, four bytes of length, big endian, then the
// message. Any number of them make up a direction of a call, cut into DATA frames anywhere.
#ifndef BATON_RPC_FRAMING_H
#define BATON_RPC_FRAMING_H

#include "base/limits.h"
#include "base/slice.h"

enum { RPC_PREFIX = 5 };

// Zero-initialised is ready to use.
struct rpc_reader {
    uint8_t prefix[RPC_PREFIX];
    uint8_t prefix_len;  // bytes of the prefix that are here
    uint32_t size;       // of the message, once the prefix is whole
    uint8_t *data;       // the message so far, when it came in pieces
    uint32_t len;
    uint32_t cap;
};

enum rpc_read {
    RPC_READ_MORE,        // all bytes taken, no whole message yet
    RPC_READ_MESSAGE,     // one message; there may be more
    RPC_READ_TOO_LARGE,   // longer than MESSAGE_MAX; nothing was allocated
    RPC_READ_COMPRESSED,  // the compressed flag, and we offer no encoding
    RPC_READ_NO_MEMORY,
};

// Takes bytes off the front of *bytes until a message is whole. *message points into *bytes when it lies there in one
// piece, otherwise into the reader, until the next call. After an error the reader is of no more use but to be freed.
enum rpc_read rpc_reader_next(struct rpc_reader *reader, struct slice *bytes, struct slice *message);

// Copies a message that lies in somebody else's bytes into the reader. False: no memory.
bool rpc_reader_keep(struct rpc_reader *reader, struct slice *message);

// Whether the bytes so far end with the end of a message.
static inline bool rpc_reader_at_end(const struct rpc_reader *reader) {
    return reader->prefix_len == 0;
}

// Ready for another call. Keeps a small buffer for it.
void rpc_reader_reset(struct rpc_reader *reader);
void rpc_reader_free(struct rpc_reader *reader);

static inline void rpc_prefix_write(uint8_t prefix[RPC_PREFIX], uint32_t size) {
    prefix[0] = 0;
    prefix[1] = (uint8_t)(size >> 24);
    prefix[2] = (uint8_t)(size >> 16);
    prefix[3] = (uint8_t)(size >> 8);
    prefix[4] = (uint8_t)size;
}

#endif
