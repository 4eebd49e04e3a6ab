// The limits of one page of a list.
#ifndef BATON_VERBS_PAGE_H
#define BATON_VERBS_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct page {
    size_t count;      // items added
    size_t limit;      // the most items
    size_t bytes;      // of the items added, encoded
    size_t bytes_max;  // the most bytes; the first item always fits
    bool more;         // the next item did not fit
};

// The number of items for a request's limit; 0: the default.
size_t page_limit(uint32_t asked);

// Whether one more item of that encoded size fits; the caller then adds and counts it. False sets `more`.
bool page_takes(struct page *page, size_t bytes);

#endif
