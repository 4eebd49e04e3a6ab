// The lines of the log, encoded and decoded in the order of their fields (wal/line.h).
#include "wal/record.h"

#include "base/base64.h"
#include "base/crc32c.h"
#include "wal/line.h"

static_assert(sizeof "{'v':2,'cluster':'','node':'','incarnation':'','segment':,'generation':,'base_index':,"
                     "'base_term':,'prev':''" +
                      2 * ID_MAX + INCARNATION_DIGITS + 4 * WAL_U64_DIGITS + WAL_CRC_DIGITS + WAL_CRC_TAIL <
                  WAL_HEADER_LINE_MAX,
              "a header fits");
static_assert(sizeof "{'term':,'votedFor':''" + WAL_U64_DIGITS + ID_MAX + WAL_CRC_TAIL < WAL_HARD_STATE_LINE_MAX,
              "a hard state fits");
static_assert(sizeof "{'batch':,'bytes':" + 2 * WAL_U64_DIGITS + WAL_CRC_TAIL < WAL_MARK_LINE_MAX, "a mark fits");
static_assert(sizeof "{'index':,'term':,'type':'configuration','command':''" + 2 * WAL_U64_DIGITS + WAL_CRC_TAIL <
                  WAL_ENTRY_FRAME_MAX,
              "an entry fits");

// --- encoding ---

size_t wal_put_header(uint8_t *out, const struct wal_header *header) {
    assert(header->cluster_id.len <= ID_MAX && header->node_id.len <= ID_MAX);
    assert(header->incarnation.len == INCARNATION_DIGITS);
    uint8_t *at = WAL_PUT(out, "{\"v\":2,\"cluster\":\"");
    at = wal_put_slice(at, header->cluster_id);
    at = WAL_PUT(at, "\",\"node\":\"");
    at = wal_put_slice(at, header->node_id);
    at = WAL_PUT(at, "\",\"incarnation\":\"");
    at = wal_put_slice(at, header->incarnation);
    at = WAL_PUT(at, "\",\"segment\":");
    at = wal_put_u64(at, header->segment);
    at = WAL_PUT(at, ",\"generation\":");
    at = wal_put_u64(at, header->generation);
    at = WAL_PUT(at, ",\"base_index\":");
    at = wal_put_u64(at, header->base.index);
    at = WAL_PUT(at, ",\"base_term\":");
    at = wal_put_u64(at, header->base.term);
    at = WAL_PUT(at, ",\"prev\":\"");
    at = wal_put_hex(at, header->prev);
    at = WAL_PUT(at, "\"");
    return wal_finish_line(out, at);
}

size_t wal_put_hard_state(uint8_t *out, const struct raft_hard_state *hard_state) {
    uint8_t *at = WAL_PUT(out, "{\"term\":");
    at = wal_put_u64(at, hard_state->current_term);
    at = WAL_PUT(at, ",\"votedFor\":\"");
    at = wal_put(at, hard_state->voted_for.text, hard_state->voted_for.len);
    at = WAL_PUT(at, "\"");
    return wal_finish_line(out, at);
}

static struct slice type_name(enum raft_entry_type type) {
    switch (type) {
    case RAFT_ENTRY_COMMAND:
        return slice_of_str("command");
    case RAFT_ENTRY_NOOP:
        return slice_of_str("noop");
    case RAFT_ENTRY_CONFIGURATION:
        return slice_of_str("configuration");
    }
    assert(false);  // the core creates no other type
    return slice_of(NULL, 0);
}

size_t wal_put_entry(uint8_t *out, const struct raft_entry *entry) {
    uint8_t *at = WAL_PUT(out, "{\"index\":");
    at = wal_put_u64(at, entry->id.index);
    at = WAL_PUT(at, ",\"term\":");
    at = wal_put_u64(at, entry->id.term);
    at = WAL_PUT(at, ",\"type\":\"");
    at = wal_put_slice(at, type_name(entry->type));
    at = WAL_PUT(at, "\",\"command\":\"");
    at += base64_encode((char *)at, entry->data, entry->len);
    at = WAL_PUT(at, "\"");
    return wal_finish_line(out, at);
}

