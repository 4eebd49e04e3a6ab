// The structured log. A line is built in a buffer that is reused and written with one write(2), so that lines of several
// processes on one terminal or pipe do not interleave.
#include "base/slog.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <unistd.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/quote.h"
#include "base/rfc3339.h"

// The process's log. Only the loop's thread writes it.
static struct {
    enum slog_level level;
    enum slog_format format;
    const char *node;
    struct buf line;
    slog_observer *observer;
    void *observer_user;
    // A ring of what was written: kept_at is where the next byte goes.
    uint8_t *kept;
    size_t kept_cap;
    size_t kept_at;
    bool kept_full;
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

void slog_observe(slog_observer *observer, void *user) {
    slog_state.observer = observer;
    slog_state.observer_user = user;
}

bool slog_wanted(enum slog_level level) {
    return slog_enabled(level) || slog_state.observer != NULL;
}

// --- the lines kept ---

void slog_keep(size_t bytes) {
    assert(slog_state.kept == NULL && bytes > 0);
    slog_state.kept = mem_alloc(bytes);
    slog_state.kept_cap = bytes;
}

static void keep(const uint8_t *data, size_t len) {
    while (len > 0 && slog_state.kept != NULL) {
        size_t room = slog_state.kept_cap - slog_state.kept_at;
        size_t part = len < room ? len : room;
        memcpy(slog_state.kept + slog_state.kept_at, data, part);
        data += part;
        len -= part;
        slog_state.kept_at += part;
        if (slog_state.kept_at == slog_state.kept_cap) {
            slog_state.kept_at = 0;
            slog_state.kept_full = true;
        }
    }
}

void slog_kept(struct buf *out) {
    size_t begin = out->len;
    if (slog_state.kept_full) {
        buf_append(out, slog_state.kept + slog_state.kept_at, slog_state.kept_cap - slog_state.kept_at);
    }
    buf_append(out, slog_state.kept, slog_state.kept_at);
    const uint8_t *line = slog_state.kept_full ? memchr(out->data + begin, '\n', out->len - begin) : NULL;
    if (line != NULL) {  // the first one is cut
        size_t cut = (size_t)(line + 1 - (out->data + begin));
        memmove(out->data + begin, line + 1, out->len - begin - cut);
        out->len -= cut;
    }
}

// --- a line ---

static void append_quoted(struct buf *line, struct slice s) {
    if (slog_state.format == SLOG_JSON) {
        quote_json(line, s);
    } else {
        quote_logfmt(line, s);
    }
}

static void append_text(struct buf *line, struct slice s) {
    if (s.len > LOG_VALUE_MAX) {
        append_quoted(line, slice_of(s.data, LOG_VALUE_MAX));
        line->len--;
        buf_append_str(line, "...\"");
    } else if (slog_state.format == SLOG_LOGFMT && quote_logfmt_bare(s)) {
        buf_append_slice(line, s);
    } else {
        append_quoted(line, s);
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

// A log that cannot be written must not stop the node: what a full non-blocking pipe does not accept is dropped.
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

// All of the line but its event and its end.
static struct buf *begin_line(enum slog_level level, const char *message, const struct slog_field *fields, size_t count) {
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
    append_quoted(line, slice_of_str(message));  // always quoted, so that grep finds it in one form
    for (size_t i = 0; i < count; i++) {
        append_field(line, &fields[i]);
    }
    return line;
}

static void end_line(struct buf *line, const char *event) {
    append_field(line, &F_STR("event", event));
    buf_append_str(line, slog_state.format == SLOG_JSON ? "}\n" : "\n");
}

struct slice slog_line(const char *event, const char *message, const struct slog_field *fields, size_t count) {
    struct buf *line = begin_line(SLOG_INFO, message, fields, count);
    end_line(line, event);
    return buf_slice(line);
}

void slog_write(struct slog_kind *kind, enum slog_level level, const char *event, const char *message,
                const struct slog_field *fields, size_t count) {
    struct buf *line = begin_line(level, message, fields, count);
    if (kind->suppressed > 0) {
        append_field(line, &F_U64("suppressed", kind->suppressed));
        kind->suppressed = 0;
    }
    end_line(line, event);
    keep(line->data, line->len);
    write_line(line);
}

void slog_emit(struct slog_kind *kind, enum slog_level level, const char *event, const char *message,
               const struct slog_field *fields, size_t count) {
    if (slog_state.observer != NULL) {
        slog_state.observer(slog_state.observer_user, event, message, fields, count);
    }
    if (slog_enabled(level) && slog_allowed_now(kind)) {
        slog_write(kind, level, event, message, fields, count);
    }
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
    bool known = parse_name(text, names, ARRAY_COUNT(names), &at);
    if (known) {
        *level = (enum slog_level)at;
    }
    return known;
}

bool slog_format_parse(const char *text, enum slog_format *format) {
    static const char *const names[] = {"logfmt", "json"};
    size_t at;
    bool known = parse_name(text, names, ARRAY_COUNT(names), &at);
    if (known) {
        *format = (enum slog_format)at;
    }
    return known;
}

bool slog_allowed(struct slog_kind *kind, uint64_t now_ms) {
    if (now_ms / 1000 != kind->second) {
        kind->second = now_ms / 1000;
        kind->count = 0;
    }
    if (kind->count == LOG_PER_SECOND) {
        kind->suppressed++;
        return false;
    }
    kind->count++;
    return true;
}

bool slog_allowed_now(struct slog_kind *kind) {
    return slog_allowed(kind, (uint64_t)unix_ms_now());
}
