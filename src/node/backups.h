// Backups: an image of the present state, streamed to a client.
//
// The image is that of a snapshot (node/snapshots.h), so a backup costs a node what a snapshot costs, and its bytes are
// those of the file in snap/. Another thread reads the whole file first and verifies it: a damaged one is never begun. The
// open file stays readable when newer snapshots take its place; a client that takes nothing for a minute loses it.
#ifndef BATON_NODE_BACKUPS_H
#define BATON_NODE_BACKUPS_H

#include "node/verb.h"

struct backups;

struct backups *backups_new(void);

// After the loop has ended.
void backups_free(struct backups *backups);

// A member's Status has come: how far others are.
void backups_heard(struct node *node, const struct pb_status_response *status);

// Once a second: ends those that stall.
void backups_sample(struct node *node);

// The node leaves: ends all.
void backups_finish(struct node *node);

#endif
