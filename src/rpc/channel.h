// The channel's inside: what channel.c (connecting, and again) and channel_call.c (calls) share.
#ifndef BATON_RPC_CHANNEL_H
#define BATON_RPC_CHANNEL_H

#include "rpc/connection.h"
#include "rpc/metadata.h"
#include "rpc/slots.h"

// Times, in milliseconds.
enum {
    RPC_BACKOFF_MIN_MS = 20,
    RPC_BACKOFF_MAX_MS = 1000,  // where the options name none
    // From connecting to the server's SETTINGS. First eight round trips between the clouds: TCP repeats a lost SYN only
    // after a second, a new attempt comes sooner. Doubled by each attempt that runs out of time: the path may be longer.
    RPC_CONNECT_TIMEOUT_MIN_MS = 400,
    RPC_CONNECT_TIMEOUT_MAX_MS = 1600,
    RPC_UNANSWERED_MS = 100,  // two round trips between the clouds: a SYN without an answer by then was lost
    RPC_STEADY_MS = 1000,     // a connection that lived shorter does not reset the backoff
};

struct channel_call;
struct resolution;

struct rpc_channel {
    struct rpc_runtime *runtime;
    struct rpc_channel_options options;  // the zeros filled in
    char *target;
    char *identity;
    bool open;  // calls may go out; see on_open
    bool up;
    bool closed;
    struct rpc_connection *connection;  // coming up, or up; NULL: waiting for the next attempt, or resolving
    struct rpc_link leaving;            // connections that only finish their calls
    size_t connections;                 // of both kinds

    struct resolution *resolution;  // under way
    struct addrinfo *addresses;     // of the name, of this attempt
    struct addrinfo *next_address;  // to try
    struct rpc_timer retry;
    bool woken;                   // the next attempt, or the one under way, was rpc_channel_wake's wish
    uint64_t attempt_at_ms;       // the latest began
    char failure[192];            // of the last attempt
    bool hung_up;                 // see rpc_channel_hung_up
    uint64_t backoff_ms;          // before the next attempt; 0: at once
    uint64_t connect_timeout_ms;  // of the next attempt
    uint64_t up_at_ms;

    struct rpc_link waiting;       // calls that HTTP/2 has not been given
    struct channel_call *sending;  // ordered: whose body is leaving
    struct rpc_slots calls;        // that have no result yet
    size_t objects;                // calls of any state, but not the idle ones
    struct rpc_link idle_calls;
    size_t idle_count;
    struct rpc_deferred release;
};

// Gives HTTP/2 the calls that it may have. True: any.
bool rpc_channel_pump(struct rpc_channel *channel);

// The connection is up, but takes no more calls: the next one comes into its place.
void rpc_channel_move_on(struct rpc_channel *channel, enum rpc_down_reason reason);

// Frees a closed channel, at the end of the turn, if nothing refers to it any more.
void rpc_channel_release(struct rpc_channel *channel);

// Ends all calls with CANCELLED.
void rpc_channel_cancel_all(struct rpc_channel *channel);
void rpc_channel_free_calls(struct rpc_channel *channel);

// The role's functions about calls; see connection.h.
struct rpc_stream *rpc_channel_call_begin(struct rpc_connection *connection, int32_t id);
void rpc_channel_call_header(struct rpc_stream *stream, struct slice name, struct slice value);
void rpc_channel_call_headers(struct rpc_stream *stream, bool end);
void rpc_channel_call_message(struct rpc_stream *stream, struct slice message);
void rpc_channel_call_half_closed(struct rpc_stream *stream);
void rpc_channel_call_broken(struct rpc_stream *stream, enum rpc_stream_error error);
bool rpc_channel_call_out_ended(struct rpc_stream *stream);
void rpc_channel_call_headers_sent(struct rpc_stream *stream, bool end);
void rpc_channel_call_writable(struct rpc_stream *stream);
void rpc_channel_call_closed(struct rpc_stream *stream, uint32_t error_code);

#endif
