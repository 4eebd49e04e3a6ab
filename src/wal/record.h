// The log's lines, their encoder and their decoder. docs/wal-format.md describes them for readers of the files.
//
// A line has exactly one form: fields in a fixed order, no white space, numbers without leading zeros, base64 with padding.
// Any deviation (duplicate keys, another order, a number beyond 64 bits, another type) is damage: only the encoder below
// writes these files.
//
// Every line ends in `,"crc":"xxxxxxxx"}`, a CRC-32C of the bytes before it; a batch mark's covers the whole batch.
#ifndef BATON_WAL_RECORD_H
#define BATON_WAL_RECORD_H

#include "base/error.h"
#include "raft/raft.h"

enum {
    WAL_FORMAT_VERSION = 2,  // of what is written. 1, of version 0.1.0: headers without an incarnation
};

// The most bytes that the encoders write, newline included.
enum {
    WAL_HEADER_LINE_MAX = 448,
    WAL_HARD_STATE_LINE_MAX = 160,
    WAL_MARK_LINE_MAX = 96,
    WAL_ENTRY_FRAME_MAX = 128,  // an entry's line without its command
};

// Opens a segment.
struct wal_header {
    struct slice cluster_id;
    struct slice node_id;
    struct slice incarnation;  // of the data directory: INCARNATION_DIGITS digits of 0-9 a-f; empty in version 1
    uint64_t segment;
    uint64_t generation;
    // The entry before the segment's first one: the log's last one when the segment was begun, or, if it is another, the
    // last one of the image after which the log begins anew here. {0, 0}: none.
    struct raft_entry_id base;
    uint32_t prev;  // `crc` of the last mark of the previous segment; 0: this is the first
};

// Ends a batch.
struct wal_mark {
    uint64_t batch;  // 1, 2, 3, ... through all segments
    uint64_t bytes;  // of the batch's lines before the mark, newlines included
    uint32_t crc;
};

enum wal_record_kind { WAL_RECORD_HEADER, WAL_RECORD_HARD_STATE, WAL_RECORD_ENTRY, WAL_RECORD_MARK };

// A decoded line. Slices point into it.
struct wal_record {
    enum wal_record_kind kind;
    union {
        struct wal_header header;
        struct {
            raft_term term;
            struct slice voted_for;  // empty: no vote
        } hard_state;
        struct {
            struct raft_entry_id id;
            enum raft_entry_type type;
            struct slice command;  // base64, its characters not yet checked
        } entry;
        struct wal_mark mark;
    };
};

// Each writes one line with its newline and returns its length.
size_t wal_put_header(uint8_t *out, const struct wal_header *header);
size_t wal_put_hard_state(uint8_t *out, const struct raft_hard_state *hard_state);
size_t wal_put_entry(uint8_t *out, const struct raft_entry *entry);

// `crc`: the checksum of the batch's lines so far, continued from the previous mark's. *mark_crc: this mark's.
size_t wal_put_mark(uint8_t *out, uint64_t batch, uint64_t bytes, uint32_t crc, uint32_t *mark_crc);

// The most bytes that wal_put_entry writes.
size_t wal_entry_line_max(const struct raft_entry *entry);

// Decodes one line (without its newline): checks its checksum, then its form. The caller checks a mark's checksum (see
// wal_line_covers). ERR_WAL_CORRUPT or ERR_WAL_VERSION; the message is only the reason.
enum error_code wal_record_decode(struct slice line, struct wal_record *record, struct error *error);

// Checks the form only, for a line that was decoded before. False: it is malformed.
bool wal_record_parse(struct slice line, struct wal_record *record);

// Whether these are the first bytes of a valid line, but not all of it.
bool wal_record_is_prefix(struct slice bytes);

// Whether these bytes may occur inside a line.
bool wal_record_is_piece(struct slice bytes);

// The decoded length of a command in base64, if it is well-formed.
size_t wal_command_len(struct slice base64);

#endif
