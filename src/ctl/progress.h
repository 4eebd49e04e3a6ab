// How far something long is, on standard error: a bar on a terminal, else a line when much has changed.
#ifndef BATON_CTL_PROGRESS_H
#define BATON_CTL_PROGRESS_H

#include <stdbool.h>

enum { PROGRESS_TEXT_MAX = 200 };

struct progress {
    bool terminal;
    bool shown;                    // a bar is on the terminal's line
    char what[PROGRESS_TEXT_MAX];  // of the last line
    int tenth;                     // of the last line: how much was done; -1: unknown
};

void progress_begin(struct progress *progress);

// `what` is the same text for the same piece of work. `fraction`, of it, from 0 to 1; negative: unknown. `detail` changes
// all the time, and so makes no new line.
void progress_show(struct progress *progress, const char *what, double fraction, const char *detail);

// Before other output: clears the bar.
void progress_clear(struct progress *progress);

#endif
