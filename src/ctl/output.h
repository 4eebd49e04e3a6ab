// batonctl's output: aligned tables, or JSON.
#ifndef BATON_CTL_OUTPUT_H
#define BATON_CTL_OUTPUT_H

#include "base/buf.h"

// --- JSON objects and arrays, appended to a buffer ---

struct json {
    struct buf *out;
    bool more;  // a comma is due before the next element
};

void json_begin(struct json *json, char bracket);  // an object or array, as an element of an enclosing one
void json_end(struct json *json, char bracket);

// Members of an object. `key` needs no escaping.
void json_text(struct json *json, const char *key, struct slice value);
void json_element(struct json *json, struct slice value);                 // of an array
void json_pair(struct json *json, struct slice key, struct slice value);  // `key` is untrusted
void json_u64(struct json *json, const char *key, uint64_t value);
void json_bool(struct json *json, const char *key, bool value);
void json_number(struct json *json, const char *key, double value);
void json_absent(struct json *json, const char *key);
void json_open(struct json *json, const char *key, char bracket);

// Bytes: as `key` if they are UTF-8, else in base64 as `key`_base64.
void json_bytes(struct json *json, const char *key, struct slice value);

// --- tables ---

enum { TABLE_COLUMNS_MAX = 16 };

struct table {
    size_t columns;
    size_t cells;     // so far, including headings
    size_t width;     // characters of a line at most; 0: as many as it takes
    struct buf text;  // all cells, each NUL-terminated
};

// Headings are separated by '|'.
void table_begin(struct table *table, const char *headings);

// The next cell, row by row. Control characters are escaped; NULL or empty: "-".
void table_text(struct table *table, struct slice text);
void table_u64(struct table *table, uint64_t value);
void table_pair(struct table *table, const char *name, struct slice value);  // two cells
void table_printf(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Appends the aligned table and frees it. On a terminal its widest columns are cut until it fits.
void table_end(struct table *table, struct buf *out);

// Appends bytes for a terminal, with control characters escaped; at most about `max` bytes, then "...".
void text_for_terminal(struct buf *out, struct slice bytes, size_t max);

#endif
