// RLIMIT_NOFILE.
#include "base/files.h"

#include <assert.h>
#include <sys/resource.h>

static struct rlimit limits(void) {
    struct rlimit files;
    int failed = getrlimit(RLIMIT_NOFILE, &files);
    assert(failed == 0);  // the only error is a bad pointer
    return files;
}

size_t files_allowed(void) {
    return limits().rlim_cur;
}

size_t files_raise(size_t wanted) {
    struct rlimit files = limits();
    if (files.rlim_cur < wanted) {
        rlim_t before = files.rlim_cur;
        files.rlim_cur = files.rlim_max < wanted ? files.rlim_max : wanted;
        if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
            files.rlim_cur = before;
        }
    }
    return files.rlim_cur;
}

size_t files_share(size_t part, size_t most) {
    assert(part > 0);
    size_t share = files_allowed() / part;
    return share < most ? share : most;
}
