// Encoder: straight-line copies into a buffer that is known to be large enough. Decoder: one cursor that follows the order
// of the encoder. It records if the input ended while everything so far matched: this tells a torn line from a damaged one.
#include "wal/record.h"

#include "base/base64.h"
#include "base/crc32c.h"
#include "base/ids.h"

#define CRC_KEY ",\"crc\":\""

enum {
    CRC_DIGITS = 8,
    CRC_TAIL = sizeof CRC_KEY - 1 + CRC_DIGITS + 2,  // ,"crc":"xxxxxxxx"}
    U64_DIGITS = 20,
};

static_assert(sizeof "{'v':1,'cluster':'','node':'','segment':,'generation':,'base_index':,'base_term':,'prev':''" +
                      2 * ID_MAX + 4 * U64_DIGITS + CRC_DIGITS + CRC_TAIL <
                  WAL_HEADER_LINE_MAX,
              "a header fits");
static_assert(sizeof "{'term':,'votedFor':''" + U64_DIGITS + ID_MAX + CRC_TAIL < WAL_HARD_STATE_LINE_MAX,
              "a hard state fits");
static_assert(sizeof "{'batch':,'bytes':" + 2 * U64_DIGITS + CRC_TAIL < WAL_MARK_LINE_MAX, "a mark fits");
static_assert(sizeof "{'index':,'term':,'type':'configuration','command':''" + 2 * U64_DIGITS + CRC_TAIL <
                  WAL_ENTRY_FRAME_MAX,
              "an entry fits");

// --- encoding ---

#define PUT(at, text) put((at), (text), sizeof(text) - 1)

static uint8_t *put(uint8_t *at, const void *data, size_t len) {
    memcpy(at, data, len);
    return at + len;
}

static uint8_t *put_slice(uint8_t *at, struct slice s) {
    return s.len == 0 ? at : put(at, s.data, s.len);
}

static uint8_t *put_u64(uint8_t *at, uint64_t value) {
    uint8_t digits[U64_DIGITS];
    size_t first = sizeof digits;
    do {
        digits[--first] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    return put(at, digits + first, sizeof digits - first);
}

static uint8_t *put_hex(uint8_t *at, uint32_t value) {
    for (int shift = 28; shift >= 0; shift -= 4) {
        *at++ = (uint8_t) "0123456789abcdef"[value >> shift & 15];
    }
    return at;
}

static size_t put_tail(uint8_t *out, uint8_t *at, uint32_t crc) {
    at = PUT(at, CRC_KEY);
    at = put_hex(at, crc);
    at = PUT(at, "\"}\n");
    return (size_t)(at - out);
}

static size_t finish(uint8_t *out, uint8_t *at) {
    return put_tail(out, at, crc32c(0, out, (size_t)(at - out)));
}

size_t wal_put_header(uint8_t *out, const struct wal_header *header) {
    assert(header->cluster_id.len <= ID_MAX && header->node_id.len <= ID_MAX);
    uint8_t *at = PUT(out, "{\"v\":1,\"cluster\":\"");
    at = put_slice(at, header->cluster_id);
    at = PUT(at, "\",\"node\":\"");
    at = put_slice(at, header->node_id);
    at = PUT(at, "\",\"segment\":");
    at = put_u64(at, header->segment);
    at = PUT(at, ",\"generation\":");
    at = put_u64(at, header->generation);
    at = PUT(at, ",\"base_index\":");
    at = put_u64(at, header->base.index);
    at = PUT(at, ",\"base_term\":");
    at = put_u64(at, header->base.term);
    at = PUT(at, ",\"prev\":\"");
    at = put_hex(at, header->prev);
    at = PUT(at, "\"");
    return finish(out, at);
}

size_t wal_put_hard_state(uint8_t *out, const struct raft_hard_state *hard_state) {
    uint8_t *at = PUT(out, "{\"term\":");
    at = put_u64(at, hard_state->current_term);
    at = PUT(at, ",\"votedFor\":\"");
    at = put(at, hard_state->voted_for.text, hard_state->voted_for.len);
    at = PUT(at, "\"");
    return finish(out, at);
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
    uint8_t *at = PUT(out, "{\"index\":");
    at = put_u64(at, entry->id.index);
    at = PUT(at, ",\"term\":");
    at = put_u64(at, entry->id.term);
    at = PUT(at, ",\"type\":\"");
    at = put_slice(at, type_name(entry->type));
    at = PUT(at, "\",\"command\":\"");
    at += base64_encode((char *)at, entry->data, entry->len);
    at = PUT(at, "\"");
    return finish(out, at);
}

size_t wal_put_mark(uint8_t *out, uint64_t batch, uint64_t bytes, uint32_t crc, uint32_t *mark_crc) {
    uint8_t *at = PUT(out, "{\"batch\":");
    at = put_u64(at, batch);
    at = PUT(at, ",\"bytes\":");
    at = put_u64(at, bytes);
    *mark_crc = crc32c(crc, out, (size_t)(at - out));
    return put_tail(out, at, *mark_crc);
}

size_t wal_entry_line_max(const struct raft_entry *entry) {
    return WAL_ENTRY_FRAME_MAX + base64_encoded_len(entry->len);
}

// --- decoding ---

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool ran_out;        // the input ended and all of it matched
    const char *wanted;  // what was expected instead, for messages
};

