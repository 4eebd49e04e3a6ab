// Connections to the other members: two each (control, never queued behind bulk data; bulk, in order), the core's requests
// in flight on them, and a Status call a second, which measures the round trip and brings the peer's report.
//
// An address may lead to another node than the peer, and is then refused: each connection begins with a Status call, and
// whoever answers is compared with the peer before anything of it is used.
#ifndef BATON_NODE_PEERS_H
#define BATON_NODE_PEERS_H

#include "node/peer.h"

struct peers;

// Connects to every member but this node. Options are copied.
struct peers *peers_new(const struct peer_options *options);

// Another configuration is in force, or is_wanted may answer otherwise: connects to members that are new or have another
// address, and closes the connections to those that are gone.
void peers_follow(struct peers *peers);

// Connects to a node that is no member any more, while is_wanted says so; nothing happens if it is connected to, or this
// node.
void peers_meet(struct peers *peers, const struct wire_member *member);

// Closes all connections; no callback follows.
void peers_close(struct peers *peers);
void peers_free(struct peers *peers);

// Sends one of the core's requests (not a reply). Nothing happens if the node has left meanwhile.
void peers_send(struct peers *peers, const struct raft_message *request);

// The connection for requests of which the caller keeps its own account. NULL: no such peer.
struct rpc_channel *peers_channel(const struct peers *peers, const struct raft_id *id, enum raft_lane lane);

// Has the peer told, now and with each Status call, that it has lost an entry (node/lost_entries.h). False: it is told that
// already, or there is no such peer.
bool peers_tell_lost(struct peers *peers, const struct raft_id *id, const char *claim);

// The peer has called this node: connections to it that are down are tried again now, whatever their backoff.
void peers_heard(struct peers *peers, const struct raft_id *id);

// Asks every peer for its Status; call it once a second. A newly connected peer is asked at once.
void peers_ask(struct peers *peers);

// For its metrics: whether the peer votes, and what part of the snapshot that it is sent has arrived; 0: it is sent none.
void peers_measure(struct peers *peers, const struct raft_id *id, bool voter, double snapshot_ratio);

// NULL: no such peer.
const struct peer_view *peers_view(struct peers *peers, const struct raft_id *id);

#endif
