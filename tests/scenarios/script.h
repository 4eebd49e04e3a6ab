// The scenarios' language: one command a line.
//
//   members n1 n2 n3 [learners n4 ...] [preferred n1]   the cluster; members are numbered consecutively from 1
//   start n1 ... | all [term T] [vote nN] [log T1 T2 ...] [seed S] [preferred nN]
//         cores with this on their disks; by default term 1, no vote, and entry 1 of term 1. `preferred` is their own view.
//         Members without a core are played by the script
//   wait DURATION [n1 ...]     the clocks of all cores, or of these, advance, and timers fire; 150ms or 20us
//   timeout n1                 n1's clock advances to its next timer
//   freeze n1 DURATION         n1's clock advances while its process stands still: no timer fires before the end
//   deliver MESSAGES | all     in order; `all` includes what is sent meanwhile, until nothing is in flight
//   drop MESSAGES              they are lost
//   fail MESSAGES              they are lost, and the request's sender is told
//   repeat mN                  it is delivered once more
//   cut n1 n2 ... | n3 ...     a partition; `heal` ends all partitions
//   disconnect n1 n2           n1 sees its connection to n2 reset
//   crash n1, restart n1       from what is durable
//   disk n1 held | prompt | full | good
//         held: writes complete by `persist n1 [wN] [hard-state]`; prompt (the default): at once. full, good: n1 is told
//   propose n1 TEXT ... [bytes N]   one proposal with an entry for each text, padded to N bytes
//   read n1 NAME               a linearizable read
//   transfer n1 nN | any       a leadership transfer
//   send n2->n1 TYPE FIELDS    a made-up request, delivered at once
//   reply MESSAGES VERDICT     a made-up reply to a request, delivered at once
//   quietly COMMAND            instead of its trace, show only the status of nodes where it has changed
//   status n1 ..., progress n1, logs   show the state of a node, what a leader knows of its followers, all logs
//
// MESSAGES: mN, or FROM->TO [requests | replies | entries | heartbeats], either side `*`: those in flight, oldest first.
// `reply` means requests.
// TYPE and FIELDS are written as in the trace: `AppendEntries term 6 prev 1(t1) entries 2(t5) 3(t6:x) commit 1`,
// `RequestVote term 6 last 4(t4) [transfer]`, `PreVote ...`, `TimeoutNow term 6`; `to nN` for a wrong address.
// VERDICT: granted [as-vote] | refused | success match N | rejected conflict N(tT), each with [term T] and [from nN] if
// these are not the request's. `as-vote`: a reply to a PreVote that claims to be a vote.
#ifndef BATON_TESTS_SCENARIOS_SCRIPT_H
#define BATON_TESTS_SCENARIOS_SCRIPT_H

#include "cluster.h"

// Runs one command, and appends its trace to the cluster's. An error in it sets the cluster's error.
void script_run(struct cluster *cluster, const char *command);

#endif
