// RaftService's messages: wire/raft_messages.h. What the codec reads is checked before it becomes the core's message: the
// bytes come from other nodes, or from anything that can reach the port.
#include "wire/raft_messages.h"

#include <assert.h>

#include "base/crc32c.h"
#include "base/ids.h"
#include "baton/v1/raft.pb.h"
#include "wire/append_entries.h"
#include "wire/codec.h"

static_assert((int)PB_ENTRY_TYPE_COMMAND == (int)RAFT_ENTRY_COMMAND && (int)PB_ENTRY_TYPE_NOOP == (int)RAFT_ENTRY_NOOP &&
                  (int)PB_ENTRY_TYPE_CONFIGURATION == (int)RAFT_ENTRY_CONFIGURATION,
              "raft.proto and raft/entry.h agree");

const struct pb_method *wire_raft_method(enum raft_message_type request) {
    switch (request) {
    case RAFT_REQUEST_VOTE:
        return &pb_raft_service_request_vote;
    case RAFT_APPEND_ENTRIES:
        return &pb_raft_service_append_entries;
    case RAFT_TIMEOUT_NOW:
        return &pb_raft_service_timeout_now;
    case RAFT_REQUEST_VOTE_REPLY:
    case RAFT_APPEND_ENTRIES_REPLY:
    case RAFT_TIMEOUT_NOW_REPLY:
    case RAFT_INSTALL_SNAPSHOT_REPLY:
        break;
    case RAFT_INSTALL_SNAPSHOT:
        return &pb_raft_service_install_snapshot;
    }
    assert(false);  // replies have no call
    return NULL;
}

// --- encoding ---

static const struct wire_member *known_member(const struct wire_identity *us, const struct raft_id *id) {
    return us->configuration == NULL ? NULL : wire_configuration_member(us->configuration, id);
}

static struct pb_envelope envelope_of(const struct wire_identity *us, const struct raft_id *to) {
    const struct wire_member *receiver = known_member(us, to);
    return (struct pb_envelope){
        .cluster_id = raft_id_slice(&us->cluster_id),
        .generation = us->generation,
        .from = raft_id_slice(&us->node_id),
        .to = raft_id_slice(to),
        .protocol = WIRE_PROTOCOL_VERSION,
        .from_incarnation = slice_of_str(us->incarnation),
        .to_incarnation = slice_of_str(receiver == NULL ? "" : receiver->incarnation),
    };
}

// The fields by number: those before the entries, the entries, and the one after them.
static void encode_append(const struct pb_envelope *envelope, const struct raft_message *message, struct buf *out) {
    struct pb_append_entries_request before = {
        .has_envelope = true,
        .envelope = *envelope,
        .term = message->term,
        .leader_id = raft_id_slice(&message->append.leader_id),
        .prev_log_index = message->append.prev_log.index,
        .prev_log_term = message->append.prev_log.term,
    };
    struct pb_append_entries_request after = {.leader_commit = message->append.leader_commit};
    pb_encode(&pb_append_entries_request_type, &before, out);
    append_entries_encode(message->append.entries, message->append.count, out);
    pb_encode(&pb_append_entries_request_type, &after, out);
}

static void encode_request_vote(const struct pb_envelope *envelope, const struct raft_message *message, struct buf *out) {
    struct pb_request_vote_request request = {
        .has_envelope = true,
        .envelope = *envelope,
        .term = message->term,
        .candidate_id = envelope->from,
        .last_log_index = message->request_vote.last_log.index,
        .last_log_term = message->request_vote.last_log.term,
        .pre_vote = message->request_vote.pre_vote,
        .leadership_transfer = message->request_vote.leadership_transfer,
    };
    pb_encode(&pb_request_vote_request_type, &request, out);
}

static void encode_append_reply(const struct pb_envelope *envelope, const struct raft_message *message, struct buf *out) {
    struct pb_append_entries_response response = {
        .has_envelope = true,
        .envelope = *envelope,
        .term = message->term,
        .success = message->append_reply.success,
        .match_index = message->append_reply.match_index,
        .conflict_term = message->append_reply.conflict_term,
        .conflict_index = message->append_reply.conflict_index,
        .promised_us = message->append_reply.promised_us,
    };
    pb_encode(&pb_append_entries_response_type, &response, out);
}

