// WorkerService's messages to and from plain structs. Slices of a decoded message point into its bytes; lists are in the
// arena. Decoders: ERR_MALFORMED, ERR_INVALID or ERR_TOO_LARGE, naming the field and what is allowed.
#ifndef BATON_WIRE_WORKER_H
#define BATON_WIRE_WORKER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "state/state.h"

// Into a command of operation register_worker, labels in key order and without a key twice; every field checked.
enum error_code wire_register_worker_request_decode(struct arena *arena, struct slice bytes, struct state_command *command,
                                                    struct error *error);

// Heartbeat and DeregisterWorker requests: the same three fields.
struct wire_worker_ref {
    struct slice worker_id;
    struct slice instance_id;
    uint64_t epoch;
};

enum error_code wire_heartbeat_request_decode(struct slice bytes, struct wire_worker_ref *ref, struct error *error);
enum error_code wire_deregister_worker_request_decode(struct slice bytes, struct wire_worker_ref *ref, struct error *error);

struct wire_redirect {
    struct slice leader_id;  // empty: none is known
    struct slice leader_address;
    const struct slice *member_addresses;
    size_t member_count;
};

struct wire_worker_response {
    bool accepted;
    uint64_t epoch;  // RegisterWorker only
    uint32_t heartbeat_interval_ms;
    struct wire_redirect redirect;
};

void wire_register_worker_response_encode(const struct wire_worker_response *response, struct buf *out);
void wire_heartbeat_response_encode(const struct wire_worker_response *response, struct buf *out);
void wire_deregister_worker_response_encode(const struct wire_worker_response *response, struct buf *out);

#endif
