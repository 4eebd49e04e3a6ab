// Who the members are, as it is committed, and which hosts are lost to the cluster: those whose disk was wiped or damaged.
//
//   overlapping quorums   two configurations that follow each other differ in one voter at most   (thesis section 4.1)
//   an id that was removed never comes back
//   the cluster's level is one that each member's program has read
#ifndef BATON_TESTS_WORLD_MEMBERS_H
#define BATON_TESTS_WORLD_MEMBERS_H

#include "node/config.h"
#include "raft/raft.h"

void members_begin(void);

// A configuration entry is committed: with `index` it is the next one.
void members_committed(const struct raft_entry *entry);
// A host has founded a generation with this entry, and is its only member. The others may come back under their ids.
void members_founded(int host, const struct raft_entry *entry);
// The cluster's level is raised: every member must have had a program that reads it.
void members_raised(uint32_t level);
uint64_t members_raises(void);  // so often
// The configuration that is in force on a node, committed or not; its log is durable up to there.
void members_in_force(int host, raft_index index, raft_index durable);

// Whether the host's node, by its present id, is a member; or was one.
bool members_have(int host);
bool members_vote(int host);

// Whether the configuration names the data directory that it has to have.
bool members_are_named(int host);
bool members_had(int host);
uint64_t members_changes(void);  // committed
size_t members_count(void);
size_t members_voters(void);

// A host that is lost and still a member; NO_HOST: there is none.
int members_lost(void);
// Whether any is, or may turn out to be.
bool members_are_hurt(void);
// A host drawn from those that are members, by `draw`; from those that are not, but run and wait; NO_HOST: there is none.
int members_any(uint64_t draw);
int members_learner(uint64_t draw);
int members_spare(uint64_t draw);

// Whether the cluster must still work if this host is lost, too: a majority of the voters in force on any node is left, and
// the members know its incarnation, so that it is not taken for what it was (docs/design.md).
bool members_may_lose(int host);

// All members as the peers of a node's configuration.
void members_as_peers(struct node_config *config);

#endif
