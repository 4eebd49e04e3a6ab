// The journals of all nodes, merged (JournalResponse in proto/baton/v1/control.proto).
#ifndef BATON_CTL_JOURNAL_H
#define BATON_CTL_JOURNAL_H

#include "baton/v1/control.pb.h"
#include "ctl/nodes.h"

// One record, with the node that it is of.
struct cause {
    struct slice node;
    const struct pb_journal_record *record;
    uint64_t term;     // of the record; what a node tells before it has read its log counts to the next term that it tells
    int64_t first_ms;  // unix time; by this machine's clock if the node's differs a lot from it
    int64_t last_ms;
    bool shown;  // it is part of an answer
};

struct journal_node {
    struct slice node;  // id; its address if that is not known
    bool answered;
    struct slice why_not;  // it has not answered
    int64_t ahead_ms;      // of this machine's clock, if by more than JOURNAL_CLOCK_MS; else 0
};

enum { JOURNAL_CLOCK_MS = 1000, JOURNAL_NODES_MAX = 128 };

// Sorted by term, then by time.
struct causes {
    struct cause *list;
    size_t count;
    struct journal_node nodes[JOURNAL_NODES_MAX];
    size_t node_count;
    struct slice leader;  // at present; empty: no node that answers knows one
};

// Asks those of the nodes that are reachable (nodes_ask). What `causes` says points into ctl->arena and into what `nodes`
// points to. CTL_UNREACHABLE: none is; CTL_FAILED: an answer does not decode.
enum ctl_exit journal_gather(struct ctl *ctl, const struct node_status *nodes, size_t count, struct causes *causes);

// Sorts causes->list; for tests that make their own.
void causes_sort(struct causes *causes);

// The value of a record's field; empty if it has none of that name.
struct slice cause_value(const struct cause *cause, const char *key);

// Whether it is this event, and, unless `key` is NULL, the field is this value.
bool cause_is(const struct cause *cause, const char *event, const char *key, struct slice value);

// All of it is part of the answer.
void journal_show_all(struct causes *causes);

// Appends what is shown: a table, or the elements of an array.
void journal_table(struct buf *out, const struct causes *causes);
void journal_json(struct json *json, const struct causes *causes);

// Appends "2026-11-28 16:05:01.123", UTC.
void journal_time(struct buf *out, int64_t unix_ms);

#endif
