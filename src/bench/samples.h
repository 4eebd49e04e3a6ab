// A writer's plain work, to measure it: keys in turn, values of x, and every write's times.
#ifndef BATON_BENCH_SAMPLES_H
#define BATON_BENCH_SAMPLES_H

#include "bench/writer.h"

struct sample {
    uint64_t sent_us;  // as in struct writer_ack
    uint64_t acked_us;
};

struct samples {
    const char *prefix;  // borrowed
    uint64_t keys;       // written in turn: PREFIX0 to PREFIX(keys-1)
    struct slice value;
    char key[KEY_MAX + 1];
    struct sample *items;  // sorted by `acked_us`
    size_t count;
    size_t cap;
};

// `prefix` has at most SAMPLES_PREFIX_MAX bytes.
enum { SAMPLES_PREFIX_MAX = 64 };
void samples_init(struct samples *samples, const char *prefix, uint64_t keys, size_t value_bytes);
void samples_free(struct samples *samples);

// Borrows `samples`.
struct writer_work samples_work(struct samples *samples);

#endif
