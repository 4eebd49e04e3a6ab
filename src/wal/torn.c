// The rule for torn batches, on bytes in memory.
#include "wal/torn.h"

#include "wal/record.h"

struct torn {
    struct slice bytes;
    uint64_t offset;
    uint64_t batch;
    bool hole;    // newlines where there were bytes
    bool marked;  // the batch's mark is present
    bool alone;   // a newline alone at a sector's beginning may be a hole, too
};

static size_t sector_end(const struct torn *t, size_t at) {
    size_t end = at + (size_t)(WAL_SECTOR - (t->offset + at) % WAL_SECTOR);
    return end < t->bytes.len ? end : t->bytes.len;
}

// The end of the line or of the fragment, whichever is first.
static size_t line_end(const struct torn *t, size_t at, size_t to) {
    const uint8_t *newline = memchr(t->bytes.data + at, '\n', to - at);
    return newline != NULL ? (size_t)(newline - t->bytes.data) : to;
}

// A complete line must be what the writer wrote, and a mark must be this batch's and end it.
static bool whole_line_fits(struct torn *t, size_t at, size_t end) {
    struct wal_record record;
    if (wal_record_decode(slice_of(t->bytes.data + at, end - at), &record, NULL) != OK) {
        return false;
    }
    if (record.kind == WAL_RECORD_MARK) {
        t->marked = true;
        return record.mark.batch == t->batch && record.mark.bytes == at && end == t->bytes.len;
    }
    return record.kind != WAL_RECORD_HEADER || t->offset + at == 0;
}

// What remains of a line whose beginning is in the hole before the fragment: its end, or a piece followed by another hole.
// In a line, an opening brace occurs only first and a closing one only last.
static bool rest_of_line_fits(const struct torn *t, size_t at, size_t end, size_t to) {
    struct slice piece = slice_of(t->bytes.data + at, end - at);
    bool ended = end < to && piece.len > 0;
    return wal_record_is_piece(piece) && (!ended || piece.data[piece.len - 1] == '}');
}

// Bytes between two holes, or between a hole and an end.
static bool fragment_fits(struct torn *t, size_t from, size_t to) {
    size_t at = from;
    if (from > 0 && t->bytes.data[from] != '{') {
        size_t end = line_end(t, at, to);
        if (!rest_of_line_fits(t, at, end, to)) {
            return false;
        }
        at = end + 1;
    }
    while (at < to) {
        size_t end = line_end(t, at, to);
        bool whole = end < to || t->bytes.data[end - 1] == '}';
        if (whole ? !whole_line_fits(t, at, end) : !wal_record_is_prefix(slice_of(t->bytes.data + at, end - at))) {
            return false;
        }
        at = end + 1;
    }
    return true;
}

// Newlines from a sector's beginning on, as a crash leaves them: all of the sector, or some, where a repair's write took
// only part of it.
static size_t newlines_at(const struct torn *t, size_t at) {
    size_t end = sector_end(t, at);
    size_t to = at;
    while (to < end && t->bytes.data[to] == '\n') {
        to++;
    }
    return to - at;
}

// One newline alone may be a line's end, or a flipped bit: it is no proof.
static bool is_hole(const struct torn *t, size_t at, size_t newlines) {
    return newlines >= 2 || (newlines == 1 && sector_end(t, at) == at + 1);
}

static size_t hole_at(const struct torn *t, size_t at) {
    size_t newlines = newlines_at(t, at);
    return is_hole(t, at, newlines) || t->alone ? newlines : 0;
}

static bool fragments_fit(struct torn *t) {
    for (size_t at = 0; at < t->bytes.len;) {
        size_t hole = hole_at(t, at);
        if (hole > 0) {
            t->hole = t->hole || is_hole(t, at, hole);
            at += hole;
            continue;
        }
        size_t end = sector_end(t, at);
        while (end < t->bytes.len && hole_at(t, end) == 0) {
            end = sector_end(t, end);
        }
        if (!fragment_fits(t, at, end)) {
            return false;
        }
        at = end;
    }
    return true;
}

bool wal_is_torn_batch(struct slice bytes, uint64_t offset, uint64_t batch) {
    struct torn t = {.bytes = bytes, .offset = offset, .batch = batch};
    if (fragments_fit(&t)) {
        return t.hole || !t.marked;
    }
    // A repair's write may have taken one byte of a sector. A mark may be what lacks that byte, so the proof is elsewhere.
    t = (struct torn){.bytes = bytes, .offset = offset, .batch = batch, .alone = true};
    return fragments_fit(&t) && (t.hole || bytes.data[bytes.len - 1] != '}');
}
