// RaftService's messages to and from the core's struct raft_message.
#ifndef BATON_WIRE_RAFT_MESSAGES_H
#define BATON_WIRE_RAFT_MESSAGES_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "raft/raft.h"

enum { WIRE_PROTOCOL_VERSION = 1 };

// Who we are, in every message.
struct wire_identity {
    struct raft_id cluster_id;
    uint64_t generation;
    struct raft_id node_id;
};

// The path of the call that carries a request: "/baton.v1.RaftService/AppendEntries".
const char *wire_raft_path(enum raft_message_type request);

// Appends the encoded message.
void wire_raft_encode(const struct wire_identity *us, const struct raft_message *message, struct buf *out);

// Decodes a message of the given type. Entries are copied once, into the slab, one reference each, which belong to whoever
// gets the message; the array of pointers is in the arena. With an error nothing is held.
// ERR_MALFORMED: not such a message; ERR_INVALID: bad ids, entries not consecutive from prev_log on, index overflow, a
// message from oneself; ERR_FOREIGN: not for us (other cluster, generation, node or protocol), naming both;
// ERR_TOO_LARGE: an entry above COMMAND_MAX; ERR_NO_MEMORY. Whether the sender is a member is the caller's to check.
enum error_code wire_raft_decode(const struct wire_identity *us, enum raft_message_type type, struct slice bytes,
                                 struct raft_slab *slab, struct arena *arena, struct raft_message *message,
                                 struct error *error);

#endif
