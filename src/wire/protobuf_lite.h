// Protobuf's wire format (protobuf.dev, "Encoding"), as much of it as baton's messages use: varints, 64-bit numbers and
// runs of bytes. Fields are read and written by hand, in the order of the .proto files, straight between received bytes and
// our structs; tests compare every message with what protobuf-c makes of the same .proto files.
//
// Reading is strict where protobuf leaves a choice, because the bytes come from outside: a known field with a wrong wire
// type, a number that does not fit its type, a varint of more than 10 bytes or more than 64 bits, a length beyond the end
// and a group are malformed. Unknown fields are skipped. Of a field that comes twice the last one counts, and a message that
// comes twice is merged, as protobuf says.
#ifndef BATON_WIRE_PROTOBUF_LITE_H
#define BATON_WIRE_PROTOBUF_LITE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"

enum pb_type { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

// --- reading ---

struct pb_reader {
    const uint8_t *at;
    const uint8_t *end;
    const char *problem;  // what is wrong, static; NULL: nothing so far. Behind a problem there are no more fields.
};

struct pb_field {
    uint32_t number;
    enum pb_type type;
    uint64_t value;      // of PB_VARINT, PB_FIXED64 and PB_FIXED32
    struct slice bytes;  // of PB_BYTES: points into what is read
};

static inline struct pb_reader pb_reader_of(struct slice bytes) {
    return (struct pb_reader){.at = bytes.data, .end = bytes.len == 0 ? bytes.data : bytes.data + bytes.len};
}

// Ends the reading; returns false.
static inline bool pb_fail(struct pb_reader *r, const char *problem) {
    if (r->problem == NULL) {
        r->problem = problem;
    }
    r->at = r->end;
    return false;
}

bool pb_read_long_varint(struct pb_reader *r, uint64_t *value);

static inline bool pb_read_varint(struct pb_reader *r, uint64_t *value) {
    if (r->at < r->end && *r->at < 0x80) {
        *value = *r->at++;
        return true;
    }
    return pb_read_long_varint(r, value);
}

bool pb_read_fixed(struct pb_reader *r, size_t len, uint64_t *value);

// The next field. False at the end, and when there is a problem.
static inline bool pb_next(struct pb_reader *r, struct pb_field *field) {
    uint64_t tag;
    uint64_t len;
    if (r->at == r->end || !pb_read_varint(r, &tag)) {
        return false;
    }
    if (tag < 8 || tag > UINT32_MAX) {
        return pb_fail(r, "a field number out of range");
    }
    field->number = (uint32_t)tag >> 3;
    field->type = tag & 7;
    switch (field->type) {
    case PB_VARINT:
        return pb_read_varint(r, &field->value);
    case PB_BYTES:
        if (!pb_read_varint(r, &len)) {
            return false;
        }
        if (len > (size_t)(r->end - r->at)) {
            return pb_fail(r, "a length beyond the end");
        }
        field->bytes = slice_of(r->at, (size_t)len);
        r->at += len;
        return true;
    case PB_FIXED64:
        return pb_read_fixed(r, 8, &field->value);
    case PB_FIXED32:
        return pb_read_fixed(r, 4, &field->value);
    default:
        return pb_fail(r, "an unknown wire type");
    }
}

static inline bool pb_expect(struct pb_reader *r, const struct pb_field *field, enum pb_type type) {
    return field->type == type || pb_fail(r, "a field with a wrong wire type");
}

// The field's value; empty or 0, and a problem, if it is of another type or does not fit.
static inline struct slice pb_bytes(struct pb_reader *r, const struct pb_field *field) {
    return pb_expect(r, field, PB_BYTES) ? field->bytes : slice_of(NULL, 0);
}

static inline uint64_t pb_u64(struct pb_reader *r, const struct pb_field *field) {
    return pb_expect(r, field, PB_VARINT) ? field->value : 0;
}

static inline uint32_t pb_u32(struct pb_reader *r, const struct pb_field *field) {
    uint64_t value = pb_u64(r, field);
    if (value > UINT32_MAX) {
        pb_fail(r, "a number that does not fit 32 bits");
    }
    return (uint32_t)value;
}

static inline bool pb_bool(struct pb_reader *r, const struct pb_field *field) {
    return pb_u64(r, field) != 0;
}

double pb_double(struct pb_reader *r, const struct pb_field *field);

// A reader of the message inside a field, and the way back: a problem inside is one of the message around it.
static inline struct pb_reader pb_enter(struct pb_reader *r, const struct pb_field *field) {
    return pb_reader_of(pb_bytes(r, field));
}

static inline void pb_leave(struct pb_reader *outer, const struct pb_reader *inner) {
    if (inner->problem != NULL) {
        pb_fail(outer, inner->problem);
    }
}

// How often field `number` comes: the room a list needs. `r` stays where it is.
size_t pb_count(struct pb_reader r, uint32_t number);

// Room in the arena for as many items of `item_size` bytes as field `number` comes: as much as the message's own length
// allows. NULL when it cannot be had; never NULL for an empty list.
void *pb_list(struct arena *arena, struct pb_reader r, uint32_t number, size_t item_size);

// OK, or ERR_MALFORMED naming the message.
enum error_code pb_finish(const struct pb_reader *r, const char *message, struct error *error);

// --- writing, to memory that the caller has reserved; each returns the place behind what it wrote ---
//
// As proto3 has it, 0 and empty are not written, except by the functions that say so.

enum { PB_VARINT_MAX = 10, PB_TAG_MAX = 5 };

static inline size_t pb_varint_size(uint64_t value) {
    return (size_t)(9 * (63 - __builtin_clzll(value | 1)) + 73) / 64;  // seven bits a byte, without a division
}

static inline size_t pb_tag_size(uint32_t number) {
    return pb_varint_size(number << 3);
}

static inline size_t pb_u64_size(uint32_t number, uint64_t value) {
    return value == 0 ? 0 : pb_tag_size(number) + pb_varint_size(value);
}

// A run of bytes, or a message, of this length, also if 0.
static inline size_t pb_message_size(uint32_t number, size_t len) {
    return pb_tag_size(number) + pb_varint_size(len) + len;
}

static inline size_t pb_bytes_size(uint32_t number, struct slice bytes) {
    return bytes.len == 0 ? 0 : pb_message_size(number, bytes.len);
}

static inline uint8_t *pb_put_varint(uint8_t *at, uint64_t value) {
    for (; value >= 0x80; value >>= 7) {
        *at++ = (uint8_t)(value | 0x80);
    }
    *at++ = (uint8_t)value;
    return at;
}

static inline uint8_t *pb_put_present(uint8_t *at, uint32_t number, uint64_t value) {  // also if 0
    return pb_put_varint(pb_put_varint(at, number << 3 | PB_VARINT), value);
}

static inline uint8_t *pb_put_u64(uint8_t *at, uint32_t number, uint64_t value) {
    return value == 0 ? at : pb_put_present(at, number, value);
}

// The tag and the length of a message whose `len` bytes the caller puts behind it.
static inline uint8_t *pb_put_head(uint8_t *at, uint32_t number, size_t len) {
    return pb_put_varint(pb_put_varint(at, number << 3 | PB_BYTES), len);
}

static inline uint8_t *pb_put_bytes(uint8_t *at, uint32_t number, struct slice bytes) {
    if (bytes.len == 0) {
        return at;
    }
    at = pb_put_head(at, number, bytes.len);
    memcpy(at, bytes.data, bytes.len);
    return at + bytes.len;
}

// --- writing, to a buffer that grows ---

void pb_add_u64(struct buf *out, uint32_t number, uint64_t value);
void pb_add_present(struct buf *out, uint32_t number, uint64_t value);  // also if 0
void pb_add_bytes(struct buf *out, uint32_t number, struct slice bytes);
void pb_add_item(struct buf *out, uint32_t number, struct slice bytes);  // of a list: also if empty
void pb_add_double(struct buf *out, uint32_t number, double value);

// A message inside: what is added between open and close. `mark` is what pb_open returned.
size_t pb_open(struct buf *out, uint32_t number);
void pb_close(struct buf *out, size_t mark);

#endif
