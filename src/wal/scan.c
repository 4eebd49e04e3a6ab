// The scan: batch by batch through each segment, segment by segment through the log.
//
// A batch counts once its mark is verified; only then does the visitor see its lines. After the last mark there is filling,
// a torn batch, or damage (wal/torn.h). Only the log's end may be incomplete. These are the endings that a crash can leave,
// where "segment" is a file with at least one complete batch:
//
//   segment                      complete
//   segment, blank               the next file was being prepared
//   segment torn                 a batch was being written
//   segment torn, blank          the same
//   segment, blank but torn      the batch being written was the next file's first
#include "wal/scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "wal/line.h"
#include "wal/reader.h"
#include "wal/torn.h"

struct scan {
    const struct wal_directory *dir;
    const struct wal_visitor *visitor;
    struct wal_log_end *end;

    bool has_want;
    struct wal_identity want;
    char cluster_id[ID_MAX];  // what `want` points to, if read from the first header
    char node_id[ID_MAX];

    uint64_t number;  // of the current segment
    bool begun;       // a header was accepted
    struct wal_reader reader;
    uint64_t line;  // number of the line at reader.at

    // The current batch as far as it has been read; copied to `end` once its mark is verified.
    uint64_t offset;
    uint64_t lines;
    uint32_t crc;
    struct raft_hard_state hard_state;
    struct raft_entry_id last;
    uint64_t generation;
    char incarnation[INCARNATION_DIGITS + 1];
};

// --- one line ---

// Puts "WAL_CORRUPT <file>:<line>" before the reason.
static enum error_code located(const struct scan *s, uint64_t line, struct error *error) {
    char name[WAL_SEGMENT_NAME_SIZE];
    wal_segment_name(name, s->number);
    return error_wrap(error, "%s %s/wal/%s:%" PRIu64, error_name(error->code), s->dir->path, name, line);
}

static enum error_code take_identity(struct scan *s, const struct wal_header *header, struct error *error) {
    if (!s->has_want) {
        memcpy(s->cluster_id, header->cluster_id.data, header->cluster_id.len);
        memcpy(s->node_id, header->node_id.data, header->node_id.len);
        s->want = (struct wal_identity){.cluster_id = slice_of(s->cluster_id, header->cluster_id.len),
                                        .node_id = slice_of(s->node_id, header->node_id.len)};
        s->has_want = true;
    }
    if (slice_equal(header->cluster_id, s->want.cluster_id) && slice_equal(header->node_id, s->want.node_id)) {
        return OK;
    }
    return error_set(error, ERR_FOREIGN,
                     "this log belongs to node %.*s of cluster %.*s, not to node %.*s of cluster %.*s; give that node's own "
                     "data directory",
                     (int)header->node_id.len, (const char *)header->node_id.data, (int)header->cluster_id.len,
                     (const char *)header->cluster_id.data, (int)s->want.node_id.len, (const char *)s->want.node_id.data,
                     (int)s->want.cluster_id.len, (const char *)s->want.cluster_id.data);
}

// A directory has one incarnation for ever; it has none while version 0.1.0 writes it. Its generation never falls.
static enum error_code take_incarnation(struct scan *s, const struct wal_header *header, struct error *error) {
    struct slice before = slice_of_str(s->end->incarnation);
    if (before.len > 0 && !slice_equal(header->incarnation, before)) {
        return error_set(error, ERR_WAL_CORRUPT, "the directory's incarnation changes from %s: files of two directories",
                         s->end->incarnation);
    }
    if (header->generation < s->end->generation) {
        return error_set(error, ERR_WAL_CORRUPT, "the generation falls from %" PRIu64 " to %" PRIu64, s->end->generation,
                         header->generation);
    }
    if (header->incarnation.len > 0) {
        memcpy(s->incarnation, header->incarnation.data, header->incarnation.len);
    }
    s->generation = header->generation;
    return OK;
}

// Segments before the first one that is read may be gone or skipped: what it follows is then taken from its header.
static enum error_code take_begin(struct scan *s, const struct wal_header *header, struct error *error) {
    bool founded = header->generation > 1;  // behind a restored image (src/cmd/restore.h)
    if (s->number == 1 && ((header->base.index != 0 && !founded) || header->prev != 0)) {
        return error_set(error, ERR_WAL_CORRUPT, "segment 1 says that a log lies before it");
    }
    s->end->chain = s->crc = header->prev;
    s->last = header->base;
    return OK;
}