size_t wal_put_mark(uint8_t *out, uint64_t batch, uint64_t bytes, uint32_t crc, uint32_t *mark_crc) {
    uint8_t *at = WAL_PUT(out, "{\"batch\":");
    at = wal_put_u64(at, batch);
    at = WAL_PUT(at, ",\"bytes\":");
    at = wal_put_u64(at, bytes);
    *mark_crc = crc32c(crc, out, (size_t)(at - out));
    return wal_put_tail(out, at, *mark_crc);
}

size_t wal_entry_line_max(const struct raft_entry *entry) {
    return WAL_ENTRY_FRAME_MAX + base64_encoded_len(entry->len);
}

// --- decoding ---

static bool take_type(struct wal_cursor *c, enum raft_entry_type *type) {
    struct slice name;
    bool whole = wal_take_string(c, &name);
    for (*type = RAFT_ENTRY_COMMAND; *type <= RAFT_ENTRY_CONFIGURATION; ++*type) {
        struct slice known = type_name(*type);
        if (whole ? slice_equal(name, known) : slice_starts_with(known, name)) {
            return whole;
        }
    }
    c->ran_out = false;
    return wal_mismatch(c, "a type of entry");
}

static bool is_base64_byte(uint8_t byte) {
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '+' ||
           byte == '/' || byte == '=';
}

// base64_decode checks the characters of a complete command; only those of a torn one are checked here.
static bool take_command(struct wal_cursor *c, struct slice *command) {
    if (wal_take_string(c, command)) {
        return true;
    }
    for (size_t i = 0; i < command->len; i++) {
        if (!is_base64_byte(command->data[i])) {
            c->ran_out = false;
            return wal_mismatch(c, "base64");
        }
    }
    return false;
}

// Between the node's id and the segment's number.
static bool take_incarnation(struct wal_cursor *c, uint64_t version, struct slice *incarnation) {
    *incarnation = slice_of(NULL, 0);
    if (version == 1) {
        return wal_take_text(c, "\",\"segment\":");
    }
    if (!wal_take_text(c, "\",\"incarnation\":\"")) {
        return false;
    }
    return wal_take_hex(c, INCARNATION_DIGITS, incarnation, "an incarnation, 32 digits of 0-9 a-f") &&
           wal_take_text(c, "\",\"segment\":");
}

static bool take_version(struct wal_cursor *c, uint64_t *version) {
    if (!wal_take_text(c, "{\"v\":") || !wal_take_u64(c, version)) {
        return false;
    }
    return (*version >= 1 && *version <= WAL_FORMAT_VERSION) || wal_mismatch(c, "a version of this format");
}

static bool parse_header(struct wal_cursor *c, struct wal_header *header) {
    uint64_t version = 0;
    return take_version(c, &version) && wal_take_text(c, ",\"cluster\":\"") && wal_take_id(c, &header->cluster_id) &&
           wal_take_text(c, "\",\"node\":\"") && wal_take_id(c, &header->node_id) &&
           take_incarnation(c, version, &header->incarnation) && wal_take_u64(c, &header->segment) &&
           wal_take_text(c, ",\"generation\":") && wal_take_u64(c, &header->generation) &&
           wal_take_text(c, ",\"base_index\":") && wal_take_u64(c, &header->base.index) &&
           wal_take_text(c, ",\"base_term\":") && wal_take_u64(c, &header->base.term) && wal_take_text(c, ",\"prev\":\"") &&
           wal_take_crc(c, &header->prev) && wal_take_text(c, "\"");
}

