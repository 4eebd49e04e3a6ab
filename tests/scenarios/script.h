// The scenarios' language: one command a line.
//
//   members n1 n2 n3 [learners n4 ...] [preferred n1]   who is in the cluster; nN are numbered from 1 without a gap
//   start n1 ... | all [term T] [vote nN] [log T1 T2 ...] [seed S] [preferred nN]
//         a core with this on its disk: term 1, no vote and entry 1 of term 1 unless said otherwise. `preferred` is this
//         node's own view. A member without a core is played by the script
//   wait DURATION [n1 ...]     clocks advance (of all cores, or of these), timers fire on the way; 150ms or 20us
//   timeout n1                 n1's clock advances to its next timer
//   freeze n1 DURATION         n1's clock advances, and no timer fires on the way: the process stood still
//   deliver MESSAGES | all     in order; `all`: what is sent in consequence, too, until nothing is in flight
//   drop MESSAGES              lost without notice
//   fail MESSAGES              lost, and the node that waits for the answer is told
//   repeat mN                  delivered once more
//   cut n1 n2 ... | n3 ...     no message between the two sides; `heal` ends all cuts
//   disconnect n1 n2           n1 sees its connection to n2 reset
//   crash n1, restart n1       what is not on disk is lost
//   disk n1 held | prompt | full | good
//         held: a write completes at `persist n1 [wN] [hard-state]`; prompt: at once (as at first). full, good: what n1 is
//         told
//   propose n1 TEXT ... [bytes N]   one proposal, an entry for each text; with `bytes` each is filled up to N
//   read n1 NAME               a linearizable read
//   transfer n1 nN | any       hand leadership over
//   send n2->n1 TYPE FIELDS    a message that the script makes up, delivered at once
//   reply MESSAGES VERDICT     the script's answer to a request, delivered at once
//   quietly COMMAND            instead of what follows from it, only which nodes are other than last shown
//   status n1 ..., progress n1, logs   show what a node knows
//
// MESSAGES: mN, or FROM->TO [requests | replies | entries | heartbeats], either side `*`: those in flight, oldest first
// (`reply` means requests).
// TYPE and FIELDS are written as in the trace: `AppendEntries term 6 prev 1(t1) entries 2(t5) 3(t6:x) commit 1`,
// `RequestVote term 6 last 4(t4) [transfer]`, `PreVote ...`, `TimeoutNow term 6`; `to nN` for a wrong address.
// VERDICT: granted [as-vote] | refused | success match N | rejected conflict N(tT), each with [term T] and
// [from nN] if these are not the request's. `as-vote`: a PreVote's answer
// that claims to be a vote.
#ifndef BATON_TESTS_SCENARIOS_SCRIPT_H
#define BATON_TESTS_SCENARIOS_SCRIPT_H

#include "cluster.h"

// Runs a command; the trace grows by what follows from it. A bad one sets the cluster's error.
void script_run(struct cluster *cluster, const char *command);

#endif
