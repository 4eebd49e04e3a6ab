// What is committed, as all nodes must have it, and the checks of nodes and clients against it.
//
//   election safety       one leader a term                                            (paper figure 3)
//   log matching,
//   state-machine safety  no two nodes commit different entries at an index
//   leader completeness   a node that leads has all that is committed
//   equal states          after an entry all nodes have the same digest
//   durability            what was acknowledged is committed, with that very content
//   exactly once          a write that was retried has one effect
//   linearizability       a write's revision, and what a read reflects, is after everything that had ended when it began,
//                         and the value is that of the store at this index
//   watches               every change, once, in order
//
// The ledger has a model of the store of its own: it shares no code with src/state.
#ifndef BATON_TESTS_WORLD_LEDGER_H
#define BATON_TESTS_WORLD_LEDGER_H

#include "base/error.h"
#include "base/slice.h"

struct pb_key_value;

enum { KEYS = 12 };

void ledger_begin(void);
void ledger_free(void);

// After each turn of a node.
void ledger_look(int host);
// Its node does not start, or has ended by itself.
void ledger_start_failed(int host, const struct error *error);

// Everything that ended before now is at or below this index.
uint64_t ledger_floor(void);

// A client's call has ended. `floor`: ledger_floor when it began. `value`: unique; 0: a delete.
void ledger_wrote(unsigned key, uint64_t value, uint64_t revision, uint64_t floor);
void ledger_read(unsigned key, struct slice value, uint64_t revision, uint64_t read_index, uint64_t floor);
void ledger_read_nothing(unsigned key, uint64_t floor);
// A page of a list, of the keys from `from` on, as of `read_index`; `floor`: when the list began. The first key of the next
// one.
unsigned ledger_listed(unsigned from, const struct pb_key_value *items, size_t count, bool more, uint64_t read_index,
                       uint64_t floor);
// The next change that a watch was told; `*place`: SIZE_MAX before the first one that is known.
void ledger_watched(size_t *place, struct slice key, struct slice value, bool is_delete, uint64_t revision);
// A watch that begins at a revision must be told these changes first.
size_t ledger_place(uint64_t from_revision);

uint64_t ledger_committed(void);
uint64_t ledger_acknowledged(void);
// At the end: all nodes that run have applied the same and have the same digest.
bool ledger_all_equal(void);
// What each node has, on standard error: for a run that does not end.
void ledger_explain(void);

void key_name(unsigned key, char out[16]);

#endif
