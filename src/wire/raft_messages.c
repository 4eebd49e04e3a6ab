// RaftService's messages (proto/raft.proto). All begin with an envelope (field 1) and a term (field 2).
#include "wire/raft_messages.h"

#include "base/ids.h"
#include "wire/protobuf_lite.h"

static const struct {
    const char *path;
    const char *name;
} kinds[] = {
    [RAFT_REQUEST_VOTE] = {"/baton.v1.RaftService/RequestVote", "RequestVoteRequest"},
    [RAFT_REQUEST_VOTE_REPLY] = {NULL, "RequestVoteResponse"},
    [RAFT_APPEND_ENTRIES] = {"/baton.v1.RaftService/AppendEntries", "AppendEntriesRequest"},
    [RAFT_APPEND_ENTRIES_REPLY] = {NULL, "AppendEntriesResponse"},
    [RAFT_TIMEOUT_NOW] = {"/baton.v1.RaftService/TimeoutNow", "TimeoutNowRequest"},
    [RAFT_TIMEOUT_NOW_REPLY] = {NULL, "TimeoutNowResponse"},
};

const char *wire_raft_path(enum raft_message_type request) {
    assert(kinds[request].path != NULL);
    return kinds[request].path;
}

// --- encoding ---

static void add_envelope(const struct wire_identity *us, const struct raft_id *to, struct buf *out) {
    size_t mark = pb_open(out, 1);
    pb_add_bytes(out, 1, raft_id_slice(&us->cluster_id));
    pb_add_u64(out, 2, us->generation);
    pb_add_bytes(out, 3, raft_id_slice(&us->node_id));
    pb_add_bytes(out, 4, raft_id_slice(to));
    pb_add_u64(out, 5, WIRE_PROTOCOL_VERSION);
    pb_close(out, mark);
}

// Tags, lengths and numbers of an entry: at most five of each.
enum { ENTRY_FRAME_MAX = 5 * (1 + PB_VARINT_MAX) };

static uint8_t *put_entry(uint8_t *at, const struct raft_entry *entry) {
    struct slice command = raft_entry_command(entry);
    at = pb_put_head(at, 6,
                     pb_u64_size(1, entry->id.index) + pb_u64_size(2, entry->id.term) + pb_u64_size(3, entry->type) +
                         pb_bytes_size(4, command));
    at = pb_put_u64(at, 1, entry->id.index);
    at = pb_put_u64(at, 2, entry->id.term);
    at = pb_put_u64(at, 3, entry->type);
    return pb_put_bytes(at, 4, command);
}

static void add_entries(struct raft_entry *const *entries, size_t count, struct buf *out) {
    size_t room = 0;
    for (size_t i = 0; i < count; i++) {
        room += ENTRY_FRAME_MAX + entries[i]->len;
    }
    uint8_t *start = buf_reserve(out, room);
    uint8_t *at = start;
    for (size_t i = 0; i < count; i++) {
        at = put_entry(at, entries[i]);
    }
    out->len += (size_t)(at - start);
}

void wire_raft_encode(const struct wire_identity *us, const struct raft_message *message, struct buf *out) {
    add_envelope(us, &message->to, out);
    pb_add_u64(out, 2, message->term);
    switch (message->type) {
    case RAFT_REQUEST_VOTE:
        pb_add_bytes(out, 3, raft_id_slice(&us->node_id));
        pb_add_u64(out, 4, message->request_vote.last_log.index);
        pb_add_u64(out, 5, message->request_vote.last_log.term);
        pb_add_u64(out, 6, message->request_vote.pre_vote);
        pb_add_u64(out, 7, message->request_vote.leadership_transfer);
        break;
    case RAFT_REQUEST_VOTE_REPLY:
        pb_add_u64(out, 3, message->vote_reply.granted);
        break;
    case RAFT_APPEND_ENTRIES:
        pb_add_bytes(out, 3, raft_id_slice(&message->append.leader_id));
        pb_add_u64(out, 4, message->append.prev_log.index);
        pb_add_u64(out, 5, message->append.prev_log.term);
        add_entries(message->append.entries, message->append.count, out);
        pb_add_u64(out, 7, message->append.leader_commit);
        break;
    case RAFT_APPEND_ENTRIES_REPLY:
        pb_add_u64(out, 3, message->append_reply.success);
        pb_add_u64(out, 4, message->append_reply.match_index);
        pb_add_u64(out, 5, message->append_reply.conflict_term);
        pb_add_u64(out, 6, message->append_reply.conflict_index);
        break;
    case RAFT_TIMEOUT_NOW:
    case RAFT_TIMEOUT_NOW_REPLY:
        break;
    }
}

