// pb_check of wire/codec.h: checks a decoded message by the field rules in the options of the .proto files
// (proto/baton/v1/options.proto).
#include <stdio.h>
#include <stdlib.h>

#include "base/address.h"
#include "base/ids.h"
#include "base/limits.h"
#include "wire/codec.h"
#include "wire/fields.h"

// The path from the checked message to a field, for its name in an error.
struct path {
    const struct path *outer;  // NULL: the field is the message's own
    const struct pb_field_type *field;
};

enum { PATH_MAX_BYTES = 128 };

static void append_path(const struct path *path, char *text) {
    if (path->outer != NULL) {
        append_path(path->outer, text);
    }
    size_t len = strlen(text);
    snprintf(text + len, PATH_MAX_BYTES - len, "%s%s", len == 0 ? "" : ".", path->field->name);
}

static enum error_code check_form(enum pb_form form, struct slice text, const char *name, struct error *error) {
    switch (form) {
    case PB_FORM_ID:
        return id_check(text, name, error);
    case PB_FORM_ADDRESS:
        return address_check(text, name, error);
    case PB_FORM_CLOUD:
        return cloud_check(text, name, error);
    case PB_FORM_WORKER_CLOUD:
        return worker_cloud_check(text, name, error);
    case PB_FORM_UTF8:
        return utf8_valid(text) ? OK : error_set(error, ERR_INVALID, "%s: must be UTF-8 without NUL", name);
    case PB_FORM_UNSPECIFIED:
        break;
    }
    return OK;
}

// The name is put together for errors alone.
static enum error_code check_text(struct slice text, const struct path *path, struct error *error) {
    const struct pb_field_type *field = path->field;
    if (field->optional && text.len == 0) {
        return OK;
    }
    char name[PATH_MAX_BYTES] = "";
    if (field->form != PB_FORM_UNSPECIFIED && check_form(field->form, text, name, NULL) != OK) {
        append_path(path, name);
        return check_form(field->form, text, name, error);
    }
    if (text.len < field->min_bytes) {
        append_path(path, name);
        return error_set(error, ERR_INVALID, "%s: is empty; %u to %u bytes are allowed", name, field->min_bytes,
                         field->max_bytes);
    }
    if (field->max_bytes != 0 && text.len > field->max_bytes) {
        append_path(path, name);
        return error_set(error, ERR_INVALID, "%s: %zu bytes; at most %u are allowed", name, text.len, field->max_bytes);
    }
    return OK;
}

// --- maps ---

static int pair_order(const void *a, const void *b) {
    return slice_compare(((const struct slice_pair *)a)->key, ((const struct slice_pair *)b)->key);
}

static enum error_code check_pair(const struct slice_pair *item, const struct path *path, struct error *error) {
    const struct pb_field_type *field = path->field;
    bool is_text = field->form == PB_FORM_UTF8;
    size_t max = field->max_bytes == 0 ? MESSAGE_MAX : field->max_bytes;
    struct slice key = item->key;
    struct slice value = item->value;
    char name[PATH_MAX_BYTES] = "";
    if (key.len == 0 || key.len > max || (is_text && !utf8_valid(key))) {
        append_path(path, name);
        return error_set(error, ERR_INVALID, "%s: a key of %zu bytes; 1 to %zu bytes%s are allowed", name, key.len, max,
                         is_text ? " of UTF-8" : "");
    }
    if (value.len > max || (is_text && !utf8_valid(value))) {
        append_path(path, name);
        return error_set(error, ERR_INVALID, "%s: %.*s has %zu bytes; at most %zu bytes%s are allowed", name, (int)key.len,
                         (const char *)key.data, value.len, max, is_text ? " of UTF-8" : "");
    }
    return OK;
}

// Also sorts the items.
static enum error_code check_map(struct slice_pair *items, size_t count, const struct path *path, struct error *error) {
    for (size_t i = 0; i < count; i++) {
        enum error_code code = check_pair(&items[i], path, error);
        if (code != OK) {
            return code;
        }
    }
    if (count > 1) {
        qsort(items, count, sizeof *items, pair_order);
    }
    for (size_t i = 1; i < count; i++) {
        if (slice_equal(items[i - 1].key, items[i].key)) {
            char name[PATH_MAX_BYTES] = "";
            append_path(path, name);
            return error_set(error, ERR_INVALID, "%s: %.*s is there twice", name, (int)items[i].key.len,
                             (const char *)items[i].key.data);
        }
    }
    return OK;
}

// --- messages ---

static enum error_code check_message(const struct pb_type *type, uint8_t *message, const struct path *outer,
                                     struct error *error);

static enum error_code check_value(uint8_t *value, const struct path *path, struct error *error) {
    if (path->field->kind == PB_KIND_BYTES) {
        return check_text(*(const struct slice *)value, path, error);
    }
    if (path->field->kind == PB_KIND_MESSAGE) {
        return check_message(path->field->message, value, path, error);
    }
    uint64_t number = field_number(path->field, value);
    if (number >= path->field->min_value) {
        return OK;
    }
    char name[PATH_MAX_BYTES] = "";
    append_path(path, name);
    return error_set(error, ERR_INVALID, "%s: is %llu; %llu or more is allowed", name, (unsigned long long)number,
                     (unsigned long long)path->field->min_value);
}

static enum error_code check_list(uint8_t *message, const struct path *path, struct error *error) {
    const struct pb_field_type *field = path->field;
    size_t count = field_count(field, message);
    uint8_t *items = (uint8_t *)field_items(field, message);  // decoded, so it may be sorted in place
    if (field->kind == PB_KIND_MESSAGE && field->message->is_map_entry) {
        return check_map((struct slice_pair *)items, count, path, error);
    }
    enum error_code code = OK;
    for (size_t i = 0; code == OK && i < count; i++) {
        code = check_value(items + i * field_item_size(field), path, error);
    }
    return code;
}

static bool is_absent(const struct pb_field_type *field, const uint8_t *message) {
    return (field->presence == PB_EXPLICIT && !*(const bool *)(message + field->holder)) ||
           (field->presence == PB_CHOICE && *(const uint32_t *)(message + field->holder) != field->number);
}

static enum error_code check_message(const struct pb_type *type, uint8_t *message, const struct path *outer,
                                     struct error *error) {
    enum error_code code = OK;
    for (size_t i = 0; code == OK && i < type->field_count; i++) {
        struct path path = {.outer = outer, .field = &type->fields[i]};
        if (!path.field->ruled || is_absent(path.field, message)) {
            continue;
        }
        code = path.field->presence == PB_REPEATED ? check_list(message, &path, error)
                                                   : check_value(message + path.field->offset, &path, error);
    }
    return code;
}

enum error_code pb_check(const struct pb_type *type, void *message, struct error *error) {
    return check_message(type, message, NULL, error);
}
