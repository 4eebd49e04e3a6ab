// Why: what the journals of the nodes (ctl/journal.h) say about one question. Pure, so that tests make the journals.
//
// Each function appends an answer, a sentence a line, and marks the records that it is drawn from as shown. Where the
// records do not tell it says so, and what may be the case.
#ifndef BATON_CTL_EXPLAIN_H
#define BATON_CTL_EXPLAIN_H

#include "ctl/journal.h"

// Why there was an election: what became of the leader before, and how the new one won. `term` 0: the latest that was won.
// False: no record knows of one.
bool explain_election(struct causes *causes, uint64_t term, struct buf *out);

// Why a worker is offline, or was.
bool explain_worker(struct causes *causes, struct slice id, struct buf *out);

// The workers that were lost lately: how many, and the last of them.
bool explain_workers(struct causes *causes, struct buf *out);

// Why writes took long. `all`: each second in which some did, else only the last.
bool explain_writes(struct causes *causes, bool all, struct buf *out);

// The latest of each, or that there is none.
void explain_latest(struct causes *causes, struct buf *out);

// --- what the answers share ---

// Appends text for a terminal.
void explain_text(struct buf *out, struct slice text);

// A field that is a number; 0 if it is none.
double explain_number(struct slice text);

// Appends "812 ms" or "16.2 s" of a field in milliseconds; what is no number as it is.
void explain_ms(struct buf *out, struct slice ms);

#endif