static enum error_code take_header(struct scan *s, const struct wal_header *header, struct error *error) {
    enum error_code code = take_identity(s, header, error);
    if (code != OK) {
        return code;
    }
    if (header->segment != s->number) {
        return error_set(error, ERR_WAL_CORRUPT, "the file says that it is segment %" PRIu64, header->segment);
    }
    code = take_incarnation(s, header, error);
    if (code != OK) {
        return code;
    }
    if (!s->begun) {
        return take_begin(s, header, error);
    }
    if (header->prev != s->end->chain) {
        return error_set(error, ERR_WAL_CORRUPT,
                         "the chain is broken: the segment follows a mark %08x, but the last is %08x", header->prev,
                         s->end->chain);
    }
    bool follows = header->base.index == s->end->last.index && header->base.term == s->end->last.term;
    if (!follows && header->incarnation.len == 0) {  // version 1 knows no image after which the log could begin anew
        return error_set(error, ERR_WAL_GAP,
                         "the segment follows entry %" PRIu64 " of term %" PRIu64 ", but the log before it ends at %" PRIu64
                         " of term %" PRIu64,
                         header->base.index, header->base.term, s->end->last.index, s->end->last.term);
    }
    s->last = header->base;
    return OK;
}

// The term never falls, and there is one vote in a term.
static enum error_code take_hard_state(struct scan *s, raft_term term, struct slice voted_for, struct error *error) {
    const struct raft_id *before = &s->hard_state.voted_for;
    if (term < s->hard_state.current_term) {
        return error_set(error, ERR_WAL_CORRUPT, "the term falls from %" PRIu64 " to %" PRIu64, s->hard_state.current_term,
                         term);
    }
    if (term == s->hard_state.current_term && before->len > 0 && !slice_equal(voted_for, raft_id_slice(before))) {
        return error_set(error, ERR_WAL_CORRUPT, "the vote in term %" PRIu64 " changes from %s", term, before->text);
    }
    s->hard_state = (struct raft_hard_state){.current_term = term, .voted_for = raft_id_of(voted_for)};
    return OK;
}

static enum error_code take_entry(struct scan *s, struct raft_entry_id id, struct slice command, struct error *error) {
    if (id.index == 0) {
        return error_set(error, ERR_WAL_CORRUPT, "an entry has index 0");
    }
    if (id.term == 0 || id.term > s->hard_state.current_term) {
        return error_set(error, ERR_WAL_CORRUPT, "an entry of term %" PRIu64 " in term %" PRIu64, id.term,
                         s->hard_state.current_term);
    }
    if (id.index - 1 > s->last.index) {
        return error_set(error, ERR_WAL_GAP, "entries are missing: %" PRIu64 " follows %" PRIu64, id.index, s->last.index);
    }
    if (wal_command_len(command) > COMMAND_MAX) {
        return error_set(error, ERR_WAL_CORRUPT, "the command is longer than %d bytes", COMMAND_MAX);
    }
    s->last = id;
    return OK;
}

static enum error_code take_mark(struct scan *s, const struct wal_mark *mark, struct slice line, struct error *error) {
    uint64_t bytes = s->offset - s->reader.at;
    if (s->begun ? mark->batch != s->end->batch + 1 : mark->batch == 0 || (s->number == 1 && mark->batch != 1)) {
        return error_set(error, ERR_WAL_CORRUPT, "batch %" PRIu64 " follows batch %" PRIu64, mark->batch, s->end->batch);
    }
    if (mark->bytes != bytes) {
        return error_set(error, ERR_WAL_CORRUPT, "the mark says %" PRIu64 " bytes, the batch has %" PRIu64, mark->bytes,
                         bytes);
    }
    struct slice covered = wal_line_covers(line);
    uint32_t is = crc32c(s->crc, covered.data, covered.len);
    if (is != mark->crc) {
        return error_set(error, ERR_WAL_CORRUPT, "checksum mismatch: the mark says %08x, its batch gives %08x", mark->crc,
                         is);
    }
    s->crc = is;
    s->end->batch = mark->batch - 1;
    return OK;
}

