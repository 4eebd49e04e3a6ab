// Checksums for lines that have been changed: lines.h.
#include "lines.h"

#include <inttypes.h>

#include "base/crc32c.h"
#include "wal/line.h"

static struct slice next_line(struct slice *text) {
    const uint8_t *end = memchr(text->data, '\n', text->len);
    size_t len = end == NULL ? text->len : (size_t)(end - text->data) + 1;
    struct slice line = slice_of(text->data, len);
    *text = slice_of(text->data + len, text->len - len);
    return line;
}

static bool begins(struct slice line, const char *with) {
    return slice_starts_with(line, slice_of_str(with));
}

// The line up to its checksum; nothing: it has none.
static struct slice covered(struct slice line) {
    size_t len = line.len > 0 && line.data[line.len - 1] == '\n' ? line.len - 1 : line.len;
    if (len < WAL_CRC_TAIL || memcmp(line.data + len - WAL_CRC_TAIL, WAL_CRC_KEY, sizeof WAL_CRC_KEY - 1) != 0) {
        return slice_of(NULL, 0);
    }
    return slice_of(line.data, len - WAL_CRC_TAIL);
}

// Ends the line that begins at `from` of `out`; `crc` is what its checksum goes on from.
static uint32_t put_tail(struct buf *out, size_t from, uint32_t crc) {
    crc = crc32c(crc, out->data + from, out->len - from);
    buf_printf(out, "%s%08" PRIx32 "\"}\n", WAL_CRC_KEY, crc);
    return crc;
}

static void put_header(struct slice head, uint32_t prev, struct buf *out) {
    static const char key[] = "\"prev\":\"";
    size_t from = out->len;
    buf_append_slice(out, head);
    uint8_t *found = memmem(out->data + from, head.len, key, sizeof key - 1);
    if (found != NULL && out->data + out->len - found >= (ptrdiff_t)(sizeof key - 1 + WAL_CRC_DIGITS)) {
        wal_put_hex(found + sizeof key - 1, prev);
    }
    put_tail(out, from, 0);
}

void lines_mend_segment(struct slice text, bool counts, struct lines_chain *chain, struct buf *out) {
    size_t batch = out->len;
    while (text.len > 0) {
        struct slice line = next_line(&text);
        struct slice head = covered(line);
        size_t from = out->len;
        if (head.len == 0) {
            buf_append_slice(out, line);
        } else if (begins(head, "{\"batch\":")) {
            chain->batch++;
            if (counts) {
                buf_printf(out, "{\"batch\":%" PRIu64 ",\"bytes\":%zu", chain->batch, from - batch);
            } else {
                buf_append_slice(out, head);
            }
            chain->crc = put_tail(out, batch, chain->crc);
            batch = out->len;
        } else if (begins(head, "{\"v\":")) {
            put_header(head, chain->crc, out);
        } else {
            buf_append_slice(out, head);
            put_tail(out, from, 0);
        }
    }
}

void lines_mend_image(struct slice text, const char *digest, struct buf *out) {
    size_t first = out->len;
    uint64_t records = 0;
    while (text.len > 0) {
        struct slice line = next_line(&text);
        struct slice head = covered(line);
        size_t from = out->len;
        if (head.len == 0) {
            buf_append_slice(out, line);
        } else if (begins(head, "{\"records\":")) {
            const char *given = digest != NULL ? digest : "0000000000000000";
            buf_printf(out, "{\"records\":%" PRIu64 ",\"bytes\":%zu,\"digest\":\"%s\"", records, from - first, given);
            put_tail(out, first, 0);
        } else {
            records += from > first;
            buf_append_slice(out, head);
            put_tail(out, from, 0);
        }
    }
}
