// The primitives of protobuf's wire format (protobuf.dev, "Encoding") that baton's messages use: tags, varints, 64-bit
// numbers and byte strings. Only the codec's files and hand-written hot paths include it; others use wire/codec.h.
#ifndef BATON_WIRE_WIRE_FORMAT_H
#define BATON_WIRE_WIRE_FORMAT_H

#include "base/slice.h"

enum pb_wire_type { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

// --- reading ---

struct pb_reader {
    const uint8_t *at;
    const uint8_t *end;
    const char *problem;  // static text; NULL: none so far. After a problem there are no more fields.
};

struct pb_wire_field {
    uint32_t number;
    enum pb_wire_type type;
    uint64_t value;      // of PB_VARINT, PB_FIXED64 and PB_FIXED32
    struct slice bytes;  // of PB_BYTES: points into the input
};

static inline struct pb_reader pb_reader_of(struct slice bytes) {
    return (struct pb_reader){.at = bytes.data, .end = bytes.len == 0 ? bytes.data : bytes.data + bytes.len};
}

// Records the problem and ends the input; returns false.
static inline bool pb_fail(struct pb_reader *r, const char *problem) {
    if (r->problem == NULL) {
        r->problem = problem;
    }
    r->at = r->end;
    return false;
}

// A number; 0, and a problem, if there is none. The values are returned, not stored, so that they stay in registers.
uint64_t pb_read_long_varint(struct pb_reader *r);

static inline uint64_t pb_read_varint(struct pb_reader *r) {
    if (r->at < r->end && *r->at < 0x80) {
        return *r->at++;
    }
    return pb_read_long_varint(r);
}

uint64_t pb_read_fixed(struct pb_reader *r, size_t len);

// Reads the next field. False at the end or on a problem.
static inline bool pb_next(struct pb_reader *r, struct pb_wire_field *field) {
    if (r->at == r->end) {
        return false;
    }
    uint64_t tag = pb_read_varint(r);
    if (tag < 8 || tag > UINT32_MAX) {
        return pb_fail(r, "a field number out of range");  // unless the tag itself was malformed
    }
    field->number = (uint32_t)tag >> 3;
    field->type = tag & 7;
    switch (field->type) {
    case PB_VARINT:
        field->value = pb_read_varint(r);
        break;
    case PB_BYTES: {
        uint64_t len = pb_read_varint(r);
        if (len > (size_t)(r->end - r->at)) {
            return pb_fail(r, "a length beyond the end");
        }
        field->bytes = slice_of(r->at, (size_t)len);
        r->at += len;
        break;
    }
    case PB_FIXED64:
        field->value = pb_read_fixed(r, 8);
        break;
    case PB_FIXED32:
        field->value = pb_read_fixed(r, 4);
        break;
    default:
        return pb_fail(r, "an unknown wire type");
    }
    return r->problem == NULL;
}

static inline bool pb_expect(struct pb_reader *r, const struct pb_wire_field *field, enum pb_wire_type type) {
    return field->type == type || pb_fail(r, "a field with a wrong wire type");
}

// --- writing, backwards from the end of the reserved memory ---
//
// Writing backwards, a message's length is known when its tag is due, so no size is computed twice and nothing is moved.
// Each function writes bytes that end at `end` and returns their start.

enum { PB_VARINT_MAX = 10, PB_TAG_MAX = 5 };

static inline size_t pb_varint_size(uint64_t value) {
    return (size_t)(9 * (63 - __builtin_clzll(value | 1)) + 73) / 64;  // seven bits a byte, without a division
}

static inline uint8_t *pb_back_varint(uint8_t *end, uint64_t value) {
    if (value < 0x80) {
        *--end = (uint8_t)value;
        return end;
    }
    uint8_t *start = end - pb_varint_size(value);
    uint8_t *at = start;
    for (; value >= 0x80; value >>= 7) {
        *at++ = (uint8_t)(value | 0x80);
    }
    *at = (uint8_t)value;
    return start;
}

static inline uint8_t *pb_back_tag(uint8_t *end, uint32_t number, enum pb_wire_type type) {
    return pb_back_varint(end, (uint64_t)number << 3 | type);
}

// The length and the tag in front of `len` bytes that begin at `end`.
static inline uint8_t *pb_back_head(uint8_t *end, uint32_t number, size_t len) {
    return pb_back_tag(pb_back_varint(end, len), number, PB_BYTES);
}

static inline uint8_t *pb_back_bytes(uint8_t *end, struct slice bytes) {
    if (bytes.len == 0) {
        return end;
    }
    end -= bytes.len;
    memcpy(end, bytes.data, bytes.len);
    return end;
}

static inline uint8_t *pb_back_fixed64(uint8_t *end, uint64_t value) {
    end -= sizeof value;
    for (size_t i = 0; i < sizeof value; i++) {
        end[i] = (uint8_t)(value >> (8 * i));
    }
    return end;
}

#endif
