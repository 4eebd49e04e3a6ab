// The audit log: node/audit.h.
#include "node/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/slog.h"
#include "base/write.h"

// A change whose outcome is not known yet.
struct note {
    struct note *next;  // of the same index: its call has ended, and the index belongs to another one now
    uint32_t generation;
    uint64_t revision;
    const char *method;
    char *who;  // the identity; empty: without TLS there is none
    char *from;
    struct buf what;
};

struct audit {
    const char *file;
    int fd;
    struct note **notes;  // by the index of the call
    size_t cap;
    struct buf due;
    uint64_t due_lines;
    uint64_t lost;  // lines, since the last one that was written
};

// --- the file ---

static bool is_standard_error(const struct audit *audit) {
    return strcmp(audit->file, "-") == 0;
}

static int open_file(const char *file) {
    return open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
}

enum error_code audit_open(const char *file, struct audit **out, struct error *error) {
    struct audit *audit = mem_zalloc(sizeof *audit);
    audit->file = file;
    audit->fd = is_standard_error(audit) ? STDERR_FILENO : open_file(file);
    if (audit->fd < 0) {
        enum error_code code = error_set(error, ERR_INVALID, "cannot open the audit log %s: %s", file, strerror(errno));
        free(audit);
        return code;
    }
    *out = audit;
    return OK;
}

void audit_sample(struct audit *audit) {
    struct stat ours, there;
    if (audit == NULL || is_standard_error(audit)) {
        return;
    }
    bool same = fstat(audit->fd, &ours) == 0 && stat(audit->file, &there) == 0 && ours.st_dev == there.st_dev &&
                ours.st_ino == there.st_ino;
    int fd = same ? -1 : open_file(audit->file);
    if (fd >= 0) {
        close(audit->fd);
        audit->fd = fd;
    }
}

static void add_line(struct audit *audit, const char *message, const struct slog_field *fields, size_t count) {
    buf_append_slice(&audit->due, slog_line("audit", message, fields, count));
    audit->due_lines++;
}

void audit_flush(struct audit *audit) {
    if (audit == NULL || audit->due_lines == 0) {
        return;
    }
    if (audit->lost > 0) {
        const struct slog_field fields[] = {F_U64("lost", audit->lost)};
        struct slice line = slog_line("audit", "lines could not be written and are lost", fields, ARRAY_COUNT(fields));
        if (write_whole(audit->fd, line)) {
            audit->lost = 0;
        }
    }
    if (!write_whole(audit->fd, buf_slice(&audit->due))) {
        int reason = errno;
        audit->lost += audit->due_lines;
        slog(SLOG_ERROR, "audit-failed", "cannot write the audit log: lines are lost", F_STR("file", audit->file),
             F_STR("reason", strerror(reason)), F_U64("lost", audit->lost));
    }
    buf_clear(&audit->due);
    audit->due_lines = 0;
}

// --- notes ---

static struct note **place_of(struct audit *audit, struct rpc_call call) {
    if (audit == NULL || call.index >= audit->cap) {
        return NULL;
    }
    struct note **place = &audit->notes[call.index];
    while (*place != NULL && (*place)->generation != call.generation) {
        place = &(*place)->next;
    }
    return *place == NULL ? NULL : place;
}

static void free_note(struct note *note) {
    free(note->who);
    free(note->from);
    buf_free(&note->what);
    free(note);
}

void audit_begin(struct audit *audit, struct rpc_call call, struct rpc_peer peer, const char *method, struct slice what) {
    if (audit == NULL || call.generation == 0 || place_of(audit, call) != NULL) {
        return;
    }
    while (audit->cap <= call.index) {
        size_t before = audit->cap;
        array_reserve(audit->notes, audit->cap, (size_t)call.index + 1);
        memset(&audit->notes[before], 0, (audit->cap - before) * sizeof(struct note *));
    }
    struct note *note = mem_zalloc(sizeof *note);
    *note = (struct note){
        .next = audit->notes[call.index],
        .generation = call.generation,
        .method = method,
        .who = mem_strdup(peer.identity == NULL ? "" : peer.identity),
        .from = mem_strdup(peer.address == NULL ? "" : peer.address),
    };
    buf_append_slice(&note->what, what);
    audit->notes[call.index] = note;
}

void audit_what(struct audit *audit, struct rpc_call call, struct slice what) {
    struct note **place = place_of(audit, call);
    if (place != NULL) {
        buf_clear(&(*place)->what);
        buf_append_slice(&(*place)->what, what);
    }
}

void audit_revision(struct audit *audit, struct rpc_call call, uint64_t revision) {
    struct note **place = place_of(audit, call);
    if (place != NULL) {
        (*place)->revision = revision;
    }
}

void audit_end(struct audit *audit, struct rpc_call call, const char *outcome) {
    struct note **place = place_of(audit, call);
    if (place == NULL) {
        return;
    }
    struct note *note = *place;
    *place = note->next;
    const struct slog_field fields[] = {
        F_STR("who", note->who),     F_STR("from", note->from),
        F_STR("call", note->method), F_BYTES("what", buf_slice(&note->what)),
        F_STR("outcome", outcome),   F_U64("revision", note->revision),
    };
    add_line(audit, "a change was asked for", fields, ARRAY_COUNT(fields) - (note->revision == 0));
    free_note(note);
}

void audit_free(struct audit *audit) {
    if (audit == NULL) {
        return;
    }
    audit_flush(audit);
    for (size_t i = 0; i < audit->cap; i++) {
        for (struct note *note; (note = audit->notes[i]) != NULL;) {
            audit->notes[i] = note->next;
            free_note(note);
        }
    }
    if (!is_standard_error(audit)) {
        close(audit->fd);
    }
    free(audit->notes);
    buf_free(&audit->due);
    free(audit);
}
