// The reader and the writer: wire/codec.h.
#include "wire/codec.h"

#include <assert.h>

#include "base/limits.h"
#include "wire/fields.h"
#include "wire/wire_format.h"

// The most lists in one message.
enum { LISTS_MAX = 4 };

// --- reading ---

struct decoder {
    struct arena *arena;  // NULL: the type has no lists
    struct error *error;
    enum error_code code;  // of a failure other than a malformed message; OK: none
    bool persisted;
    const struct pb_type *unknown_in;  // persisted: a type with an unknown field in the message; NULL: none
    uint32_t unknown_number;
};

static void decode_message(struct decoder *d, struct pb_reader *r, const struct pb_type *type, uint8_t *message);

static const struct pb_field_type *find_field(const struct decoder *d, const struct pb_type *type, uint32_t number) {
    if (number > type->last_number || type->places[number] == 0) {
        return NULL;
    }
    const struct pb_field_type *field = &type->fields[type->places[number] - 1];
    return d->persisted && field->transient ? NULL : field;
}

static void fail(struct decoder *d, struct pb_reader *r, enum error_code code) {
    d->code = code;
    pb_fail(r, error_name(code));
}

// Reserves memory for the items ahead, after those of an earlier occurrence of the same message.
static void reserve_list(struct decoder *d, struct pb_reader *r, const struct pb_field_type *field, uint8_t *message,
                         size_t before) {
    size_t *count = (size_t *)(message + field->holder);
    size_t total = *count;
    *count = before;  // the reader counts items as it reads them, so never one without memory
    if (field->max_items != 0 && total > field->max_items) {
        error_set(d->error, ERR_INVALID, "%s: %zu are too many; at most %u are allowed", field->name, total,
                  field->max_items);
        fail(d, r, ERR_INVALID);
    } else if (total > before && d->code == OK) {
        assert(d->arena != NULL);
        uint8_t *items = arena_alloc(d->arena, total * field_item_size(field));
        if (items == NULL) {
            error_set(d->error, ERR_NO_MEMORY, "no memory for a list of %zu %s", total, field->name);
            fail(d, r, ERR_NO_MEMORY);
            return;
        }
        if (before > 0) {
            memcpy(items, field_items(field, message), before * field_item_size(field));
        }
        memset(items + before * field_item_size(field), 0, (total - before) * field_item_size(field));
        memcpy(message + field->offset, &items, sizeof items);
    }
}

// Reserves memory for all lists at once: counts the fields before reading them.
static void reserve_lists(struct decoder *d, struct pb_reader *r, const struct pb_type *type, uint8_t *message) {
    assert(type->repeated_count <= LISTS_MAX);
    size_t before[LISTS_MAX];
    size_t lists = 0;
    for (size_t i = 0; i < type->field_count; i++) {
        if (type->fields[i].presence == PB_REPEATED) {
            before[lists++] = *(size_t *)(message + type->fields[i].holder);
        }
    }
    struct pb_reader ahead = *r;
    struct pb_wire_field f = {.number = 0};
    while (pb_next(&ahead, &f)) {
        const struct pb_field_type *field = find_field(d, type, f.number);
        if (field != NULL && field->presence == PB_REPEATED) {
            ++*(size_t *)(message + field->holder);
        }
    }
    lists = 0;
    for (size_t i = 0; i < type->field_count; i++) {
        if (type->fields[i].presence == PB_REPEATED) {
            reserve_list(d, r, &type->fields[i], message, before[lists++]);
        }
    }
}

static void decode_value(struct decoder *d, struct pb_reader *r, const struct pb_field_type *field,
                         const struct pb_wire_field *f, uint8_t *value) {
    static const uint8_t wire_types[] = {
        [PB_KIND_U64] = PB_VARINT,     [PB_KIND_U32] = PB_VARINT,  [PB_KIND_BOOL] = PB_VARINT,
        [PB_KIND_DOUBLE] = PB_FIXED64, [PB_KIND_BYTES] = PB_BYTES, [PB_KIND_MESSAGE] = PB_BYTES,
    };
    if (!pb_expect(r, f, wire_types[field->kind])) {
        return;
    }
    switch ((enum pb_kind)field->kind) {
    case PB_KIND_U64:
        *(uint64_t *)value = f->value;
        break;
    case PB_KIND_U32:
        if (f->value > UINT32_MAX) {
            pb_fail(r, "a number that does not fit 32 bits");
        }
        *(uint32_t *)value = (uint32_t)f->value;
        break;
    case PB_KIND_BOOL:
        *(bool *)value = f->value != 0;
        break;
    case PB_KIND_DOUBLE:
        memcpy(value, &f->value, sizeof(double));
        break;
    case PB_KIND_BYTES:
        *(struct slice *)value = f->bytes;
        break;
    case PB_KIND_MESSAGE: {
        struct pb_reader inner = pb_reader_of(f->bytes);
        decode_message(d, &inner, field->message, value);
        if (inner.problem != NULL) {
            pb_fail(r, inner.problem);
        }
        break;
    }
    }
}

