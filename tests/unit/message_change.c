// Changes of messages by their tables.
#include "message_change.h"

#include "random.h"
#include "unit.h"
#include "wire/fields.h"

static bool change_fields(const struct change *change, const struct pb_type *type, uint8_t *message, size_t *which);

// `which` counts down to the change that is made.
static bool is_due(size_t *which) {
    return (*which)-- == 0;
}

static void *grab(const struct change *change, size_t size) {
    void *memory = arena_alloc(change->arena, size);
    assert_non_null(memory);
    return memory;
}

static void change_text(const struct change *change, struct slice *value) {
    uint8_t *copy = grab(change, value->len + 1);
    if (value->len > 0) {
        memcpy(copy, value->data, value->len);
    }
    copy[value->len] = 0;
    if (value->len > 0 && random_below(change->seed, 2) == 0) {
        copy[random_below(change->seed, value->len)] ^= (uint8_t)(1 << random_below(change->seed, 8));
        *value = slice_of(copy, value->len);
    } else {
        *value = slice_of(copy, value->len + 1);
    }
}

static bool change_value(const struct change *change, const struct pb_field_type *field, uint8_t *value, size_t *which) {
    if (field->kind == PB_KIND_MESSAGE) {
        return change_fields(change, field->message, value, which);
    }
    if (!is_due(which)) {
        return false;
    }
    switch ((enum pb_kind)field->kind) {
    case PB_KIND_U64:
    case PB_KIND_DOUBLE:
        *(uint64_t *)value ^= UINT64_C(1) << random_below(change->seed, 64);
        break;
    case PB_KIND_U32:
        *(uint32_t *)value ^= 1U << random_below(change->seed, 32);
        break;
    case PB_KIND_BOOL:
        *(bool *)value = !*(bool *)value;
        break;
    case PB_KIND_BYTES:
        change_text(change, (struct slice *)value);
        break;
    case PB_KIND_MESSAGE:
        break;
    }
    return true;
}

// One item fewer, one more, two exchanged, or one of them changed.
static bool change_list(const struct change *change, const struct pb_field_type *field, uint8_t *message, size_t *which) {
    size_t size = field_item_size(field);
    size_t *count = (size_t *)(message + field->holder);
    uint8_t *items = grab(change, (*count + 1) * size);
    if (*count > 0) {
        memcpy(items, field_items(field, message), *count * size);
    }
    memset(items + *count * size, 0, size);
    memcpy(message + field->offset, &items, sizeof items);
    if (is_due(which)) {
        ++*count;
        return true;
    }
    if (*count > 0 && is_due(which)) {
        --*count;
        return true;
    }
    bool changed = false;
    for (size_t i = 0; i < *count && !changed; i++) {
        changed = change_value(change, field, items + i * size, which);
    }
    return changed;
}

static bool change_field(const struct change *change, const struct pb_field_type *field, uint8_t *message, size_t *which) {
    uint32_t *chosen = (uint32_t *)(message + field->holder);
    bool present = field_is_present(field, message);
    switch ((enum pb_presence)field->presence) {
    case PB_IMPLICIT:
        break;
    case PB_REPEATED:
        return change_list(change, field, message, which);
    case PB_EXPLICIT:
        if (is_due(which)) {
            *(bool *)(message + field->holder) = !present;
            return true;
        }
        break;
    case PB_CHOICE:
        if (present && is_due(which)) {
            *chosen = 0;
            return true;
        }
        if (!present && is_due(which)) {
            *chosen = field->number;
            memset(message + field->offset, 0, field->kind == PB_KIND_MESSAGE ? field->message->size : sizeof(uint64_t));
            return true;
        }
        break;
    }
    return (present || field->presence == PB_IMPLICIT) && change_value(change, field, message + field->offset, which);
}

static bool change_fields(const struct change *change, const struct pb_type *type, uint8_t *message, size_t *which) {
    for (size_t i = 0; i < type->field_count; i++) {
        if (change_field(change, &type->fields[i], message, which)) {
            return true;
        }
    }
    return false;
}

bool change_message(const struct change *change, const struct pb_type *type, void *message, size_t which) {
    return change_fields(change, type, message, &which);
}