void wire_raft_encode(const struct wire_identity *us, const struct raft_message *message, struct buf *out) {
    struct pb_envelope envelope = envelope_of(us, &message->to);
    switch (message->type) {
    case RAFT_REQUEST_VOTE:
        encode_request_vote(&envelope, message, out);
        break;
    case RAFT_REQUEST_VOTE_REPLY:
        pb_encode(&pb_request_vote_response_type,
                  &(struct pb_request_vote_response){.has_envelope = true,
                                                     .envelope = envelope,
                                                     .term = message->term,
                                                     .vote_granted = message->vote_reply.granted},
                  out);
        break;
    case RAFT_APPEND_ENTRIES:
        encode_append(&envelope, message, out);
        break;
    case RAFT_APPEND_ENTRIES_REPLY:
        encode_append_reply(&envelope, message, out);
        break;
    case RAFT_TIMEOUT_NOW:
        pb_encode(&pb_timeout_now_request_type,
                  &(struct pb_timeout_now_request){.has_envelope = true, .envelope = envelope, .term = message->term}, out);
        break;
    case RAFT_TIMEOUT_NOW_REPLY:
        pb_encode(&pb_timeout_now_response_type,
                  &(struct pb_timeout_now_response){.has_envelope = true, .envelope = envelope, .term = message->term}, out);
        break;
    case RAFT_INSTALL_SNAPSHOT:
    case RAFT_INSTALL_SNAPSHOT_REPLY:
        assert(false);  // wire_chunk_encode, wire_chunk_reply_encode
    }
}

// --- checking ---

// A wiped directory has forgotten its votes and what it acknowledged, so it must not speak for the member any more, and
// what is meant for the one before must not reach it.
static enum error_code check_incarnations(const struct wire_identity *us, const struct pb_envelope *envelope,
                                          struct error *error) {
    struct raft_id from = raft_id_of(envelope->from);
    const struct wire_member *sender = known_member(us, &from);
    const char *known = sender == NULL ? "" : sender->incarnation;
    if (known[0] != '\0' && envelope->from_incarnation.len > 0 &&
        !slice_equal(envelope->from_incarnation, slice_of_str(known))) {
        return error_set(
            error, ERR_FOREIGN,
            "%s has another data directory (%.8s) than the member of that name (%.8s): it was wiped or replaced, "
            "and counts for nothing. Remove it, and add the machine under a new id",
            from.text, (const char *)envelope->from_incarnation.data, known);
    }
    if (known[0] != '\0' && envelope->from_incarnation.len == 0 && us->all_tell_theirs) {
        return error_set(error, ERR_FOREIGN,
                         "%s does not say which data directory it has, as a version would that is too old for this cluster: "
                         "it counts for nothing. Stop it, and start this version",
                         from.text);
    }
    if (us->incarnation[0] != '\0' && envelope->to_incarnation.len > 0 &&
        !slice_equal(envelope->to_incarnation, slice_of_str(us->incarnation))) {
        return error_set(
            error, ERR_FOREIGN,
            "the cluster knows %s with another data directory (%.8s) than this one (%.8s): this one was wiped or "
            "replaced, and this node neither votes nor follows. Stop it, remove %s from the cluster, and add "
            "the machine under a new id",
            us->node_id.text, (const char *)envelope->to_incarnation.data, us->incarnation, us->node_id.text);
    }
    bool unnamed = envelope->to_incarnation.len == 0;
    bool waits = us->configuration != NULL && us->configuration->count == 0;
    if (waits && unnamed) {
        return error_set(
            error, ERR_FOREIGN,
            "this node has an empty data directory, which no configuration names yet. A new node waits until it "
            "is added; a member whose disk was wiped is never believed again: remove it, and add the machine "
            "under a new id");
    }
    return OK;
}

// A leader that a lagging node does not know yet (thesis section 4.1) names this node's directory. Who answers may have been
// removed: he is sent to until he has heard of it.
static enum error_code check_member(const struct wire_identity *us, const struct pb_envelope *envelope,
                                    struct error *error) {
    struct raft_id from = raft_id_of(envelope->from);
    if (us->configuration != NULL && known_member(us, &from) == NULL && envelope->to_incarnation.len == 0) {
        return error_set(error, ERR_FOREIGN, "%s is no member of cluster %s", from.text, us->cluster_id.text);
    }
    return OK;
}

