// Access to the fields of a message's struct by its table, for the files of wire that traverse messages.
#ifndef BATON_WIRE_FIELDS_H
#define BATON_WIRE_FIELDS_H

#include <string.h>

#include "base/slice.h"
#include "wire/schema.h"

// The size in bytes of one item of a list, or of a single message or text.
static inline size_t field_item_size(const struct pb_field_type *field) {
    return field->kind == PB_KIND_MESSAGE ? field->message->size : sizeof(struct slice);
}

// A list's items, and their number.
static inline const uint8_t *field_items(const struct pb_field_type *field, const void *message) {
    const uint8_t *items;
    memcpy(&items, (const uint8_t *)message + field->offset, sizeof items);
    return items;
}

static inline size_t field_count(const struct pb_field_type *field, const void *message) {
    return *(const size_t *)((const uint8_t *)message + field->holder);
}

// A value as a number (a double's bits); 0 for texts and messages.
static inline uint64_t field_number(const struct pb_field_type *field, const uint8_t *value) {
    uint64_t bits = 0;
    switch ((enum pb_kind)field->kind) {
    case PB_KIND_U64:
    case PB_KIND_DOUBLE:
        memcpy(&bits, value, sizeof bits);
        break;
    case PB_KIND_U32:
        bits = *(const uint32_t *)value;
        break;
    case PB_KIND_BOOL:
        bits = *(const bool *)value;
        break;
    case PB_KIND_BYTES:
    case PB_KIND_MESSAGE:
        break;
    }
    return bits;
}

// Whether the encoded message has the field; for a list, whether it has an item.
static inline bool field_is_present(const struct pb_field_type *field, const void *message) {
    const uint8_t *at = message;
    switch ((enum pb_presence)field->presence) {
    case PB_IMPLICIT:
        return field->kind == PB_KIND_BYTES ? ((const struct slice *)(at + field->offset))->len > 0
                                            : field_number(field, at + field->offset) != 0;
    case PB_EXPLICIT:
        return *(const bool *)(at + field->holder);
    case PB_CHOICE:
        return *(const uint32_t *)(at + field->holder) == field->number;
    case PB_REPEATED:
        return field_count(field, message) > 0;
    }
    return false;
}

// The values of a present field, one or many: for (size_t i = 0; i < field_values(...); i++) field_value(..., i).
static inline size_t field_values(const struct pb_field_type *field, const void *message) {
    return field->presence == PB_REPEATED ? field_count(field, message) : 1;
}

static inline const uint8_t *field_value(const struct pb_field_type *field, const void *message, size_t i) {
    return field->presence == PB_REPEATED ? field_items(field, message) + i * field_item_size(field)
                                          : (const uint8_t *)message + field->offset;
}

#endif
