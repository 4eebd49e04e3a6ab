// Members of this program's own JSON, by their paths: ctl/fields.h.
#include "ctl/fields.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"
#include "ctl/output.h"

enum { VALUE_MAX = 1 << 20 };

// The rest of each path. `left` of len 0: at its end.
struct columns {
    size_t count;
    struct slice left[FIELDS_COLUMNS_MAX];
};

static bool split(const char *text, struct columns *columns) {
    columns->count = 0;
    for (;;) {
        size_t len = strcspn(text, ",");
        bool bad = len == 0 || text[0] == '.' || text[len - 1] == '.' || columns->count == FIELDS_COLUMNS_MAX;
        for (size_t i = 0; !bad && i + 1 < len; i++) {
            bad = text[i] == '.' && text[i + 1] == '.';
        }
        if (bad) {
            return false;
        }
        columns->left[columns->count++] = slice_of(text, len);
        if (text[len] == '\0') {
            return true;
        }
        text += len + 1;
    }
}

enum error_code fields_check(const char *paths, struct error *error) {
    struct columns columns;
    if (!split(paths, &columns)) {
        return error_set(
            error, ERR_INVALID,
            "--output fields=%s: allowed are 1 to %d names of members that -o json prints, with commas between, "
            "such as fields=node,role",
            paths, FIELDS_COLUMNS_MAX);
    }
    return OK;
}

// --- JSON ---

static char first(struct slice json) {
    return json.len > 0 ? ((const char *)json.data)[0] : '\0';
}

static struct slice skip(struct slice json, size_t count) {
    assert(count <= json.len);
    return slice_of((const uint8_t *)json.data + count, json.len - count);
}

// The length of the text that begins here, with its quotes.
static size_t text_len(struct slice json) {
    const char *text = (const char *)json.data;
    size_t at = 1;
    while (at < json.len && text[at] != '"') {
        at += text[at] == '\\' ? 2 : 1;
    }
    return at + 1 < json.len ? at + 1 : json.len;
}

// The length of the value that begins here.
static size_t value_len(struct slice json) {
    size_t depth = 0, at = 0;
    while (at < json.len) {
        struct slice rest = skip(json, at);
        char c = first(rest);
        bool closes = c == '}' || c == ']';
        if (depth == 0 && (closes || c == ',' || c == '\n')) {
            return at;
        }
        at += c == '"' ? text_len(rest) : 1;
        depth += c == '{' || c == '[';
        depth -= closes;
        if (depth == 0 && (closes || c == '"')) {
            return at;
        }
    }
    return at;
}

// Takes the next value of a list or, with its name, of an object, whose inside *rest is. False: there is none.
static bool next(struct slice *rest, bool named, struct slice *key, struct slice *value) {
    if (first(*rest) == ',') {
        *rest = skip(*rest, 1);
    }
    if (rest->len == 0 || first(*rest) == '}' || first(*rest) == ']') {
        return false;
    }
    if (named) {
        size_t len = text_len(*rest);
        *key = slice_of((const uint8_t *)rest->data + 1, len >= 2 ? len - 2 : 0);
        *rest = skip(*rest, len < rest->len ? len + 1 : len);
    }
    size_t len = value_len(*rest);
    *value = slice_of(rest->data, len);
    *rest = skip(*rest, len);
    return len > 0;
}

// `object` begins with a brace.
static struct slice member(struct slice object, struct slice name) {
    struct slice rest = skip(object, 1), key, value;
    while (next(&rest, true, &key, &value)) {
        if (slice_equal(key, name)) {
            return value;
        }
    }
    return slice_of(NULL, 0);
}

// --- values ---

static unsigned hex_digit(char c) {
    return (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10) & 15;
}

// A text without its quotes and escapes. quote_json escapes only what is below U+0080, so \u00XX is one byte.
static void append_text(struct buf *out, struct slice text) {
    struct buf plain = {0};
    const char *bytes = (const char *)text.data;
    for (size_t i = 1; i + 1 < text.len; i++) {
        char c = bytes[i];
        if (c == '\\' && i + 2 < text.len) {
            c = bytes[++i];
            static const char letters[] = "nrtbf", means[] = "\n\r\t\b\f";
            const char *letter = strchr(letters, c);
            if (c == 'u' && i + 5 < text.len) {
                c = (char)(hex_digit(bytes[i + 3]) << 4 | hex_digit(bytes[i + 4]));
                i += 4;
            } else if (letter != NULL && c != '\0') {
                c = means[letter - letters];
            }
        }
        buf_append(&plain, &c, 1);
    }
    text_for_terminal(out, buf_slice(&plain), VALUE_MAX);
    buf_free(&plain);
}

static void append_value(struct buf *out, struct slice value) {
    if (first(value) == '"') {
        append_text(out, value);
    } else if (!slice_equal(value, slice_of_str("null"))) {
        buf_append_slice(out, value);
    }
}

// --- lines ---

static struct slice head(struct slice path) {
    const char *dot = path.len == 0 ? NULL : memchr(path.data, '.', path.len);
    return dot == NULL ? path : slice_of(path.data, (size_t)(dot - (const char *)path.data));
}

static struct slice tail(struct slice path) {
    size_t len = head(path).len;
    return len == path.len ? slice_of(NULL, 0) : skip(path, len + 1);
}

// Whether all columns begin with the same name, and so go into the same member.
static bool go_together(const struct columns *columns) {
    for (size_t i = 0; i < columns->count; i++) {
        if (columns->left[i].len == 0 || !slice_equal(head(columns->left[i]), head(columns->left[0]))) {
            return false;
        }
    }
    return true;
}

// The value at the path's end, below `value`; through lists no further.
static struct slice follow(struct slice value, struct slice path) {
    while (path.len > 0 && value.len > 0) {
        value = first(value) == '{' ? member(value, head(path)) : slice_of(NULL, 0);
        path = tail(path);
    }
    return value;
}

static void print_line(const struct columns *columns, struct slice value, struct buf *out) {
    for (size_t i = 0; i < columns->count; i++) {
        buf_append_str(out, i > 0 ? "\t" : "");
        append_value(out, follow(value, columns->left[i]));
    }
    buf_append_str(out, "\n");
}

// As deep as the paths, and lists in lists; this program prints few of either.
static void print(struct columns columns, struct slice value, struct buf *out) {
    while (first(value) == '{' && go_together(&columns)) {
        value = member(value, head(columns.left[0]));
        for (size_t i = 0; i < columns.count; i++) {
            columns.left[i] = tail(columns.left[i]);
        }
    }
    if (first(value) == '[') {
        struct slice rest = skip(value, 1), key, item;
        while (next(&rest, false, &key, &item)) {
            print(columns, item, out);
        }
    } else {
        print_line(&columns, value, out);
    }
}

void fields_print(const char *paths, struct slice json, struct buf *out) {
    struct columns columns;
    if (!split(paths, &columns)) {
        return;  // fields_check has refused it
    }
    while (json.len > 0) {
        size_t len = value_len(json);
        if (len > 0) {
            print(columns, slice_of(json.data, len), out);
        }
        json = skip(json, len < json.len ? len + 1 : len);
    }
}
