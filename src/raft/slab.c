// Entry memory: large blocks, bump allocation, one reference count for each block.
//
// A log grows at one end and is dropped at the other, so entries allocated together are freed together; a count for each
// entry would cost a cache line for each access and gain nothing. The slab has a reference to the block that it fills, so
// that the block is not freed while there is room in it. Only the log that is read at a start has blocks of a huge page.
#include "raft/slab.h"

#include "base/limits.h"
#include "base/mem.h"

enum {
    SLAB_BLOCK_BYTES = 256 * KIB,
    SLAB_ALONE_BYTES =
        SLAB_BLOCK_BYTES / 4,  // an entry this large has a block of its own, so as not to waste the rest of one
};

struct raft_slab_block {
    struct raft_slab *slab;
    size_t size;  // of the whole block, this header included
    size_t used;
    uint64_t refs;  // of the entries, and of the slab while it fills this block
};

struct raft_slab {
    struct raft_slab_block *filling;  // may be NULL
    size_t bytes;
    bool bulk;
};

// Where blocks come from: those that many entries share from the system, so that what compaction frees goes back to it.
struct memory {
    void *(*map)(size_t size);
    void *(*alloc)(size_t size);
};

static const struct memory memory_or_null = {.map = mem_try_map, .alloc = mem_try_alloc};
static const struct memory memory_or_exit = {.map = mem_map, .alloc = mem_alloc};

static_assert(sizeof(struct raft_slab_block) % alignof(struct raft_entry) == 0, "the first entry must be aligned");

struct raft_slab *raft_slab_new(void) {
    struct raft_slab *slab = mem_try_alloc(sizeof *slab);
    if (slab != NULL) {
        *slab = (struct raft_slab){0};
    }
    return slab;
}

// A block for many entries, by its size: one for a single entry is never as large as a huge page.
static bool is_shared(size_t size) {
    static_assert((size_t)COMMAND_MAX + KIB < (size_t)MEM_HUGE_PAGE, "else it may be");
    return size == SLAB_BLOCK_BYTES || size == MEM_HUGE_PAGE;
}

static void block_unref(struct raft_slab_block *block) {
    assert(block->refs > 0);
    if (--block->refs > 0) {
        return;
    }
    block->slab->bytes -= block->size;
    if (is_shared(block->size)) {
        mem_unmap(block, block->size);
    } else {
        free(block);
    }
}

void raft_slab_free(struct raft_slab *slab) {
    if (slab == NULL) {
        return;
    }
    if (slab->filling != NULL) {
        block_unref(slab->filling);
    }
    assert(slab->bytes == 0);  // else an entry is still referenced
    assert(!slab->bulk);
    free(slab);
}

size_t raft_slab_bytes(const struct raft_slab *slab) {
    return slab->bytes;
}

void raft_slab_bulk_begin(struct raft_slab *slab) {
    slab->bulk = true;
}

void raft_slab_bulk_end(struct raft_slab *slab) {
    slab->bulk = false;
}

static struct raft_slab_block *block_new(struct raft_slab *slab, size_t size, const struct memory *memory) {
    struct raft_slab_block *block;
    if (size == MEM_HUGE_PAGE) {
        block = mem_try_map_huge(size);
    } else {
        block = is_shared(size) ? memory->map(size) : memory->alloc(size);
    }
    if (block == NULL) {
        return NULL;
    }
    *block = (struct raft_slab_block){.slab = slab, .size = size, .used = sizeof *block};
    slab->bytes += size;
    return block;
}

// The block for the next `size` bytes; takes no reference for them.
static struct raft_slab_block *block_for(struct raft_slab *slab, size_t size, const struct memory *memory) {
    if (size >= SLAB_ALONE_BYTES) {
        return block_new(slab, sizeof(struct raft_slab_block) + size, memory);
    }
    struct raft_slab_block *filling = slab->filling;
    if (filling != NULL && filling->refs == 1) {
        filling->used = sizeof *filling;  // all its entries are freed
    }
    if (filling != NULL && filling->size - filling->used >= size) {
        return filling;
    }
    bool huge = slab->bulk && slab->bytes >= MEM_HUGE_PAGE && memory == &memory_or_null;  // not for a small log
    struct raft_slab_block *fresh = block_new(slab, huge ? MEM_HUGE_PAGE : SLAB_BLOCK_BYTES, memory);
    if (fresh == NULL) {
        return NULL;
    }
    fresh->refs = 1;
    slab->filling = fresh;
    if (filling != NULL) {
        block_unref(filling);
    }
    return fresh;
}

static struct raft_entry *entry_new(struct raft_slab *slab, enum raft_entry_type type, struct raft_entry_id id, size_t len,
                                    const struct memory *memory) {
    assert(len <= COMMAND_MAX);
    size_t align = alignof(struct raft_entry);
    size_t size = (sizeof(struct raft_entry) + len + align - 1) / align * align;
    struct raft_slab_block *block = block_for(slab, size, memory);
    if (block == NULL) {
        return NULL;
    }
    assert(block->used + size <= block->size);
    struct raft_entry *entry = (struct raft_entry *)((uint8_t *)block + block->used);
    block->used += size;
    block->refs++;
    *entry = (struct raft_entry){.block = block, .id = id, .type = type, .len = (uint32_t)len};
    return entry;
}

struct raft_entry *raft_entry_new(struct raft_slab *slab, enum raft_entry_type type, struct raft_entry_id id, size_t len) {
    return entry_new(slab, type, id, len, &memory_or_null);
}

struct raft_entry *raft_entry_new_or_exit(struct raft_slab *slab, enum raft_entry_type type, struct raft_entry_id id) {
    return entry_new(slab, type, id, 0, &memory_or_exit);
}

struct raft_entry *raft_entry_ref(struct raft_entry *entry) {
    assert(entry->block->refs > 0);
    entry->block->refs++;
    return entry;
}

void raft_entry_unref(struct raft_entry *entry) {
    block_unref(entry->block);
}