// A node that waits to be added is of no generation yet: that of the leader that names its directory will be its own. What
// is lower than its directory's comes from those whom it has left.
static enum error_code check_generation(const struct wire_identity *us, const struct pb_envelope *envelope,
                                        struct error *error) {
    bool waits = us->configuration != NULL && us->configuration->count == 0;
    if (envelope->generation < us->generation) {
        return error_set(error, ERR_OLD_GENERATION,
                         "%.*s is of generation %llu of cluster %s, and this is generation %llu: the cluster was founded "
                         "anew. Stop %.*s, and run batond --rejoin there",
                         (int)envelope->from.len, (const char *)envelope->from.data,
                         (unsigned long long)envelope->generation, us->cluster_id.text, (unsigned long long)us->generation,
                         (int)envelope->from.len, (const char *)envelope->from.data);
    }
    if (envelope->generation > us->generation && !waits) {
        return error_set(error, ERR_SUPERSEDED, "this node is of generation %llu of cluster %s, and %.*s of generation %llu",
                         (unsigned long long)us->generation, us->cluster_id.text, (int)envelope->from.len,
                         (const char *)envelope->from.data, (unsigned long long)envelope->generation);
    }
    return OK;
}

static enum error_code check_envelope(const struct wire_identity *us, const struct pb_envelope *envelope,
                                      struct error *error) {
    if (envelope->protocol != WIRE_PROTOCOL_VERSION) {
        return error_set(error, ERR_FOREIGN, "the sender speaks protocol %u, this node %d: use one version of baton",
                         envelope->protocol, WIRE_PROTOCOL_VERSION);
    }
    if (!slice_equal(envelope->cluster_id, raft_id_slice(&us->cluster_id)) ||
        !slice_equal(envelope->to, raft_id_slice(&us->node_id))) {
        return error_set(error, ERR_FOREIGN,
                         "a message for node %.*s of cluster %.*s came to node %s of cluster %s: check the addresses in "
                         "--peers",
                         (int)envelope->to.len, (const char *)envelope->to.data, (int)envelope->cluster_id.len,
                         (const char *)envelope->cluster_id.data, us->node_id.text, us->cluster_id.text);
    }
    if (slice_equal(envelope->from, raft_id_slice(&us->node_id))) {
        return error_set(error, ERR_INVALID, "envelope.from: %s is this node itself", us->node_id.text);
    }
    enum error_code code = check_generation(us, envelope, error);
    return code == OK ? check_incarnations(us, envelope, error) : code;
}

// A request has a term, and names its sender as the leader or candidate.
static enum error_code check_request(const struct raft_message *message, struct slice speaks_as, const char *field,
                                     struct slice from, struct error *error) {
    if (message->term == 0) {
        return error_set(error, ERR_INVALID, "term: must be at least 1");
    }
    if (!slice_equal(speaks_as, from)) {
        return error_set(error, ERR_INVALID, "%s: must be the sender, %.*s", field, (int)from.len, (const char *)from.data);
    }
    return OK;
}

// The term and index of one entry: both 0 or neither, and the term not above the message's.
static enum error_code check_log_id(struct raft_entry_id id, raft_term term, const char *field, struct error *error) {
    if ((id.index == 0) == (id.term == 0) && id.term <= term) {
        return OK;
    }
    return error_set(error, ERR_INVALID, "%s: index %llu with term %llu in a message of term %llu", field,
                     (unsigned long long)id.index, (unsigned long long)id.term, (unsigned long long)term);
}

// --- decoding ---

// The context of one decode.
struct decoding {
    const struct wire_identity *us;
    struct slice bytes;
    struct raft_slab *slab;
    struct arena *arena;
    struct raft_message *message;  // type is set
    struct error *error;
    bool is_reply;
};

// Decodes, and checks what all messages have in common: field rules, the envelope (the first member of each), the sender.
static enum error_code open_message(const struct decoding *d, const struct pb_type *type, void *decoded,
                                    struct pb_envelope *envelope, bool *has_envelope) {
    enum error_code code = pb_decode(d->arena, type, d->bytes, decoded, d->error);
    if (code == OK && !*has_envelope) {
        code = error_set(d->error, ERR_INVALID, "envelope: is missing; every message between nodes carries one");
    }
    if (code == OK) {
        code = pb_check(type, decoded, d->error);
    }
    if (code == OK) {
        code = check_envelope(d->us, envelope, d->error);
    }
    if (code == OK && !d->is_reply) {
        code = check_member(d->us, envelope, d->error);
    }
    if (code == OK) {
        d->message->from = raft_id_of(envelope->from);
        d->message->to = d->us->node_id;
    }
    return code;
}