static enum error_code take_line(struct scan *s, const struct wal_record *record, struct slice line, struct error *error) {
    enum wal_record_kind kind = record->kind;
    if ((kind == WAL_RECORD_HEADER) != (s->offset == 0)) {
        return error_set(error, ERR_WAL_CORRUPT, s->offset == 0 ? "no header" : "a header inside a segment");
    }
    if (s->reader.at == 0 && s->lines == 1 && kind != WAL_RECORD_HARD_STATE) {
        return error_set(error, ERR_WAL_CORRUPT, "no term and vote after the header");
    }
    switch (kind) {
    case WAL_RECORD_HEADER:
        return take_header(s, &record->header, error);
    case WAL_RECORD_HARD_STATE:
        return take_hard_state(s, record->hard_state.term, record->hard_state.voted_for, error);
    case WAL_RECORD_ENTRY:
        return take_entry(s, record->entry.id, record->entry.command, error);
    case WAL_RECORD_MARK:
        return take_mark(s, &record->mark, line, error);
    }
    return OK;
}

// --- one batch ---

// Reads and verifies up to the mark; s->offset is after its newline then.
static enum error_code read_batch(struct scan *s, struct error *error) {
    s->offset = s->reader.at;
    s->lines = 0;
    s->crc = s->end->chain;
    s->hard_state = s->end->hard_state;
    s->last = s->end->last;
    for (;;) {
        struct slice line;
        struct wal_record record;
        bool ended;
        enum error_code code = wal_reader_line(&s->reader, s->offset, &line, &ended, error);
        if (code == OK && line.len == 0) {
            // Or the file's end: what was read until there is a torn batch (judge_tail).
            code = error_set(error, ERR_WAL_CORRUPT, "an empty line inside a batch");
        }
        if (code == OK) {
            code = wal_record_decode(line, &record, error);
        }
        if (code == OK) {
            code = take_line(s, &record, line, error);
        }
        if (code != OK) {
            return located(s, s->line + s->lines, error);
        }
        s->lines++;
        s->offset += line.len + 1;
        if (record.kind == WAL_RECORD_MARK) {
            return OK;
        }
        // A line without a newline ends the file, so no mark follows and its checksum does not matter.
        s->crc = crc32c(s->crc, line.data, line.len + (ended ? 0 : 1));
        if (s->offset - s->reader.at > WAL_BATCH_MAX) {
            error_set(error, ERR_WAL_CORRUPT, "the batch is longer than %d bytes", WAL_BATCH_MAX);
            return located(s, s->line + s->lines, error);
        }
    }
}

// The first header, or one after which the log begins anew.
static void note_header(struct scan *s, const struct wal_header *header) {
    struct wal_log_end *end = s->end;
    bool follows = s->begun && header->base.index == end->last.index && header->base.term == end->last.term;
    if (!follows && s->begun) {
        end->anew_segment = s->number;
    }
    if (!follows) {
        s->visitor->begins(s->visitor->self, header->base);
    }
    s->begun = true;
    end->generation = s->generation;
    memcpy(end->incarnation, s->incarnation, sizeof end->incarnation);
}

// Calls the visitor for the batch that has just been verified.
static enum error_code visit_batch(struct scan *s, struct error *error) {
    uint64_t at = s->reader.at;
    for (uint64_t i = 0; i + 1 < s->lines; i++) {
        struct slice line;
        struct wal_record record;
        bool ended;
        enum error_code code = wal_reader_line(&s->reader, at, &line, &ended, error);
        if (code == OK && !wal_record_parse(line, &record)) {
            code = error_set(error, ERR_IO, "the file changes while it is read");
        }
        if (code == OK && record.kind == WAL_RECORD_HEADER) {
            note_header(s, &record.header);
        } else if (code == OK && record.kind == WAL_RECORD_ENTRY) {
            code = s->visitor->entry(s->visitor->self, &record, line, s->number, at, error);
        }
        if (code != OK) {
            return code == ERR_WAL_CORRUPT ? located(s, s->line + i, error) : code;
        }
        at += line.len + 1;
    }
    return OK;
}

static enum error_code accept_batch(struct scan *s, struct error *error) {
    enum error_code code = visit_batch(s, error);
    if (code != OK) {
        return code;
    }
    struct wal_log_end *end = s->end;
    assert(s->offset > s->reader.at && s->lines > 0);
    end->hard_state = s->hard_state;
    end->last = s->last;
    end->batch++;
    end->chain = s->crc;
    end->last_batch = s->reader.at;
    end->bytes += s->offset - s->reader.at;
    end->current.end = s->offset;
    s->line += s->lines;
    wal_reader_advance(&s->reader, s->offset);
    return OK;
}

// --- after the last mark ---

