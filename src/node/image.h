// Images of the state machine on the disk: joins the records of a version (state/image.h), their JSON (wire/json.h) and the
// files (wal/image.h). Nothing here needs a running node, or its thread.
#ifndef BATON_NODE_IMAGE_H
#define BATON_NODE_IMAGE_H

#include <stdatomic.h>

#include "state/image.h"
#include "wal/image.h"

// What must be free on the disk before an image is begun: a disk that an image fills has none left for the log.
struct image_room {
    uint64_t expected;  // bytes that the image takes at most, as far as is known. With less, it is measured, and may fit
    uint64_t spare;     // beside the image
};

// What the loop tells the thread that writes an image.
struct image_orders {
    atomic_bool cancelled;         // the image is to be given up
    atomic_uint_fast64_t applied;  // the last entry that was
    // What entries replace meanwhile is kept for the image. From this entry on that is so much that the image comes first.
    raft_index hurry_from;
};

// Writes the image of a version, which is durable when this returns OK. `orders` are read all the time: once cancelled, the
// image is given up with ERR_UNAVAILABLE; while entries are applied, processor and disk are left to them for most of the
// time. *bytes: the file's size. ERR_NO_SPACE, ERR_IO, ERR_STATE_DAMAGED (what the version holds is not what its digest
// says): nothing is left under the image's name.
enum error_code image_save(const struct wal_directory *dir, const struct wal_image_header *header,
                           const struct state_version *version, const struct image_room *room,
                           const struct image_orders *orders, uint64_t *bytes, struct error *error);

// A loaded image.
struct image {
    struct state *state;  // the caller's; NULL: nothing is loaded
    struct raft_entry_id last;
    uint64_t bytes;           // of the file
    int64_t written_unix_ms;  // the file
    uint64_t generation;
    char cluster_id[ID_MAX + 1];
    raft_index configuration_index;
    struct buf configuration;  // the command of its entry
};

// Loads and verifies the image that covers entries up to `last`. ERR_SNAP_CORRUPT with file:line, ERR_WAL_VERSION,
// ERR_UNKNOWN_COMMAND (made by a newer version), ERR_IO. Free *image in any case.
enum error_code image_load(const struct wal_directory *dir, struct raft_entry_id last, struct image *image,
                           struct error *error);

// The same of an image that has arrived from another node under its part's name.
enum error_code image_load_part(const struct wal_directory *dir, struct raft_entry_id last, struct image *image,
                                struct error *error);

// The same of an image in a file of any name, such as a backup.
enum error_code image_load_file(const char *path, struct image *image, struct error *error);

// Loads the newest image that is whole. Each one that is not is told to `skipped`, and only ERR_SNAP_CORRUPT is passed over.
// image->state NULL: there is none, or none is whole.
enum error_code image_load_newest(const struct wal_directory *dir, struct image *image,
                                  void (*skipped)(void *user, const struct error *error), void *user, struct error *error);

// The state is freed, too, unless the caller has taken it and set it to NULL.
void image_free(struct image *image);

#endif
