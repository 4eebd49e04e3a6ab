// Allocation, in two failure classes: for our own needs (without memory the process exits) and for a size that a client or
// peer chose (the caller gets NULL and answers RESOURCE_EXHAUSTED).
#ifndef BATON_BASE_MEM_H
#define BATON_BASE_MEM_H

#include <stddef.h>

// Exit statuses for an environment in which the process cannot go on, the same in all programs; listed in
// docs/operations.md.
enum exit_status {
    EXIT_USAGE = 2,          // a flag, the environment or the configuration is wrong
    EXIT_WAL_DAMAGED = 3,    // the log on disk is damaged (WAL_CORRUPT, WAL_GAP); nothing was changed
    EXIT_DISK_FAILED = 4,    // a write or sync failed, or the data directory cannot be used
    EXIT_NO_MEMORY = 5,      // out of memory
    EXIT_LISTEN_FAILED = 6,  // an address cannot be listened on
    EXIT_LATER_VERSION = 7,  // the log or an image is of a later version, or of a higher level; nothing was changed
};

// Never NULL: without memory the process prints a line and exits with EXIT_NO_MEMORY. Free with free().
void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
void *mem_realloc(void *old, size_t size);
char *mem_strdup(const char *text);
// `size`: a multiple of `alignment`, which is a power of two.
void *mem_alloc_aligned(size_t alignment, size_t size);

// For sizes chosen from outside: NULL if there is no memory.
void *mem_try_alloc(size_t size);

// Zeroed pages of the system's, `size` a multiple of theirs. Freed by mem_unmap they go back to it at once, which is not so
// of what malloc gives: glibc keeps it.
void *mem_map(size_t size);
void *mem_try_map(size_t size);
void mem_unmap(void *pages, size_t size);

enum { MEM_HUGE_PAGE = 2 * 1024 * 1024 };  // bytes

// The next two are for a start alone, which fills tens of MiB at once: in pages of the usual size each first access is an
// exception, and under a hypervisor two. A loop that serves must never ask for huge ones, as it may have to wait until the
// system has moved others' pages out of their way.

// Zeroed pages, huge where the system has such; `size` a multiple of them. Freed by mem_unmap. NULL if there is no memory.
void *mem_try_map_huge(size_t size);

// The heap will soon grow by about `size` bytes: has it grow in huge pages. For the process's main thread, once (further
// calls do nothing); less than two such pages do not count, and of more than a GiB only that.
void mem_expect(size_t size);

#endif
