// The structured log: one line per event on standard error, in logfmt or JSON.
//
//   time=2026-11-23T05:06:07.123Z level=INFO node=n1 msg="n1 transitioned from Follower to Candidate (term 3)" from=Follower
//     to=Candidate term=3 event=role-changed
//
// Values are quoted where needed and control characters escaped, so that an event is always one line. Only the loop's thread
// logs; a line is one write.
#ifndef BATON_BASE_SLOG_H
#define BATON_BASE_SLOG_H

#include "base/array.h"
#include "base/buf.h"

enum slog_level { SLOG_DEBUG, SLOG_INFO, SLOG_WARN, SLOG_ERROR };
enum slog_format { SLOG_LOGFMT, SLOG_JSON };

struct slog_field {
    const char *key;
    enum { SLOG_TEXT, SLOG_BYTES, SLOG_U64, SLOG_I64, SLOG_DOUBLE, SLOG_BOOL } kind;
    union {
        const char *text;
        struct slice bytes;
        uint64_t u64;
        int64_t i64;
        double number;
        bool boolean;
    };
};

#define F_STR(k, v)    ((struct slog_field){.key = (k), .kind = SLOG_TEXT, .text = (v)})
#define F_BYTES(k, v)  ((struct slog_field){.key = (k), .kind = SLOG_BYTES, .bytes = (v)})
#define F_U64(k, v)    ((struct slog_field){.key = (k), .kind = SLOG_U64, .u64 = (v)})
#define F_I64(k, v)    ((struct slog_field){.key = (k), .kind = SLOG_I64, .i64 = (v)})
#define F_DOUBLE(k, v) ((struct slog_field){.key = (k), .kind = SLOG_DOUBLE, .number = (v)})
#define F_BOOL(k, v)   ((struct slog_field){.key = (k), .kind = SLOG_BOOL, .boolean = (v)})

// Called once, at start. `node` is added to every line unless NULL, and must stay valid.
void slog_setup(enum slog_level level, enum slog_format format, const char *node);

bool slog_enabled(enum slog_level level);

// Gets every line, also one that is not written because of its level or of their number. Fields are borrowed.
typedef void slog_observer(void *user, const char *event, const char *message, const struct slog_field *fields,
                           size_t count);

// One at a time; NULL: none.
void slog_observe(slog_observer *observer, void *user);

// Keeps the last `bytes` of what is written, in memory; called once. slog_kept appends it, from the beginning of a line.
void slog_keep(size_t bytes);
void slog_kept(struct buf *out);

// Whether a line of this level goes anywhere.
bool slog_wanted(enum slog_level level);

// The lines of one call of slog. Of each kind at most LOG_PER_SECOND are written a second: peers and clients can cause some
// of them at will. Zero-initialized is ready to use.
struct slog_kind {
    uint64_t second;
    unsigned count;       // lines within it
    uint64_t suppressed;  // since the last line, which the next one tells
};

// Whether a line of this kind may be written now.
bool slog_allowed(struct slog_kind *kind, uint64_t now_ms);
bool slog_allowed_now(struct slog_kind *kind);

// Tells the observer, and writes the line if it is enabled and allowed now.
void slog_emit(struct slog_kind *kind, enum slog_level level, const char *event, const char *message,
               const struct slog_field *fields, size_t count);

void slog_write(struct slog_kind *kind, enum slog_level level, const char *event, const char *message,
                const struct slog_field *fields, size_t count);

// A line of level info, with its newline, for another place than the log: as slog would write it, at any level and without a
// limit. Borrowed until the next line of either.
struct slice slog_line(const char *event, const char *message, const struct slog_field *fields, size_t count);

// slog(SLOG_INFO, "listening", "this node listens", F_STR("address", a), F_U64("port", p));
//
// The event is the line's name for programs. It stays when the message's words change, and docs/operations.md lists it.
#define slog(level, event, message, ...)                                                                                    \
    do {                                                                                                                    \
        static struct slog_kind slog_kind_;                                                                                 \
        if (slog_wanted(level)) {                                                                                           \
            const struct slog_field slog_fields_[] = {__VA_ARGS__ __VA_OPT__(, ){.key = NULL}};                             \
            slog_emit(&slog_kind_, (level), (event), (message), slog_fields_, ARRAY_COUNT(slog_fields_) - 1);               \
        }                                                                                                                   \
    } while (0)

// Parse "debug", "info", "warn", "error"; "logfmt", "json". False for anything else.
bool slog_level_parse(const char *text, enum slog_level *level);
bool slog_format_parse(const char *text, enum slog_format *format);

#endif
