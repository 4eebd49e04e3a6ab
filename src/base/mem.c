// Allocation that exits when there is no memory; see mem.h for the two failure classes.
#include "base/mem.h"

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

void mem_unmap(void *pages, size_t size) {
    munmap(pages, size);
}