static enum error_code decode_request_vote(const struct decoding *d) {
    struct pb_request_vote_request request;
    enum error_code code =
        open_message(d, &pb_request_vote_request_type, &request, &request.envelope, &request.has_envelope);
    if (code != OK) {
        return code;
    }
    struct raft_message *message = d->message;
    message->term = request.term;
    message->request_vote.last_log = (struct raft_entry_id){.index = request.last_log_index, .term = request.last_log_term};
    message->request_vote.pre_vote = request.pre_vote;
    message->request_vote.leadership_transfer = request.leadership_transfer;
    code = check_request(message, request.candidate_id, "candidate_id", request.envelope.from, d->error);
    return code == OK ? check_log_id(message->request_vote.last_log, message->term, "last_log", d->error) : code;
}

// AppendEntriesRequest without its entries, which append_entries.c reads.
static struct pb_type request_without_entries(void) {
    static const uint8_t places[] = {0, 1, 2, 3, 4, 5, 0, 7};
    struct pb_type type = pb_append_entries_request_type;
    assert(type.last_number == 7 && type.repeated_count == 1 && type.places[6] == 6);
    type.places = places;
    type.repeated_count = 0;
    return type;
}

static enum error_code decode_append(const struct decoding *d) {
    struct pb_append_entries_request request;
    struct pb_type type = request_without_entries();
    enum error_code code = open_message(d, &type, &request, &request.envelope, &request.has_envelope);
    if (code != OK) {
        return code;
    }
    struct raft_message *message = d->message;
    message->term = request.term;
    message->append.leader_id = message->from;
    message->append.prev_log = (struct raft_entry_id){.index = request.prev_log_index, .term = request.prev_log_term};
    message->append.leader_commit = request.leader_commit;
    size_t count = append_entries_count(d->bytes);
    code = check_request(message, request.leader_id, "leader_id", request.envelope.from, d->error);
    if (code == OK && request.prev_log_index > UINT64_MAX - 1 - count) {
        code = error_set(d->error, ERR_INVALID, "prev_log_index: %llu leaves no room for the entries",
                         (unsigned long long)request.prev_log_index);
    }
    if (code == OK) {
        code = check_log_id(message->append.prev_log, message->term, "prev_log", d->error);
    }
    if (code != OK || count == 0) {
        return code;
    }
    message->lane = RAFT_BULK;
    code = append_entries_decode(d->bytes, count, message->append.prev_log, message->term, d->slab, d->arena,
                                 &message->append.entries, d->error);
    message->append.count = code == OK ? count : 0;
    return code;
}

static bool is_reply(enum raft_message_type type) {
    return type == RAFT_REQUEST_VOTE_REPLY || type == RAFT_APPEND_ENTRIES_REPLY || type == RAFT_TIMEOUT_NOW_REPLY;
}

static enum error_code decode_append_reply(const struct decoding *d) {
    struct pb_append_entries_response response;
    enum error_code code =
        open_message(d, &pb_append_entries_response_type, &response, &response.envelope, &response.has_envelope);
    d->message->term = response.term;
    d->message->append_reply.success = response.success;
    d->message->append_reply.match_index = response.match_index;
    d->message->append_reply.conflict_term = response.conflict_term;
    d->message->append_reply.conflict_index = response.conflict_index;
    d->message->append_reply.promised_us = response.promised_us;
    return code;
}

static enum error_code decode_vote_reply(const struct decoding *d) {
    struct pb_request_vote_response response;
    enum error_code code =
        open_message(d, &pb_request_vote_response_type, &response, &response.envelope, &response.has_envelope);
    d->message->term = response.term;
    d->message->vote_reply.granted = response.vote_granted;
    return code;
}

static enum error_code decode_timeout_now(const struct decoding *d) {
    struct pb_timeout_now_request request;
    enum error_code code = open_message(d, &pb_timeout_now_request_type, &request, &request.envelope, &request.has_envelope);
    if (code != OK) {
        return code;
    }
    d->message->term = request.term;
    return check_request(d->message, request.envelope.from, "from", request.envelope.from, d->error);
}

