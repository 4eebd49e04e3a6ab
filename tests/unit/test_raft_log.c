// The parts of the core: entry memory, the log and how far it is durable, the queue, the random generator.
#include <stdalign.h>

#include "base/array.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/rng.h"
#include "raft/log.h"
#include "raft/queue.h"
#include "unit.h"

static struct raft_entry *entry(struct raft_slab *slab, raft_term term, raft_index index, size_t len) {
    struct raft_entry_id id = {.term = term, .index = index};
    return raft_entry_new(slab, RAFT_ENTRY_COMMAND, id, len);
}

static void TestSlab(void **state) {
    (void)state;
    struct raft_slab *slab = raft_slab_new();
    assert_int_equal(raft_slab_bytes(slab), 0);
    static const size_t sizes[] = {0, 1, 7, 8, 300, 65535, 65536, 300 * KIB, MIB};
    struct raft_entry *entries[200];
    for (size_t i = 0; i < 200; i++) {
        size_t len = sizes[i % 9];
        entries[i] = entry(slab, i + 1, i + 5, len);
        assert_int_equal((uintptr_t)entries[i] % alignof(struct raft_entry), 0);
        assert_int_equal(entries[i]->id.index, i + 5);
        assert_int_equal(entries[i]->len, len);
        memset(entries[i]->data, (int)i, len);
    }
    assert_true(raft_slab_bytes(slab) > 20 * MIB);
    for (size_t i = 0; i < 200; i++) {
        struct slice command = raft_entry_command(entries[i]);
        for (size_t j = 0; j < command.len; j += 97) {
            assert_int_equal(command.data[j], i);
        }
        assert_ptr_equal(raft_entry_ref(entries[i]), entries[i]);
        raft_entry_unref(entries[i]);
    }
    for (size_t i = 0; i < 200; i += 2) {
        raft_entry_unref(entries[i]);
    }
    for (size_t i = 1; i < 200; i += 2) {
        raft_entry_unref(entries[i]);
    }
    // The block being filled stays, and is reused from its start.
    size_t held = raft_slab_bytes(slab);
    assert_true(held <= 256 * KIB);
    for (size_t i = 0; i < 100000; i++) {
        raft_entry_unref(entry(slab, 1, 1, 1000));
    }
    assert_int_equal(raft_slab_bytes(slab), held);
    raft_slab_free(slab);
    raft_slab_free(NULL);
}

// --- memory: the linker has the slab call these ---

static bool no_memory;
static size_t mapped, unmapped;  // bytes

void *__real_mem_try_alloc(size_t size);
void *__wrap_mem_try_alloc(size_t size);
void *__real_mem_try_map(size_t size);
void *__wrap_mem_try_map(size_t size);
void __real_mem_unmap(void *pages, size_t size);
void __wrap_mem_unmap(void *pages, size_t size);

void *__wrap_mem_try_alloc(size_t size) {
    return no_memory ? NULL : __real_mem_try_alloc(size);
}

void *__wrap_mem_try_map(size_t size) {
    mapped += no_memory ? 0 : size;
    return no_memory ? NULL : __real_mem_try_map(size);
}

void __wrap_mem_unmap(void *pages, size_t size) {
    unmapped += size;
    __real_mem_unmap(pages, size);
}

// Without memory there is no new entry, and nothing else has changed: the block that is filled is filled further.
static void TestSlabWithoutMemory(void **state) {
    (void)state;
    no_memory = true;
    assert_null(raft_slab_new());
    no_memory = false;
    struct raft_slab *slab = raft_slab_new();
    no_memory = true;
    assert_null(entry(slab, 1, 1, 8));
    assert_null(entry(slab, 1, 1, 300 * KIB));
    assert_int_equal(raft_slab_bytes(slab), 0);
    no_memory = false;
    struct raft_entry *first = entry(slab, 1, 1, 60 * KIB);
    size_t held = raft_slab_bytes(slab);
    struct raft_entry *others[8];
    size_t count = 0;
    no_memory = true;
    do {
        others[count] = entry(slab, 1, 2, 60 * KIB);
    } while (others[count++] != NULL);
    assert_in_range(count, 2, ARRAY_COUNT(others) - 1);
    struct raft_entry *last = entry(slab, 1, 3, 8);  // this one fits still
    assert_non_null(last);
    assert_int_equal(raft_slab_bytes(slab), held);
    no_memory = false;
    assert_ptr_equal(first->block, last->block);
    for (size_t i = 0; i + 1 < count; i++) {
        raft_entry_unref(others[i]);
    }
    raft_entry_unref(first);
    raft_entry_unref(last);
    raft_slab_free(slab);
}

