// The scenarios' language: one command a line.
//
//   members n1 n2 n3 [learners n4 ...] [outside n5 ...] [preferred n1]
//         the cluster; members, and nodes outside that are added later, are numbered consecutively from 1
//   start n1 ... | all [term T] [vote nN] [base N(tT)] [snapshot N] [log T1 T2 ...] [seed S] [preferred nN] [leases]
//         cores with this on their disks; by default term 1, no vote, and entry 1 of term 1. `base`: the log begins after
//         that entry; `snapshot`: what one covers, the base by default. `preferred` is their own view. `leases`: with
//         lease_reads, and after a crash with may_have_promised.
//         Members without a core are played by the script. `empty`: of no cluster yet, knows no members. In the log
//         3:[n1,n2/n4] is a configuration: voters n1 and n2, learner n4
//   wait DURATION [n1 ...]     the clocks of all cores, or of these, advance, and timers fire; 150ms or 20us
//   timeout n1                 n1's clock advances to its next timer
//   freeze n1 DURATION         n1's clock advances while its process stands still: no timer fires before the end
//   deliver MESSAGES | all     in order; `all` includes what is sent meanwhile, until nothing is in flight
//   drop MESSAGES              they are lost
//   fail MESSAGES              they are lost, and the request's sender is told
//   repeat mN                  it is delivered once more
//   cut n1 n2 ... | n3 ...     a partition; `heal` ends all partitions
//   disconnect n1 n2           n1 sees its connection to n2 reset
//   meet n1                    n1 has reached another member
//   crash n1, restart n1       from what is durable
//   disk n1 held | prompt | full | good | loses INDEX
//         held: writes complete by `persist n1 [wN] [hard-state]`; prompt (the default): at once. full, good: n1 is told.
//         loses: its disk was set back while it was down, to before that entry
//   compact n1 N               n1 has a snapshot of all that it has applied, and may drop its entries up to N
//   snapshot n1 n2 N(tT)       n1, as the leader, sends n2 a chunk of a snapshot that covers up to there
//   install n2 N(tT) [M [n1,n2/n3]]
//         n2 has such a snapshot on its disk, whole, and loaded; its configuration is that of entry M, or the first
//   propose n1 TEXT ... [bytes N]   one proposal with an entry for each text, padded to N bytes; [n1,n2/n3] is a
//         configuration
//   read n1 NAME               a linearizable read
//   transfer n1 nN | any       a leadership transfer
//   resign n1 [nN | any]       n1 may not lead again; a leader transfers leadership first, if it says to whom
//   send n2->n1 TYPE FIELDS    a made-up request, delivered at once
//   reply MESSAGES VERDICT     a made-up reply to a request, delivered at once
//   quietly COMMAND            instead of its trace, show only the status of nodes where it has changed
//   status n1 ..., progress n1, logs   show the state of a node, what a leader knows of its followers, all logs
//
// MESSAGES: mN, or FROM->TO [requests | replies | entries | heartbeats], either side `*`: those in flight, oldest first.
// `reply` means requests.
// TYPE and FIELDS are written as in the trace: `AppendEntries term 6 prev 1(t1) entries 2(t5) 3(t6:x) commit 1`,
// `RequestVote term 6 last 4(t4) [transfer]`, `PreVote ...`, `TimeoutNow term 6`, `InstallSnapshot term 6 last 4(t4)`;
// `to nN` for a wrong address.
// VERDICT: granted [as-vote] | refused | success match N | rejected conflict N(tT) | accepted | done match N, each with
// [term T], [promises DURATION] and [from nN] if these are not the request's. `as-vote`: a reply to a PreVote that claims to
// be a vote.
#ifndef BATON_TESTS_SCENARIOS_SCRIPT_H
#define BATON_TESTS_SCENARIOS_SCRIPT_H

#include "cluster.h"

// Runs one command, and appends its trace to the cluster's. An error in it sets the cluster's error.
void script_run(struct cluster *cluster, const char *command);

#endif
