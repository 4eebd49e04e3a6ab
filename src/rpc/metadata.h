// What stands in the headers and trailers of a call: metadata, status, timeout; and what to make of a call that ended
// without a status.
#ifndef BATON_RPC_METADATA_H
#define BATON_RPC_METADATA_H

#include "base/buf.h"
#include "rpc/rpc.h"

// Keys and values in the order they were added. Zero-initialised is empty and ready to use.
struct rpc_metadata {
    struct buf bytes;
};

void rpc_metadata_add(struct rpc_metadata *metadata, struct slice key, struct slice value);

// The first value of that key; data NULL if absent. Borrowed until the next change.
struct slice rpc_metadata_get(const struct rpc_metadata *metadata, struct slice key);

// Goes through all; *at is 0 at first. False: no more.
bool rpc_metadata_next(const struct rpc_metadata *metadata, size_t *at, struct slice *key, struct slice *value);

void rpc_metadata_clear(struct rpc_metadata *metadata);
void rpc_metadata_free(struct rpc_metadata *metadata);

// grpc-timeout: 1 to 8 digits and a unit of H M S m u n. In milliseconds, rounded up. False: malformed.
bool rpc_timeout_parse(struct slice text, uint64_t *ms);

enum { RPC_TIMEOUT_TEXT = 10 };

// Returns the length; no NUL. Rounded up where 8 digits of milliseconds do not hold it.
size_t rpc_timeout_format(char text[RPC_TIMEOUT_TEXT], uint64_t ms);

// grpc-message: what is not printable ASCII, and the percent sign, as %XX.
void rpc_percent_encode(struct buf *out, struct slice text);

// A percent sign that no two hexadecimal digits follow stands for itself.
void rpc_percent_decode(struct buf *out, struct slice text);

// grpc-status: a decimal number; RPC_UNKNOWN for any other text or number.
enum rpc_status rpc_status_parse(struct slice text);

// What a response without grpc-status means, by its HTTP status.
enum rpc_status rpc_status_of_http(int http_status);

// What RST_STREAM with that error code means to the client.
enum rpc_status rpc_status_of_reset(uint32_t error_code);

#endif
