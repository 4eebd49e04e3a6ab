// Marks in the data directory: node/marks.h.
#include "node/marks.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static enum error_code failed(const char *data_dir, const char *mark, struct error *error) {
    int reason = errno;
    enum error_code code = error_of_errno(reason);
    return error_set(error, code, "marking %s/%s: %s; the data directory must be a writable directory of this user",
                     data_dir, mark, strerror(reason));
}

enum error_code mark_find(const char *data_dir, const char *mark, bool *found, struct error *error) {
    int dir = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        return failed(data_dir, mark, error);
    }
    *found = faccessat(dir, mark, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    enum error_code code = *found || errno == ENOENT ? OK : failed(data_dir, mark, error);
    close(dir);
    return code;
}

// A short write does not matter: that the file is there is what counts.
static int write_mark(int dir, const char *mark, const char *text) {
    int file = openat(dir, mark, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) {
        return -1;
    }
    bool written = write(file, text, strlen(text)) >= 0 && write(file, "\n", 1) >= 0;
    int result = written && fsync(file) == 0 && fsync(dir) == 0 ? 0 : -1;
    close(file);
    return result;
}

// Synced even if it was there: an earlier process may have been killed before it was durable.
enum error_code mark_leave(const char *data_dir, const char *mark, const char *text, struct error *error) {
    int dir = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        return failed(data_dir, mark, error);
    }
    enum error_code code = write_mark(dir, mark, text) == 0 ? OK : failed(data_dir, mark, error);
    close(dir);
    return code;
}
