// gRPC's Length-Prefixed-Message: a compressed flag of one byte, a length of four bytes (big endian), and the message. Each
// direction of a call is a sequence of them, split into DATA frames anywhere.
#ifndef BATON_RPC_FRAMING_H
#define BATON_RPC_FRAMING_H

#include "base/limits.h"
#include "base/slice.h"

enum { RPC_PREFIX = 5 };

// Zero-initialised is ready to use.
struct rpc_reader {
    uint8_t prefix[RPC_PREFIX];
    uint8_t prefix_len;  // bytes of the prefix received
    uint32_t size;       // of the message, once the prefix is complete
    uint8_t *data;       // the message so far, if it was split
    uint32_t len;
    uint32_t cap;
};

enum rpc_read {
    RPC_READ_MORE,        // all bytes are consumed, the message is incomplete
    RPC_READ_MESSAGE,     // one message; more may follow in *bytes
    RPC_READ_TOO_LARGE,   // the prefix announces more than MESSAGE_MAX; nothing was allocated
    RPC_READ_COMPRESSED,  // the compressed flag is set; no encoding is supported
    RPC_READ_NO_MEMORY,
};

// Consumes *bytes up to the end of a message. *message points into *bytes if it is whole there, otherwise into the reader,
// until the next call. After an error the reader can only be reset or freed.
enum rpc_read rpc_reader_next(struct rpc_reader *reader, struct slice *bytes, struct slice *message);

// Copies a message that rpc_reader_next gave from the caller's bytes into the reader. False: no memory.
bool rpc_reader_copy(struct rpc_reader *reader, struct slice *message);

// Whether no message is incomplete.
static inline bool rpc_reader_at_end(const struct rpc_reader *reader) {
    return reader->prefix_len == 0;
}

// Prepares it for another call; a small buffer stays allocated.
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
