// Converts RaftService's messages to and from the core's struct raft_message.
#ifndef BATON_WIRE_RAFT_MESSAGES_H
#define BATON_WIRE_RAFT_MESSAGES_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "raft/raft.h"
#include "wire/schema.h"

enum { WIRE_PROTOCOL_VERSION = 1 };

// This node's identity, in every message.
struct wire_identity {
    struct raft_id cluster_id;
    uint64_t generation;
    struct raft_id node_id;
};

// The call that carries a request (not a reply): AppendEntries of RaftService.
const struct pb_method *wire_raft_method(enum raft_message_type request);

// Appends the encoded message.
void wire_raft_encode(const struct wire_identity *us, const struct raft_message *message, struct buf *out);

// Decodes a message of the given type. Entries are copied once, into the slab, with one reference each, which the caller
// owns; the array of pointers is in the arena. On error nothing is owned.
// ERR_MALFORMED: not such a message; ERR_INVALID: bad ids, entries not consecutive from prev_log on, index overflow, a
// message from oneself; ERR_FOREIGN: not for us (other cluster, generation, node or protocol), naming both;
// ERR_TOO_LARGE: an entry above COMMAND_MAX; ERR_NO_MEMORY. The caller checks that the sender is a member.
enum error_code wire_raft_decode(const struct wire_identity *us, enum raft_message_type type, struct slice bytes,
                                 struct raft_slab *slab, struct arena *arena, struct raft_message *message,
                                 struct error *error);

#endif
