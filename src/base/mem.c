// Allocation that exits when there is no memory; see mem.h for the two failure classes.
#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// Formats on the stack and leaves by _exit: stdio's buffers and exit handlers may need memory themselves.
static _Noreturn void out_of_memory(size_t size) {
    char line[128];
    int len = snprintf(line, sizeof line, "out of memory: cannot allocate %zu bytes; give the process more\n", size);
    ssize_t ignored = write(STDERR_FILENO, line, (size_t)len);
    (void)ignored;
    _exit(EXIT_NO_MEMORY);
}

// Turns 0 into 1: malloc(0) may return NULL, which would look like a failure.
static size_t at_least_one(size_t size) {
    return size == 0 ? 1 : size;
}

void *mem_alloc(size_t size) {
    void *p = malloc(at_least_one(size));
    if (p == NULL) {
        out_of_memory(size);
    }
    return p;
}

void *mem_alloc_aligned(size_t alignment, size_t size) {
    void *p = aligned_alloc(alignment, size);
    if (p == NULL) {
        out_of_memory(size);
    }
    return p;
}

void *mem_zalloc(size_t size) {
    void *p = calloc(1, at_least_one(size));
    if (p == NULL) {
        out_of_memory(size);
    }
    return p;
}

void *mem_realloc(void *old, size_t size) {
    void *p = realloc(old, at_least_one(size));
    if (p == NULL) {
        out_of_memory(size);
    }
    return p;
}

char *mem_strdup(const char *text) {
    size_t size = strlen(text) + 1;
    return memcpy(mem_alloc(size), text, size);
}

void *mem_try_alloc(size_t size) {
    return malloc(at_least_one(size));
}

// All pages at once: it will be filled, and each first access of a page would cost an exception.
void *mem_try_map(size_t size) {
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

void *mem_map(size_t size) {
    void *pages = mem_try_map(size);
    if (pages == NULL) {
        out_of_memory(size);
    }
    return pages;
}

void *mem_try_map_huge(size_t size) {
    uint8_t *pages = mmap(NULL, size + MEM_HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        return NULL;
    }
    size_t before = -(uintptr_t)pages % MEM_HUGE_PAGE;
    if (before > 0) {
        munmap(pages, before);
    }
    munmap(pages + before + size, MEM_HUGE_PAGE - before);
    pages += before;
    madvise(pages, size, MADV_HUGEPAGE);  // where it is refused, they are as any others
    madvise(pages, size, MADV_POPULATE_WRITE);
    return pages;
}

// The whole pages between them.
static void advise_huge(uint8_t *from, uint8_t *to) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uint8_t *first = from + -(uintptr_t)from % page;
    madvise(first, (size_t)(to - first) / page * page, MADV_HUGEPAGE);
}

// glibc has no call for it. Its heap grows when a chunk is asked for that finds no room, and what was advised before it is
// touched stays so when the chunk is freed. A chunk of this size comes from the heap once one has been freed that did not
// (mallopt(3), M_MMAP_THRESHOLD). The last one stays, but for its first bytes: it keeps what lies below it from being given
// back to the system at once, as the end of the heap is.
void mem_expect(size_t size) {
    enum { CHUNK = 16 * 1024 * 1024, CHUNKS = 64 };
    static void *last;  // for as long as the process lives
    size_t count = size / CHUNK < CHUNKS ? size / CHUNK + 1 : CHUNKS;
    if (last != NULL || size < 2 * (size_t)MEM_HUGE_PAGE) {
        return;
    }
    free(mem_try_alloc(CHUNK));
    void *chunks[CHUNKS];
    for (size_t i = 0; i < count; i++) {
        chunks[i] = mem_try_alloc(CHUNK);
        if (chunks[i] != NULL) {
            advise_huge(chunks[i], (uint8_t *)chunks[i] + CHUNK);
        }
    }
    last = mem_realloc(chunks[--count], 1);
    while (count > 0) {
        free(chunks[--count]);
    }
}

void mem_unmap(void *pages, size_t size) {
    munmap(pages, size);
}
