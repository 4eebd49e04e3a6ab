// Reads a file of divergent entries (cmd/divergent.h) for batonctl, whose own room knows no files of the log.
#ifndef BATON_CMD_DIVERGENT_FILE_H
#define BATON_CMD_DIVERGENT_FILE_H

#include "ctl/log_file.h"

// A log_file_reader.
enum error_code divergent_file_read(const char *path, log_file_taker *take, void *self, struct error *error);

#endif
