// Lists in pages, all of one version of the state: printed only when whole, and begun anew if the node that answered the
// first page is gone or no longer holds that version.
#ifndef BATON_CTL_PAGING_H
#define BATON_CTL_PAGING_H

#include "ctl/commands.h"

struct paging {
    struct buf after;  // the last key so far; empty: none
    uint64_t at;       // of the next request: the version; 0: none yet
    uint64_t count;    // of the rows so far
    bool more;
    struct table table;  // either this
    struct json json;    // or, with --json, this is filled
};

// What the next page's request needs: `first` for the first page; the others are asked of the node that answered it.
enum ctl_need paging_need(const struct paging *paging, enum ctl_need first);

// A page has been added; `last`: its last key, empty if it had none.
void paging_next(struct paging *paging, bool more, struct slice last, uint64_t read_index);

// Prints the list: a table with these headings, or a JSON array. `page` asks for one page, adds it and calls paging_next.
enum ctl_exit paging_print(struct ctl *ctl, const char *headings,
                           enum ctl_exit (*page)(struct ctl *ctl, struct paging *paging));

#endif
