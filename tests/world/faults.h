// What goes wrong, and what the operator is told to do: each seed draws which kinds there are, and how often (Groce et al.
// 2012, "Swarm Testing"). The schedule is drawn before the run, from the seed alone, so that one may leave out some of it
// and see whether the rest still breaks something.
#ifndef BATON_TESTS_WORLD_FAULTS_H
#define BATON_TESTS_WORLD_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// Draws the schedule of a run of so long. Its length.
size_t faults_plan(uint64_t seed, uint64_t end_us);
// Only these of the next plans happen: keep[number]; NULL: all. Borrowed until the next call.
void faults_keep(const bool *keep, size_t count);
// A fault of the plan in words.
void faults_describe(size_t number, char *out, size_t size);

void faults_begin(void);
// None from now on; what is broken is mended, and who is down is started.
void faults_end(void);
// Who is down from now on stays down.
void faults_close(void);
// Between two runs: nothing is left of the one before.
void faults_finish(void);
void faults_reset(void);  // after the last one

// How often each kind has happened, in words; and how often each pair of kinds at the same time, as a table. The number of
// pairs that never have.
void faults_print(void);
size_t faults_print_pairs(void);
// The same as members of a JSON object: {"faults": {kind: count}, "pairs": [[...]]}, a row for each kind.
void faults_write(FILE *out);

#endif
