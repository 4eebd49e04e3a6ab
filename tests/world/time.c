// Virtual time: a heap of events, the seed, and the hash of what has happened.
#include <assert.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/fingerprint.h"
#include "world.h"

enum { KEEP_BYTES = 1 << 28 };

struct event {
    uint64_t at_us;
    uint64_t number;  // those of one time happen in the order in which they were asked for
    void (*run)(void *a, uint64_t b);
    void *a;
    uint64_t b;
};

static struct {
    struct event *heap;
    size_t count;
    size_t cap;
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
    w.count = 0;
}

void world_free(void) {
    free(w.heap);
    w.heap = NULL;
    w.count = w.cap = 0;
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

// --- the heap ---

static bool is_before(const struct event *a, const struct event *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

void world_at(uint64_t at_us, void (*run)(void *a, uint64_t b), void *a, uint64_t b) {
    array_reserve(w.heap, w.cap, w.count + 1);
    struct event event = {.at_us = at_us < w.now_us ? w.now_us : at_us, .number = w.numbers++, .run = run, .a = a, .b = b};
    size_t at = w.count++;
    while (at > 0 && is_before(&event, &w.heap[(at - 1) / 2])) {
        w.heap[at] = w.heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    w.heap[at] = event;
}

static struct event take_first(void) {
    struct event first = w.heap[0];
    struct event last = w.heap[--w.count];
    size_t at = 0;
    for (size_t child = 1; child < w.count; child = 2 * at + 1) {
        child += child + 1 < w.count && is_before(&w.heap[child + 1], &w.heap[child]);
        if (!is_before(&w.heap[child], &last)) {
            break;
        }
        w.heap[at] = w.heap[child];
        at = child;
    }
    w.heap[at] = last;
    return first;
}

void world_end_run(void) {
    w.ended = true;
}

void world_run_until(uint64_t at_us) {
    w.ended = false;
    while (!w.ended && w.count > 0 && w.heap[0].at_us <= at_us) {
        struct event event = take_first();
        w.now_us = event.at_us;
        w.steps++;
        event.run(event.a, event.b);
    }
    if (!w.ended && w.now_us < at_us) {
        w.now_us = at_us;
    }
}
