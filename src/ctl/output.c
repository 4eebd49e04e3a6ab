// Tables and JSON.
#include "ctl/output.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/ids.h"
#include "base/quote.h"

// --- JSON ---

static void comma(struct json *json) {
    if (json->more) {
        buf_append_str(json->out, ",");
    }
    json->more = true;
}

void json_begin(struct json *json, char bracket) {
    comma(json);
    buf_append(json->out, &bracket, 1);
    json->more = false;
}

void json_end(struct json *json, char bracket) {
    buf_append(json->out, &bracket, 1);
    json->more = true;
}

static void name(struct json *json, const char *key) {
    comma(json);
    buf_printf(json->out, "\"%s\":", key);
}

void json_open(struct json *json, const char *key, char bracket) {
    name(json, key);
    buf_append(json->out, &bracket, 1);
    json->more = false;
}

void json_text(struct json *json, const char *key, struct slice value) {
    name(json, key);
    quote_json(json->out, value);
}

void json_element(struct json *json, struct slice value) {
    comma(json);
    quote_json(json->out, value);
}

void json_pair(struct json *json, struct slice key, struct slice value) {
    comma(json);
    quote_json(json->out, key);
    buf_append_str(json->out, ":");
    quote_json(json->out, value);
}

void json_u64(struct json *json, const char *key, uint64_t value) {
    name(json, key);
    buf_append_u64(json->out, value);
}

void json_bool(struct json *json, const char *key, bool value) {
    name(json, key);
    buf_append_str(json->out, value ? "true" : "false");
}

void json_number(struct json *json, const char *key, double value) {
    name(json, key);
    if (isfinite(value)) {
        buf_printf(json->out, "%.3f", value);
    } else {
        buf_append_str(json->out, "null");
    }
}

void json_absent(struct json *json, const char *key) {
    name(json, key);
    buf_append_str(json->out, "null");
}

void json_bytes(struct json *json, const char *key, struct slice value) {
    if (utf8_valid(value)) {
        json_text(json, key, value);
        return;
    }
    comma(json);
    buf_printf(json->out, "\"%s_base64\":\"", key);
    uint8_t *room = buf_reserve(json->out, base64_encoded_len(value.len));
    json->out->len += base64_encode((char *)room, value.data, value.len);
    buf_append_str(json->out, "\"");
}

// --- text ---

static bool is_plain(struct slice bytes) {
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.data[i] < 0x20 || bytes.data[i] == 0x7f) {
            return false;
        }
    }
    // Terminals interpret C1 controls too; in UTF-8 they begin with C2.
    for (size_t i = 0; i + 1 < bytes.len; i++) {
        if (bytes.data[i] == 0xc2 && bytes.data[i + 1] < 0xa0) {
            return false;
        }
    }
    return utf8_valid(bytes);
}

void text_for_terminal(struct buf *out, struct slice bytes, size_t max) {
    struct slice shown = bytes;
    if (bytes.len > max) {
        shown.len = max;
        while (shown.len > 0 && (bytes.data[shown.len] & 0xc0) == 0x80) {
            shown.len--;  // do not cut a character
        }
    }
    if (is_plain(shown)) {
        buf_append_slice(out, shown);
    } else {
        quote_logfmt(out, shown);
    }
    if (shown.len < bytes.len) {
        buf_append_str(out, "...");
    }
}

// --- tables ---

static void end_cell(struct table *table) {
    buf_append(&table->text, "", 1);
    table->cells++;
}

enum { GAP = 2, NARROWEST = 6 };  // between two columns; a column that is cut

// Columns of the terminal on standard output; 0: it is none.
static size_t terminal_width(void) {
    struct winsize size;
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

void table_begin(struct table *table, const char *headings) {
    *table = (struct table){.columns = 1, .width = terminal_width()};
    for (const char *c = headings; *c != '\0'; c++) {
        if (*c != '|') {
            buf_append(&table->text, c, 1);
            continue;
        }
        end_cell(table);
        table->columns++;
    }
    end_cell(table);
    assert(table->columns <= TABLE_COLUMNS_MAX);
}

void table_text(struct table *table, struct slice text) {
    enum { CELL_MAX = 256 };
    if (text.len == 0) {
        buf_append_str(&table->text, "-");
    } else {
        text_for_terminal(&table->text, text, CELL_MAX);
    }
    end_cell(table);
}

void table_u64(struct table *table, uint64_t value) {
    buf_append_u64(&table->text, value);
    end_cell(table);
}

void table_pair(struct table *table, const char *name, struct slice value) {
    table_text(table, slice_of_str(name));
    table_text(table, value);
}

void table_printf(struct table *table, const char *format, ...) {
    char text[128];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    table_text(table, slice_of_str(text));
}

// The number of characters in UTF-8 text; double-width ones are not accounted for.
static size_t width_of(const char *text) {
    size_t width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

static void measure(const struct table *table, size_t widths[static TABLE_COLUMNS_MAX]) {
    const char *cell = (const char *)table->text.data;
    for (size_t i = 0; i < table->cells; i++, cell += strlen(cell) + 1) {
        size_t width = width_of(cell);
        if (width > widths[i % table->columns]) {
            widths[i % table->columns] = width;
        }
    }
}

// Takes from the widest column, again and again, until all fit, or none is left that could be read if it were narrower.
static void fit(const struct table *table, size_t widths[static TABLE_COLUMNS_MAX]) {
    size_t total = GAP * (table->columns - 1);
    for (size_t i = 0; i < table->columns; i++) {
        total += widths[i];
    }
    while (table->width > 0 && total > table->width) {
        size_t widest = 0;
        for (size_t i = 1; i < table->columns; i++) {
            widest = widths[i] > widths[widest] ? i : widest;
        }
        if (widths[widest] <= NARROWEST) {
            return;
        }
        widths[widest]--;
        total--;
    }
}

// As much of the cell as the column shows, its last character an ellipsis if that is not all; how wide that is.
static size_t append_cell(struct buf *out, const char *cell, size_t width) {
    size_t whole = width_of(cell);
    if (whole <= width) {
        buf_append_str(out, cell);
        return whole;
    }
    size_t shown = 0;
    for (; shown + 1 < width || ((unsigned char)*cell & 0xc0) == 0x80; cell++) {
        shown += ((unsigned char)cell[0] & 0xc0) != 0x80;
        buf_append(out, cell, 1);
    }
    buf_append_str(out, "\u2026");
    return width;
}

void table_end(struct table *table, struct buf *out) {
    assert(table->columns > 0 && table->cells % table->columns == 0);
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    measure(table, widths);
    fit(table, widths);
    const char *cell = (const char *)table->text.data;
    for (size_t i = 0; i < table->cells; i++, cell += strlen(cell) + 1) {
        bool last = (i + 1) % table->columns == 0;
        size_t width = append_cell(out, cell, widths[i % table->columns]);
        if (!last) {
            buf_printf(out, "%*s", (int)(widths[i % table->columns] - width + GAP), "");
        } else {
            buf_append_str(out, "\n");
        }
    }
    buf_free(&table->text);
}
