// write(2) until all is taken: base/write.h.
#include "base/write.h"

#include <errno.h>
#include <unistd.h>

bool write_whole(int fd, struct slice bytes) {
    while (bytes.len > 0) {
        ssize_t written = write(fd, bytes.data, bytes.len);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return false;
        }
        bytes = slice_of(bytes.data + written, bytes.len - (size_t)written);
    }
    return true;
}