// `wrong` and `error` say why the bytes after the last mark are not a batch. OK if they are filling or a torn batch.
static enum error_code judge_tail(struct scan *s, enum error_code wrong, struct wal_survey *survey, struct error *error) {
    enum error_code code = wal_reader_survey(&s->reader, survey, error);
    uint64_t at = s->reader.at;
    if (code != OK) {
        return located(s, s->line, error);
    }
    // A newline always follows the last mark (wal_segment_fill), so zeros in its place are damage.
    bool erased = survey->zeros == at && at < s->reader.size;
    if (survey->end == at && !erased) {
        return OK;
    }
    struct slice bytes = slice_of(NULL, 0);
    if (survey->zeros >= s->reader.size && survey->end - at <= WAL_BATCH_MAX + WAL_MARK_LINE_MAX) {
        code = wal_reader_bytes(&s->reader, survey->end, &bytes, error);
        if (code != OK) {
            return located(s, s->line, error);
        }
        if (wal_is_torn_batch(bytes, at, s->end->batch + 1)) {
            return OK;
        }
    }
    if (wrong == OK) {
        error_set(error, ERR_WAL_CORRUPT, "unexpected bytes follow the last batch");
        return located(s, s->line, error);
    }
    return wrong;
}

static void note_torn(struct scan *s, uint64_t bytes) {
    struct wal_log_end *end = s->end;
    char name[WAL_SEGMENT_NAME_SIZE];
    wal_segment_name(name, s->number);
    snprintf(end->torn_where, sizeof end->torn_where, "wal/%s:%" PRIu64, name, s->line);
    end->torn_bytes = bytes;
}

// All batches of the current segment, and what follows them.
static enum error_code read_segment(struct scan *s, struct error *error) {
    enum error_code code = OK;
    struct slice next = slice_of(NULL, 0);
    for (;;) {
        code = wal_reader_bytes(&s->reader, s->reader.at + 1, &next, error);
        if (code != OK || next.len == 0 || next.data[0] == '\n') {
            break;
        }
        code = read_batch(s, error);
        if (code == OK) {
            code = accept_batch(s, error);
            if (code != OK) {
                return code;
            }
        } else {
            break;
        }
    }
    if (code != OK && code != ERR_WAL_CORRUPT && code != ERR_WAL_GAP) {
        return code;
    }
    struct wal_survey survey;
    code = judge_tail(s, code, &survey, error);
    if (code != OK) {
        return code;
    }
    uint64_t at = s->reader.at;
    if (survey.end > at) {
        note_torn(s, survey.end - at);
    }
    struct wal_segment *segment = at == 0 ? &s->end->next : &s->end->current;
    segment->number = s->number;
    segment->filled = survey.zeros;
    *(at == 0 ? &s->end->next_size : &s->end->current_size) = s->reader.size;
    return OK;
}

// --- the log ---

// A torn batch may be followed by one blank file, the next segment being prepared; a blank file by nothing.
static enum error_code read_blank(struct scan *s, struct error *error) {
    struct wal_survey survey;
    enum error_code code = wal_reader_survey(&s->reader, &survey, error);
    if (code != OK) {
        return located(s, 1, error);
    }
    if (s->end->next.number != 0) {
        error_set(error, ERR_WAL_GAP, "segment %" PRIu64 " before it holds nothing", s->end->next.number);
        return located(s, 1, error);
    }
    if (survey.end > 0 || (survey.zeros == 0 && s->reader.size > 0)) {
        return error_set(error, ERR_WAL_CORRUPT, "%s %s/%s: the batch is incomplete, but segment %" PRIu64 " follows",
                         error_name(ERR_WAL_CORRUPT), s->dir->path, s->end->torn_where, s->number);
    }
    s->end->next = (struct wal_segment){.fd = -1, .number = s->number, .filled = survey.zeros};
    s->end->next_size = s->reader.size;
    return OK;
}

static enum error_code scan_segment(struct scan *s, struct error *error) {
    bool ended = s->end->next.number != 0 || s->end->torn_bytes > 0;
    const char *odd = NULL;
    enum error_code code = wal_reader_open(&s->reader, s->dir->io, s->dir->wal, s->number, &odd, error);
    if (odd != NULL) {
        error_set(error, ERR_WAL_CORRUPT, "%s in place of a segment", odd);
        return located(s, 1, error);
    }
    if (code != OK) {
        return code;
    }
    s->line = 1;
    wal_reader_ahead(&s->reader);
    code = ended ? read_blank(s, error) : read_segment(s, error);
    wal_reader_close(&s->reader);
    return code;
}

