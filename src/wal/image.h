// Images (snapshots) of the state machine on the disk: one file for each, written beside the log, and read back.
//
// The file is newline-delimited JSON, like the log:
//
//   header  {"v":1,"cluster":"demo","generation":1,"index":N,"term":T,"configuration_index":C,"configuration":"<base64>",
//            "crc":"xxxxxxxx"}
//   records {"item":{...},"crc":"xxxxxxxx"}: JSON objects of the caller's, in its order; what they say is nothing to this
//   room mark    {"records":R,"bytes":B,"digest":"<16 hex>","crc":"xxxxxxxx"}
//
// A line's `crc` is the CRC-32C of its bytes before `,"crc"`, the mark's that of all bytes of the file before it. `bytes` is
// the length of the lines before the mark. Nothing local is in an image, so the image of one index has the same bytes on
// every node, and a transfer can go on from another node.
//
// Its name is its last entry: snap/<index, 16 digits>-<term>.snap. It is written under a name that ends in .tmp, synced,
// renamed, and the directory synced: a file with an image's name is whole, or was damaged later.
#ifndef BATON_WAL_IMAGE_H
#define BATON_WAL_IMAGE_H

#include "base/buf.h"
#include "base/error.h"
#include "raft/raft.h"
#include "wal/directory.h"
#include "wal/reader.h"

enum {
    WAL_IMAGE_VERSION = 1,
    WAL_IMAGE_INDEX_DIGITS = 16,
    WAL_IMAGE_FRAME_MAX = 32,   // bytes of a record's line beside its members
    WAL_IMAGE_ENDS_MAX = 1024,  // of header and mark beside the configuration, which is there in base64
    WAL_IMAGE_NAME_SIZE = sizeof "18446744073709551615-18446744073709551615.snap.part",
};

struct wal_image_header {
    struct slice cluster_id;
    uint64_t generation;
    struct raft_entry_id last;       // the last entry that the image covers
    raft_index configuration_index;  // of the configuration entry in force there
    struct slice configuration;      // that entry's command
};

void wal_image_name(char name[WAL_IMAGE_NAME_SIZE], struct raft_entry_id last);
void wal_image_part_name(char name[WAL_IMAGE_NAME_SIZE], struct raft_entry_id last);  // while it arrives

// False: not an image's name, but for what follows ".snap", which *rest points to.
bool wal_image_parse_name(const char *name, struct raft_entry_id *last, const char **rest);

// --- writing ---

struct wal_image_writer;

// Begins an image. `dir` is borrowed until the end. `room`: bytes that must be free on the disk beforehand, so that an image
// is not begun that the disk cannot hold. ERR_NO_SPACE (nothing was written), ERR_IO.
enum error_code wal_image_begin(const struct wal_directory *dir, const struct wal_image_header *header, uint64_t room,
                                struct wal_image_writer **writer, struct error *error);

// Adds a record: the members of its JSON object, without the braces, at most WAL_LINE_MAX less a line's frame. ERR_NO_SPACE,
// ERR_IO: the image must be given up.
enum error_code wal_image_add(struct wal_image_writer *writer, struct slice members, struct error *error);

// Completes the image: it is durable under its name when this returns OK. Frees the writer in any case; on failure nothing
// is left under the image's name. *bytes: the file's size.
enum error_code wal_image_finish(struct wal_image_writer *writer, uint64_t digest, uint64_t *bytes, struct error *error);

// Gives it up: removes what was written, and frees the writer.
void wal_image_abandon(struct wal_image_writer *writer);

// --- reading ---

struct wal_image_reader {
    struct wal_reader file;
    char where[256];  // "snap/<name>", or the end of another path
    uint64_t line;
    uint64_t records;
    uint32_t crc;        // of all bytes so far
    struct buf decoded;  // the configuration
};

// Opens an image and reads its header, whose slices are borrowed until the next call. ERR_SNAP_CORRUPT with file:line,
// ERR_WAL_VERSION (written by a newer version), ERR_IO.
enum error_code wal_image_open(const struct wal_directory *dir, struct raft_entry_id last, struct wal_image_reader *reader,
                               struct wal_image_header *header, struct error *error);

// The same of an image in a file of any name, such as a backup: header->last is what the file says.
enum error_code wal_image_open_file(const char *path, struct wal_image_reader *reader, struct wal_image_header *header,
                                    struct error *error);

// The members of the next record, borrowed until the next call. Data NULL: that was the last one; the mark and the whole
// file are verified, and *digest is the mark's. Errors as above.
enum error_code wal_image_next(struct wal_image_reader *reader, struct slice *members, uint64_t *digest,
                               struct error *error);

// Reads and verifies all of an image. Errors as above.
enum error_code wal_image_verify(const struct wal_directory *dir, struct raft_entry_id last, struct error *error);

// Puts file and line before the message of an error in the record just read, and makes it ERR_SNAP_CORRUPT.
enum error_code wal_image_blame(const struct wal_image_reader *reader, struct error *error);

void wal_image_close(struct wal_image_reader *reader);

// --- receiving one from another node, in the order of its bytes ---

// Opens the part of this image that has arrived so far, or begins one, for writing at *size. It lies in snap/ under the
// image's name and .part, also after a restart; it is not synced until it is whole. ERR_IO, ERR_NO_SPACE.
enum error_code wal_image_open_part(const struct wal_directory *dir, struct raft_entry_id last, int *fd, uint64_t *size,
                                    struct error *error);

// A part that an earlier process has left; index 0: there is none. ERR_IO.
enum error_code wal_image_find_part(const struct wal_directory *dir, struct raft_entry_id *last, struct error *error);

// As wal_image_open, of a part that is whole.
enum error_code wal_image_read_part(const struct wal_directory *dir, struct raft_entry_id last,
                                    struct wal_image_reader *reader, struct wal_image_header *header, struct error *error);

// Makes a part that was read and found whole the image: durable under its name on return. ERR_IO.
enum error_code wal_image_adopt_part(const struct wal_directory *dir, struct raft_entry_id last, struct error *error);

// Removes all parts but that of `kept` (index 0: all). ERR_IO.
enum error_code wal_images_drop_parts(const struct wal_directory *dir, struct raft_entry_id kept, struct error *error);

// --- all images of a directory ---

// The images by name, newest first; the caller frees *list (NULL: none). ERR_IO.
enum error_code wal_images(const struct wal_directory *dir, struct raft_entry_id **list, size_t *count, struct error *error);

// Removes the image, if it is there; the removal is durable on return. ERR_IO.
enum error_code wal_image_remove(const struct wal_directory *dir, struct raft_entry_id last, struct error *error);

// Removes files of images that were never completed. ERR_IO.
enum error_code wal_images_tidy(const struct wal_directory *dir, struct error *error);

#endif
