// The entries that a node of an old generation has beyond the last one that it shares with the new one, kept in a file for a
// person to read. docs/wal-format.md has its format: that of a segment with one batch, without the hard state.
#ifndef BATON_CMD_DIVERGENT_H
#define BATON_CMD_DIVERGENT_H

#include "cmd/stopped.h"

enum { DIVERGENT_NAME_SIZE = sizeof "divergent-g-18446744073709551615-18446744073709551615-18446744073709551615.log" };

// Writes the entries from `first` on to a file in the data directory, which is durable when this returns OK; an earlier one
// of that name is replaced. `name`: what it is called. ERR_NO_SPACE, ERR_IO.
enum error_code divergent_write(const struct stopped *stopped, raft_index first, char name[DIVERGENT_NAME_SIZE],
                                struct error *error);

#endif
