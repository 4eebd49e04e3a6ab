// The structured log: one line per event on standard error, in logfmt or JSON.
//
//   time=2026-11-23T05:06:07.123Z level=INFO node=n1 msg="n1 transitioned from Follower to Candidate (term 3)" from=Follower
//
// Values are quoted where needed and control characters escaped, so that an event is always one line. Only the loop's thread
// logs; a line is one write.
#ifndef BATON_BASE_SLOG_H
#define BATON_BASE_SLOG_H

#include "base/array.h"
#include "base/slice.h"

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

void slog_write(enum slog_level level, const char *message, const struct slog_field *fields, size_t count);

// slog(SLOG_INFO, "listening", F_STR("address", a), F_U64("port", p));
#define slog(level, message, ...)                                                                                           \
    do {                                                                                                                    \
        if (slog_enabled(level)) {                                                                                          \
            const struct slog_field slog_fields_[] = {__VA_ARGS__ __VA_OPT__(, ){.key = NULL}};                             \
            slog_write((level), (message), slog_fields_, ARRAY_COUNT(slog_fields_) - 1);                                    \
        }                                                                                                                   \
    } while (0)

// A rate limit for lines that a peer or client can cause at will: at most LOG_PER_SECOND a second. Zero-initialized is ready
// to use.
struct slog_limit {
    uint64_t second;
    unsigned count;  // lines within it
    uint64_t suppressed;
};

// Whether to log now; *suppressed is then the number of lines dropped since the last one.
bool slog_allowed(struct slog_limit *limit, uint64_t now_ms, uint64_t *suppressed);

// Parse "debug", "info", "warn", "error"; "logfmt", "json". False for anything else.
bool slog_level_parse(const char *text, enum slog_level *level);
bool slog_format_parse(const char *text, enum slog_format *format);

#endif
