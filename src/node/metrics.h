// The node's metrics: one row each, which is its member of struct node_metrics, its kind, its name and its help. Labelled
// metrics of peers are in peers.c, those of calls in src/rpc.
#ifndef BATON_NODE_METRICS_H
#define BATON_NODE_METRICS_H

#include "base/metrics.h"

// X(member, kind, name, help)
#define NODE_METRICS(X)                                                                                                     \
    X(elections, COUNTER, "raft_elections_total", "Elections started by this node, pre-votes not counted.")                 \
    X(term, COUNTER, "raft_term", "The current term. It never falls.")                                                      \
    X(is_leader, GAUGE, "raft_is_leader", "1 if this node is the leader, 0 if not.")                                        \
    X(has_leader, GAUGE, "raft_has_leader", "1 if this node knows a leader, 0 if not.")                                     \
    X(is_voter, GAUGE, "raft_is_voter", "1 if this node votes, 0 if it is a learner or no member.")                         \
    X(leader_changes, COUNTER, "raft_leader_changes_total", "Leader changes observed by this node.")                        \
    X(commit_index, GAUGE, "raft_commit_index", "Index of the last committed entry.")                                       \
    X(applied_index, GAUGE, "raft_applied_index", "Index of the last entry applied to the state machine.")                  \
    X(cluster_level, GAUGE, "baton_cluster_level", "The cluster's level, as this node has applied it.")                     \
    X(proposals, COUNTER, "raft_proposals_committed_total", "Proposals of this leader that were committed and applied.")    \
    X(proposals_failed, COUNTER, "raft_proposals_failed_total", "Proposals refused, or with an outcome unknown here.")      \
    X(proposals_pending, GAUGE, "raft_proposals_pending", "Proposals waiting to be committed.")                             \
    X(reads, COUNTER, "raft_reads_total", "Linearizable reads answered.")                                                   \
    X(wal_batches, COUNTER, "wal_batches_total", "Batches written and synced to the log.")                                  \
    X(wal_bytes, COUNTER, "wal_written_bytes_total", "Bytes written to the log.")                                           \
    X(wal_full, GAUGE, "wal_full", "1 while the log has no disk space.")                                                    \
    X(snapshots, COUNTER, "baton_snapshots_total", "Snapshots of the state that this node has taken.")                      \
    X(snapshot_failures, COUNTER, "baton_snapshot_failures_total", "Snapshots that could not be written.")                  \
    X(snapshot_sent_bytes, COUNTER, "baton_snapshot_sent_bytes_total", "Bytes of snapshots sent to followers.")             \
    X(snapshot_received_bytes, COUNTER, "baton_snapshot_received_bytes_total",                                              \
      "Bytes of snapshots that came from leaders.")                                                                         \
    X(snapshot_index, GAUGE, "baton_snapshot_index", "Index of the last entry that the newest durable snapshot covers.")    \
    X(snapshot_bytes, GAUGE, "baton_snapshot_size_bytes", "Size of that snapshot, in bytes.")                               \
    X(digests_undecided, GAUGE, "baton_digests_undecided",                                                                  \
      "1 while states of members differ and no majority of voters agrees.")                                                 \
    X(log_bytes, GAUGE, "raft_log_memory_bytes", "Memory held by log entries, in bytes.")                                   \
    X(placement_moves, COUNTER, "baton_placement_moves_total", "Leadership transfers begun by this leader for placement.")  \
    X(cpu_seconds, COUNTER, "process_cpu_seconds_total", "CPU time used, in seconds.")                                      \
    X(resident_bytes, GAUGE, "process_resident_memory_bytes", "Resident memory, in bytes.")                                 \
    X(open_fds, GAUGE, "process_open_fds", "Open file descriptors.")                                                        \
    X(max_fds, GAUGE, "process_max_fds", "Limit on open file descriptors.")                                                 \
    X(start_time, GAUGE, "process_start_time_seconds", "Start of the process, in seconds since the Unix epoch.")

// X(member, bounds, name, help)
#define NODE_HISTOGRAMS(X)                                                                                                  \
    X(replication_latency, replication_bounds_ms, "raft_replication_latency_ms",                                            \
      "From the leader's append to the commit by a majority, in milliseconds.")                                             \
    X(turn_seconds, turn_bounds_s, "baton_loop_turn_seconds", "Time that the event loop worked before it waited again.")    \
    X(snapshot_seconds, snapshot_bounds_s, "baton_snapshot_duration_seconds", "Time to write one snapshot, in seconds.")    \
    X(fsync, fsync_bounds_s, "wal_fsync_duration_seconds", "Duration of one write and sync of the log, in seconds.")

enum node_cloud { CLOUD_GCP, CLOUD_AWS, CLOUD_COUNT };

struct node_metrics {
#define X(member, kind, name, help) struct metric *member;
    NODE_METRICS(X)
#undef X
#define X(member, bounds, name, help) struct histogram *member;
    NODE_HISTOGRAMS(X)
#undef X
    struct metric *workers[CLOUD_COUNT][2];  // baton_workers, by cloud and whether online
};

struct raft_slab;
struct state;

// Registers all of them in `metrics`, which owns them.
void node_metrics_register(struct node_metrics *m, struct metrics *metrics);

// Once per scrape: samples the process's resources and the number of workers by cloud and status.
void node_metrics_sample(struct node_metrics *m, const struct state *state, const struct raft_slab *slab);

#endif
