// The limits of one page of a list.
#ifndef BATON_VERBS_PAGE_H
#define BATON_VERBS_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/verb.h"

struct page {
    size_t count;      // items added
    size_t limit;      // the most items
    size_t bytes;      // of the items added, encoded
    size_t bytes_max;  // the most bytes; the first item always fits
    bool more;         // the next item did not fit
};

// Ends the call: this node does not hold the version that the page is to be of.
void page_is_gone(struct node *node, struct rpc_call call, raft_index at);

// The number of items for a request's limit; 0: the default.
size_t page_limit(uint32_t asked);

// Whether one more item of that encoded size fits; the caller then adds and counts it. False sets `more`.
bool page_takes(struct page *page, size_t bytes);

#endif
