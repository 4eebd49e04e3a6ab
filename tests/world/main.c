// Runs worlds by hand, and shrinks and tells those that fail.
//
// world [--seed N] [--count N] [--time S] [--trace] [--faults LIST] [--shrink] [--pairs]
//
// --time     virtual seconds of each
// --trace    what happens as a diagram
// --faults   of a seed's schedule only these, by number: 3,17,20-25; "none"
// --shrink   a seed that fails: finds a shorter schedule that fails, too, and prints the command for it
// --minutes  goes on with the next seeds for so long, and says what was reached: states of the cluster, steps between them,
//            and the table of pairs of faults that have met
// --results  with --minutes: a file that gets all this, as JSON
//
// WORLD_LOG=1 shows what the nodes log, at debug level, with their own clocks.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/slog.h"
#include "coverage.h"
#include "faults.h"
#include "run.h"
#include "shrink.h"
#include "trace.h"
#include "world.h"

// Nodes that are hurt on purpose have much to say.
enum { QUIET = SLOG_ERROR + 1 };

struct options {
    uint64_t seed, count, seconds;
    bool trace, shrink;
    uint64_t minutes;
    const char *faults, *results;
};

int __real_clock_gettime(clockid_t clock, struct timespec *out);

static double seconds_of(clockid_t clock) {
    struct timespec now;
    __real_clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t number_of(const char *text) {
    char *end;
    uint64_t number = strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0') {
        fprintf(stderr, "world: %s is not a number; see tests/world/main.c\n", text);
        exit(2);
    }
    return number;
}

static struct options read_options(int argc, char **argv) {
    static const struct option known[] = {{"seed", required_argument, NULL, 's'},
                                          {"count", required_argument, NULL, 'n'},
                                          {"time", required_argument, NULL, 't'},
                                          {"trace", no_argument, NULL, 'd'},
                                          {"faults", required_argument, NULL, 'f'},
                                          {"shrink", no_argument, NULL, 'k'},
                                          {"minutes", required_argument, NULL, 'm'},
                                          {"results", required_argument, NULL, 'r'},
                                          {NULL, 0, NULL, 0}};
    struct options options = {.seed = 1, .count = 100, .seconds = 10};
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 's':
            options.seed = number_of(optarg);
            break;
        case 'n':
            options.count = number_of(optarg);
            break;
        case 't':
            options.seconds = number_of(optarg);
            break;
        case 'd':
            options.trace = true;
            break;
        case 'f':
            options.faults = optarg;
            break;
        case 'k':
            options.shrink = true;
            break;
        case 'r':
            options.results = optarg;
            break;
        case 'm':
            options.minutes = number_of(optarg);
            break;
        default:
            exit(2);
        }
    }
    return options;
}

// --- how fast worlds are: virtual seconds, and the processor's ---

struct speed {
    double virtual_s, took_s;
};

static struct speed all, of_three;  // three nodes, and none to be added

static double times_real_time(const struct speed *speed) {
    return speed->took_s > 0 ? speed->virtual_s / speed->took_s : 0;
}

static void run_one(uint64_t seed, uint64_t seconds) {
    double from = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t before_us = world_ran().virtual_us;
    world_run(seed, seconds);
    struct speed one = {(double)(world_ran().virtual_us - before_us) / US_PER_S,
                        seconds_of(CLOCK_PROCESS_CPUTIME_ID) - from};
    all = (struct speed){all.virtual_s + one.virtual_s, all.took_s + one.took_s};
    if (world_ran().nodes == 3) {
        of_three = (struct speed){of_three.virtual_s + one.virtual_s, of_three.took_s + one.took_s};
    }
}

static void tell(const struct options *options) {
    struct world_ran ran = world_ran();
    faults_print();
    if (options->minutes > 0) {
        printf("%zu pairs of faults have never met\n", faults_print_pairs());
        printf("%zu states of the cluster, %zu steps between them\n", coverage_states(), coverage_steps());
    }
    printf("%llu seeds from %llu, %llu s each: %llu events, %llu entries, %llu calls, %llu changes watched, %llu changes of "
           "members, %llu workers offline, %llu generations founded (%llu nodes rejoined, %llu acknowledged writes lost), "
           "%llu times a session was gone (%llu first writes done again), the level raised %llu times and %llu programs too "
           "old; "
           "%.1f s of processor, %.0f times real time, with three nodes %.0f times\n",
           (unsigned long long)ran.seeds, (unsigned long long)options->seed, (unsigned long long)options->seconds,
           (unsigned long long)ran.events, (unsigned long long)ran.entries, (unsigned long long)ran.calls,
           (unsigned long long)ran.watched, (unsigned long long)ran.changes, (unsigned long long)ran.offline,
           (unsigned long long)ran.founded, (unsigned long long)ran.rejoined, (unsigned long long)ran.lost,
           (unsigned long long)ran.sessions_gone, (unsigned long long)ran.again, (unsigned long long)ran.raised,
           (unsigned long long)ran.too_old, all.took_s, times_real_time(&all), times_real_time(&of_three));
}

