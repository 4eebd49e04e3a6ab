// Quoting for JSON and logfmt, which differ only in how they escape what has no short escape.
#include "base/quote.h"

#include "base/ids.h"

// Whether the sequence of len bytes at the start of s is printable: valid, and not a control character (C0, DEL, or C1,
// which is c2 80 to c2 9f).
static bool is_printable(struct slice s, size_t len) {
    if (len == 0 || s.data[0] < 0x20 || s.data[0] == 0x7f) {
        return false;
    }
    return !(len == 2 && s.data[0] == 0xc2 && s.data[1] < 0xa0);
}

static bool is_plain_ascii(uint8_t c) {
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

// The letter after the backslash for characters with a short escape, the same in both formats; 0 for others.
static char short_escape(uint8_t c) {
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

// Escapes a sequence of len bytes that is not printable; len 0: one byte that is not UTF-8.
typedef void append_escaped(struct buf *out, struct slice s, size_t len);

static void append_escaped_json(struct buf *out, struct slice s, size_t len) {
    if (len == 0) {
        buf_append_str(out, "\\ufffd");
    } else {
        buf_printf(out, "\\u%04x", s.data[len - 1]);  // of c2 NN, U+00NN
    }
}

static void append_escaped_logfmt(struct buf *out, struct slice s, size_t len) {
    for (size_t i = 0; i < (len == 0 ? 1 : len); i++) {
        buf_printf(out, "\\x%02x", s.data[i]);
    }
}

static void quote(struct buf *out, struct slice s, append_escaped *escape) {
    buf_append_str(out, "\"");
    size_t copied = 0;  // bytes already in `out`; printable runs are copied at once
    for (size_t at = 0; at < s.len;) {
        if (is_plain_ascii(s.data[at])) {  // the common case
            at++;
            continue;
        }
        struct slice rest = slice_of(s.data + at, s.len - at);
        size_t len = utf8_sequence(rest);
        size_t step = len == 0 ? 1 : len;
        char letter = short_escape(rest.data[0]);
        if (letter != 0 || !is_printable(rest, len)) {
            buf_append(out, s.data + copied, at - copied);
            if (letter != 0) {
                buf_append(out, (char[]){'\\', letter}, 2);
            } else {
                escape(out, rest, len);
            }
            copied = at + step;
        }
        at += step;
    }
    if (copied < s.len) {
        buf_append(out, s.data + copied, s.len - copied);
    }
    buf_append_str(out, "\"");
}

void quote_json(struct buf *out, struct slice s) {
    quote(out, s, append_escaped_json);
}

void quote_logfmt(struct buf *out, struct slice s) {
    quote(out, s, append_escaped_logfmt);
}

bool quote_logfmt_bare(struct slice s) {
    for (size_t at = 0; at < s.len;) {
        struct slice rest = slice_of(s.data + at, s.len - at);
        size_t len = utf8_sequence(rest);
        uint8_t c = rest.data[0];
        if (!is_printable(rest, len) || c == ' ' || c == '=' || c == '"' || c == '\\') {
            return false;
        }
        at += len;
    }
    return s.len > 0;
}
