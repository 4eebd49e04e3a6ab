// A window over one file, a segment or an image, that holds the current batch or line: memory is bounded by the largest of
// these, not by the file.
#ifndef BATON_WAL_READER_H
#define BATON_WAL_READER_H

#include "base/buf.h"
#include "base/error.h"
#include "wal/io.h"

struct wal_reader {
    const struct wal_io *io;
    int fd;
    uint64_t size;            // of the file, when it was opened
    int64_t written_unix_ms;  // the file, last
    uint64_t at;              // where the current batch begins
    uint64_t base;            // where the window begins; <= at
    struct buf window;
};

// What follows the batches.
struct wal_survey {
    uint64_t end;    // after the last byte that is neither a newline nor zero
    uint64_t zeros;  // the first zero; the file's size if there is none
};

// Opens the file of this name in `dir` for reading. If it is not a regular file, *odd (static text) names what it is, and
// the code is ERR_WAL_CORRUPT. Otherwise OK or ERR_IO.
enum error_code wal_reader_open_file(struct wal_reader *reader, const struct wal_io *io, int dir, const char *name,
                                     const char **odd, struct error *error);

// The same of a segment.
enum error_code wal_reader_open(struct wal_reader *reader, const struct wal_io *io, int dir, uint64_t segment,
                                const char **odd, struct error *error);

// A hint that all of the open file will be read soon.
void wal_reader_ahead(const struct wal_reader *reader);

// Closes the file. The window's memory is reused for the next file; free it with buf_free(&reader->window).
void wal_reader_close(struct wal_reader *reader);

// Moves on: the bytes before `at` are no longer needed.
void wal_reader_advance(struct wal_reader *reader, uint64_t at);

// The line at `offset` without its newline, borrowed until the next call. *ended: the file ends before its newline.
// OK, ERR_WAL_CORRUPT (longer than WAL_LINE_MAX), ERR_IO.
enum error_code wal_reader_line(struct wal_reader *reader, uint64_t offset, struct slice *line, bool *ended,
                                struct error *error);

// The bytes [at, to), fewer if the file ends; borrowed. The caller bounds their number. OK or ERR_IO.
enum error_code wal_reader_bytes(struct wal_reader *reader, uint64_t to, struct slice *bytes, struct error *error);

// Examines the file from `at` to its end, or until there are more bytes than any batch has. OK or ERR_IO.
enum error_code wal_reader_survey(struct wal_reader *reader, struct wal_survey *survey, struct error *error);

#endif
