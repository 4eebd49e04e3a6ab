// What goes wrong: each seed draws which kinds of faults it has, and how often (Groce et al. 2012, "Swarm Testing").
#ifndef BATON_TESTS_WORLD_FAULTS_H
#define BATON_TESTS_WORLD_FAULTS_H

#include <stdint.h>

void faults_begin(int nodes);
// None from now on; what is broken is mended, and who is down is started.
void faults_end(void);
// Who is down from now on stays down.
void faults_close(void);
// How often each kind has happened, in words.
void faults_print(void);
void faults_reset(void);

#endif
