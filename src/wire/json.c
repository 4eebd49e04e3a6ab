// Messages as JSON: wire/json.h. The reader is a cursor that follows the writer.
#include "wire/json.h"

#include <assert.h>

#include "base/base64.h"
#include "base/ids.h"
#include "wire/fields.h"

enum { U64_DIGITS = 20, LIST_FIRST = 4 };

// Whether a field's bytes are a string of characters.
static bool is_text(const struct pb_field_type *field) {
    return field->form != PB_FORM_UNSPECIFIED;
}

// --- writing ---

static void write_message(const struct pb_type *type, const uint8_t *message, struct buf *out);

static void write_byte(struct buf *out, char byte) {
    *buf_reserve(out, 1) = (uint8_t)byte;
    out->len++;
}

static void write_base64(struct slice bytes, struct buf *out) {
    uint8_t *at = buf_reserve(out, base64_encoded_len(bytes.len) + 2);
    at[0] = '"';
    size_t len = base64_encode((char *)at + 1, bytes.data, bytes.len);
    at[len + 1] = '"';
    out->len += len + 2;
}

static bool is_plain(uint8_t byte) {
    return byte >= 0x20 && byte != '"' && byte != '\\';
}

static void write_text(struct slice text, struct buf *out) {
    if (!utf8_valid(text)) {
        write_byte(out, '[');
        write_base64(text, out);
        write_byte(out, ']');
        return;
    }
    write_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        if (is_plain(byte)) {
            write_byte(out, (char)byte);
        } else if (byte < 0x20) {
            buf_printf(out, "\\u%04x", byte);
        } else {
            write_byte(out, '\\');
            write_byte(out, (char)byte);
        }
    }
    write_byte(out, '"');
}

static void write_bytes(const struct pb_field_type *field, struct slice bytes, struct buf *out) {
    if (is_text(field)) {
        write_text(bytes, out);
    } else {
        write_base64(bytes, out);
    }
}

// `pair` is an item of the map `field`, whose rules are those of its keys and values.
static void write_pair(const struct pb_field_type *field, const struct slice_pair *pair, struct buf *out) {
    write_byte(out, '[');
    write_bytes(field, pair->key, out);
    write_byte(out, ',');
    write_bytes(field, pair->value, out);
    write_byte(out, ']');
}

static void write_value(const struct pb_field_type *field, const uint8_t *value, struct buf *out) {
    switch ((enum pb_kind)field->kind) {
    case PB_KIND_U64:
    case PB_KIND_U32:
        buf_append_u64(out, field_number(field, value));
        break;
    case PB_KIND_BOOL:
        buf_append_str(out, field_number(field, value) != 0 ? "true" : "false");
        break;
    case PB_KIND_BYTES:
        write_bytes(field, *(const struct slice *)value, out);
        break;
    case PB_KIND_MESSAGE:
        if (field->message->is_map_entry) {
            write_pair(field, (const struct slice_pair *)value, out);
        } else {
            write_byte(out, '{');
            write_message(field->message, value, out);
            write_byte(out, '}');
        }
        break;
    case PB_KIND_DOUBLE:
        assert(false);  // see pb_json_write
    }
}

static void write_list(const struct pb_field_type *field, const uint8_t *message, struct buf *out) {
    write_byte(out, '[');
    for (size_t i = 0; i < field_values(field, message); i++) {
        if (i > 0) {
            write_byte(out, ',');
        }
        write_value(field, field_value(field, message, i), out);
    }
    write_byte(out, ']');
}

static void write_message(const struct pb_type *type, const uint8_t *message, struct buf *out) {
    const char *before = "\"";
    for (size_t i = 0; i < type->field_count; i++) {
        const struct pb_field_type *field = &type->fields[i];
        if (!field_is_present(field, message)) {
            continue;
        }
        buf_append_str(out, before);
        buf_append_str(out, field->name);
        buf_append_str(out, "\":");
        before = ",\"";
        if (field->presence == PB_REPEATED) {
            write_list(field, message, out);
        } else {
            write_value(field, field_value(field, message, 0), out);
        }
    }
}

void pb_json_write(const struct pb_type *type, const void *message, struct buf *out) {
    write_message(type, message, out);
}

// --- reading ---

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    const uint8_t *start;
    struct arena *arena;
    struct error *error;
    enum error_code code;
};

static bool read_message(struct cursor *c, const struct pb_type *type, uint8_t *message);

static bool refuse(struct cursor *c, const char *wanted) {
    c->code = error_set(c->error, ERR_MALFORMED, "byte %zu is not %s", (size_t)(c->at - c->start) + 1, wanted);
    return false;
}

