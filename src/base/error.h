// One table of errors for all rooms. A function that can fail returns a code and fills a `struct error` whose message says
// what happened, to what, and what to do next; callers add context in front with error_wrap.
#ifndef BATON_BASE_ERROR_H
#define BATON_BASE_ERROR_H

#define BATON_ERRORS(X)                                                                                                     \
    X(OK, "ok")                                                                                                             \
    X(ERR_INVALID, "invalid input")       /* from a user, client or peer */                                                 \
    X(ERR_MALFORMED, "malformed message") /* bytes that do not decode */                                                    \
    X(ERR_TOO_LARGE, "too large")         /* a limit of base/limits.h */                                                    \
    X(ERR_NO_MEMORY, "no memory")         /* for a size chosen from outside */                                              \
    X(ERR_IO, "input/output error")       /* a system call failed */                                                        \
    X(ERR_NO_SPACE, "no space left")                                                                                        \
    X(ERR_BUSY, "in use by another process")                                                                                \
    X(ERR_WAL_CORRUPT, "WAL_CORRUPT")       /* damaged where it was durable */                                              \
    X(ERR_WAL_GAP, "WAL_GAP")               /* entries or segments are missing */                                           \
    X(ERR_SNAP_CORRUPT, "SNAP_CORRUPT")     /* an image damaged after it was durable */                                     \
    X(ERR_FOREIGN, "WAL_FOREIGN")           /* another cluster's or node's */                                               \
    X(ERR_OLD_GENERATION, "old generation") /* another's: the cluster has been founded anew since */                        \
    X(ERR_SUPERSEDED, "superseded")         /* this node's generation is the old one */                                     \
    X(ERR_FORBIDDEN, "forbidden")           /* the caller's certificate does not permit it */                               \
    X(ERR_WAL_VERSION, "WAL_VERSION")       /* written by a later version */                                                \
    X(ERR_STATE_DAMAGED, "STATE_DAMAGED")   /* in memory: it is not what its entries made of it */                          \
    X(ERR_UNKNOWN_COMMAND, "unknown command")                                                                               \
    X(ERR_UNAVAILABLE, "unavailable")

enum error_code {
#define X(code, text) code,
    BATON_ERRORS(X)
#undef X
};

enum { ERROR_MESSAGE_MAX = 512 };

struct error {
    enum error_code code;
    char message[ERROR_MESSAGE_MAX];  // NUL-terminated, cut if too long
};

// Fills *error (if not NULL) and returns code, so that `return error_set(...)` reads well.
enum error_code error_set(struct error *error, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Puts "context: " in front of the message, keeps the code and returns it. *error must be there and hold an error.
enum error_code error_wrap(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Why writing to a file failed, from errno: ERR_NO_SPACE, of the disk or a quota, or else ERR_IO.
enum error_code error_of_errno(int reason);

// The code's text in the table above.
const char *error_name(enum error_code code);

#endif
