// Converts RaftService's messages to and from the core's struct raft_message.
#ifndef BATON_WIRE_RAFT_MESSAGES_H
#define BATON_WIRE_RAFT_MESSAGES_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "raft/raft.h"
#include "wire/configuration.h"
#include "wire/schema.h"

enum { WIRE_PROTOCOL_VERSION = 1 };

// This node's identity, in every message, and whom it knows.
struct wire_identity {
    struct raft_id cluster_id;
    uint64_t generation;  // of the cluster: that of the configuration in force, and never less than it was
    struct raft_id node_id;
    char incarnation[INCARNATION_DIGITS + 1];        // of its data directory; "": has none
    bool all_tell_theirs;                            // the cluster's level excludes versions that know no incarnation
    const struct wire_configuration *configuration;  // in force, borrowed; without members: none yet; NULL: of no concern
};

// The call that carries a request (not a reply): AppendEntries of RaftService.
const struct pb_method *wire_raft_method(enum raft_message_type request);

// Appends the encoded message.
void wire_raft_encode(const struct wire_identity *us, const struct raft_message *message, struct buf *out);

// Decodes a message of the given type. Entries are copied once, into the slab, with one reference each, which the caller
// owns; the array of pointers is in the arena. On error nothing is owned.
// ERR_MALFORMED: not such a message; ERR_INVALID: bad ids, entries not consecutive from prev_log on, index overflow, a
// message from oneself; ERR_FOREIGN: not for us (other cluster, node or protocol), naming both; ERR_OLD_GENERATION: from our
// cluster, but of a lower generation; ERR_SUPERSEDED: of a higher one, unless this node has no configuration yet;
// ERR_TOO_LARGE: an entry above COMMAND_MAX; ERR_NO_MEMORY. ERR_FOREIGN, too, if a data directory is not the one of the
// configuration, as far as that has it; and if who sends a request is no member, or this node has no configuration yet,
// unless the message names this node's directory.
enum error_code wire_raft_decode(const struct wire_identity *us, enum raft_message_type type, struct slice bytes,
                                 struct raft_slab *slab, struct arena *arena, struct raft_message *message,
                                 struct error *error);

// Who sent a message of RaftService, of whatever type, and of which generation, whether or not it is for us. False: it does
// not decode, or the sender is no id.
bool wire_raft_sender(struct slice bytes, struct arena *arena, struct raft_id *from, uint64_t *generation);

// --- InstallSnapshot: the chunk's bytes, and how far the receiver is, are not the core's ---

struct wire_chunk {
    uint64_t size;  // of the whole image
    uint64_t offset;
    struct slice data;  // of a decoded message borrowed from its bytes
};

// As above, for RAFT_INSTALL_SNAPSHOT. ERR_INVALID also for a chunk beyond the image's end, or with another checksum than
// its bytes have.
void wire_chunk_encode(const struct wire_identity *us, const struct raft_message *message, const struct wire_chunk *chunk,
                       struct buf *out);
enum error_code wire_chunk_decode(const struct wire_identity *us, struct slice bytes, struct arena *arena,
                                  struct raft_message *message, struct wire_chunk *chunk, struct error *error);

// How far the receiver is.
struct wire_chunk_reply {
    struct raft_entry_id part;  // the image that it has a part of; index 0: none
    uint64_t offset;            // the first byte that it lacks
};

// As above, for RAFT_INSTALL_SNAPSHOT_REPLY.
void wire_chunk_reply_encode(const struct wire_identity *us, const struct raft_message *message,
                             const struct wire_chunk_reply *chunk, struct buf *out);
enum error_code wire_chunk_reply_decode(const struct wire_identity *us, struct slice bytes, struct arena *arena,
                                        struct raft_message *message, struct wire_chunk_reply *chunk, struct error *error);

// --- ReadIndex, which is no message of the core ---

// Appends an encoded request to the leader, or, with its index, the response to a member.
void wire_read_index_encode(const struct wire_identity *us, const struct raft_id *leader, raft_term term, struct buf *out);
void wire_read_index_reply_encode(const struct wire_identity *us, const struct raft_id *to, raft_term term, raft_index index,
                                  struct buf *out);

// Decode them; errors as of wire_raft_decode.
enum error_code wire_read_index_decode(const struct wire_identity *us, struct slice bytes, struct arena *arena,
                                       struct raft_id *from, raft_term *term, struct error *error);
enum error_code wire_read_index_reply_decode(const struct wire_identity *us, struct slice bytes, struct arena *arena,
                                             struct raft_id *from, raft_index *index, struct error *error);

#endif