static void *alloc(struct cursor *c, size_t size) {
    void *p = arena_alloc(c->arena, size);
    if (p == NULL) {
        c->code = error_set(c->error, ERR_NO_MEMORY, "no memory for a value of %zu bytes", size);
    }
    return p;
}

static bool next_is(const struct cursor *c, char byte) {
    return c->at < c->end && *c->at == (uint8_t)byte;
}

static bool take(struct cursor *c, char byte, const char *wanted) {
    if (!next_is(c, byte)) {
        return refuse(c, wanted);
    }
    c->at++;
    return true;
}

static bool take_word(struct cursor *c, const char *word) {
    size_t len = strlen(word);
    if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len) != 0) {
        return false;
    }
    c->at += len;
    return true;
}

static bool read_number(struct cursor *c, uint64_t max, uint64_t *value) {
    const uint8_t *first = c->at;
    *value = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        if (__builtin_mul_overflow(*value, 10, value) || __builtin_add_overflow(*value, (uint64_t)(*c->at - '0'), value) ||
            (c->at > first && *first == '0')) {
            return refuse(c, "of a number of 64 bits without leading zeros");
        }
    }
    return c->at == first ? refuse(c, "a number") : *value <= max || refuse(c, "behind a number of 32 bits");
}

static bool read_base64(struct cursor *c, struct slice *bytes) {
    if (!take(c, '"', "a string")) {
        return false;
    }
    const uint8_t *quote = memchr(c->at, '"', (size_t)(c->end - c->at));
    if (quote == NULL) {
        return refuse(c, "of a string that ends");
    }
    size_t len = (size_t)(quote - c->at);
    *bytes = slice_of(NULL, 0);
    if (len > 0) {
        uint8_t *decoded = alloc(c, len / 4 * 3 + 1);
        if (decoded == NULL) {
            return false;
        }
        ssize_t decoded_len = base64_decode(decoded, (const char *)c->at, len);
        if (decoded_len < 0) {
            return refuse(c, "of base64 with padding");
        }
        *bytes = slice_of(decoded, (size_t)decoded_len);
    }
    c->at = quote + 1;
    return true;
}

