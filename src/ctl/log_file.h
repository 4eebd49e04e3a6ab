// What `log --file` needs to know of a file that batond --rejoin has kept: entries of the log, which only other rooms can
// read.
#ifndef BATON_CTL_LOG_FILE_H
#define BATON_CTL_LOG_FILE_H

#include "base/error.h"
#include "baton/v1/control.pb.h"

// Given an entry, borrowed for the call. False: wants no more.
typedef bool log_file_taker(void *self, const struct pb_log_entry *entry);

// Given by the program (struct ctl). Reads the file and gives its entries to `take`, in their order, each once its line is
// verified: what damage leaves of the file is still read up to it. OK: all of the file is verified, or `take` wants no more.
// ERR_WAL_CORRUPT or ERR_WAL_GAP with FILE:line, ERR_WAL_VERSION, ERR_INVALID (not such a file), ERR_NO_MEMORY, ERR_IO.
typedef enum error_code log_file_reader(const char *path, log_file_taker *take, void *self, struct error *error);

#endif
