// A window over one segment file that holds the batch at hand, whatever the file's size: memory is bounded by the largest
// batch, not by what stands in the file.
#ifndef BATON_WAL_READER_H
#define BATON_WAL_READER_H

#include "base/buf.h"
#include "base/error.h"
#include "wal/io.h"

struct wal_reader {
    const struct wal_io *io;
    int fd;
    uint64_t size;  // of the file, when it was opened
    uint64_t at;    // where the batch at hand begins
    uint64_t base;  // where the window begins; not behind `at`
    struct buf window;
};

// What follows the batches.
struct wal_survey {
    uint64_t end;    // behind the last byte that is neither a newline nor zero
    uint64_t zeros;  // the first zero; the file's size if there is none
};

// Opens a segment for reading. *odd (static text) says what stands in its place if it is no regular file: then the code is
// ERR_WAL_CORRUPT. Else OK or ERR_IO.
enum error_code wal_reader_open(struct wal_reader *reader, const struct wal_io *io, int dir, uint64_t segment,
                                const char **odd, struct error *error);

// The file's descriptor goes; the window's memory stays for the next file, until buf_free(&reader->window).
void wal_reader_close(struct wal_reader *reader);

// Everything before `at` is done with.
void wal_reader_advance(struct wal_reader *reader, uint64_t at);

// The line at `offset`, without its newline; borrowed until the next call. *ended: the file ends without its newline.
// OK, ERR_WAL_CORRUPT (longer than WAL_LINE_MAX), ERR_IO.
enum error_code wal_reader_line(struct wal_reader *reader, uint64_t offset, struct slice *line, bool *ended,
                                struct error *error);

// The bytes [at, to), fewer if the file ends; the caller has limited their number. Borrowed. OK or ERR_IO.
enum error_code wal_reader_bytes(struct wal_reader *reader, uint64_t to, struct slice *bytes, struct error *error);

// Looks at everything from `at` to the file's end, or until there is more than any batch could be. OK or ERR_IO.
enum error_code wal_reader_survey(struct wal_reader *reader, struct wal_survey *survey, struct error *error);

#endif
