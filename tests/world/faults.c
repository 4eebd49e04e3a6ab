// Faults: faults.h.
#include "faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "faults_kinds.h"
#include "generations.h"
#include "host.h"
#include "members.h"
#include "world.h"

static const struct {
    const char *text;
    uint64_t min_us, max_us;  // how long it lasts; 0: it does not
} kinds[] = {
#define X(kind, text, min_ms, max_ms) [kind] = {text, (min_ms)*US_PER_MS, (max_ms)*US_PER_MS},
    FAULT_KINDS(X)
#undef X
};

#define EVERY_MIN_US (50 * US_PER_MS)
#define EVERY_MAX_US (1500 * US_PER_MS)
#define FIRST_US     (1000 * US_PER_MS)
// What does not last is felt for so long.
#define FELT_US (500 * US_PER_MS)

static struct {
    struct fault *plan;
    size_t count, cap;
    const bool *keep;
    size_t keep_count;
    bool ended, closed;
    uint64_t until_us[FAULT_KIND_COUNT];  // it is felt
    uint64_t total[FAULT_KIND_COUNT];
    uint64_t pairs[FAULT_KIND_COUNT][FAULT_KIND_COUNT];
} f;

// --- the plan ---

// Each kind is as likely as the others among those that the seed has.
size_t faults_plan(uint64_t seed, uint64_t end_us) {
    struct rng rng = {.state = seed ^ UINT64_C(0x6661756c7473)};
    bool enabled[FAULT_KIND_COUNT];
    for (int kind = 0; kind < FAULT_KIND_COUNT; kind++) {
        enabled[kind] = rng_between(&rng, 1, 3) == 1;
    }
    uint64_t every_us = rng_between(&rng, EVERY_MIN_US, EVERY_MAX_US);
    f.count = 0;
    for (uint64_t at_us = FIRST_US; at_us < end_us; at_us += rng_between(&rng, every_us / 8, every_us / 2)) {
        enum fault_kind kind = (enum fault_kind)rng_between(&rng, 0, FAULT_KIND_COUNT - 1);
        struct fault fault = {.at_us = at_us,
                              .kind = kind,
                              .host = rng_next(&rng) >> 1,
                              .other = rng_next(&rng) >> 1,
                              .amount = rng_next(&rng) >> 1,
                              .for_us = rng_between(&rng, kinds[kind].min_us, kinds[kind].max_us)};
        if (enabled[kind]) {
            array_reserve(f.plan, f.cap, f.count + 1);
            f.plan[f.count++] = fault;
        }
    }
    return f.count;
}

void faults_keep(const bool *keep, size_t count) {
    f.keep = keep;
    f.keep_count = count;
}

void faults_describe(size_t number, char *out, size_t size) {
    const struct fault *fault = &f.plan[number];
    snprintf(out, size, "at %llu.%03llu s: %s, %llu ms", (unsigned long long)(fault->at_us / US_PER_S),
             (unsigned long long)(fault->at_us / US_PER_MS % 1000), kinds[fault->kind].text,
             (unsigned long long)(fault->for_us / US_PER_MS));
}

// --- the run ---

static void cover(const struct fault *fault) {
    for (int other = 0; other < FAULT_KIND_COUNT; other++) {
        if (f.until_us[other] > world_now()) {
            f.pairs[fault->kind][other]++;
            f.pairs[other][fault->kind] += other != (int)fault->kind;
        }
    }
    uint64_t until_us = world_now() + (fault->for_us > FELT_US ? fault->for_us : FELT_US);
    if (f.until_us[fault->kind] < until_us) {
        f.until_us[fault->kind] = until_us;
    }
    f.total[fault->kind]++;
}

static void strike(void *a, uint64_t number) {
    (void)a;
    if (f.ended) {
        return;
    }
    const struct fault *fault = &f.plan[number];
    int host = members_any(fault->host);
    if (host == NO_HOST) {
        return;  // no node knows of any member yet
    }
    world_note((uint64_t)fault->kind << 8 | (uint64_t)host);
    if (fault_strike(fault, host, members_any(fault->other))) {
        cover(fault);
        world_trace(host, "%s, %llu ms", kinds[fault->kind].text, (unsigned long long)(fault->for_us / US_PER_MS));
    }
}

void faults_begin(void) {
    f.ended = f.closed = false;
    memset(f.until_us, 0, sizeof f.until_us);
    for (size_t i = 0; i < f.count; i++) {
        if (f.keep == NULL || (i < f.keep_count && f.keep[i])) {
            world_at(f.plan[i].at_us, strike, NULL, i);
        }
    }
    for (int i = 0; i < host_count(); i++) {
        if (host_of(i)->is_node) {
            fault_look_after(i, &f.closed);
        }
    }
}

void faults_end(void) {
    f.ended = true;
    fault_mend();
}

void faults_close(void) {
    f.closed = true;
    generations_close();
}

void faults_finish(void) {
    fault_kinds_finish();
    generations_reset();
}

void faults_reset(void) {
    free(f.plan);
    memset(&f, 0, sizeof f);
}

// --- what was reached ---

void faults_print(void) {
    const char *before = "faults: ";
    for (int kind = 0; kind < FAULT_KIND_COUNT; kind++) {
        printf("%s%llu %s", before, (unsigned long long)f.total[kind], kinds[kind].text);
        before = ", ";
    }
    printf("\n");
}

size_t faults_print_pairs(void) {
    size_t never = 0;
    printf("%-24s", "");
    for (int kind = 0; kind < FAULT_KIND_COUNT; kind++) {
        printf(" %6d", kind + 1);
    }
    printf("\n");
    for (int one = 0; one < FAULT_KIND_COUNT; one++) {
        printf("%2d %-21s", one + 1, kinds[one].text);
        for (int other = 0; other <= one; other++) {
            printf(" %6llu", (unsigned long long)f.pairs[one][other]);
            never += f.pairs[one][other] == 0;
        }
        printf("\n");
    }
    return never;
}

void faults_write(FILE *out) {
    fprintf(out, "\"faults\": {");
    for (int kind = 0; kind < FAULT_KIND_COUNT; kind++) {
        fprintf(out, "%s\n  \"%s\": %llu", kind == 0 ? "" : ",", kinds[kind].text, (unsigned long long)f.total[kind]);
    }
    fprintf(out, "\n },\n \"pairs\": [");
    for (int one = 0; one < FAULT_KIND_COUNT; one++) {
        fprintf(out, "%s\n  [", one == 0 ? "" : ",");
        for (int other = 0; other <= one; other++) {
            fprintf(out, "%s%llu", other == 0 ? "" : ", ", (unsigned long long)f.pairs[one][other]);
        }
        fprintf(out, "]");
    }
    fprintf(out, "\n ]");
}