static enum error_code decode_timeout_now_reply(const struct decoding *d) {
    struct pb_timeout_now_response response;
    enum error_code code =
        open_message(d, &pb_timeout_now_response_type, &response, &response.envelope, &response.has_envelope);
    d->message->term = response.term;
    return code;
}

static enum error_code decode_message(const struct decoding *d) {
    switch (d->message->type) {
    case RAFT_REQUEST_VOTE:
        return decode_request_vote(d);
    case RAFT_REQUEST_VOTE_REPLY:
        return decode_vote_reply(d);
    case RAFT_APPEND_ENTRIES:
        return decode_append(d);
    case RAFT_APPEND_ENTRIES_REPLY:
        return decode_append_reply(d);
    case RAFT_TIMEOUT_NOW:
        return decode_timeout_now(d);
    case RAFT_TIMEOUT_NOW_REPLY:
        return decode_timeout_now_reply(d);
    case RAFT_INSTALL_SNAPSHOT:
    case RAFT_INSTALL_SNAPSHOT_REPLY:
        break;
    }
    assert(false);
    return ERR_INVALID;
}

enum error_code wire_raft_decode(const struct wire_identity *us, enum raft_message_type type, struct slice bytes,
                                 struct raft_slab *slab, struct arena *arena, struct raft_message *message,
                                 struct error *error) {
    *message = (struct raft_message){.type = type, .lane = RAFT_CONTROL};
    struct decoding d = {.us = us,
                         .bytes = bytes,
                         .slab = slab,
                         .arena = arena,
                         .message = message,
                         .error = error,
                         .is_reply = is_reply(type)};
    enum error_code code = decode_message(&d);
    if (code != OK) {
        *message = (struct raft_message){.type = type};
    }
    return code;
}

// All messages begin alike, with the envelope and a term, and unknown fields are skipped.
bool wire_raft_sender(struct slice bytes, struct arena *arena, struct raft_id *from, uint64_t *generation) {
    struct pb_timeout_now_request message;
    if (pb_decode(arena, &pb_timeout_now_request_type, bytes, &message, NULL) != OK ||
        id_check(message.envelope.from, "from", NULL) != OK) {
        return false;
    }
    *from = raft_id_of(message.envelope.from);
    *generation = message.envelope.generation;
    return true;
}

// --- InstallSnapshot ---

void wire_chunk_encode(const struct wire_identity *us, const struct raft_message *message, const struct wire_chunk *chunk,
                       struct buf *out) {
    struct pb_install_snapshot_request request = {
        .has_envelope = true,
        .envelope = envelope_of(us, &message->to),
        .term = message->term,
        .leader_id = raft_id_slice(&message->snapshot.leader_id),
        .last_index = message->snapshot.last.index,
        .last_term = message->snapshot.last.term,
        .size = chunk->size,
        .offset = chunk->offset,
        .data = chunk->data,
        .crc = crc32c(0, chunk->data.data, chunk->data.len),
    };
    pb_encode(&pb_install_snapshot_request_type, &request, out);
}

static enum error_code check_chunk(const struct pb_install_snapshot_request *request, struct error *error) {
    if (request->size > INT64_MAX || request->offset > request->size ||
        request->data.len > request->size - request->offset) {
        return error_set(error, ERR_INVALID, "offset: a chunk of %zu bytes at %llu is not within %llu bytes",
                         request->data.len, (unsigned long long)request->offset, (unsigned long long)request->size);
    }
    uint32_t crc = crc32c(0, request->data.data, request->data.len);
    if (crc != request->crc) {
        return error_set(error, ERR_INVALID, "crc: %08x is stated, the chunk has %08x: damaged on the way", request->crc,
                         crc);
    }
    return OK;
}