static int hex_digit(uint8_t byte) {
    return byte >= '0' && byte <= '9' ? byte - '0' : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

// The byte that an escape stands for, by the one form that the writer gives it.
static bool read_escape(struct cursor *c, uint8_t *byte) {
    if (take_word(c, "\\\"") || take_word(c, "\\\\")) {
        *byte = c->at[-1];
        return true;
    }
    if (take_word(c, "\\u00") && c->end - c->at >= 2 && (*c->at == '0' || *c->at == '1') && hex_digit(c->at[1]) >= 0) {
        *byte = (uint8_t)(16 * (*c->at - '0') + hex_digit(c->at[1]));
        c->at += 2;
        return true;
    }
    return refuse(c, "of an escape that is needed");
}

static bool read_string(struct cursor *c, struct slice *text) {
    if (!take(c, '"', "a string")) {
        return false;
    }
    const uint8_t *first = c->at;
    while (c->at < c->end && is_plain(*c->at)) {
        c->at++;
    }
    *text = slice_of(first, (size_t)(c->at - first));
    if (next_is(c, '\\')) {
        // Escapes are longer than what they stand for, so what is left of the input has room for the text.
        uint8_t *decoded = alloc(c, (size_t)(c->end - first));
        if (decoded == NULL) {
            return false;
        }
        memcpy(decoded, first, text->len);
        size_t len = text->len;
        while (c->at < c->end && (is_plain(*c->at) || *c->at == '\\')) {
            if (*c->at != '\\') {
                decoded[len++] = *c->at++;
            } else if (!read_escape(c, &decoded[len++])) {
                return false;
            }
        }
        *text = slice_of(decoded, len);
    }
    return (utf8_valid(*text) || refuse(c, "behind a text of UTF-8 without NUL")) &&
           take(c, '"', "a character or the text's end");
}

static bool read_text(struct cursor *c, struct slice *text) {
    if (!next_is(c, '[')) {
        return read_string(c, text);
    }
    c->at++;
    return read_base64(c, text) && (!utf8_valid(*text) || refuse(c, "behind bytes that are no text")) &&
           take(c, ']', "the end of an array");
}

static bool read_bytes(struct cursor *c, const struct pb_field_type *field, struct slice *bytes) {
    return is_text(field) ? read_text(c, bytes) : read_base64(c, bytes);
}

static bool read_pair(struct cursor *c, const struct pb_field_type *field, struct slice_pair *pair) {
    return take(c, '[', "a pair") && read_bytes(c, field, &pair->key) && take(c, ',', "a comma") &&
           read_bytes(c, field, &pair->value) && take(c, ']', "a pair's end");
}

static bool read_value(struct cursor *c, const struct pb_field_type *field, uint8_t *value) {
    uint64_t number;
    switch ((enum pb_kind)field->kind) {
    case PB_KIND_U64:
        return read_number(c, UINT64_MAX, (uint64_t *)value);
    case PB_KIND_U32:
        if (!read_number(c, UINT32_MAX, &number)) {
            return false;
        }
        *(uint32_t *)value = (uint32_t)number;
        return true;
    case PB_KIND_BOOL:
        *(bool *)value = take_word(c, "true");
        return *(bool *)value || take_word(c, "false") || refuse(c, "true or false");
    case PB_KIND_BYTES:
        return read_bytes(c, field, (struct slice *)value);
    case PB_KIND_MESSAGE:
        if (field->message->is_map_entry) {
            return read_pair(c, field, (struct slice_pair *)value);
        }
        return take(c, '{', "an object") && read_message(c, field->message, value) && take(c, '}', "an object's end");
    case PB_KIND_DOUBLE:
        assert(false);  // see pb_json_write
    }
    return false;
}

// Room for one more item behind `count`.
static bool reserve_item(struct cursor *c, const struct pb_field_type *field, size_t count, size_t *cap, uint8_t **items) {
    if (field->max_items != 0 && count == field->max_items) {
        return refuse(c, "the end of an array with as many items as are allowed");
    }
    size_t size = field_item_size(field);
    if (count == *cap) {
        *cap = *cap == 0 ? LIST_FIRST : 2 * *cap;
        uint8_t *larger = alloc(c, *cap * size);
        if (larger == NULL) {
            return false;
        }
        if (count > 0) {
            memcpy(larger, *items, count * size);
        }
        *items = larger;
    }
    memset(*items + count * size, 0, size);
    return true;
}

static bool read_list(struct cursor *c, const struct pb_field_type *field, uint8_t *message) {
    size_t *count = (size_t *)(message + field->holder);
    size_t cap = 0;
    uint8_t *items = NULL;
    if (!take(c, '[', "an array")) {
        return false;
    }
    do {
        if (!reserve_item(c, field, *count, &cap, &items) ||
            !read_value(c, field, items + *count * field_item_size(field))) {
            return false;
        }
        ++*count;
    } while (take_word(c, ","));
    memcpy(message + field->offset, &items, sizeof items);
    return take(c, ']', "a comma or an array's end");
}

static bool read_field(struct cursor *c, const struct pb_field_type *field, uint8_t *message) {
    switch ((enum pb_presence)field->presence) {
    case PB_REPEATED:
        return read_list(c, field, message);
    case PB_EXPLICIT:
        *(bool *)(message + field->holder) = true;
        return read_value(c, field, message + field->offset);
    case PB_CHOICE:
        if (*(uint32_t *)(message + field->holder) != 0) {
            return refuse(c, "the only member of a oneof");
        }
        *(uint32_t *)(message + field->holder) = field->number;
        return read_value(c, field, message + field->offset);
    case PB_IMPLICIT:
        break;
    }
    return read_value(c, field, message + field->offset) &&
           (field_is_present(field, message) || refuse(c, "behind a member that may be empty or zero"));
}

// The field of the member's name, which is not before `field`; NULL: there is none.
static const struct pb_field_type *take_name(struct cursor *c, const struct pb_type *type,
                                             const struct pb_field_type *field) {
    for (; field < type->fields + type->field_count; field++) {
        size_t len = strlen(field->name);
        if ((size_t)(c->end - c->at) > len + 2 && memcmp(c->at + 1, field->name, len) == 0 && c->at[0] == '"' &&
            c->at[len + 1] == '"' && c->at[len + 2] == ':') {
            c->at += len + 3;
            return field;
        }
    }
    refuse(c, "the name of a member that is known, and in its place");
    return NULL;
}

// Up to the object's end, which is not consumed.
static bool read_message(struct cursor *c, const struct pb_type *type, uint8_t *message) {
    const struct pb_field_type *field = type->fields;
    bool first = true;
    while (c->at < c->end && *c->at != '}') {
        if (!first && !take(c, ',', "a comma")) {
            return false;
        }
        first = false;
        field = take_name(c, type, field);
        if (field == NULL || !read_field(c, field++, message)) {
            return false;
        }
    }
    return true;
}

enum error_code pb_json_read(struct arena *arena, const struct pb_type *type, struct slice members, void *message,
                             struct error *error) {
    struct cursor c = {
        .at = members.data, .end = members.data + members.len, .start = members.data, .arena = arena, .error = error};
    memset(message, 0, type->size);
    if (members.len > 0 && read_message(&c, type, message) && c.at < c.end) {
        refuse(&c, "the end");
    }
    return c.code;
}
