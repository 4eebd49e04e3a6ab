// The files in snap/, for the files of this room that read, write and receive images.
#ifndef BATON_WAL_IMAGE_FILES_H
#define BATON_WAL_IMAGE_FILES_H

#include "base/error.h"
#include "wal/directory.h"

// Calls visit(self, name, error) for each name in snap/, in order, until it returns another code than OK, which is returned.
// ERR_IO: they cannot be listed.
enum error_code wal_image_each(const struct wal_directory *dir,
                               enum error_code (*visit)(void *self, const char *name, struct error *error), void *self,
                               struct error *error);

// Turns errno into ERR_NO_SPACE or ERR_IO; the message names the operation and the file, and what to do.
enum error_code wal_image_failed(const struct wal_directory *dir, const char *doing, const char *name, struct error *error);

#endif