// --- decoding ---

// What has no place in raft_message, or must be checked before it may go there.
struct envelope {
    struct slice cluster_id;
    uint64_t generation;
    struct slice from;
    struct slice to;
    uint32_t protocol;
    struct slice speaks_as;  // candidate_id or leader_id
};

static void read_envelope(struct pb_reader *outer, const struct pb_field *message, struct envelope *envelope) {
    struct pb_reader r = pb_enter(outer, message);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            envelope->cluster_id = pb_bytes(&r, &f);
            break;
        case 2:
            envelope->generation = pb_u64(&r, &f);
            break;
        case 3:
            envelope->from = pb_bytes(&r, &f);
            break;
        case 4:
            envelope->to = pb_bytes(&r, &f);
            break;
        case 5:
            envelope->protocol = pb_u32(&r, &f);
            break;
        }
    }
    pb_leave(outer, &r);
}

static void read_request_vote(struct pb_reader *r, const struct pb_field *f, struct raft_message *message,
                              struct envelope *envelope) {
    switch (f->number) {
    case 3:
        envelope->speaks_as = pb_bytes(r, f);
        break;
    case 4:
        message->request_vote.last_log.index = pb_u64(r, f);
        break;
    case 5:
        message->request_vote.last_log.term = pb_u64(r, f);
        break;
    case 6:
        message->request_vote.pre_vote = pb_bool(r, f);
        break;
    case 7:
        message->request_vote.leadership_transfer = pb_bool(r, f);
        break;
    }
}

// Entries are only counted: they are copied once it is known that the message is for us.
static void read_append(struct pb_reader *r, const struct pb_field *f, struct raft_message *message,
                        struct envelope *envelope) {
    switch (f->number) {
    case 3:
        envelope->speaks_as = pb_bytes(r, f);
        break;
    case 4:
        message->append.prev_log.index = pb_u64(r, f);
        break;
    case 5:
        message->append.prev_log.term = pb_u64(r, f);
        break;
    case 6:
        message->append.count += pb_expect(r, f, PB_BYTES);
        break;
    case 7:
        message->append.leader_commit = pb_u64(r, f);
        break;
    }
}

static void read_append_reply(struct pb_reader *r, const struct pb_field *f, struct raft_message *message) {
    switch (f->number) {
    case 3:
        message->append_reply.success = pb_bool(r, f);
        break;
    case 4:
        message->append_reply.match_index = pb_u64(r, f);
        break;
    case 5:
        message->append_reply.conflict_term = pb_u64(r, f);
        break;
    case 6:
        message->append_reply.conflict_index = pb_u64(r, f);
        break;
    }
}

static void read_field(struct pb_reader *r, const struct pb_field *f, struct raft_message *message,
                       struct envelope *envelope) {
    if (f->number == 1) {
        read_envelope(r, f, envelope);
        return;
    }
    if (f->number == 2) {
        message->term = pb_u64(r, f);
        return;
    }
    switch (message->type) {
    case RAFT_REQUEST_VOTE:
        read_request_vote(r, f, message, envelope);
        break;
    case RAFT_REQUEST_VOTE_REPLY:
        if (f->number == 3) {
            message->vote_reply.granted = pb_bool(r, f);
        }
        break;
    case RAFT_APPEND_ENTRIES:
        read_append(r, f, message, envelope);
        break;
    case RAFT_APPEND_ENTRIES_REPLY:
        read_append_reply(r, f, message);
        break;
    case RAFT_TIMEOUT_NOW:
    case RAFT_TIMEOUT_NOW_REPLY:
        break;
    }
}

