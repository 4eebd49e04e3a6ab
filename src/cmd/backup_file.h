// Reads a backup for batonctl, whose own room knows no images.
#ifndef BATON_CMD_BACKUP_FILE_H
#define BATON_CMD_BACKUP_FILE_H

#include "ctl/backup_contents.h"

// A backup_reader.
enum error_code backup_file_read(const char *path, bool whole, struct backup_contents *contents, struct error *error);

#endif
