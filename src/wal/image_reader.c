// Reading an image: wal/image.h.
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "wal/image.h"
#include "wal/line.h"

static enum error_code corrupt(const struct wal_image_reader *r, const char *reason, struct error *error) {
    return error_set(error, ERR_SNAP_CORRUPT, "SNAP_CORRUPT %s:%" PRIu64 ": %s", r->where, r->line, reason);
}

enum error_code wal_image_blame(const struct wal_image_reader *r, struct error *error) {
    struct error reason = *error;
    return corrupt(r, reason.message, error);
}

// The next line without its newline.
static enum error_code take_line(struct wal_image_reader *r, struct slice *line, struct error *error) {
    bool ended;
    enum error_code code = wal_reader_line(&r->file, r->file.at, line, &ended, error);
    r->line++;
    if (code == ERR_WAL_CORRUPT) {
        return wal_image_blame(r, error);
    }
    if (code != OK) {
        return error_wrap(error, "%s", r->where);
    }
    return ended ? corrupt(r, "the file ends early", error) : OK;
}

// Checks the line's checksum, and adds the line to the file's.
static enum error_code check_line(struct wal_image_reader *r, struct slice line, struct error *error) {
    if (wal_check_crc(line, error) != OK) {
        return wal_image_blame(r, error);
    }
    r->crc = crc32c(crc32c(r->crc, line.data, line.len), "\n", 1);
    wal_reader_advance(&r->file, r->file.at + line.len + 1);
    return OK;
}

static enum error_code malformed(const struct wal_image_reader *r, struct slice line, const struct wal_cursor *c,
                                 struct error *error) {
    error_set(error, ERR_SNAP_CORRUPT, "malformed line: byte %zu is not %s", (size_t)(c->at - line.data) + 1, c->wanted);
    return wal_image_blame(r, error);
}

static bool parse_header(struct wal_cursor *c, struct wal_image_header *header, struct slice *configuration) {
    return wal_take_text(c, "{\"v\":1,\"cluster\":\"") && wal_take_id(c, &header->cluster_id) &&
           wal_take_text(c, "\",\"generation\":") && wal_take_u64(c, &header->generation) &&
           wal_take_text(c, ",\"index\":") && wal_take_u64(c, &header->last.index) && wal_take_text(c, ",\"term\":") &&
           wal_take_u64(c, &header->last.term) && wal_take_text(c, ",\"configuration_index\":") &&
           wal_take_u64(c, &header->configuration_index) && wal_take_text(c, ",\"configuration\":\"") &&
           wal_take_string(c, configuration) && wal_take_text(c, "\"") &&
           (wal_left(c) == WAL_CRC_TAIL || wal_mismatch(c, "the end of the line"));
}

// As in the log, a header of every version begins with it and ends in a checksum.
static enum error_code check_version(const struct wal_image_reader *r, struct slice line, struct error *error) {
    struct wal_cursor c = wal_cursor_of(line);
    uint64_t version;
    if (wal_take_text(&c, "{\"v\":") && wal_take_u64(&c, &version) && version > WAL_IMAGE_VERSION) {
        return error_set(error, ERR_WAL_VERSION,
                         "%s: an image of format version %" PRIu64 "; this program knows up to %d: "
                         "use a newer one",
                         r->where, version, WAL_IMAGE_VERSION);
    }
    return OK;
}

static enum error_code take_header(struct wal_image_reader *r, struct wal_image_header *header, struct error *error) {
    struct slice line;
    enum error_code code = take_line(r, &line, error);
    if (code == OK) {
        code = check_line(r, line, error);
    }
    if (code == OK) {
        code = check_version(r, line, error);
    }
    if (code != OK) {
        return code;
    }
    struct wal_cursor c = wal_cursor_of(line);
    struct slice base64;
    if (!parse_header(&c, header, &base64)) {
        return malformed(r, line, &c, error);
    }
    uint8_t *decoded = buf_reserve(&r->decoded, base64.len + 3);
    ssize_t len = base64_decode(decoded, (const char *)base64.data, base64.len);
    if (len < 0) {
        return corrupt(r, "the configuration is not base64", error);
    }
    header->configuration = slice_of(decoded, (size_t)len);
    raft_index last = header->last.index;
    if (last == 0 || header->configuration_index == 0 || header->configuration_index > last) {
        return corrupt(r, "the configuration's entry does not lie in what the image covers", error);
    }
    return OK;
}

// r->where is set.
static enum error_code open_at(const struct wal_io *io, int dir, const char *name, struct wal_image_reader *r,
                               struct wal_image_header *header, struct error *error) {
    const char *odd = NULL;
    enum error_code code = wal_reader_open_file(&r->file, io, dir, name, &odd, error);
    if (odd != NULL) {
        error_set(error, ERR_SNAP_CORRUPT, "%s in place of an image", odd);
        r->line = 1;
        return wal_image_blame(r, error);
    }
    return code == OK ? take_header(r, header, error) : code;
}

