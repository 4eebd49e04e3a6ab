// Virtual time: events in their order, the seed, and the hash of what has happened.
//
// Events of the present slot of time are in a heap. Later ones, mostly deadlines of calls that will have ended long before,
// wait in a ring of slots without order.
#include <assert.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/fingerprint.h"
#include "world.h"

enum { KEEP_BYTES = 1 << 28, SLOT_BITS = 12, SLOTS = 2048 };

struct event {
    uint64_t at_us;
    uint64_t number;  // those of one time happen in the order in which they were asked for
    void (*run)(void *a, uint64_t b);
    void *a;
    uint64_t b;
};

struct events {
    struct event *items;
    size_t count;
    size_t cap;
};

static struct {
    struct events heap;          // of the slots up to the present one
    struct events later[SLOTS];  // [slot % SLOTS]
    size_t waiting;              // events in them
    uint64_t slot;
    uint64_t now_us;
    uint64_t numbers;
    uint64_t steps;
    uint64_t seed;
    struct rng rng;
    uint64_t hash;
    bool ended;
} w;

uint64_t world_now(void) {
    return w.now_us;
}

uint64_t world_seed(void) {
    return w.seed;
}

uint64_t world_steps(void) {
    return w.steps;
}

void world_begin(uint64_t seed) {
    mallopt(M_MMAP_THRESHOLD, KEEP_BYTES);  // files come and go all the time: their memory stays with the process
    mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
    w.seed = seed;
    w.rng.state = seed;
    w.now_us = w.numbers = w.steps = 0;
    w.hash = fingerprint_u64(0, seed);
    w.heap.count = w.waiting = w.slot = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        w.later[i].count = 0;
    }
}

void world_free(void) {
    free(w.heap.items);
    for (size_t i = 0; i < SLOTS; i++) {
        free(w.later[i].items);
    }
    memset(&w, 0, sizeof w);
}

struct rng *world_rng(void) {
    return &w.rng;
}

uint64_t world_between(uint64_t min, uint64_t max) {
    return rng_between(&w.rng, min, max);
}

bool world_chance(uint64_t one_in) {
    return rng_between(&w.rng, 1, one_in) == 1;
}

void world_note(uint64_t what) {
    w.hash = fingerprint_u64(fingerprint_u64(w.hash, w.now_us), what);
}

uint64_t world_hash(void) {
    return w.hash;
}

void world_broken(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fprintf(stderr, "broken, seed %llu, at %llu.%06llu s: ", (unsigned long long)w.seed,
            (unsigned long long)(w.now_us / US_PER_S), (unsigned long long)(w.now_us % US_PER_S));
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

// In place of the C library's: a node that fails an assertion breaks its world, too.
void __assert_fail(const char *assertion, const char *file, unsigned line, const char *function) {
    fprintf(stderr, "broken, seed %llu: %s:%u: %s: %s\n", (unsigned long long)w.seed, file, line, function, assertion);
    abort();
}

// --- the order ---

static bool is_before(const struct event *a, const struct event *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

static void add(struct events *events, const struct event *event) {
    array_reserve(events->items, events->cap, events->count + 1);
    events->items[events->count++] = *event;
}

static void push(const struct event *event) {
    add(&w.heap, event);
    struct event *heap = w.heap.items;
    size_t at = w.heap.count - 1;
    while (at > 0 && is_before(event, &heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = *event;
}

static struct event take_first(void) {
    struct event *heap = w.heap.items;
    struct event first = heap[0];
    struct event last = heap[--w.heap.count];
    size_t at = 0;
    for (size_t child = 1; child < w.heap.count; child = 2 * at + 1) {
        child += child + 1 < w.heap.count && is_before(&heap[child + 1], &heap[child]);
        if (!is_before(&heap[child], &last)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return first;
}

void world_at(uint64_t at_us, void (*run)(void *a, uint64_t b), void *a, uint64_t b) {
    struct event event = {.at_us = at_us < w.now_us ? w.now_us : at_us, .number = w.numbers++, .run = run, .a = a, .b = b};
    uint64_t slot = event.at_us >> SLOT_BITS;
    if (slot <= w.slot) {
        push(&event);
    } else {
        add(&w.later[slot % SLOTS], &event);
        w.waiting++;
    }
}

// The next slot is the present one. Those of later rounds stay in it.
static void enter_slot(void) {
    struct events *slot = &w.later[++w.slot % SLOTS];
    size_t left = 0;
    for (size_t i = 0; i < slot->count; i++) {
        if (slot->items[i].at_us >> SLOT_BITS == w.slot) {
            push(&slot->items[i]);
        } else {
            slot->items[left++] = slot->items[i];
        }
    }
    w.waiting -= slot->count - left;
    slot->count = left;
}

static bool has_next(uint64_t until_us) {
    while (w.heap.count == 0 && w.waiting > 0 && w.slot < until_us >> SLOT_BITS) {
        enter_slot();
    }
    return w.heap.count > 0 && w.heap.items[0].at_us <= until_us;
}

void world_end_run(void) {
    w.ended = true;
}

void world_run_until(uint64_t at_us) {
    w.ended = false;
    while (!w.ended && has_next(at_us)) {
        struct event event = take_first();
        w.now_us = event.at_us;
        w.steps++;
        event.run(event.a, event.b);
    }
    if (!w.ended && w.now_us < at_us) {
        w.now_us = at_us;
    }
}