// Returns where the field's value goes, and marks it as present. NULL: the field must not occur here.
static uint8_t *place_value(const struct decoder *d, struct pb_reader *r, const struct pb_field_type *field,
                            uint8_t *message) {
    uint8_t *value = message + field->offset;
    switch ((enum pb_presence)field->presence) {
    case PB_IMPLICIT:
        break;
    case PB_EXPLICIT:
        *(bool *)(message + field->holder) = true;
        break;
    case PB_CHOICE: {
        uint32_t *chosen = (uint32_t *)(message + field->holder);
        if (d->persisted && *chosen != 0) {
            pb_fail(r, "two operations");
            return NULL;
        }
        if (*chosen != field->number && field->kind == PB_KIND_MESSAGE) {
            memset(value, 0, field->message->size);
        }
        *chosen = field->number;
        break;
    }
    case PB_REPEATED: {
        uint8_t *items;
        memcpy(&items, value, sizeof items);
        value = items + field_item_size(field) * (*(size_t *)(message + field->holder))++;
        break;
    }
    }
    return value;
}

// The limits of length that readers of persisted messages rely on.
static void check_lengths(struct decoder *d, struct pb_reader *r, const struct pb_type *type, const uint8_t *message) {
    for (size_t i = 0; i < type->field_count; i++) {
        const struct pb_field_type *field = &type->fields[i];
        if (field->kind != PB_KIND_BYTES || field->presence != PB_IMPLICIT || field->transient) {
            continue;
        }
        bool id = field->form == PB_FORM_ID;
        size_t min = id && !field->optional ? 1 : field->min_bytes;
        size_t max = id ? ID_MAX : field->max_bytes;
        size_t len = ((const struct slice *)(message + field->offset))->len;
        if (len < min || (max != 0 && len > max)) {
            error_set(d->error, ERR_MALFORMED, "not a %s: %s is empty or too long", type->name, field->name);
            fail(d, r, ERR_MALFORMED);
            return;
        }
    }
}

static void decode_message(struct decoder *d, struct pb_reader *r, const struct pb_type *type, uint8_t *message) {
    if (type->repeated_count > 0) {
        reserve_lists(d, r, type, message);
    }
    struct pb_wire_field f = {.number = 0};
    while (pb_next(r, &f)) {
        const struct pb_field_type *field = find_field(d, type, f.number);
        if (field == NULL) {
            d->unknown_in = type;
            d->unknown_number = f.number;
            continue;
        }
        uint8_t *value = place_value(d, r, field, message);
        if (value != NULL) {
            decode_value(d, r, field, &f, value);
        }
    }
    if (d->persisted && r->problem == NULL) {
        check_lengths(d, r, type, message);
    }
}

static enum error_code decode(struct decoder *d, const struct pb_type *type, struct slice bytes, void *message) {
    memset(message, 0, type->size);
    struct pb_reader r = pb_reader_of(bytes);
    decode_message(d, &r, type, message);
    if (d->code != OK) {
        return d->code;
    }
    if (r.problem != NULL) {
        return error_set(d->error, ERR_MALFORMED, "not a %s: %s", type->name, r.problem);
    }
    if (d->persisted && d->unknown_in != NULL) {
        return error_set(d->error, ERR_UNKNOWN_COMMAND, "field %u of %s is not known here", d->unknown_number,
                         d->unknown_in->name);
    }
    return OK;
}

enum error_code pb_decode(struct arena *arena, const struct pb_type *type, struct slice bytes, void *message,
                          struct error *error) {
    struct decoder d = {.arena = arena, .error = error};
    return decode(&d, type, bytes, message);
}

enum error_code pb_decode_persisted(struct arena *arena, const struct pb_type *type, struct slice bytes, void *message,
                                    struct error *error) {
    struct decoder d = {.arena = arena, .error = error, .persisted = true};
    return decode(&d, type, bytes, message);
}

// --- writing ---

