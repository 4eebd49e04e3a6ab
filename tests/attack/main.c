// The whole attack: attack [SEED [RESULTS]]. SEED is of the first of several stories that crashes stop; the counts go to the
// file RESULTS, as JSON.
#include <stdlib.h>
#include <time.h>

#include "attack.h"

enum { STORIES = 3 };

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    uint64_t seed = argc > 1 && argv[1][0] != '\0' ? strtoull(argv[1], NULL, 10) : 1;
    const struct share all = {.parts = 1};
    double from = seconds();
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("SEED=%llu\n", (unsigned long long)seed);
    for (uint64_t story = 0; story < STORIES; story++) {
        attack_crashes(seed + story, &all);
        attack_faults(seed + story, &all);
        printf("story %llu: %llu broken\n", (unsigned long long)(seed + story), (unsigned long long)report_failures());
    }
    attack_cuts(&all);
    attack_bytes(&all);
    attack_sectors();
    printf("%.1f s\n", seconds() - from);
    report_print();
    if (argc > 2) {
        FILE *out = fopen(argv[2], "w");
        if (out == NULL) {
            perror(argv[2]);
            return 1;
        }
        report_write(out, seed, seconds() - from);
        fclose(out);
    }
    return report_failures() == 0 ? 0 : 1;
}
