// Protobuf's wire format: the parts that are too long or too rare to be inline.
#include "wire/wire_format.h"

uint64_t pb_read_long_varint(struct pb_reader *r) {
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (r->at == r->end) {
            return pb_fail(r, "it ends within a number");
        }
        uint64_t bits = *r->at & 0x7f;
        if (shift == 63 && bits > 1) {
            return pb_fail(r, "a number of more than 64 bits");
        }
        result |= bits << shift;
        if (*r->at++ < 0x80) {
            return result;
        }
    }
    return pb_fail(r, "a number of more than 10 bytes");
}

uint64_t pb_read_fixed(struct pb_reader *r, size_t len) {
    if ((size_t)(r->end - r->at) < len) {
        return pb_fail(r, "it ends within a number");
    }
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        value |= (uint64_t)r->at[i] << (8 * i);
    }
    r->at += len;
    return value;
}
