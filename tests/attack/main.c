// The whole attack: attack [SEED [RESULTS]]. The counts go to the file of that name, as JSON.
#include <stdlib.h>
#include <time.h>

#include "attack.h"

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    uint64_t seed = argc > 1 && argv[1][0] != '\0' ? strtoull(argv[1], NULL, 10) : 1;
    const struct share all = {.parts = 1};
    double from = seconds();
    printf("SEED=%llu\n", (unsigned long long)seed);
    attack_crashes(seed, &all);
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
