// One-line summaries of log entries: put "k1" (256 bytes), delete "k1", worker w1 offline (left), members n1, n2, n3.
#ifndef BATON_VERBS_SUMMARY_H
#define BATON_VERBS_SUMMARY_H

#include "node/verb.h"
#include "raft/entry.h"

// Summarizes any entry, also one that this version cannot decode. Needs no node.
void summarize_entry(const struct raft_entry *entry, struct buf *out);

// For the verbs' summaries: text with everything escaped but printable ASCII; `what "key"`; " if at revision N" if there is
// an expected revision.
void summary_text(struct buf *out, struct slice text);
void summary_key(struct buf *out, const char *what, struct slice key);
void summary_expected(struct buf *out, bool has_expected_revision, uint64_t expected_revision);

#endif