static size_t tag_size(const struct pb_field_type *field) {
    return field->number < 16 ? 1 : 2;  // protoc-gen-baton refuses numbers above 255
}

static size_t value_size(const struct pb_field_type *field, const uint8_t *value) {
    size_t len = 0;
    switch ((enum pb_kind)field->kind) {
    case PB_KIND_DOUBLE:
        return tag_size(field) + sizeof(double);
    case PB_KIND_BYTES:
        len = ((const struct slice *)value)->len;
        break;
    case PB_KIND_MESSAGE:
        len = pb_size(field->message, value);
        break;
    case PB_KIND_U64:
    case PB_KIND_U32:
    case PB_KIND_BOOL:
        return tag_size(field) + pb_varint_size(field_number(field, value));
    }
    return tag_size(field) + pb_varint_size(len) + len;
}

// Fields without presence of their own, most of all, apart from the others: this is the hot path.
static inline size_t implicit_size(const struct pb_field_type *field, const uint8_t *value) {
    if (field->kind == PB_KIND_BYTES) {
        size_t len = ((const struct slice *)value)->len;
        return len == 0 ? 0 : tag_size(field) + pb_varint_size(len) + len;
    }
    uint64_t number = field_number(field, value);
    if (number == 0) {
        return 0;
    }
    return tag_size(field) + (field->kind == PB_KIND_DOUBLE ? sizeof(double) : pb_varint_size(number));
}

size_t pb_size(const struct pb_type *type, const void *message) {
    size_t size = 0;
    for (size_t i = 0; i < type->field_count; i++) {
        const struct pb_field_type *field = &type->fields[i];
        if (field->presence == PB_IMPLICIT) {
            size += implicit_size(field, (const uint8_t *)message + field->offset);
            continue;
        }
        for (size_t k = 0; field_is_present(field, message) && k < field_values(field, message); k++) {
            size += value_size(field, field_value(field, message, k));
        }
    }
    return size;
}

static uint8_t *write_message(const struct pb_type *type, const uint8_t *message, uint8_t *end);

static uint8_t *write_value(const struct pb_field_type *field, const uint8_t *value, uint8_t *end) {
    uint8_t *start = end;
    switch ((enum pb_kind)field->kind) {
    case PB_KIND_DOUBLE:
        return pb_back_tag(pb_back_fixed64(end, field_number(field, value)), field->number, PB_FIXED64);
    case PB_KIND_BYTES:
        start = pb_back_bytes(end, *(const struct slice *)value);
        break;
    case PB_KIND_MESSAGE:
        start = write_message(field->message, value, end);
        break;
    case PB_KIND_U64:
    case PB_KIND_U32:
    case PB_KIND_BOOL:
        return pb_back_tag(pb_back_varint(end, field_number(field, value)), field->number, PB_VARINT);
    }
    return pb_back_head(start, field->number, (size_t)(end - start));
}

static inline uint8_t *write_implicit(const struct pb_field_type *field, const uint8_t *value, uint8_t *end) {
    if (field->kind == PB_KIND_BYTES) {
        struct slice bytes = *(const struct slice *)value;
        return bytes.len == 0 ? end : pb_back_head(pb_back_bytes(end, bytes), field->number, bytes.len);
    }
    uint64_t number = field_number(field, value);
    if (number == 0) {
        return end;
    }
    return field->kind == PB_KIND_DOUBLE ? pb_back_tag(pb_back_fixed64(end, number), field->number, PB_FIXED64)
                                         : pb_back_tag(pb_back_varint(end, number), field->number, PB_VARINT);
}

static uint8_t *write_message(const struct pb_type *type, const uint8_t *message, uint8_t *end) {
    for (size_t i = type->field_count; i-- > 0;) {
        const struct pb_field_type *field = &type->fields[i];
        if (field->presence == PB_IMPLICIT) {
            end = write_implicit(field, message + field->offset, end);
            continue;
        }
        for (size_t k = field_is_present(field, message) ? field_values(field, message) : 0; k-- > 0;) {
            end = write_value(field, field_value(field, message, k), end);
        }
    }
    return end;
}

void pb_write(const struct pb_type *type, const void *message, uint8_t *at, size_t size) {
    const uint8_t *start = write_message(type, message, at + size);
    assert(start == at);
}

void pb_encode(const struct pb_type *type, const void *message, struct buf *out) {
    size_t size = pb_size(type, message);
    pb_write(type, message, buf_reserve(out, size), size);
    out->len += size;
}
