// What all lines of the log and of images are made of: JSON in one form (fields in a fixed order, no white space, numbers
// without leading zeros) that ends in `,"crc":"xxxxxxxx"}`.
//
// Encoding is straight-line copies into memory that is known to be large enough. Decoding is a cursor that follows the order
// of the encoder and stops at the first difference. It records if the input ended while everything so far matched: this
// tells a torn line from a damaged one.
#ifndef BATON_WAL_LINE_H
#define BATON_WAL_LINE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"

#define WAL_CRC_KEY ",\"crc\":\""

enum {
    WAL_CRC_DIGITS = 8,
    WAL_CRC_TAIL = sizeof WAL_CRC_KEY - 1 + WAL_CRC_DIGITS + 2,  // ,"crc":"xxxxxxxx"}
    WAL_U64_DIGITS = 20,
};

// --- encoding: each returns the place after what it wrote ---

#define WAL_PUT(at, text) wal_put((at), (text), sizeof(text) - 1)

static inline uint8_t *wal_put(uint8_t *at, const void *data, size_t len) {
    memcpy(at, data, len);
    return at + len;
}

static inline uint8_t *wal_put_slice(uint8_t *at, struct slice s) {
    return s.len == 0 ? at : wal_put(at, s.data, s.len);
}

uint8_t *wal_put_u64(uint8_t *at, uint64_t value);
uint8_t *wal_put_hex(uint8_t *at, uint32_t value);

// Ends the line that begins at `out` with this checksum, and with a newline. Returns its length.
size_t wal_put_tail(uint8_t *out, uint8_t *at, uint32_t crc);

// The same with the checksum of the line's own bytes.
size_t wal_finish_line(uint8_t *out, uint8_t *at);

// --- decoding ---

struct wal_cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool ran_out;        // the input ended and all of it matched
    const char *wanted;  // what was expected instead, for messages
};

static inline struct wal_cursor wal_cursor_of(struct slice line) {
    return (struct wal_cursor){.at = line.data, .end = line.data + line.len};
}

static inline size_t wal_left(const struct wal_cursor *c) {
    return (size_t)(c->end - c->at);
}

// Each takes what it is named for. False: something else is there, or the input ended.
bool wal_take_text(struct wal_cursor *c, const char *text);
bool wal_take_u64(struct wal_cursor *c, uint64_t *value);
bool wal_take_crc(struct wal_cursor *c, uint32_t *value);
bool wal_take_hex(struct wal_cursor *c, size_t digits, struct slice *text, const char *wanted);
bool wal_take_string(struct wal_cursor *c, struct slice *s);  // up to its closing quote, which is not consumed
bool wal_take_id(struct wal_cursor *c, struct slice *id);     // an id or nothing, the same

// False, with what was wanted; for takers of other things.
bool wal_mismatch(struct wal_cursor *c, const char *wanted);
bool wal_ran_out(struct wal_cursor *c);

// The bytes that a line's checksum covers; the line has at least WAL_CRC_TAIL bytes.
struct slice wal_line_covers(struct slice line);

// Checks a line's last field against the bytes before it. ERR_WAL_CORRUPT.
enum error_code wal_check_crc(struct slice line, struct error *error);

#endif
