// batond --restore: begins a new generation of a cluster from a backup.
#ifndef BATON_CMD_RESTORE_H
#define BATON_CMD_RESTORE_H

#include "node/config.h"

// Writes the backup in `file` and the configuration entry of the next generation, with the members of config->peers, into
// the data directory, which must be empty, or left by an interrupted restore of the same backup. The entry follows from the
// backup and the members, so that all nodes of the new cluster begin alike. Says on stdout what it has done.
//
// A crash at any time leaves a directory that the same command completes, or that is complete; no node starts from one that
// is not. ERR_INVALID: the directory is not empty, or an id among the members was removed once; ERR_FOREIGN: of another
// cluster; ERR_SNAP_CORRUPT with file:line, ERR_WAL_VERSION, ERR_UNKNOWN_COMMAND: of the backup; ERR_BUSY, ERR_NO_SPACE,
// ERR_IO.
enum error_code restore_backup(const char *file, const struct node_config *config, struct error *error);

#endif
