// A call's headers and trailers: metadata, grpc-status, grpc-message, grpc-timeout; and the status of a call that ends
// without one.
#ifndef BATON_RPC_METADATA_H
#define BATON_RPC_METADATA_H

#include "base/buf.h"
#include "rpc/rpc.h"

// Keys and values in the order they were added. Zero-initialised is empty and ready to use.
struct rpc_metadata {
    struct buf bytes;
};

void rpc_metadata_add(struct rpc_metadata *metadata, struct slice key, struct slice value);

// The first value of that key; data NULL if absent. Borrowed until the metadata changes.
struct slice rpc_metadata_get(const struct rpc_metadata *metadata, struct slice key);

// Iterates; *at is 0 at first. False: no more.
bool rpc_metadata_next(const struct rpc_metadata *metadata, size_t *at, struct slice *key, struct slice *value);

// Empties it; a small buffer stays allocated.
void rpc_metadata_clear(struct rpc_metadata *metadata);
void rpc_metadata_free(struct rpc_metadata *metadata);

// grpc-timeout: 1 to 8 digits and a unit of H M S m u n. In milliseconds, rounded up. False: malformed.
bool rpc_timeout_parse(struct slice text, uint64_t *ms);

enum { RPC_TIMEOUT_TEXT = 10 };

// Returns the length; no NUL. Rounded up to a unit of which 8 digits are enough.
size_t rpc_timeout_format(char text[RPC_TIMEOUT_TEXT], uint64_t ms);

// grpc-message: writes all but printable ASCII, and the percent sign, as %XX. Appends to `out`.
void rpc_percent_encode(struct buf *out, struct slice text);

// A percent sign without two hexadecimal digits stands for itself. Appends to `out`.
void rpc_percent_decode(struct buf *out, struct slice text);

// grpc-status: a decimal number; RPC_UNKNOWN for any other text or number.
enum rpc_status rpc_status_parse(struct slice text);

// The status of a response without grpc-status, by its HTTP status.
enum rpc_status rpc_status_of_http(int http_status);

// The status of a call that RST_STREAM ended, by its error code.
enum rpc_status rpc_status_of_reset(uint32_t error_code);

#endif