enum error_code wire_chunk_decode(const struct wire_identity *us, struct slice bytes, struct arena *arena,
                                  struct raft_message *message, struct wire_chunk *chunk, struct error *error) {
    *message = (struct raft_message){.type = RAFT_INSTALL_SNAPSHOT, .lane = RAFT_BULK};
    struct decoding d = {.us = us, .bytes = bytes, .arena = arena, .message = message, .error = error};
    struct pb_install_snapshot_request request;
    enum error_code code =
        open_message(&d, &pb_install_snapshot_request_type, &request, &request.envelope, &request.has_envelope);
    if (code != OK) {
        return code;
    }
    message->term = request.term;
    message->snapshot.leader_id = message->from;
    message->snapshot.last = (struct raft_entry_id){.index = request.last_index, .term = request.last_term};
    *chunk = (struct wire_chunk){.size = request.size, .offset = request.offset, .data = request.data};
    code = check_request(message, request.leader_id, "leader_id", request.envelope.from, error);
    if (code == OK && request.last_index == 0) {
        code = error_set(error, ERR_INVALID, "last_index: must be at least 1");
    }
    if (code == OK) {
        code = check_log_id(message->snapshot.last, message->term, "last", error);
    }
    return code == OK ? check_chunk(&request, error) : code;
}

void wire_chunk_reply_encode(const struct wire_identity *us, const struct raft_message *message,
                             const struct wire_chunk_reply *chunk, struct buf *out) {
    struct pb_install_snapshot_response response = {
        .has_envelope = true,
        .envelope = envelope_of(us, &message->to),
        .term = message->term,
        .accepted = message->snapshot_reply.accepted,
        .done = message->snapshot_reply.done,
        .match_index = message->snapshot_reply.match_index,
        .part_index = chunk->part.index,
        .part_term = chunk->part.term,
        .offset = chunk->offset,
    };
    pb_encode(&pb_install_snapshot_response_type, &response, out);
}

enum error_code wire_chunk_reply_decode(const struct wire_identity *us, struct slice bytes, struct arena *arena,
                                        struct raft_message *message, struct wire_chunk_reply *chunk, struct error *error) {
    *message = (struct raft_message){.type = RAFT_INSTALL_SNAPSHOT_REPLY, .lane = RAFT_BULK};
    struct decoding d = {.us = us, .bytes = bytes, .arena = arena, .message = message, .error = error, .is_reply = true};
    struct pb_install_snapshot_response response;
    enum error_code code =
        open_message(&d, &pb_install_snapshot_response_type, &response, &response.envelope, &response.has_envelope);
    message->term = response.term;
    message->snapshot_reply.accepted = response.accepted;
    message->snapshot_reply.done = response.done;
    message->snapshot_reply.match_index = response.match_index;
    *chunk = (struct wire_chunk_reply){.part = {.index = response.part_index, .term = response.part_term},
                                       .offset = response.offset};
    return code;
}

// --- ReadIndex ---

void wire_read_index_encode(const struct wire_identity *us, const struct raft_id *leader, raft_term term, struct buf *out) {
    struct pb_read_index_request request = {.has_envelope = true, .envelope = envelope_of(us, leader), .term = term};
    pb_encode(&pb_read_index_request_type, &request, out);
}

void wire_read_index_reply_encode(const struct wire_identity *us, const struct raft_id *to, raft_term term, raft_index index,
                                  struct buf *out) {
    struct pb_read_index_response response = {
        .has_envelope = true, .envelope = envelope_of(us, to), .term = term, .index = index};
    pb_encode(&pb_read_index_response_type, &response, out);
}

enum error_code wire_read_index_decode(const struct wire_identity *us, struct slice bytes, struct arena *arena,
                                       struct raft_id *from, raft_term *term, struct error *error) {
    struct raft_message message = {0};
    struct decoding d = {.us = us, .bytes = bytes, .arena = arena, .message = &message, .error = error};
    struct pb_read_index_request request;
    enum error_code code = open_message(&d, &pb_read_index_request_type, &request, &request.envelope, &request.has_envelope);
    if (code == OK) {
        *from = message.from;
        *term = request.term;
    }
    return code;
}

enum error_code wire_read_index_reply_decode(const struct wire_identity *us, struct slice bytes, struct arena *arena,
                                             struct raft_id *from, raft_index *index, struct error *error) {
    struct raft_message message = {0};
    struct decoding d = {.us = us, .bytes = bytes, .arena = arena, .message = &message, .error = error, .is_reply = true};
    struct pb_read_index_response response;
    enum error_code code =
        open_message(&d, &pb_read_index_response_type, &response, &response.envelope, &response.has_envelope);
    if (code == OK) {
        *from = message.from;
        *index = response.index;
    }
    return code;
}