bool wal_segment_base(const struct wal_directory *dir, uint64_t number, raft_index *base) {
    struct wal_reader reader = {.fd = -1};
    const char *odd = NULL;
    struct error error;
    struct slice line;
    struct wal_record record;
    bool ended;
    bool read = wal_reader_open(&reader, dir->io, dir->wal, number, &odd, &error) == OK &&
                wal_reader_line(&reader, 0, &line, &ended, &error) == OK && !ended &&
                wal_record_decode(line, &record, &error) == OK && record.kind == WAL_RECORD_HEADER;
    if (read) {
        *base = record.header.base.index;
    }
    wal_reader_close(&reader);
    buf_free(&reader.window);
    return read;
}

void wal_scan_ahead(const struct wal_directory *dir) {
    enum { NEWEST = 2 };
    uint64_t *numbers = NULL;
    size_t count = 0;
    struct error error;  // the scan will tell
    if (dir->wal >= 0) {
        (void)wal_directory_segments(dir, &numbers, &count, &error);
    }
    for (size_t i = 0; i < NEWEST && i < count; i++) {
        struct wal_reader reader = {.fd = -1};
        const char *odd = NULL;
        if (wal_reader_open(&reader, dir->io, dir->wal, numbers[count - 1 - i], &odd, &error) == OK) {
            wal_reader_ahead(&reader);
        }
        wal_reader_close(&reader);
    }
    free(numbers);
}

// The segment to begin with: the last of these whose base is not above `from`.
static size_t choose_first(const struct wal_directory *dir, raft_index from, const uint64_t *numbers, size_t count) {
    raft_index base;
    for (size_t i = count; from > 0 && i-- > 1;) {
        if (wal_segment_base(dir, numbers[i], &base) && base <= from) {
            return i;
        }
    }
    return 0;
}

static enum error_code check_sequence(struct scan *s, const uint64_t *numbers, size_t count, struct error *error) {
    for (size_t i = 1; i < count; i++) {
        if (numbers[i] != numbers[i - 1] + 1) {
            s->number = numbers[i];
            error_set(error, ERR_WAL_GAP, "segment %" PRIu64 " is missing", numbers[i - 1] + 1);
            return located(s, 1, error);
        }
    }
    return OK;
}

static struct scan scan_of(const struct wal_directory *dir, const struct wal_identity *want,
                           const struct wal_visitor *visitor, struct wal_log_end *end) {
    *end = (struct wal_log_end){.current.fd = -1, .next.fd = -1};
    struct scan s = {.dir = dir, .visitor = visitor, .end = end, .has_want = want != NULL, .reader.fd = -1};
    if (want != NULL) {
        s.want = *want;
    }
    return s;
}

static enum error_code scan_from(struct scan *s, size_t first, const uint64_t *numbers, size_t count, struct error *error) {
    enum error_code code = OK;
    s->end->first_segment = numbers[0];
    for (size_t i = first; code == OK && i < count; i++) {
        s->number = numbers[i];
        code = scan_segment(s, error);
        s->end->segments++;
    }
    buf_free(&s->reader.window);
    return code;
}

enum error_code wal_scan(const struct wal_directory *dir, const struct wal_identity *want, raft_index from,
                         const struct wal_visitor *visitor, struct wal_log_end *end, struct error *error) {
    struct scan s = scan_of(dir, want, visitor, end);
    if (dir->wal < 0) {
        return OK;
    }
    uint64_t *numbers;
    size_t count;
    enum error_code code = wal_directory_segments(dir, &numbers, &count, error);
    if (code != OK || count == 0) {
        return code;
    }
    code = check_sequence(&s, numbers, count, error);
    // Of a torn first batch the header may be whole. The segment holds nothing then: the log ends in one before it.
    for (size_t first = count; code == OK && !s.begun && first > 0;) {
        first = choose_first(dir, from, numbers, first);
        s = scan_of(dir, want, visitor, end);
        code = scan_from(&s, first, numbers, count, error);
    }
    if (code == OK && !s.begun && numbers[0] != 1) {
        error_set(error, ERR_WAL_GAP, "segment %" PRIu64 " is missing, and there is no batch after it", numbers[0] - 1);
        code = located(&s, 1, error);
    }
    assert(code != OK || end->next.number == 0 || end->current.number == 0 || end->next.number == end->current.number + 1);
    free(numbers);
    return code;
}
