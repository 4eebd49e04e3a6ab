// The entries of AppendEntries. The numbers are those of raft.proto; tests compare the bytes with the tables' and with
// protobuf-c's.
#include "wire/append_entries.h"

#include <assert.h>

#include "base/limits.h"
#include "wire/wire_format.h"

enum { REQUEST_ENTRIES = 6 };
enum { ENTRY_INDEX = 1, ENTRY_TERM = 2, ENTRY_TYPE = 3, ENTRY_COMMAND = 4 };

// --- encoding ---

// Tags, lengths and numbers of an entry: at most five of each.
enum { ENTRY_FRAME_MAX = 5 * (1 + PB_VARINT_MAX) };

// All numbers of an entry in the log are above 0.
static uint8_t *write_entry(const struct raft_entry *entry, uint8_t *end) {
    struct slice command = raft_entry_command(entry);
    uint8_t *at = end;
    if (command.len > 0) {
        at = pb_back_head(pb_back_bytes(at, command), ENTRY_COMMAND, command.len);
    }
    at = pb_back_tag(pb_back_varint(at, entry->type), ENTRY_TYPE, PB_VARINT);
    at = pb_back_tag(pb_back_varint(at, entry->id.term), ENTRY_TERM, PB_VARINT);
    at = pb_back_tag(pb_back_varint(at, entry->id.index), ENTRY_INDEX, PB_VARINT);
    return pb_back_head(at, REQUEST_ENTRIES, (size_t)(end - at));
}

static size_t entry_size(const struct raft_entry *entry) {
    size_t inner = 3 + pb_varint_size(entry->id.index) + pb_varint_size(entry->id.term) + pb_varint_size(entry->type);
    inner += entry->len == 0 ? 0 : 1 + pb_varint_size(entry->len) + entry->len;
    return 1 + pb_varint_size(inner) + inner;
}

void append_entries_encode(struct raft_entry *const *entries, size_t count, struct buf *out) {
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        assert(entries[i]->id.index > 0 && entries[i]->id.term > 0 && entries[i]->type > 0);
        size += entry_size(entries[i]);
    }
    uint8_t *start = buf_reserve(out, size);
    uint8_t *at = start + size;
    for (size_t i = count; i-- > 0;) {
        at = write_entry(entries[i], at);
    }
    assert(at == start);
    out->len += size;
}

// --- decoding ---

size_t append_entries_count(struct slice request) {
    struct pb_reader r = pb_reader_of(request);
    struct pb_wire_field f = {.number = 0};
    size_t count = 0;
    while (pb_next(&r, &f)) {
        count += f.number == REQUEST_ENTRIES;
    }
    return count;
}

struct entry_fields {
    struct raft_entry_id id;
    uint64_t type;
    struct slice command;
};

static void read_entry(struct pb_reader *outer, struct slice bytes, struct entry_fields *entry) {
    static const uint8_t wire_types[] = {0, PB_VARINT, PB_VARINT, PB_VARINT, PB_BYTES};
    struct pb_reader r = pb_reader_of(bytes);
    struct pb_wire_field f = {.number = 0};
    while (pb_next(&r, &f)) {
        if (f.number > ENTRY_COMMAND || !pb_expect(&r, &f, wire_types[f.number])) {
            continue;
        }
        switch (f.number) {
        case ENTRY_INDEX:
            entry->id.index = f.value;
            break;
        case ENTRY_TERM:
            entry->id.term = f.value;
            break;
        case ENTRY_TYPE:
            entry->type = f.value;
            break;
        case ENTRY_COMMAND:
            entry->command = f.bytes;
            break;
        }
    }
    if (entry->type > UINT32_MAX) {
        pb_fail(&r, "a number that does not fit 32 bits");
    }
    if (r.problem != NULL) {
        pb_fail(outer, r.problem);
    }
}

static enum error_code check_entry(const struct entry_fields *entry, struct raft_entry_id prev, raft_term term,
                                   struct error *error) {
    if (entry->id.index != prev.index + 1 || entry->id.term < prev.term || entry->id.term == 0 || entry->id.term > term) {
        return error_set(error, ERR_INVALID, "entries: index %llu of term %llu behind index %llu of term %llu, in term %llu",
                         (unsigned long long)entry->id.index, (unsigned long long)entry->id.term,
                         (unsigned long long)prev.index, (unsigned long long)prev.term, (unsigned long long)term);
    }
    if (entry->type < RAFT_ENTRY_COMMAND || entry->type > RAFT_ENTRY_CONFIGURATION) {
        return error_set(error, ERR_INVALID, "entries: index %llu has type %u, which is not known here",
                         (unsigned long long)entry->id.index, (unsigned)entry->type);
    }
    if (entry->command.len > COMMAND_MAX) {
        return error_set(error, ERR_TOO_LARGE, "entries: index %llu has %zu bytes; at most %d are allowed",
                         (unsigned long long)entry->id.index, entry->command.len, COMMAND_MAX);
    }
    return OK;
}

// A copy of the checked entry in the slab.
static enum error_code take_entry(const struct entry_fields *fields, struct raft_slab *slab, struct raft_entry **entry,
                                  struct error *error) {
    *entry = raft_entry_new(slab, (enum raft_entry_type)fields->type, fields->id, fields->command.len);
    if (*entry == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for an entry of %zu bytes", fields->command.len);
    }
    if (fields->command.len > 0) {
        memcpy((*entry)->data, fields->command.data, fields->command.len);
    }
    return OK;
}

enum error_code append_entries_decode(struct slice request, size_t count, struct raft_entry_id prev, raft_term term,
                                      struct raft_slab *slab, struct arena *arena, struct raft_entry ***entries,
                                      struct error *error) {
    struct raft_entry **taken = arena_alloc(arena, count * sizeof(struct raft_entry *));
    if (taken == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for a list of %zu entries", count);
    }
    struct pb_reader r = pb_reader_of(request);
    struct pb_wire_field f = {.number = 0};
    enum error_code code = OK;
    size_t done = 0;
    while (code == OK && pb_next(&r, &f)) {
        if (f.number != REQUEST_ENTRIES || !pb_expect(&r, &f, PB_BYTES)) {
            continue;
        }
        struct entry_fields fields = {.type = 0};
        read_entry(&r, f.bytes, &fields);
        code = r.problem == NULL ? check_entry(&fields, prev, term, error) : OK;
        if (code == OK && r.problem == NULL && (code = take_entry(&fields, slab, &taken[done], error)) == OK) {
            done++;
            prev = fields.id;
        }
    }
    if (code == OK && r.problem != NULL) {
        code = error_set(error, ERR_MALFORMED, "not a %s: %s", "AppendEntriesRequest", r.problem);
    }
    if (code == OK) {
        assert(done == count);  // both passes read the same bytes
        *entries = taken;
        return OK;
    }
    while (done > 0) {
        raft_entry_unref(taken[--done]);
    }
    return code;
}