static void write_results(const struct options *options) {
    struct world_ran ran = world_ran();
    FILE *out = fopen(options->results, "w");
    if (out == NULL) {
        perror(options->results);
        exit(1);
    }
    time_t now = (time_t)seconds_of(CLOCK_REALTIME);
    char date[16];
    strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
    fprintf(out,
            "{\n \"date\": \"%s\",\n \"first_seed\": %llu,\n \"seeds\": %llu,\n \"virtual_hours\": %.1f,\n"
            " \"times_real_time\": %.0f,\n \"times_real_time_of_three_nodes\": %.0f,\n \"events\": %llu,\n \"entries\": "
            "%llu,\n \"calls\": %llu,\n"
            " \"changes_watched\": %llu,\n \"changes_of_members\": %llu,\n \"workers_offline\": %llu,\n"
            " \"generations_founded\": %llu,\n \"nodes_rejoined\": %llu,\n \"acknowledged_writes_lost\": %llu,\n"
            " \"sessions_gone\": %llu,\n \"first_writes_again\": %llu,\n"
            " \"levels_raised\": %llu,\n \"programs_too_old\": %llu,\n"
            " \"states\": %zu,\n \"steps\": %zu,\n ",
            date, (unsigned long long)options->seed, (unsigned long long)ran.seeds, all.virtual_s / 3600,
            times_real_time(&all), times_real_time(&of_three), (unsigned long long)ran.events,
            (unsigned long long)ran.entries, (unsigned long long)ran.calls, (unsigned long long)ran.watched,
            (unsigned long long)ran.changes, (unsigned long long)ran.offline, (unsigned long long)ran.founded,
            (unsigned long long)ran.rejoined, (unsigned long long)ran.lost, (unsigned long long)ran.sessions_gone,
            (unsigned long long)ran.again, (unsigned long long)ran.raised, (unsigned long long)ran.too_old,
            coverage_states(), coverage_steps());
    faults_write(out);
    fprintf(out, "\n}\n");
    fclose(out);
}

static void run_seeds(const struct options *options) {
    for (uint64_t i = 0; i < options->count; i++) {
        run_one(options->seed + i, options->seconds);
        if (options->count <= 10) {
            printf("seed %llu: hash %016llx\n", (unsigned long long)(options->seed + i),
                   (unsigned long long)world_ran().hash);
        }
    }
}

static void run_for(const struct options *options) {
    double from = seconds_of(CLOCK_MONOTONIC);
    double said = from;
    for (uint64_t seed = options->seed; seconds_of(CLOCK_MONOTONIC) - from < (double)options->minutes * 60; seed++) {
        run_one(seed, options->seconds);
        if (seconds_of(CLOCK_MONOTONIC) - said >= 60) {
            said = seconds_of(CLOCK_MONOTONIC);
            printf("%.0f min: %llu seeds, %zu states, %zu steps\n", (said - from) / 60,
                   (unsigned long long)world_ran().seeds, coverage_states(), coverage_steps());
            fflush(stdout);
        }
    }
}

int main(int argc, char **argv) {
    struct options options = read_options(argc, argv);
    slog_setup((enum slog_level)(getenv("WORLD_LOG") != NULL ? (int)SLOG_DEBUG : QUIET), SLOG_LOGFMT, NULL);
    if (options.shrink) {
        return shrink(options.seed, options.seconds);
    }
    if (options.faults != NULL) {
        shrink_keep(options.seed, options.seconds, options.faults);
        options.count = 1;
    }
    trace_begin(options.trace);
    if (options.minutes > 0) {
        coverage_begin();
        run_for(&options);
    } else {
        run_seeds(&options);
    }
    tell(&options);
    if (options.results != NULL) {
        write_results(&options);
    }
    coverage_free();
    faults_reset();
    world_free();
    return 0;
}
