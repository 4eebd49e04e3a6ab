// Shrinking: shrink.h. Each try is a process of its own, as a world that fails ends its process.
#include "shrink.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "faults.h"
#include "run.h"
#include "world.h"

enum { FAULT_TEXT = 96 };

static struct {
    uint64_t seed, seconds;
    bool *keep;
    size_t count;
    unsigned tries;
} s;

static size_t kept(void) {
    size_t kept = 0;
    for (size_t i = 0; i < s.count; i++) {
        kept += s.keep[i];
    }
    return kept;
}

// Whether the run fails with what is kept; its words go to where ours go if `loud`.
static bool fails(uint64_t seconds, bool loud) {
    s.tries++;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (!loud) {
            int null = open("/dev/null", O_WRONLY);
            dup2(null, STDOUT_FILENO);
            dup2(null, STDERR_FILENO);
        }
        faults_keep(s.keep, s.count);
        world_run(s.seed, seconds);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return status != 0;
}

static void prepare(uint64_t seed, uint64_t seconds) {
    s.seed = seed;
    s.seconds = seconds;
    s.count = faults_plan(seed, seconds * US_PER_S);
    s.keep = mem_zalloc(s.count + 1);
}

// Leaves out [from, to) if it still fails without them.
static bool leave_out(size_t from, size_t to) {
    bool *before = mem_alloc(to - from);
    memcpy(before, s.keep + from, to - from);
    memset(s.keep + from, 0, to - from);
    bool any = memcmp(before, s.keep + from, to - from) != 0;
    bool without = any && fails(s.seconds, false);
    if (!without) {
        memcpy(s.keep + from, before, to - from);
    }
    free(before);
    return without;
}

static void shrink_faults(void) {
    for (size_t size = s.count / 2; size > 0; size /= 2) {
        for (bool again = true; again;) {
            again = false;
            for (size_t from = 0; from < s.count; from += size) {
                again = leave_out(from, from + size < s.count ? from + size : s.count) || again;
            }
            printf("%u runs: %zu of %zu faults are left\n", s.tries, kept(), s.count);
        }
    }
}

static void shrink_time(void) {
    while (s.seconds > 1 && fails(s.seconds - 1, false)) {
        s.seconds--;
    }
}

static void print_found(uint64_t seconds) {
    char text[FAULT_TEXT];
    faults_plan(s.seed, seconds * US_PER_S);
    for (size_t i = 0; i < s.count; i++) {
        if (s.keep[i]) {
            faults_describe(i, text, sizeof text);
            printf("%4zu %s\n", i, text);
        }
    }
    printf("make sim SEED=%llu TIME=%llu TRACE=1 FAULTS=", (unsigned long long)s.seed, (unsigned long long)s.seconds);
    const char *before = "";
    for (size_t i = 0; i < s.count; i++) {
        if (s.keep[i]) {
            printf("%s%zu", before, i);
            before = ",";
        }
    }
    printf("%s\n", kept() == 0 ? "none" : "");
}

int shrink(uint64_t seed, uint64_t seconds) {
    prepare(seed, seconds);
    memset(s.keep, 1, s.count);
    if (!fails(seconds, true)) {
        printf("seed %llu does not fail in %llu s\n", (unsigned long long)seed, (unsigned long long)seconds);
        return 1;
    }
    shrink_faults();
    shrink_time();
    fails(s.seconds, true);
    print_found(seconds);
    free(s.keep);
    return 0;
}

void shrink_keep(uint64_t seed, uint64_t seconds, const char *list) {
    prepare(seed, seconds);
    while (strcmp(list, "none") != 0 && *list != '\0') {
        char *end;
        size_t from = strtoull(list, &end, 10);
        size_t to = *end == '-' ? strtoull(end + 1, &end, 10) : from;
        if (end == list || to >= s.count || (*end != '\0' && *end != ',')) {
            fprintf(stderr, "world: %s: seed %llu has the faults 0 to %zu in %llu s\n", list, (unsigned long long)seed,
                    s.count - 1, (unsigned long long)seconds);
            exit(2);
        }
        for (size_t i = from; i <= to; i++) {
            s.keep[i] = true;
        }
        list = *end == ',' ? end + 1 : end;
    }
    faults_keep(s.keep, s.count);
}
