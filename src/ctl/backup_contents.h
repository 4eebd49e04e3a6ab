// What the commands about backups need to know of the file: an image, which only other rooms can read.
#ifndef BATON_CTL_BACKUP_CONTENTS_H
#define BATON_CTL_BACKUP_CONTENTS_H

#include "base/error.h"
#include "wire/configuration.h"

struct backup_contents {
    uint64_t index;  // of the last entry that it covers
    uint64_t term;
    uint64_t bytes;
    uint64_t digest;  // of the state, as the file states it
    uint64_t keys;
    uint64_t workers;
    uint64_t sessions;
    struct wire_configuration configuration;  // the members, the cluster and its generation
};

// Given by the program (struct ctl). `whole`: loads the state, too, and compares its digest, which takes as much memory as a
// node's; otherwise checksums and counts are verified. ERR_SNAP_CORRUPT with file:line, ERR_WAL_VERSION, ERR_UNKNOWN_COMMAND
// (made by a newer version), ERR_IO.
typedef enum error_code backup_reader(const char *path, bool whole, struct backup_contents *contents, struct error *error);

#endif