// What was taken from the system goes back to it with the last entry of each block.
static void TestSlabGivesMemoryBack(void **state) {
    (void)state;
    mapped = unmapped = 0;
    struct raft_slab *slab = raft_slab_new();
    struct raft_entry *entries[1000];
    for (size_t i = 0; i < ARRAY_COUNT(entries); i++) {
        entries[i] = entry(slab, 1, i + 1, 4 * KIB);
    }
    assert_true(mapped >= ARRAY_COUNT(entries) * 4 * KIB);
    for (size_t i = 0; i < ARRAY_COUNT(entries); i++) {
        raft_entry_unref(entries[i]);
    }
    assert_int_equal(mapped - unmapped, raft_slab_bytes(slab));
    raft_slab_free(slab);
    assert_int_equal(mapped, unmapped);
}

// In bulk, what comes behind the first MEM_HUGE_PAGE bytes is in blocks of that size; and then again in small ones.
static void TestSlabInBulk(void **state) {
    (void)state;
    enum { LEN = 4096, COUNT = 3 * MEM_HUGE_PAGE / LEN };
    struct raft_slab *slab = raft_slab_new();
    static struct raft_entry *entries[COUNT];
    size_t before = 0, count = 0;
    raft_slab_bulk_begin(slab);
    while (raft_slab_bytes(slab) <= MEM_HUGE_PAGE) {
        before = raft_slab_bytes(slab);
        entries[count++] = entry(slab, 1, 1, LEN);
    }
    assert_int_equal(before, MEM_HUGE_PAGE);
    assert_int_equal(raft_slab_bytes(slab), 2 * MEM_HUGE_PAGE);
    raft_slab_bulk_end(slab);
    while (raft_slab_bytes(slab) <= 2 * (size_t)MEM_HUGE_PAGE) {
        entries[count++] = entry(slab, 1, 1, LEN);
    }
    assert_int_equal(raft_slab_bytes(slab), 2 * MEM_HUGE_PAGE + 256 * KIB);
    for (size_t i = 0; i < count; i++) {
        raft_entry_unref(entries[i]);
    }
    raft_slab_free(slab);
}

static struct raft_log log_of(struct raft_slab *slab, struct raft_entry_id base, const raft_term *terms, size_t count) {
    struct raft_entry *entries[32];
    for (size_t i = 0; i < count; i++) {
        entries[i] = entry(slab, terms[i], base.index + 1 + i, 3);
    }
    struct raft_log log;
    raft_log_init(&log, base, entries, count);
    return log;
}

static void TestRaftLogTerms(void **state) {
    (void)state;
    struct raft_slab *slab = raft_slab_new();
    static const raft_term terms[] = {2, 2, 4, 4, 4, 7};
    static const struct raft_entry_id bases[] = {{0, 0}, {2, 10}, {1, 10}};
    for (size_t b = 0; b < 3; b++) {
        raft_index base = bases[b].index;
        struct raft_log log = log_of(slab, bases[b], terms, 6);
        assert_int_equal(raft_log_last(&log).index, base + 6);
        assert_int_equal(raft_log_term(&log, base), bases[b].term);
        assert_null(raft_log_at(&log, base));
        assert_null(raft_log_at(&log, base + 7));
        assert_int_equal(raft_log_at(&log, base + 6)->id.term, 7);
        assert_true(raft_log_holds(&log, (struct raft_entry_id){.term = 4, .index = base + 3}));
        assert_false(raft_log_holds(&log, (struct raft_entry_id){.term = 2, .index = base + 3}));
        assert_false(raft_log_holds(&log, (struct raft_entry_id){.term = 7, .index = base + 7}));
        assert_true(raft_log_holds(&log, bases[b]));
        assert_int_equal(raft_log_first_of_term_at(&log, base + 5), base + 3);
        assert_int_equal(raft_log_first_of_term_at(&log, base + 6), base + 6);
        assert_int_equal(raft_log_first_of_term_at(&log, base + 2), base + 1);
        for (raft_term term = bases[b].term; term < 9; term++) {  // compared with a linear search
            for (raft_index limit = base; limit <= base + 6; limit++) {
                raft_index expected = limit;
                while (expected > base && raft_log_term(&log, expected) > term) {
                    expected--;
                }
                assert_int_equal(raft_log_last_up_to_term(&log, term, limit), expected);
            }
        }
        raft_log_free(&log);
    }
    raft_slab_free(slab);
}

static void write(struct raft_log *log, uint64_t number, raft_index durable_before) {
    assert_int_equal(log->durable_index, durable_before);
    raft_log_write(log, number, number * 1000);
}

