// The parts of lines: wal/line.h.
#include "wal/line.h"

#include <assert.h>

#include "base/crc32c.h"
#include "base/ids.h"

// --- encoding ---

uint8_t *wal_put_u64(uint8_t *at, uint64_t value) {
    uint8_t digits[WAL_U64_DIGITS];
    size_t first = sizeof digits;
    do {
        digits[--first] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    return wal_put(at, digits + first, sizeof digits - first);
}

uint8_t *wal_put_hex(uint8_t *at, uint32_t value) {
    for (int shift = 28; shift >= 0; shift -= 4) {
        *at++ = (uint8_t) "0123456789abcdef"[value >> shift & 15];
    }
    return at;
}

size_t wal_put_tail(uint8_t *out, uint8_t *at, uint32_t crc) {
    at = WAL_PUT(at, WAL_CRC_KEY);
    at = wal_put_hex(at, crc);
    at = WAL_PUT(at, "\"}\n");
    return (size_t)(at - out);
}

size_t wal_finish_line(uint8_t *out, uint8_t *at) {
    return wal_put_tail(out, at, crc32c(0, out, (size_t)(at - out)));
}

// --- decoding ---

bool wal_mismatch(struct wal_cursor *c, const char *wanted) {
    c->wanted = wanted;
    return false;
}

bool wal_ran_out(struct wal_cursor *c) {
    c->ran_out = true;
    return wal_mismatch(c, "the line ends early");
}

bool wal_take_text(struct wal_cursor *c, const char *text) {
    size_t len = strlen(text);
    size_t common = wal_left(c) < len ? wal_left(c) : len;
    if (memcmp(c->at, text, common) != 0) {
        return wal_mismatch(c, text);
    }
    c->at += common;
    return common == len ? true : wal_ran_out(c);
}

bool wal_take_u64(struct wal_cursor *c, uint64_t *value) {
    const uint8_t *first = c->at;
    uint64_t v = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*c->at - '0'), &v) ||
            (c->at > first && *first == '0')) {
            return wal_mismatch(c, "a number below 2^64 without leading zeros");
        }
    }
    *value = v;
    return c->at == c->end ? wal_ran_out(c) : c->at > first ? true : wal_mismatch(c, "a number");
}

// A digit's value; NO_DIGIT for other characters. A table, since whether the next digit is a letter cannot be predicted.
enum { NO_DIGIT = 16 };

static const uint8_t hex_values[256] = {
    [0 ... '0' - 1] = NO_DIGIT,
    ['0'] = 0,
    ['1'] = 1,
    ['2'] = 2,
    ['3'] = 3,
    ['4'] = 4,
    ['5'] = 5,
    ['6'] = 6,
    ['7'] = 7,
    ['8'] = 8,
    ['9'] = 9,
    ['9' + 1 ... 'a' - 1] = NO_DIGIT,
    ['a'] = 10,
    ['b'] = 11,
    ['c'] = 12,
    ['d'] = 13,
    ['e'] = 14,
    ['f'] = 15,
    ['f' + 1 ... 255] = NO_DIGIT,
};

bool wal_take_crc(struct wal_cursor *c, uint32_t *value) {
    *value = 0;
    for (int i = 0; i < WAL_CRC_DIGITS; i++, c->at++) {
        if (c->at == c->end) {
            return wal_ran_out(c);
        }
        uint8_t digit = hex_values[*c->at];
        if (digit == NO_DIGIT) {
            return wal_mismatch(c, "eight digits of 0-9 a-f");
        }
        *value = *value << 4 | digit;
    }
    return true;
}

bool wal_take_string(struct wal_cursor *c, struct slice *s) {
    const uint8_t *quote = memchr(c->at, '"', wal_left(c));
    const uint8_t *end = quote != NULL ? quote : c->end;
    *s = slice_of(c->at, (size_t)(end - c->at));
    c->at = end;
    return quote != NULL ? true : wal_ran_out(c);
}

bool wal_take_id(struct wal_cursor *c, struct slice *id) {
    bool whole = wal_take_string(c, id);
    if (id->len > 0 && id_check(*id, "id", NULL) != OK) {
        c->ran_out = false;
        return wal_mismatch(c, "an id");
    }
    return whole;
}

bool wal_take_hex(struct wal_cursor *c, size_t digits, struct slice *text, const char *wanted) {
    const uint8_t *first = c->at;
    for (size_t i = 0; i < digits; i++, c->at++) {
        if (c->at == c->end) {
            return wal_ran_out(c);
        }
        if (!(*c->at >= '0' && *c->at <= '9') && !(*c->at >= 'a' && *c->at <= 'f')) {
            return wal_mismatch(c, wanted);
        }
    }
    *text = slice_of(first, digits);
    return true;
}

struct slice wal_line_covers(struct slice line) {
    assert(line.len >= WAL_CRC_TAIL);
    return slice_of(line.data, line.len - WAL_CRC_TAIL);
}

enum error_code wal_check_crc(struct slice line, struct error *error) {
    struct wal_cursor c = {.at = line.data + (line.len < WAL_CRC_TAIL ? 0 : line.len - WAL_CRC_TAIL),
                           .end = line.data + line.len};
    uint32_t said;
    if (!wal_take_text(&c, WAL_CRC_KEY) || !wal_take_crc(&c, &said) || !wal_take_text(&c, "\"}")) {
        return error_set(error, ERR_WAL_CORRUPT, "the line does not end in a checksum");
    }
    uint32_t is = crc32c(0, line.data, line.len - WAL_CRC_TAIL);
    if (is != said) {
        return error_set(error, ERR_WAL_CORRUPT, "checksum mismatch: the line says %08x, its bytes give %08x", said, is);
    }
    return OK;
}
