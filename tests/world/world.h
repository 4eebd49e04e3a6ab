// A whole cluster in one process on virtual time: the real nodes (node, verbs, state, wal, raft, policy, wire) over a
// simulated network, disk, clock and event loop.
//
// The nodes' code is the product's own object files. What it calls of the system is defined here instead, at link time:
//
//   time.c     virtual time, and the events that make it pass
//   context.c  switching stacks
//   fiber.c    threads: each is a fiber, and only one runs at a time; pthread, semaphores, sleeping
//   loop.c     libuv, as far as nodes use it: a loop is a fiber
//   network.c  connections between hosts: delay, stalls, cuts
//   server.c   rpc/rpc.h over these connections: servers and their calls
//   channel.c  the same: channels
//   files.c    wal/io.h on a disk in memory (tests/unit/wal_disk.h), and the rest of the system: clocks, random numbers
//   pages.c    the system's pages
//   host.c     a machine, and the node on it: start, crash, pause
//   client.c   what clients do, and what they saw; worker.c and operator.c the same
//   ledger.c   the checks
//   endpoints.c  channels from a client to all nodes
//   members.c  who the members are, and who of them is lost
//   levels.h   programs of several versions
//   sessions.c  a model of sessions; small_sessions.h: their bounds
//   generations.c  a majority that is gone for good, and what the operator does then
//   left_behind.c  what a node leaves that rejoins
//   chronicle.c  what a generation has committed, and a model of the store after it
//   faults.c   what goes wrong, drawn from the seed; faults_kinds.c does it
//   coverage.c what runs have reached; shrink.c finds a shorter one that fails
//   trace.c    a run as a diagram
//
// Everything random comes from one seed, so a run can be repeated; its trace has a hash, so that one sees that it was the
// same. A violated invariant prints the seed and the virtual time, and ends the process.
#ifndef BATON_TESTS_WORLD_H
#define BATON_TESTS_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/rng.h"
#include "base/slice.h"

// --- time.c ---

// Microseconds since the world began.
uint64_t world_now(void);

// `run(a, b)` at that time, after everything that was asked for earlier at the same time.
void world_at(uint64_t at_us, void (*run)(void *a, uint64_t b), void *a, uint64_t b);

// Lets time pass until then, or until world_end_run is called.
void world_run_until(uint64_t at_us);
void world_end_run(void);

// From now on everything is drawn anew, from this seed.
void world_begin(uint64_t seed);
uint64_t world_seed(void);
void world_free(void);

struct rng *world_rng(void);
uint64_t world_between(uint64_t min, uint64_t max);
bool world_chance(uint64_t one_in);

// What has happened becomes part of the trace's hash.
void world_note(uint64_t what);
uint64_t world_hash(void);
uint64_t world_steps(void);  // events so far

// Something is wrong that must never be: prints it with seed and time, and exits with status 1.
void world_broken(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

// --- trace.c ---

// Something that a person should read has happened at that host; NO_HOST: everywhere.
void world_trace(int host, const char *format, ...) __attribute__((format(printf, 2, 3)));

// --- fiber.c ---

enum { NO_HOST = -1 };

struct fiber;

// Begins to run when the scheduler comes to it; belongs to the host.
struct fiber *fiber_new(int host, void (*run)(void *user), void *user);

// The fiber that runs; NULL: the scheduler itself.
struct fiber *fiber_current(void);

// Stops the current fiber until fiber_wake. A wake that came before counts.
void fiber_park(void);
void fiber_park_until(uint64_t at_us);
void fiber_wake(struct fiber *fiber, uint64_t at_us);
void fiber_sleep(uint64_t us);
bool fiber_has_ended(const struct fiber *fiber);
void fiber_free(struct fiber *fiber);  // of one that has ended

// The host whose code is running; NO_HOST: none.
int current_host(void);
void set_current_host(int host);

// A host that stands still: its fibers do not run until it goes on.
void fibers_pause(int host, bool pause);

// --- loop.c ---

struct uv_loop_s;

// A loop of the current host, whose fiber is the current one.
struct uv_loop_s *loop_new(void);
void loop_free(struct uv_loop_s *loop);  // asserts that no handle is left
// Turns until no handle is left, or loop_leave is called.
void loop_run(struct uv_loop_s *loop);
void loop_leave(struct uv_loop_s *loop);
// It turns on although it has no handle, until loop_leave.
void loop_hold(struct uv_loop_s *loop);
// `run(a, b)` on the loop, in its next turn.
void loop_post(struct uv_loop_s *loop, void (*run)(void *a, uint64_t b), void *a, uint64_t b);
// The same for something that arrives from elsewhere: after so long.
uint64_t loop_turns(const struct uv_loop_s *loop);

// --- host.c: clocks ---

// What the clock of a host shows, in microseconds, and when it will show that.
uint64_t host_clock(int host);
uint64_t host_clock_at(int host, uint64_t local_us);
int64_t host_wall_us(int host);

#endif
