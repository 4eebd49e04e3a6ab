// What is committed, as all nodes must have it, and the checks of nodes and clients against it.
//
//   election safety       one leader a term                                            (paper figure 3)
//   log matching,
//   state-machine safety  no two nodes commit different entries at an index
//   leader completeness   a node that leads has all that is committed
//   equal states          after an entry all nodes have the same digest
//   durability            what was acknowledged is committed, with that very content
//   exactly once          a write that was retried has one effect, or none if its client is told that its session is gone
//   linearizability       a write's revision, and what a read reflects, is after everything that had ended when it began,
//                         and the value is that of the store at this index
//   watches               every change, once, in order
//   levels                what is made is not above the cluster's level, and no program has a state above its own
//   generations           a new one begins with all that its survivor had on its disk, and loses nothing else; each has
//                         leaders, a history and clients' promises of its own, and terms that none before it reaches
//
// The ledger has a model of the store of its own, chronicle.h.
#ifndef BATON_TESTS_WORLD_LEDGER_H
#define BATON_TESTS_WORLD_LEDGER_H

#include "base/error.h"
#include "base/slice.h"
#include "raft/entry.h"

struct pb_key_value;
struct raft_restored;

enum { KEYS = 12, GENERATIONS_MAX = 4 };

void ledger_begin(void);
void ledger_free(void);

// After each turn of a node.
void ledger_look(int host);
// Its node does not start, or has ended by itself.
void ledger_start_failed(int host, const struct error *error);

// It says that its program is too old for what the others have made.
void ledger_too_old(int host);

// A survivor's log, which begins with what it had and ends with the entry that founds the generation.
void ledger_founded(int host, uint64_t generation, const struct raft_restored *log);
uint64_t ledger_generation(void);  // the newest
// Whether a node of it belongs to an older generation, and since when there is a newer one.
bool ledger_is_old(int host);
uint64_t ledger_founded_us(void);
// The first entry of this log of which the newest generation has committed another one; 0: none is known.
raft_index ledger_differs(const struct raft_restored *log);

// In each generation everything that ended before now is at or below this index.
struct floors {
    uint64_t of[GENERATIONS_MAX];
    uint64_t known;  // generations at that time
};
struct floors ledger_floors(void);

// A client's call has ended, by a node of that generation. `floors`: ledger_floors when it began. `value`: unique; 0: a
// delete.
void ledger_wrote(uint64_t generation, unsigned key, uint64_t value, uint64_t revision, const struct floors *floors);
void ledger_read(uint64_t generation, unsigned key, struct slice value, uint64_t revision, uint64_t read_index,
                 const struct floors *floors);
void ledger_read_nothing(uint64_t generation, unsigned key, const struct floors *floors);
// A page of a list, of the keys from `from` on, as of `read_index`; `floors`: when the list began. The first key of the next
// one.
unsigned ledger_listed(uint64_t generation, unsigned from, const struct pb_key_value *items, size_t count, bool more,
                       uint64_t read_index, const struct floors *floors);
// It was told that its session is gone.
void ledger_expired(uint64_t generation, struct slice client, uint64_t sequence);
// The next change that a watch was told; `*place`: SIZE_MAX before the first one that is known.
void ledger_watched(uint64_t generation, size_t *place, struct slice key, struct slice value, bool is_delete,
                    uint64_t revision);
// A watch that begins at a revision must be told these changes first.
size_t ledger_place(uint64_t generation, uint64_t from_revision);
// Its place where it goes on with a node of another generation: the same, if both have all that is before the revision that
// it asks for; else it is not known what it has missed (docs/operations.md, "Losing a cloud").
size_t ledger_move(size_t place, uint64_t next_revision, uint64_t from, uint64_t to);

uint64_t ledger_committed(void);  // of the newest generation
uint64_t ledger_acknowledged(void);
uint64_t ledger_lost(void);              // writes that were acknowledged, and that a later generation does not have
uint64_t ledger_sessions_gone(void);     // so often a client was told so
uint64_t ledger_again(void);             // first writes of sessions that were evicted, done once more
uint64_t ledger_programs_too_old(void);  // so often one said so
// At the end: all members that run have applied the same and have the same digest.
bool ledger_all_equal(void);
// What each node has, on standard error: for a run that does not end.
void ledger_explain(void);

void key_name(unsigned key, char out[16]);

#endif