static size_t left(const struct cursor *c) {
    return (size_t)(c->end - c->at);
}

static bool mismatch(struct cursor *c, const char *wanted) {
    c->wanted = wanted;
    return false;
}

static bool ran_out(struct cursor *c) {
    c->ran_out = true;
    return mismatch(c, "the line ends early");
}

static bool take_text(struct cursor *c, const char *text) {
    size_t len = strlen(text);
    size_t common = left(c) < len ? left(c) : len;
    if (memcmp(c->at, text, common) != 0) {
        return mismatch(c, text);
    }
    c->at += common;
    return common == len ? true : ran_out(c);
}

static bool take_u64(struct cursor *c, uint64_t *value) {
    const uint8_t *first = c->at;
    uint64_t v = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*c->at - '0'), &v) ||
            (c->at > first && *first == '0')) {
            return mismatch(c, "a number below 2^64 without leading zeros");
        }
    }
    *value = v;
    return c->at == c->end ? ran_out(c) : c->at > first ? true : mismatch(c, "a number");
}

static bool take_crc(struct cursor *c, uint32_t *value) {
    *value = 0;
    for (int i = 0; i < CRC_DIGITS; i++, c->at++) {
        if (c->at == c->end) {
            return ran_out(c);
        }
        uint8_t digit = *c->at;
        if (digit >= '0' && digit <= '9') {
            *value = *value << 4 | (uint32_t)(digit - '0');
        } else if (digit >= 'a' && digit <= 'f') {
            *value = *value << 4 | (uint32_t)(digit - 'a' + 10);
        } else {
            return mismatch(c, "eight digits of 0-9 a-f");
        }
    }
    return true;
}

// A string up to its closing quote, which is not consumed.
static bool take_string(struct cursor *c, struct slice *s) {
    const uint8_t *quote = memchr(c->at, '"', left(c));
    const uint8_t *end = quote != NULL ? quote : c->end;
    *s = slice_of(c->at, (size_t)(end - c->at));
    c->at = end;
    return quote != NULL ? true : ran_out(c);
}

static bool take_id(struct cursor *c, struct slice *id) {
    bool whole = take_string(c, id);
    if (id->len > 0 && id_check(*id, "id", NULL) != OK) {
        c->ran_out = false;
        return mismatch(c, "an id");
    }
    return whole;
}

static bool take_type(struct cursor *c, enum raft_entry_type *type) {
    struct slice name;
    bool whole = take_string(c, &name);
    for (*type = RAFT_ENTRY_COMMAND; *type <= RAFT_ENTRY_CONFIGURATION; ++*type) {
        struct slice known = type_name(*type);
        if (whole ? slice_equal(name, known) : slice_starts_with(known, name)) {
            return whole;
        }
    }
    c->ran_out = false;
    return mismatch(c, "a type of entry");
}

static bool is_base64_byte(uint8_t byte) {
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '+' ||
           byte == '/' || byte == '=';
}

// base64_decode checks the characters of a complete command; only those of a torn one are checked here.
static bool take_command(struct cursor *c, struct slice *command) {
    if (take_string(c, command)) {
        return true;
    }
    for (size_t i = 0; i < command->len; i++) {
        if (!is_base64_byte(command->data[i])) {
            c->ran_out = false;
            return mismatch(c, "base64");
        }
    }
    return false;
}

