// Writing to files and pipes that are written from their beginning to their end.
#ifndef BATON_BASE_WRITE_H
#define BATON_BASE_WRITE_H

#include <stdbool.h>

#include "base/slice.h"

// Writes all of it, at the file's position. False: not all of it was taken, and errno says why.
bool write_whole(int fd, struct slice bytes);

#endif