static enum error_code check_envelope(const struct wire_identity *us, const struct envelope *envelope, struct error *error) {
    enum error_code code = id_check(envelope->cluster_id, "envelope.cluster_id", error);
    if (code == OK) {
        code = id_check(envelope->from, "envelope.from", error);
    }
    if (code == OK) {
        code = id_check(envelope->to, "envelope.to", error);
    }
    if (code != OK) {
        return code;
    }
    if (envelope->protocol != WIRE_PROTOCOL_VERSION) {
        return error_set(error, ERR_FOREIGN, "the sender speaks protocol %u, this node %d: use one version of baton",
                         envelope->protocol, WIRE_PROTOCOL_VERSION);
    }
    if (!slice_equal(envelope->cluster_id, raft_id_slice(&us->cluster_id)) || envelope->generation != us->generation ||
        !slice_equal(envelope->to, raft_id_slice(&us->node_id))) {
        return error_set(error, ERR_FOREIGN,
                         "a message for node %.*s of cluster %.*s (generation %llu) came to node %s of cluster %s "
                         "(generation %llu): check the addresses in --peers",
                         (int)envelope->to.len, (const char *)envelope->to.data, (int)envelope->cluster_id.len,
                         (const char *)envelope->cluster_id.data, (unsigned long long)envelope->generation, us->node_id.text,
                         us->cluster_id.text, (unsigned long long)us->generation);
    }
    if (slice_equal(envelope->from, raft_id_slice(&us->node_id))) {
        return error_set(error, ERR_INVALID, "envelope.from: %s is this node itself", us->node_id.text);
    }
    return OK;
}

// A term and index that go together: both 0, or neither, and none of a term to come.
static enum error_code check_log_id(struct raft_entry_id id, raft_term term, const char *field, struct error *error) {
    if ((id.index == 0) == (id.term == 0) && id.term <= term) {
        return OK;
    }
    return error_set(error, ERR_INVALID, "%s: index %llu with term %llu in a message of term %llu", field,
                     (unsigned long long)id.index, (unsigned long long)id.term, (unsigned long long)term);
}

static enum error_code check_request(const struct raft_message *message, const struct envelope *envelope,
                                     struct error *error) {
    bool is_vote = message->type == RAFT_REQUEST_VOTE;
    if (message->term == 0) {
        return error_set(error, ERR_INVALID, "term: must be at least 1");
    }
    if (message->type == RAFT_TIMEOUT_NOW) {
        return OK;
    }
    if (!slice_equal(envelope->speaks_as, envelope->from)) {
        return error_set(error, ERR_INVALID, "%s: must be the sender, %.*s", is_vote ? "candidate_id" : "leader_id",
                         (int)envelope->from.len, (const char *)envelope->from.data);
    }
    if (is_vote) {
        return check_log_id(message->request_vote.last_log, message->term, "last_log", error);
    }
    if (message->append.prev_log.index > UINT64_MAX - 1 - message->append.count) {
        return error_set(error, ERR_INVALID, "prev_log_index: %llu leaves no room for the entries",
                         (unsigned long long)message->append.prev_log.index);
    }
    return check_log_id(message->append.prev_log, message->term, "prev_log", error);
}

struct entry_fields {
    struct raft_entry_id id;
    uint64_t type;
    struct slice command;
};

static void read_entry(struct pb_reader *outer, const struct pb_field *message, struct entry_fields *entry) {
    struct pb_reader r = pb_enter(outer, message);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            entry->id.index = pb_u64(&r, &f);
            break;
        case 2:
            entry->id.term = pb_u64(&r, &f);
            break;
        case 3:
            entry->type = pb_u64(&r, &f);
            break;
        case 4:
            entry->command = pb_bytes(&r, &f);
            break;
        }
    }
    pb_leave(outer, &r);
}