// The whole form, to the last byte. *crc: the checksum that the line contains.
static bool parse(struct wal_cursor *c, struct wal_record *record, uint32_t *crc) {
    bool body = false;
    switch (wal_left(c) > 2 ? c->at[2] : 0) {
    case 'v':
        record->kind = WAL_RECORD_HEADER;
        body = parse_header(c, &record->header);
        break;
    case 't':
        record->kind = WAL_RECORD_HARD_STATE;
        body = wal_take_text(c, "{\"term\":") && wal_take_u64(c, &record->hard_state.term) &&
               wal_take_text(c, ",\"votedFor\":\"") && wal_take_id(c, &record->hard_state.voted_for) &&
               wal_take_text(c, "\"");
        break;
    case 'i':
        record->kind = WAL_RECORD_ENTRY;
        body = wal_take_text(c, "{\"index\":") && wal_take_u64(c, &record->entry.id.index) &&
               wal_take_text(c, ",\"term\":") && wal_take_u64(c, &record->entry.id.term) &&
               wal_take_text(c, ",\"type\":\"") && take_type(c, &record->entry.type) &&
               wal_take_text(c, "\",\"command\":\"") && take_command(c, &record->entry.command) && wal_take_text(c, "\"");
        break;
    case 'b':
        record->kind = WAL_RECORD_MARK;
        body = wal_take_text(c, "{\"batch\":") && wal_take_u64(c, &record->mark.batch) && wal_take_text(c, ",\"bytes\":") &&
               wal_take_u64(c, &record->mark.bytes);
        break;
    default:
        return wal_take_text(c, "{\"") &&
               (wal_left(c) == 0 ? wal_ran_out(c) : wal_mismatch(c, "one of the keys v, term, index, batch"));
    }
    return body && wal_take_text(c, WAL_CRC_KEY) && wal_take_crc(c, crc) && wal_take_text(c, "\"}") &&
           (wal_left(c) == 0 || wal_mismatch(c, "the end of the line"));
}

bool wal_record_parse(struct slice line, struct wal_record *record) {
    struct wal_cursor c = {.at = line.data, .end = line.data + line.len};
    uint32_t crc = 0;
    bool whole = parse(&c, record, &crc);
    if (whole && record->kind == WAL_RECORD_MARK) {
        record->mark.crc = crc;
    }
    return whole;
}

// In all versions a header begins with its version and ends in a CRC-32C.
static enum error_code check_version(struct slice line, struct error *error) {
    struct wal_cursor c = {.at = line.data, .end = line.data + line.len};
    uint64_t version;
    if (wal_take_text(&c, "{\"v\":") && wal_take_u64(&c, &version) && version > WAL_FORMAT_VERSION) {
        return error_set(error, ERR_WAL_VERSION, "format version %llu; this program knows up to %d: use a newer one",
                         (unsigned long long)version, WAL_FORMAT_VERSION);
    }
    return OK;
}

enum error_code wal_record_decode(struct slice line, struct wal_record *record, struct error *error) {
    enum error_code code = slice_starts_with(line, slice_of_str("{\"batch\":")) ? OK : wal_check_crc(line, error);
    if (code == OK) {
        code = check_version(line, error);
    }
    if (code != OK) {
        return code;
    }
    struct wal_cursor c = {.at = line.data, .end = line.data + line.len};
    uint32_t crc = 0;
    if (!parse(&c, record, &crc)) {
        return error_set(error, ERR_WAL_CORRUPT, "malformed line: byte %zu is not %s", (size_t)(c.at - line.data) + 1,
                         c.wanted);
    }
    if (record->kind == WAL_RECORD_MARK) {
        record->mark.crc = crc;
    }
    return OK;
}

bool wal_record_is_prefix(struct slice bytes) {
    struct wal_cursor c = {.at = bytes.data, .end = bytes.data + bytes.len};
    struct wal_record record;
    uint32_t crc;
    return bytes.len > 0 && !parse(&c, &record, &crc) && c.ran_out;
}

bool wal_record_is_piece(struct slice bytes) {
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t byte = bytes.data[i];
        if (!is_base64_byte(byte) && (byte == '\0' || strchr("{\":,._-}", byte) == NULL)) {
            return false;
        }
    }
    return true;
}

size_t wal_command_len(struct slice base64) {
    size_t padding = 0;
    while (padding < 2 && padding < base64.len && base64.data[base64.len - 1 - padding] == '=') {
        padding++;
    }
    return base64.len / 4 * 3 - (base64.len >= 4 ? padding : 0);
}