static bool parse_header(struct cursor *c, struct wal_header *header) {
    return take_text(c, "{\"v\":1,\"cluster\":\"") && take_id(c, &header->cluster_id) && take_text(c, "\",\"node\":\"") &&
           take_id(c, &header->node_id) && take_text(c, "\",\"segment\":") && take_u64(c, &header->segment) &&
           take_text(c, ",\"generation\":") && take_u64(c, &header->generation) && take_text(c, ",\"base_index\":") &&
           take_u64(c, &header->base.index) && take_text(c, ",\"base_term\":") && take_u64(c, &header->base.term) &&
           take_text(c, ",\"prev\":\"") && take_crc(c, &header->prev) && take_text(c, "\"");
}

// The whole form, to the last byte. *crc: the checksum that the line contains.
static bool parse(struct cursor *c, struct wal_record *record, uint32_t *crc) {
    bool body = false;
    switch (left(c) > 2 ? c->at[2] : 0) {
    case 'v':
        record->kind = WAL_RECORD_HEADER;
        body = parse_header(c, &record->header);
        break;
    case 't':
        record->kind = WAL_RECORD_HARD_STATE;
        body = take_text(c, "{\"term\":") && take_u64(c, &record->hard_state.term) && take_text(c, ",\"votedFor\":\"") &&
               take_id(c, &record->hard_state.voted_for) && take_text(c, "\"");
        break;
    case 'i':
        record->kind = WAL_RECORD_ENTRY;
        body = take_text(c, "{\"index\":") && take_u64(c, &record->entry.id.index) && take_text(c, ",\"term\":") &&
               take_u64(c, &record->entry.id.term) && take_text(c, ",\"type\":\"") && take_type(c, &record->entry.type) &&
               take_text(c, "\",\"command\":\"") && take_command(c, &record->entry.command) && take_text(c, "\"");
        break;
    case 'b':
        record->kind = WAL_RECORD_MARK;
        body = take_text(c, "{\"batch\":") && take_u64(c, &record->mark.batch) && take_text(c, ",\"bytes\":") &&
               take_u64(c, &record->mark.bytes);
        break;
    default:
        return take_text(c, "{\"") && (left(c) == 0 ? ran_out(c) : mismatch(c, "one of the keys v, term, index, batch"));
    }
    return body && take_text(c, CRC_KEY) && take_crc(c, crc) && take_text(c, "\"}") &&
           (left(c) == 0 || mismatch(c, "the end of the line"));
}

bool wal_record_parse(struct slice line, struct wal_record *record) {
    struct cursor c = {.at = line.data, .end = line.data + line.len};
    uint32_t crc = 0;
    bool whole = parse(&c, record, &crc);
    if (whole && record->kind == WAL_RECORD_MARK) {
        record->mark.crc = crc;
    }
    return whole;
}

struct slice wal_mark_covers(struct slice line) {
    assert(line.len >= CRC_TAIL);
    return slice_of(line.data, line.len - CRC_TAIL);
}

// Checks a line's last field against the bytes before it.
static enum error_code check_crc(struct slice line, struct error *error) {
    struct cursor c = {.at = line.data + (line.len < CRC_TAIL ? 0 : line.len - CRC_TAIL), .end = line.data + line.len};
    uint32_t said;
    if (!take_text(&c, CRC_KEY) || !take_crc(&c, &said) || !take_text(&c, "\"}")) {
        return error_set(error, ERR_WAL_CORRUPT, "the line does not end in a checksum");
    }
    uint32_t is = crc32c(0, line.data, line.len - CRC_TAIL);
    if (is != said) {
        return error_set(error, ERR_WAL_CORRUPT, "checksum mismatch: the line says %08x, its bytes give %08x", said, is);
    }
    return OK;
}

// In all versions a header begins with its version and ends in a CRC-32C.
static enum error_code check_version(struct slice line, struct error *error) {
    struct cursor c = {.at = line.data, .end = line.data + line.len};
    uint64_t version;
    if (take_text(&c, "{\"v\":") && take_u64(&c, &version) && version > WAL_FORMAT_VERSION) {
        return error_set(error, ERR_WAL_VERSION, "format version %llu; this program knows up to %d: use a newer one",
                         (unsigned long long)version, WAL_FORMAT_VERSION);
    }
    return OK;
}

enum error_code wal_record_decode(struct slice line, struct wal_record *record, struct error *error) {
    enum error_code code = slice_starts_with(line, slice_of_str("{\"batch\":")) ? OK : check_crc(line, error);
    if (code == OK) {
        code = check_version(line, error);
    }
    if (code != OK) {
        return code;
    }
    struct cursor c = {.at = line.data, .end = line.data + line.len};
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
    struct cursor c = {.at = bytes.data, .end = bytes.data + bytes.len};
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
