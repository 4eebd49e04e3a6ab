// Directories for tests that write files.
#ifndef BATON_TESTS_SCRATCH_H
#define BATON_TESTS_SCRATCH_H

#include <assert.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

enum scratch {
    SCRATCH_DISK,    // TMPDIR or /tmp: for what O_DIRECT, fallocate or a sync does; few syncs, for one may take 10 ms
    SCRATCH_MEMORY,  // /dev/shm where it is a tmpfs, else as SCRATCH_DISK: for tests that sync hundreds of times
};

// BATON_TEST_SHM takes the place of /dev/shm, for who wants to remove what a test that was killed has left.
static inline const char *scratch_root(enum scratch where) {
    const char *shm = getenv("BATON_TEST_SHM");
    shm = shm != NULL ? shm : "/dev/shm";
    struct statfs fs;
    if (where == SCRATCH_MEMORY && statfs(shm, &fs) == 0 && fs.f_type == TMPFS_MAGIC && access(shm, W_OK | X_OK) == 0) {
        return shm;
    }
    const char *tmp = getenv("TMPDIR");
    return tmp != NULL ? tmp : "/tmp";
}

// Makes a new directory and writes its path to `path`. The caller removes it.
static inline void scratch_make(char *path, size_t size, enum scratch where) {
    int len = snprintf(path, size, "%s/baton-test-XXXXXX", scratch_root(where));
    assert(len > 0 && (size_t)len < size);
    const char *made = mkdtemp(path);
    assert(made != NULL);
}

#endif
