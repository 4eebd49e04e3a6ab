// Images of the state: versions, which stay as they are while the loop goes on applying entries; the records of a version
// (proto/baton/v1/image.proto), to be written by another thread; and a loader that makes a state of records.
//
// The records of one index are the same on every node, however it came to that state. Nothing that is of one node is in
// them: no clock, row, option or order of memory.
#ifndef BATON_STATE_IMAGE_H
#define BATON_STATE_IMAGE_H

#include "baton/v1/image.pb.h"
#include "state/state.h"

// --- versions; on the thread that applies entries, but for reading them ---

struct state_version;

// The state as it is now. Takes no time that depends on its size.
struct state_version *state_version_new(struct state *state);

// Gives it back, to the state it is of or to the successor; nobody may be reading it. state_collect frees what it held.
void state_version_release(struct state *state, struct state_version *version);

raft_index state_version_index(const struct state_version *version);
uint64_t state_version_digest(const struct state_version *version);

// state_list and state_workers of the version. Rows of its workers may be others' by now.
void state_version_list(const struct state_version *version, struct slice prefix, struct slice start_after,
                        bool (*visit)(void *user, const struct state_item *item), void *user);
void state_version_workers(const struct state_version *version, struct slice start_after,
                           bool (*visit)(void *user, const struct state_worker *worker), void *user);

// --- records, on any thread ---

struct state_records;

// A sequence of all records of a version, which must be kept until it is freed.
struct state_records *state_records_new(const struct state_version *version);
void state_records_free(struct state_records *records);

// The next record: the meta record, the sessions by client, the workers by id, the items by key, the grants. It borrows from
// the version and the sequence until the next call. False: there are no more.
bool state_records_next(struct state_records *records, struct pb_image_record *record);

// After the last one: the digest of what the records hold, made anew. If it is not the version's, something of the state was
// changed otherwise than by applying entries: a bit in memory is another.
uint64_t state_records_digest(const struct state_records *records);

// --- loading, on any thread; what a loader is given comes from a disk or a peer ---

struct state_loader;

struct state_loader *state_loader_new(void);
void state_loader_free(struct state_loader *loader);  // with what it holds; NULL: does nothing

// Adds a record, in their order; all of it is copied. ERR_SNAP_CORRUPT: it is out of order, doubled, beyond a limit or
// impossible; ERR_UNKNOWN_COMMAND: of a level or outcome that this version does not know. After an error the loader can only
// be freed.
enum error_code state_loader_add(struct state_loader *loader, const struct pb_image_record *record, struct error *error);

// The state of all records, with the digest that their image states. The history of changes is empty: see state_recall.
// ERR_SNAP_CORRUPT: records are missing, or their digest is another. The loader is to be freed in any case.
enum error_code state_loader_finish(struct state_loader *loader, uint64_t digest, struct state **state, struct error *error);

#endif