static enum error_code open_named(const struct wal_directory *dir, const char *name, struct raft_entry_id last,
                                  struct wal_image_reader *r, struct wal_image_header *header, struct error *error) {
    *r = (struct wal_image_reader){.file.fd = -1};
    snprintf(r->where, sizeof r->where, "snap/%s", name);
    enum error_code code = open_at(dir->io, dir->snap, name, r, header, error);
    if (code == OK && (header->last.index != last.index || header->last.term != last.term)) {
        return corrupt(r, "the header names another entry than the file's name", error);
    }
    return code == ERR_IO ? error_wrap(error, "snap") : code;
}

enum error_code wal_image_open(const struct wal_directory *dir, struct raft_entry_id last, struct wal_image_reader *r,
                               struct wal_image_header *header, struct error *error) {
    char name[WAL_IMAGE_NAME_SIZE];
    wal_image_name(name, last);
    return open_named(dir, name, last, r, header, error);
}

enum error_code wal_image_read_part(const struct wal_directory *dir, struct raft_entry_id last, struct wal_image_reader *r,
                                    struct wal_image_header *header, struct error *error) {
    char name[WAL_IMAGE_NAME_SIZE];
    wal_image_part_name(name, last);
    return open_named(dir, name, last, r, header, error);
}

enum error_code wal_image_open_file(const char *path, struct wal_image_reader *r, struct wal_image_header *header,
                                    struct error *error) {
    *r = (struct wal_image_reader){.file.fd = -1};
    size_t len = strlen(path);
    size_t left_out = len < sizeof r->where ? 0 : len - sizeof r->where + 1;
    snprintf(r->where, sizeof r->where, "%s", path + left_out);
    char *resolved = realpath(path, NULL);  // the reader follows no symbolic links
    enum error_code code = open_at(&wal_io_system, AT_FDCWD, resolved != NULL ? resolved : path, r, header, error);
    free(resolved);
    return code;
}

static enum error_code take_mark(struct wal_image_reader *r, struct slice line, uint64_t *digest, struct error *error) {
    struct wal_cursor c = wal_cursor_of(line);
    uint64_t records;
    uint64_t bytes;
    struct slice hex;
    uint32_t said;
    bool whole = wal_take_text(&c, "{\"records\":") && wal_take_u64(&c, &records) && wal_take_text(&c, ",\"bytes\":") &&
                 wal_take_u64(&c, &bytes) && wal_take_text(&c, ",\"digest\":\"") &&
                 wal_take_hex(&c, 16, &hex, "a digest, 16 digits of 0-9 a-f") && wal_take_text(&c, "\"" WAL_CRC_KEY) &&
                 wal_take_crc(&c, &said) && wal_take_text(&c, "\"}") &&
                 (wal_left(&c) == 0 || wal_mismatch(&c, "the end of the line"));
    if (!whole) {
        return malformed(r, line, &c, error);
    }
    struct slice covered = wal_line_covers(line);
    if (crc32c(r->crc, covered.data, covered.len) != said) {
        return corrupt(r, "the file's checksum does not match its contents", error);
    }
    if (records != r->records || bytes != r->file.at) {
        return corrupt(r, "the mark has other numbers of records or bytes than the file", error);
    }
    if (r->file.at + line.len + 1 != r->file.size) {
        return corrupt(r, "something follows the mark", error);
    }
    *digest = strtoull((const char *)hex.data, NULL, 16);
    return OK;
}

enum error_code wal_image_next(struct wal_image_reader *r, struct slice *members, uint64_t *digest, struct error *error) {
    struct slice line;
    *members = slice_of(NULL, 0);
    enum error_code code = take_line(r, &line, error);
    if (code != OK) {
        return code;
    }
    if (slice_starts_with(line, slice_of_str("{\"records\":"))) {
        return take_mark(r, line, digest, error);
    }
    code = check_line(r, line, error);
    if (code != OK) {
        return code;
    }
    if (line.data[0] != '{' || line.len <= 1 + WAL_CRC_TAIL) {
        return corrupt(r, "not a record", error);
    }
    *members = slice_of(line.data + 1, line.len - 1 - WAL_CRC_TAIL);
    r->records++;
    return OK;
}

enum error_code wal_image_verify(const struct wal_directory *dir, struct raft_entry_id last, struct error *error) {
    struct wal_image_reader reader;
    struct wal_image_header header;
    struct slice members = slice_of(NULL, 0);
    uint64_t digest;
    enum error_code code = wal_image_open(dir, last, &reader, &header, error);
    do {
        code = code == OK ? wal_image_next(&reader, &members, &digest, error) : code;
    } while (code == OK && members.data != NULL);
    wal_image_close(&reader);
    return code;
}

void wal_image_close(struct wal_image_reader *r) {
    wal_reader_close(&r->file);
    buf_free(&r->file.window);
    buf_free(&r->decoded);
}
