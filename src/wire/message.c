// Copies, comparison and fingerprints of messages: wire/message.h.
#include "wire/message.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>

#include "base/fingerprint.h"
#include "base/mem.h"
#include "wire/fields.h"

// --- copies: structs and lists first, aligned, then the texts ---

static size_t aligned(size_t size) {
    return (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

struct extent {
    size_t structs;  // bytes of lists, each aligned
    size_t texts;
};

static void measure(const struct pb_type *type, const void *message, struct extent *extent) {
    for (size_t i = 0; i < type->field_count; i++) {
        const struct pb_field_type *field = &type->fields[i];
        if (!field_is_present(field, message)) {
            continue;
        }
        if (field->presence == PB_REPEATED) {
            extent->structs += aligned(field_count(field, message) * field_item_size(field));
        }
        for (size_t k = 0; k < field_values(field, message); k++) {
            const uint8_t *value = field_value(field, message, k);
            if (field->kind == PB_KIND_MESSAGE) {
                measure(field->message, value, extent);
            } else if (field->kind == PB_KIND_BYTES) {
                extent->texts += ((const struct slice *)value)->len;
            }
        }
    }
}

struct room {
    uint8_t *structs;
    uint8_t *texts;
};

static void copy_text(struct slice *text, struct room *room) {
    if (text->len > 0) {
        memcpy(room->texts, text->data, text->len);
    }
    text->data = room->texts;
    room->texts += text->len;
}

// `message` is a flat copy already; what it points to is copied into the room.
static void deepen(const struct pb_type *type, uint8_t *message, struct room *room) {
    for (size_t i = 0; i < type->field_count; i++) {
        const struct pb_field_type *field = &type->fields[i];
        if (!field_is_present(field, message)) {
            continue;
        }
        uint8_t *values = message + field->offset;
        if (field->presence == PB_REPEATED) {
            size_t size = field_count(field, message) * field_item_size(field);
            memcpy(room->structs, field_items(field, message), size);
            memcpy(values, &room->structs, sizeof room->structs);
            values = room->structs;
            room->structs += aligned(size);
        }
        for (size_t k = 0; k < field_values(field, message); k++) {
            if (field->kind == PB_KIND_MESSAGE) {
                deepen(field->message, values + k * field->message->size, room);
            } else if (field->kind == PB_KIND_BYTES) {
                copy_text((struct slice *)values + k, room);
            }
        }
    }
}

void *pb_clone(const struct pb_type *type, const void *message) {
    struct extent extent = {.structs = aligned(type->size)};
    measure(type, message, &extent);
    uint8_t *copy = mem_alloc(extent.structs + extent.texts);
    memcpy(copy, message, type->size);
    struct room room = {.structs = copy + aligned(type->size), .texts = copy + extent.structs};
    deepen(type, copy, &room);
    assert(room.structs == copy + extent.structs && room.texts == copy + extent.structs + extent.texts);
    return copy;
}

// --- comparison ---

static bool value_equal(const struct pb_field_type *field, const uint8_t *a, const uint8_t *b) {
    if (field->kind == PB_KIND_MESSAGE) {
        return pb_equal(field->message, a, b);
    }
    if (field->kind == PB_KIND_BYTES) {
        return slice_equal(*(const struct slice *)a, *(const struct slice *)b);
    }
    return field_number(field, a) == field_number(field, b);
}

bool pb_equal(const struct pb_type *type, const void *a, const void *b) {
    for (size_t i = 0; i < type->field_count; i++) {
        const struct pb_field_type *field = &type->fields[i];
        bool present = field_is_present(field, a);
        if (present != field_is_present(field, b) || (present && field_values(field, a) != field_values(field, b))) {
            return false;
        }
        for (size_t k = 0; present && k < field_values(field, a); k++) {
            if (!value_equal(field, field_value(field, a, k), field_value(field, b, k))) {
                return false;
            }
        }
    }
    return true;
}

// --- fingerprints ---

uint64_t pb_fingerprint(const struct pb_type *type, const void *message, uint64_t fingerprint) {
    for (size_t i = 0; i < type->field_count; i++) {
        const struct pb_field_type *field = &type->fields[i];
        if (!field_is_present(field, message)) {
            continue;
        }
        fingerprint = fingerprint_u64(fingerprint, (uint64_t)field->number << 32 | field_values(field, message));
        for (size_t k = 0; k < field_values(field, message); k++) {
            const uint8_t *value = field_value(field, message, k);
            if (field->kind == PB_KIND_MESSAGE) {
                fingerprint = pb_fingerprint(field->message, value, fingerprint);
            } else if (field->kind == PB_KIND_BYTES) {
                fingerprint = fingerprint_bytes(fingerprint, *(const struct slice *)value);
            } else {
                fingerprint = fingerprint_u64(fingerprint, field_number(field, value));
            }
        }
    }
    return fingerprint_u64(fingerprint, 0);  // the end, so that neighbouring messages cannot trade fields
}
