// Reading a file of divergent entries: divergent_file.h. It is one batch, but may be larger than a batch of the log can be,
// so it is read line by line.
#include "cmd/divergent_file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/crc32c.h"
#include "verbs/summary.h"
#include "wal/line.h"
#include "wal/reader.h"
#include "wal/record.h"

enum { WHERE_MAX = 256 };  // bytes of a path in a message, so that what follows it is not cut

struct reading {
    struct wal_reader file;
    struct raft_entry_id last;
    uint32_t crc;  // of all lines so far
    struct raft_slab *slab;
    struct buf summary;
    log_file_taker *take;
    void *self;
    bool ended;  // after the mark, or as the taker wants no more
};

static enum error_code take_header(struct reading *r, const struct wal_record *record, struct error *error) {
    if (record->kind != WAL_RECORD_HEADER) {
        return error_set(error, ERR_WAL_CORRUPT, "no header");
    }
    r->last = record->header.base;
    return OK;
}

static void give(struct reading *r, const struct raft_entry *entry) {
    buf_clear(&r->summary);
    summarize_entry(entry, &r->summary);
    struct pb_log_entry given = {
        .index = entry->id.index,
        .term = entry->id.term,
        .type = entry->type,
        .command = raft_entry_command(entry),
        .summary = buf_slice(&r->summary),
    };
    r->ended = !r->take(r->self, &given);
}

static enum error_code take_entry(struct reading *r, const struct wal_record *record, struct error *error) {
    struct raft_entry_id id = record->entry.id;
    struct slice command = record->entry.command;
    if (id.index - 1 != r->last.index) {
        return error_set(error, ERR_WAL_GAP, "entry %" PRIu64 " follows entry %" PRIu64, id.index, r->last.index);
    }
    if (id.term < r->last.term) {
        return error_set(error, ERR_WAL_CORRUPT, "the term falls from %" PRIu64 " to %" PRIu64, r->last.term, id.term);
    }
    if (wal_command_len(command) > COMMAND_MAX) {
        return error_set(error, ERR_WAL_CORRUPT, "the command is longer than %d bytes", COMMAND_MAX);
    }
    struct raft_entry *entry = raft_entry_new(r->slab, record->entry.type, id, wal_command_len(command));
    if (entry == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for an entry");
    }
    enum error_code code = OK;
    if (base64_decode(entry->data, (const char *)command.data, command.len) == (ssize_t)entry->len) {
        give(r, entry);
    } else {
        code = error_set(error, ERR_WAL_CORRUPT, "the command is not base64");
    }
    raft_entry_unref(entry);
    r->last = id;
    return code;
}

static enum error_code take_mark(struct reading *r, const struct wal_mark *mark, struct slice line, struct error *error) {
    struct slice covered = wal_line_covers(line);
    if (mark->batch != 1 || mark->bytes != r->file.at) {
        return error_set(error, ERR_WAL_CORRUPT, "the mark is of other lines: of %" PRIu64 " bytes, not %" PRIu64,
                         mark->bytes, r->file.at);
    }
    if (crc32c(r->crc, covered.data, covered.len) != mark->crc) {
        return error_set(error, ERR_WAL_CORRUPT, "the mark's checksum does not match the lines before it");
    }
    if (r->file.at + line.len + 1 != r->file.size) {
        return error_set(error, ERR_WAL_CORRUPT, "something follows the mark");
    }
    r->ended = true;
    return OK;
}

static enum error_code take_line(struct reading *r, uint64_t number, struct error *error) {
    struct slice line;
    struct wal_record record;
    bool cut;
    enum error_code code = wal_reader_line(&r->file, r->file.at, &line, &cut, error);
    if (code == OK && cut) {
        code = error_set(error, ERR_WAL_CORRUPT, "the file ends before its mark: lines are missing");
    }
    if (code == OK) {
        code = wal_record_decode(line, &record, error);
    }
    if (code == OK && number == 1) {
        code = take_header(r, &record, error);
    } else if (code == OK && record.kind == WAL_RECORD_ENTRY) {
        code = take_entry(r, &record, error);
    } else if (code == OK && record.kind == WAL_RECORD_MARK) {
        code = take_mark(r, &record.mark, line, error);
    } else if (code == OK && record.kind == WAL_RECORD_HARD_STATE) {
        code = error_set(error, ERR_INVALID,
                         "a term and vote: this is a segment of a log, not a file that batond --rejoin has kept; batond "
                         "--dump-wal reads it");
    } else if (code == OK) {
        code = error_set(error, ERR_WAL_CORRUPT, "a second header");
    }
    if (code == OK) {
        r->crc = crc32c(crc32c(r->crc, line.data, line.len), "\n", 1);
        wal_reader_advance(&r->file, r->file.at + line.len + 1);
    } else if (number == 1 && code == ERR_WAL_CORRUPT) {
        struct error reason = *error;
        error_set(error, code, "%s; is it a file that batond --rejoin has kept?", reason.message);
    }
    return code;
}

// Puts "WAL_CORRUPT FILE:line" before the reason.
static enum error_code located(const char *path, uint64_t line, struct error *error) {
    size_t len = strlen(path);
    const char *where = len <= WHERE_MAX ? path : path + len - WHERE_MAX;
    return error_wrap(error, "%s %s:%" PRIu64, error_name(error->code), where, line);
}

enum error_code divergent_file_read(const char *path, log_file_taker *take, void *self, struct error *error) {
    struct reading r = {.file.fd = -1, .take = take, .self = self};
    const char *odd = NULL;
    char *resolved = realpath(path, NULL);  // the reader follows no symbolic links
    enum error_code code =
        wal_reader_open_file(&r.file, &wal_io_system, AT_FDCWD, resolved != NULL ? resolved : path, &odd, error);
    free(resolved);
    if (odd != NULL) {
        return error_set(error, ERR_INVALID, "%s is %s, not a file that batond --rejoin has kept", path, odd);
    }
    r.slab = raft_slab_new();
    for (uint64_t line = 1; code == OK && !r.ended; line++) {
        code = take_line(&r, line, error);
        if (code != OK) {
            located(path, line, error);
        }
    }
    wal_reader_close(&r.file);
    buf_free(&r.file.window);
    buf_free(&r.summary);
    raft_slab_free(r.slab);
    return code;
}
