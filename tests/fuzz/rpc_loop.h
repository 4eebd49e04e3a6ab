// A runtime of rpc without a network: libuv's clock and timers, its listener and TCP are taken by the linker (meson.build
// lists what), so that time passes when a target says so, and a connection is bytes that it gives and takes.
#ifndef BATON_TESTS_FUZZ_RPC_LOOP_H
#define BATON_TESTS_FUZZ_RPC_LOOP_H

#include "base/buf.h"
#include "rpc/rpc.h"

// The runtime, at time 1,000,000 ms. It is the same for all inputs, since making its buffers takes longer than an input.
struct rpc_runtime *loop_begin(void);

// Ends what is closed, and asserts that nothing is left of any server, channel, connection or call.
void loop_end(void);

// A turn: closed connections first, then timers that are due, then what ends a turn of rpc.
void loop_turn(void);

// Lets time pass, and takes turns where a timer is due.
void loop_pass(uint64_t ms);

// The server's listener has a connection.
void loop_connect(void);

// The connection that the server has accepted or the channel has made last. False: there is none that is open.
bool loop_is_connected(void);

// So many connections have been made by channels.
unsigned loop_attempts(void);

// The peer has answered a channel's attempt, or refused it.
void loop_answer(bool accept);

// Bytes from the peer, at most `piece` at a time with a turn after each; 0: all at once.
void loop_receive(struct slice bytes, size_t piece);

// The peer has closed or reset the connection.
void loop_hang_up(bool reset);

// The peer's kernel takes at most half of each write at once, and the rest a turn later.
void loop_narrow(bool narrow);

// What was sent so far on the newest connection is whole frames, as HTTP/2 has them.
void loop_check_sent(bool by_client);

#endif
