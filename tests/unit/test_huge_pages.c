// What a start fills is asked for in huge pages, and nothing else is: as the kernel tells it of each mapping (smaps).
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "raft/entry.h"
#include "unit.h"

enum { ENTRIES = 30000, COMMAND_BYTES = 300 };  // nine MiB of entries

// Whether the mapping that `p` lies in has this flag (proc(5), VmFlags).
static bool has_flag(const void *p, const char *flag) {
    FILE *smaps = fopen("/proc/self/smaps", "re");
    assert_non_null(smaps);
    char line[1024];
    bool within = false, found = false;
    while (fgets(line, sizeof line, smaps) != NULL) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
            within = (uintptr_t)p >= from && (uintptr_t)p < to;
        } else if (within && strncmp(line, "VmFlags:", 8) == 0) {
            found = strstr(line, flag) != NULL;
        }
    }
    assert_int_equal(fclose(smaps), 0);
    return found;
}

// A kernel may be built without them.
static void skip_without(void) {
    size_t size = 2 * (size_t)MEM_HUGE_PAGE;
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    bool refused = madvise(pages, size, MADV_HUGEPAGE) != 0;
    munmap(pages, size);
    if (refused) {
        skip();
    }
}

static void TestHugePagesOfTheHeap(void **state) {
    (void)state;
    skip_without();
#if UNDER_ASAN || defined __SANITIZE_THREAD__
    skip();  // their malloc has no heap that grows
#endif
    mem_expect(MEM_HUGE_PAGE);  // too little
    void *before = mem_alloc(100);
    assert_false(has_flag(before, " hg"));
    free(mem_alloc(1));  // the smallest chunk is not taken from the heap's end
    mem_expect(40 * MIB);
    mem_expect(40 * MIB);  // does nothing
    enum { COUNT = 100000 };
    static char *pieces[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        pieces[i] = memset(mem_alloc(300), 1, 300);
    }
    for (size_t i = COUNT / 10; i < COUNT; i += COUNT / 10) {  // the first may be from what was there before
        assert_true(has_flag(pieces[i], " hg"));
    }
    for (size_t i = 0; i < COUNT; i++) {
        free(pieces[i]);
    }
    free(before);
}

static struct raft_entry *filled(struct raft_slab *slab, raft_index index) {
    struct raft_entry_id id = {.term = 1, .index = index};
    struct raft_entry *entry = raft_entry_new(slab, RAFT_ENTRY_COMMAND, id, COMMAND_BYTES);
    assert_non_null(entry);
    memset(entry->data, (int)(index % 251), COMMAND_BYTES);
    return entry;
}

static bool is_mapped(const void *p) {
    unsigned char resident;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    return mincore((void *)((uintptr_t)p / page * page), page, &resident) == 0;
}

static void TestHugePagesOfALog(void **state) {
    (void)state;
    skip_without();
    struct raft_slab *slab = raft_slab_new();
    static struct raft_entry *entries[2 * ENTRIES];
    raft_slab_bulk_begin(slab);
    for (size_t i = 0; i < ENTRIES; i++) {
        entries[i] = filled(slab, i);
    }
    size_t first = 0;
    while (first < ENTRIES && !has_flag(entries[first], " hg")) {
        first += 100;
    }
    raft_slab_bulk_end(slab);
    assert_true(raft_slab_bytes(slab) >= (size_t)ENTRIES * COMMAND_BYTES);
    assert_true(raft_slab_bytes(slab) < 12 * MIB);
    assert_in_range(first, 2 * MIB / 512, 3 * MIB / COMMAND_BYTES);  // a small log needs none
    assert_true(has_flag(entries[ENTRIES - 1], " hg"));
    for (size_t i = ENTRIES; i < 2 * (size_t)ENTRIES; i++) {
        entries[i] = filled(slab, i);
    }
    assert_false(has_flag(entries[2 * ENTRIES - 1], " hg"));
    for (size_t i = 0; i < 2 * (size_t)ENTRIES; i++) {
        for (size_t j = 0; j < COMMAND_BYTES; j++) {
            assert_int_equal(entries[i]->data[j], i % 251);
        }
    }
    for (size_t i = 0; i < 2 * (size_t)ENTRIES; i++) {
        raft_entry_unref(entries[i]);
    }
    assert_false(is_mapped(entries[first]));
    raft_slab_free(slab);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestHugePagesOfTheHeap),
    cmocka_unit_test(TestHugePagesOfALog),
};

UNIT_MAIN(tests)
