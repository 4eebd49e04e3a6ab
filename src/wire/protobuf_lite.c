// Protobuf's wire format: what is too long or too rare to be inline.
#include "wire/protobuf_lite.h"

bool pb_read_long_varint(struct pb_reader *r, uint64_t *value) {
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
            *value = result;
            return true;
        }
    }
    return pb_fail(r, "a number of more than 10 bytes");
}

bool pb_read_fixed(struct pb_reader *r, size_t len, uint64_t *value) {
    if ((size_t)(r->end - r->at) < len) {
        return pb_fail(r, "it ends within a number");
    }
    *value = 0;
    for (size_t i = 0; i < len; i++) {
        *value |= (uint64_t)r->at[i] << (8 * i);
    }
    r->at += len;
    return true;
}

double pb_double(struct pb_reader *r, const struct pb_field *field) {
    double value = 0;
    if (pb_expect(r, field, PB_FIXED64)) {
        memcpy(&value, &field->value, sizeof value);
    }
    return value;
}

size_t pb_count(struct pb_reader r, uint32_t number) {
    struct pb_field field;
    size_t count = 0;
    while (pb_next(&r, &field)) {
        count += field.number == number;
    }
    return count;
}

void *pb_list(struct arena *arena, struct pb_reader r, uint32_t number, size_t item_size) {
    size_t count = pb_count(r, number);
    return arena_alloc(arena, (count == 0 ? 1 : count) * item_size);
}

enum error_code pb_finish(const struct pb_reader *r, const char *message, struct error *error) {
    if (r->problem == NULL) {
        return OK;
    }
    return error_set(error, ERR_MALFORMED, "not a %s: %s", message, r->problem);
}

void pb_add_u64(struct buf *out, uint32_t number, uint64_t value) {
    if (value != 0) {
        pb_add_present(out, number, value);
    }
}

void pb_add_present(struct buf *out, uint32_t number, uint64_t value) {
    uint8_t *start = buf_reserve(out, PB_TAG_MAX + PB_VARINT_MAX);
    out->len += (size_t)(pb_put_present(start, number, value) - start);
}

void pb_add_bytes(struct buf *out, uint32_t number, struct slice bytes) {
    if (bytes.len != 0) {
        pb_add_item(out, number, bytes);
    }
}

void pb_add_item(struct buf *out, uint32_t number, struct slice bytes) {
    uint8_t *start = buf_reserve(out, PB_TAG_MAX + PB_VARINT_MAX + bytes.len);
    out->len += (size_t)(pb_put_head(start, number, bytes.len) - start);
    buf_append_slice(out, bytes);
}

void pb_add_double(struct buf *out, uint32_t number, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (bits == 0) {
        return;
    }
    uint8_t *start = buf_reserve(out, PB_TAG_MAX + sizeof bits);
    uint8_t *at = pb_put_varint(start, number << 3 | PB_FIXED64);
    for (size_t i = 0; i < sizeof bits; i++) {
        *at++ = (uint8_t)(bits >> (8 * i));
    }
    out->len += (size_t)(at - start);
}

size_t pb_open(struct buf *out, uint32_t number) {
    uint8_t *start = buf_reserve(out, PB_TAG_MAX + 1);
    // One byte for the length, which is enough for most; pb_close makes room for more.
    out->len += (size_t)(pb_put_head(start, number, 0) - start);
    return out->len;
}

void pb_close(struct buf *out, size_t mark) {
    size_t len = out->len - mark;
    size_t extra = pb_varint_size(len) - 1;
    buf_reserve(out, extra);
    if (extra != 0) {
        memmove(out->data + mark + extra, out->data + mark, len);
    }
    out->len += extra;
    pb_put_varint(out->data + mark - 1, len);
}