static void TestRaftLogDurable(void **state) {
    (void)state;
    struct raft_slab *slab = raft_slab_new();
    static const raft_term terms[] = {1, 1};
    struct raft_log log = log_of(slab, (struct raft_entry_id){0}, terms, 2);
    uint64_t since_us;
    assert_int_equal(log.durable_index, 2);
    assert_false(raft_log_has_unwritten(&log));
    assert_false(raft_log_writing_since(&log, &since_us));
    for (raft_index index = 3; index <= 6; index++) {
        raft_log_append(&log, entry(slab, 2, index, 3));
    }
    assert_true(raft_log_has_unwritten(&log));
    write(&log, 1, 2);  // 3..6 of term 2
    raft_log_truncate(&log, 5);
    raft_log_append(&log, entry(slab, 3, 5, 3));
    write(&log, 2, 2);  // 5 of term 3
    raft_log_truncate(&log, 4);
    raft_log_append(&log, entry(slab, 4, 4, 3));
    raft_log_append(&log, entry(slab, 4, 5, 3));
    write(&log, 3, 2);  // 4, 5 of term 4
    assert_true(raft_log_writing_since(&log, &since_us));
    assert_int_equal(since_us, 1000);
    raft_log_persisted(&log, 1);
    assert_int_equal(log.durable_index, 3);  // the part of that write that was not truncated
    raft_log_persisted(&log, 2);
    assert_int_equal(log.durable_index, 3);
    raft_log_persisted(&log, 3);
    assert_int_equal(log.durable_index, 5);
    assert_false(raft_log_writing_since(&log, &since_us));
    raft_log_truncate(&log, 2);
    assert_int_equal(log.durable_index, 1);
    raft_log_free(&log);
    raft_slab_free(slab);
}

// Random appends, truncations and compactions, compared with what the log should hold. The array stays within twice what
// the log has held at once: compaction frees room at its front, and appending reuses it.
static void TestRaftLogCompact(void **state) {
    (void)state;
    struct raft_slab *slab = raft_slab_new();
    struct raft_log log;
    raft_log_init(&log, (struct raft_entry_id){0}, NULL, 0);
    struct rng rng = {.state = 7};
    uint64_t write_number = 0;
    size_t most = 0;
    for (size_t round = 0; round < 20000; round++) {
        raft_index last = raft_log_last(&log).index;
        uint64_t choice = rng_between(&rng, 1, 100);
        if (choice <= 60) {
            raft_log_append(&log, entry(slab, 1 + last / 10, last + 1, 3));
        } else if (choice <= 70) {
            raft_log_truncate(&log, last + 1 - rng_between(&rng, 0, log.count));
        } else if (choice <= 85) {
            raft_log_write(&log, ++write_number, 1);
        } else if (choice <= 95) {
            raft_log_persisted(&log, write_number);
        } else {
            raft_log_compact(&log, rng_between(&rng, log.base.index, log.durable_index));
        }
        most = log.count > most ? log.count : most;
        last = raft_log_last(&log).index;
        assert_int_equal(last, log.base.index + log.count);
        for (raft_index index = log.base.index + 1; index <= last; index++) {
            assert_int_equal(raft_log_at(&log, index)->id.index, index);
            assert_ptr_equal(*raft_log_from(&log, index), raft_log_at(&log, index));
        }
        assert_null(raft_log_at(&log, log.base.index));
        assert_int_equal(raft_log_first_of_term_at(&log, log.base.index), log.base.index);
    }
    assert_true(log.base.index > 1000 && most > 20);
    assert_true(log.capacity <= 4 * most + 16);
    raft_log_free(&log);
    raft_slab_free(slab);
}

static void TestRaftQueue(void **state) {
    (void)state;
    struct raft_queue queue = raft_queue_of(sizeof(uint64_t));
    uint64_t pushed = 0, popped = 0;
    struct rng rng = {.state = 7};
    for (size_t i = 0; i < 100000; i++) {
        if (queue.count < 1000 && rng_next(&rng) % 2 == 0) {
            uint64_t *item = raft_queue_push(&queue);
            assert_int_equal(*item, 0);
            *item = pushed++;
        } else if (queue.count > 0) {
            assert_int_equal(*(uint64_t *)raft_queue_front(&queue), popped);
            assert_int_equal(*(uint64_t *)raft_queue_at(&queue, queue.count - 1), pushed - 1);
            raft_queue_pop(&queue);
            popped++;
        }
        assert_int_equal(queue.count, pushed - popped);
    }
    assert_true(queue.capacity <= 2048);
    raft_queue_clear(&queue);
    assert_null(raft_queue_front(&queue));
    raft_queue_free(&queue);
}

static void TestRaftRng(void **state) {
    (void)state;
    // The published first outputs of splitmix64 for the seed 1234567.
    struct rng rng = {.state = 1234567};
    assert_true(rng_next(&rng) == UINT64_C(6457827717110365317));
    assert_true(rng_next(&rng) == UINT64_C(3203168211198807973));
    assert_int_equal(rng_between(&rng, 5, 5), 5);
    bool seen[3] = {false};
    for (size_t i = 0; i < 100; i++) {
        seen[rng_between(&rng, 10, 12) - 10] = true;
    }
    assert_true(seen[0] && seen[1] && seen[2]);
    rng_between(&rng, 0, UINT64_MAX);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestSlab),           cmocka_unit_test(TestSlabWithoutMemory), cmocka_unit_test(TestSlabGivesMemoryBack),
    cmocka_unit_test(TestSlabInBulk),     cmocka_unit_test(TestRaftLogTerms),      cmocka_unit_test(TestRaftLogDurable),
    cmocka_unit_test(TestRaftLogCompact), cmocka_unit_test(TestRaftQueue),         cmocka_unit_test(TestRaftRng),
};

UNIT_MAIN(tests)