static enum error_code check_entry(const struct entry_fields *entry, struct raft_entry_id before, raft_term term,
                                   struct error *error) {
    if (entry->id.index != before.index + 1 || entry->id.term < before.term || entry->id.term == 0 ||
        entry->id.term > term) {
        return error_set(error, ERR_INVALID, "entries: index %llu of term %llu behind index %llu of term %llu, in term %llu",
                         (unsigned long long)entry->id.index, (unsigned long long)entry->id.term,
                         (unsigned long long)before.index, (unsigned long long)before.term, (unsigned long long)term);
    }
    if (entry->type < RAFT_ENTRY_COMMAND || entry->type > RAFT_ENTRY_CONFIGURATION) {
        return error_set(error, ERR_INVALID, "entries: index %llu has type %llu, which is not known here",
                         (unsigned long long)entry->id.index, (unsigned long long)entry->type);
    }
    if (entry->command.len > COMMAND_MAX) {
        return error_set(error, ERR_TOO_LARGE, "entries: index %llu has %zu bytes; at most %d are allowed",
                         (unsigned long long)entry->id.index, entry->command.len, COMMAND_MAX);
    }
    return OK;
}

// Copies message->append.count entries into the slab: on success one reference each.
static enum error_code take_entries(struct pb_reader r, struct raft_slab *slab, struct arena *arena,
                                    struct raft_message *message, struct error *error) {
    struct raft_entry **entries = arena_alloc(arena, message->append.count * sizeof *entries);
    if (entries == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for a list of %zu entries", message->append.count);
    }
    struct raft_entry_id before = message->append.prev_log;
    enum error_code code = OK;
    struct pb_field f;
    size_t count = 0;
    while (code == OK && pb_next(&r, &f)) {
        if (f.number != 6) {
            continue;
        }
        struct entry_fields fields = {.type = 0};
        read_entry(&r, &f, &fields);
        code = r.problem != NULL ? pb_finish(&r, "AppendEntriesRequest", error)
                                 : check_entry(&fields, before, message->term, error);
        if (code != OK) {
            break;
        }
        struct raft_entry *entry = raft_entry_new(slab, (enum raft_entry_type)fields.type, fields.id, fields.command.len);
        if (entry == NULL) {
            code = error_set(error, ERR_NO_MEMORY, "no memory for an entry of %zu bytes", fields.command.len);
            break;
        }
        if (fields.command.len != 0) {
            memcpy(entry->data, fields.command.data, fields.command.len);
        }
        entries[count++] = entry;
        before = fields.id;
    }
    if (code == OK) {
        assert(count == message->append.count);  // both passes read the same bytes
        message->append.entries = entries;
        return OK;
    }
    while (count > 0) {
        raft_entry_unref(entries[--count]);
    }
    return code;
}

// All but the entries.
static enum error_code read_message(const struct wire_identity *us, struct slice bytes, struct raft_message *message,
                                    struct error *error) {
    struct envelope envelope = {.protocol = 0};
    struct pb_reader r = pb_reader_of(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        read_field(&r, &f, message, &envelope);
    }
    enum error_code code = pb_finish(&r, kinds[message->type].name, error);
    if (code == OK) {
        code = check_envelope(us, &envelope, error);
    }
    if (code == OK && kinds[message->type].path != NULL) {
        code = check_request(message, &envelope, error);
    }
    if (code != OK) {
        return code;
    }
    message->from = raft_id_of(envelope.from);
    message->to = us->node_id;
    if (message->type == RAFT_APPEND_ENTRIES) {
        message->append.leader_id = message->from;
    }
    return OK;
}

enum error_code wire_raft_decode(const struct wire_identity *us, enum raft_message_type type, struct slice bytes,
                                 struct raft_slab *slab, struct arena *arena, struct raft_message *message,
                                 struct error *error) {
    *message = (struct raft_message){.type = type, .lane = RAFT_CONTROL};
    enum error_code code = read_message(us, bytes, message, error);
    if (code == OK && type == RAFT_APPEND_ENTRIES && message->append.count > 0) {
        message->lane = RAFT_BULK;
        code = take_entries(pb_reader_of(bytes), slab, arena, message, error);
    }
    if (code != OK) {
        *message = (struct raft_message){.type = type};
    }
    return code;
}
