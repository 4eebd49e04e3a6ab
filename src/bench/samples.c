// The plain work.
#include "bench/samples.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/mem.h"

void samples_init(struct samples *samples, const char *prefix, uint64_t keys, size_t value_bytes) {
    uint8_t *value = mem_alloc(value_bytes + 1);
    memset(value, 'x', value_bytes);
    *samples = (struct samples){.prefix = prefix, .keys = keys, .value = slice_of(value, value_bytes)};
}

void samples_free(struct samples *samples) {
    free((void *)samples->value.data);
    free(samples->items);
}

static void make(void *user, uint64_t sequence, struct pb_put_request *put) {
    struct samples *samples = user;
    snprintf(samples->key, sizeof samples->key, "%s%" PRIu64, samples->prefix, (sequence - 1) % samples->keys);
    put->key = slice_of_str(samples->key);
    put->value = samples->value;
}

static void acknowledged(void *user, const struct writer_ack *ack) {
    struct samples *samples = user;
    array_reserve(samples->items, samples->cap, samples->count + 1);
    samples->items[samples->count++] = (struct sample){ack->sent_us, ack->acked_us};
}

struct writer_work samples_work(struct samples *samples) {
    return (struct writer_work){.user = samples, .make = make, .acknowledged = acknowledged};
}
