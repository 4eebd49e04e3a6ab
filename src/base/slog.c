// The structured log. A line is built in a buffer that is kept from line to line and goes out with one write(2), so that
// lines of several processes on one terminal or pipe do not mix.
//
// logfmt: a value stands bare, or in double quotes with \" \\ \n \r \t, and \xNN for other control bytes and for bytes that
// are not UTF-8. JSON: its own escapes, \u00NN for control characters, U+FFFD for bytes that are not UTF-8.
#include "base/slog.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/rfc3339.h"

// The process's log. Only the loop's thread writes it.
static struct {
    enum slog_level level;
    enum slog_format format;
    const char *node;
    struct buf line;
} slog_state = {.level = SLOG_INFO};

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR"};

void slog_setup(enum slog_level level, enum slog_format format, const char *node) {
    slog_state.level = level;
    slog_state.format = format;
    slog_state.node = node;
}

bool slog_enabled(enum slog_level level) {
    return level >= slog_state.level;
}

// Whether the sequence at s is shown as it is: valid, and no control character (C0, DEL, or C1, which terminals obey too).
static bool is_plain(struct slice s, size_t len) {
    if (len == 0 || s.data[0] < 0x20 || s.data[0] == 0x7f) {
        return false;
    }
    return !(len == 2 && s.data[0] == 0xc2 && s.data[1] < 0xa0);
}

// The letter behind the backslash for characters that have one in both formats; 0 for others.
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

// One sequence of len bytes, or (len 0) one byte that begins none, that cannot stand as it is.
static void append_escaped(struct buf *line, struct slice s, size_t len) {
    char letter = short_escape(s.data[0]);
    if (letter != 0) {
        buf_append(line, (char[]){'\\', letter}, 2);
    } else if (slog_state.format == SLOG_LOGFMT) {
        for (size_t i = 0; i < (len == 0 ? 1 : len); i++) {
            buf_printf(line, "\\x%02x", s.data[i]);
        }
    } else if (len == 0) {
        buf_append_str(line, "\\ufffd");
    } else {
        buf_printf(line, "\\u%04x", s.data[len - 1]);  // the C1 control U+00NN is the bytes c2 NN
    }
}

static void append_quoted(struct buf *line, struct slice s) {
    buf_append_str(line, "\"");
    for (size_t at = 0; at < s.len;) {
        struct slice rest = slice_of(s.data + at, s.len - at);
        size_t len = utf8_sequence(rest);
        if (is_plain(rest, len) && rest.data[0] != '"' && rest.data[0] != '\\') {
            buf_append(line, rest.data, len);
        } else {
            append_escaped(line, rest, len);
        }
        at += len == 0 ? 1 : len;
    }
    buf_append_str(line, "\"");
}

// Whether logfmt can show s without quotes.
static bool is_bare(struct slice s) {
    for (size_t at = 0; at < s.len;) {
        struct slice rest = slice_of(s.data + at, s.len - at);
        size_t len = utf8_sequence(rest);
        uint8_t c = rest.data[0];
        if (!is_plain(rest, len) || c == ' ' || c == '=' || c == '"' || c == '\\') {
            return false;
        }
        at += len;
    }
    return s.len > 0;
}

static void append_text(struct buf *line, struct slice s) {
    bool cut = s.len > LOG_VALUE_MAX;
    if (cut) {
        s.len = LOG_VALUE_MAX;
    }
    if (slog_state.format == SLOG_LOGFMT && !cut && is_bare(s)) {
        buf_append_slice(line, s);
        return;
    }
    append_quoted(line, s);
    if (cut) {
        line->len--;
        buf_append_str(line, "...\"");
    }
}

static void append_key(struct buf *line, const char *key) {
    const char *separator = slog_state.format == SLOG_JSON ? (line->len == 0 ? "{\"" : ",\"") : (line->len == 0 ? "" : " ");
    buf_append_str(line, separator);
    buf_append_str(line, key);
    buf_append_str(line, slog_state.format == SLOG_JSON ? "\":" : "=");
}

static void append_field(struct buf *line, const struct slog_field *field) {
    append_key(line, field->key);
    switch (field->kind) {
    case SLOG_TEXT:
        append_text(line, slice_of_str(field->text == NULL ? "" : field->text));
        break;
    case SLOG_BYTES:
        append_text(line, field->bytes);
        break;
    case SLOG_U64:
        buf_append_u64(line, field->u64);
        break;
    case SLOG_I64:
        buf_printf(line, "%" PRId64, field->i64);
        break;
    case SLOG_DOUBLE:
        if (slog_state.format == SLOG_JSON && !isfinite(field->number)) {
            buf_append_str(line, "null");
        } else {
            buf_printf(line, "%.6g", field->number);
        }
        break;
    case SLOG_BOOL:
        buf_append_str(line, field->boolean ? "true" : "false");
        break;
    }
}

// A log that cannot be written must not stop the node: what a full non-blocking pipe does not take is lost.
static void write_line(const struct buf *line) {
    size_t done = 0;
    while (done < line->len) {
        ssize_t n = write(STDERR_FILENO, line->data + done, line->len - done);
        if (n < 0 && errno != EINTR) {
            return;
        }
        done += n < 0 ? 0 : (size_t)n;
    }
}

void slog_write(enum slog_level level, const char *message, const struct slog_field *fields, size_t count) {
    struct buf *line = &slog_state.line;
    char time[RFC3339_SIZE];
    rfc3339_format(time, unix_ms_now());
    buf_clear(line);
    append_field(line, &F_STR("time", time));
    append_field(line, &F_STR("level", level_names[level]));
    if (slog_state.node != NULL) {
        append_field(line, &F_STR("node", slog_state.node));
    }
    append_key(line, "msg");
    if (slog_state.format == SLOG_LOGFMT) {
        append_quoted(line, slice_of_str(message));  // always quoted, so that people and grep find it in one form
    } else {
        append_text(line, slice_of_str(message));
    }
    for (size_t i = 0; i < count; i++) {
        append_field(line, &fields[i]);
    }
    buf_append_str(line, slog_state.format == SLOG_JSON ? "}\n" : "\n");
    write_line(line);
}

static bool parse_name(const char *text, const char *const *names, size_t count, size_t *at) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, names[i]) == 0) {
            *at = i;
            return true;
        }
    }
    return false;
}

bool slog_level_parse(const char *text, enum slog_level *level) {
    static const char *const names[] = {"debug", "info", "warn", "error"};
    size_t at;
    bool known = parse_name(text, names, sizeof names / sizeof names[0], &at);
    if (known) {
        *level = (enum slog_level)at;
    }
    return known;
}

bool slog_format_parse(const char *text, enum slog_format *format) {
    static const char *const names[] = {"logfmt", "json"};
    size_t at;
    bool known = parse_name(text, names, sizeof names / sizeof names[0], &at);
    if (known) {
        *format = (enum slog_format)at;
    }
    return known;
}
