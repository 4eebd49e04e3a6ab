// Runs worlds by hand: world [SEED [COUNT [SECONDS]]]. WORLD_LOG=1 shows what the nodes log, at debug level, with their own
// clocks.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/slog.h"
#include "faults.h"
#include "run.h"
#include "world.h"

int __real_clock_gettime(clockid_t clock, struct timespec *out);

static double real_seconds(void) {
    struct timespec now;
    __real_clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t argument(int argc, char **argv, int number, uint64_t otherwise) {
    return argc > number && argv[number][0] != '\0' ? strtoull(argv[number], NULL, 10) : otherwise;
}

int main(int argc, char **argv) {
    uint64_t seed = argument(argc, argv, 1, 1);
    uint64_t count = argument(argc, argv, 2, 100);
    uint64_t seconds = argument(argc, argv, 3, 10);
    slog_setup(getenv("WORLD_LOG") != NULL ? SLOG_DEBUG : SLOG_ERROR, SLOG_LOGFMT, NULL);
    double from = real_seconds();
    for (uint64_t i = 0; i < count; i++) {
        world_run(seed + i, seconds);
        if (count <= 10) {
            printf("seed %llu: hash %016llx\n", (unsigned long long)(seed + i), (unsigned long long)world_ran().hash);
        }
    }
    double took = real_seconds() - from;
    struct world_ran ran = world_ran();
    faults_print();
    printf("%llu seeds from %llu, %llu s each: %llu events, %llu entries, %llu calls, %llu changes watched, %llu workers "
           "offline; "
           "%.1f s, %.0f times real time\n",
           (unsigned long long)count, (unsigned long long)seed, (unsigned long long)seconds, (unsigned long long)ran.events,
           (unsigned long long)ran.entries, (unsigned long long)ran.calls, (unsigned long long)ran.watched,
           (unsigned long long)ran.offline, took, (double)(count * seconds) / took);
    world_free();
    return 0;
}
