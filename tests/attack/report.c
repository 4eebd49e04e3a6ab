// The counts: attack.h.
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "attack.h"

enum { SHOWN_MAX = 10 };

static const char *const attack_names[ATTACKS] = {"cuts",    "flips",          "changes", "sectors",
                                                  "crashes", "double_crashes", "failures"};
static const char *const outcome_names[OUTCOMES] = {
    "whole", "whole_from_older_image", "taken_for_torn", "WAL_CORRUPT", "WAL_GAP", "SNAP_CORRUPT"};
static const char *const operation_names[OPERATIONS] = {"start",   "append",  "rotate", "snapshot",
                                                        "compact", "install", "stop",   "repair"};

static uint64_t cases[ATTACKS][OUTCOMES];
static uint64_t crashes[2][OPERATIONS];
static uint64_t failures;

void report_case(enum attack attack, enum outcome outcome) {
    cases[attack][outcome]++;
}

void report_crash(enum operation operation, bool twice) {
    crashes[twice][operation]++;
}

void report_broken(const char *format, ...) {
    if (failures++ < SHOWN_MAX) {
        va_list args;
        va_start(args, format);
        fputs("BROKEN: ", stdout);
        vprintf(format, args);
        fputs("\n", stdout);
        va_end(args);
    }
}

uint64_t report_failures(void) {
    return failures;
}

void report_reset(void) {
    memset(cases, 0, sizeof cases);
    memset(crashes, 0, sizeof crashes);
    failures = 0;
}

static uint64_t total(enum attack attack) {
    uint64_t sum = 0;
    for (size_t i = 0; i < OUTCOMES; i++) {
        sum += cases[attack][i];
    }
    return sum;
}

void report_print(void) {
    for (size_t a = 0; a < ATTACKS; a++) {
        if (total((enum attack)a) == 0) {
            continue;
        }
        printf("%-15s%8llu:", attack_names[a], (unsigned long long)total((enum attack)a));
        for (size_t i = 0; i < OUTCOMES; i++) {
            if (cases[a][i] > 0) {
                printf(" %llu %s", (unsigned long long)cases[a][i], outcome_names[i]);
            }
        }
        printf("\n");
    }
    for (size_t i = 0; i < OPERATIONS; i++) {
        if (crashes[0][i] + crashes[1][i] > 0) {
            printf("  in %-12s%8llu crashes, %llu with a second one\n", operation_names[i],
                   (unsigned long long)crashes[0][i], (unsigned long long)crashes[1][i]);
        }
    }
    printf("%llu broken\n", (unsigned long long)failures);
}

void report_write(FILE *out, uint64_t seed, double seconds) {
    char date[16];
    time_t now = time(NULL);
    strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
    fprintf(out,
            "{\n  \"date\": \"%s\",\n  \"command\": \"make attack SEED=%llu\",\n  \"seconds\": %.1f,\n  \"broken\": %llu,\n "
            " \"attacks\": {",
            date, (unsigned long long)seed, seconds, (unsigned long long)failures);
    for (size_t a = 0; a < ATTACKS; a++) {
        fprintf(out, "%s\n    \"%s\": {\"cases\": %llu", a > 0 ? "," : "", attack_names[a],
                (unsigned long long)total((enum attack)a));
        for (size_t i = 0; i < OUTCOMES; i++) {
            fprintf(out, ", \"%s\": %llu", outcome_names[i], (unsigned long long)cases[a][i]);
        }
        fprintf(out, "}");
    }
    fprintf(out, "\n  },\n  \"operations\": {");
    for (size_t i = 0; i < OPERATIONS; i++) {
        fprintf(out, "%s\n    \"%s\": {\"crashes\": %llu, \"double_crashes\": %llu}", i > 0 ? "," : "", operation_names[i],
                (unsigned long long)crashes[0][i], (unsigned long long)crashes[1][i]);
    }
    fprintf(out, "\n  }\n}\n");
}
