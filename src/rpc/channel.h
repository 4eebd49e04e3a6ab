// Internals of a channel, shared by channel.c (connections) and channel_call.c (calls).
#ifndef BATON_RPC_CHANNEL_H
#define BATON_RPC_CHANNEL_H

#include "names/lookup.h"
#include "rpc/connection.h"
#include "rpc/handles.h"
#include "rpc/metadata.h"

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
    // Of a name: where it was found before, it may well be still, so a lookup that takes longer delays no connection. Three
    // round trips to a name server in the other cloud.
    RPC_RESOLVE_PATIENCE_MS = 150,
};

enum { RPC_FAILURE_MAX = 384 };  // a name and a reason

struct channel_call;

struct rpc_channel {
    struct rpc_runtime *runtime;
    struct rpc_channel_options options;  // with defaults for zeros
    char *target;
    char *identity;
    bool open;  // `connection` takes requests: it is up, or connected and there is an on_open
    bool up;
    bool closed;
    struct rpc_connection *connection;  // connecting or up; NULL: in backoff, or resolving
    struct rpc_link draining;           // connections that only finish their calls
    size_t connections;                 // of both kinds

    struct lookup *lookup;           // of the target's name, running; NULL: none. It may outlast attempts
    bool resolving;                  // the attempt waits for it
    bool name_failed;                // `failure` is about the name
    bool resolve_failed;             // the last lookup was not answered
    struct addresses addresses;      // of the target, from the last lookup that was answered
    size_t next_address;             // the next of them to try
    struct rpc_timer retry;          // the next attempt; or, while resolving, the end of patience
    bool plain;                      // this connection, or the one being made, is plaintext beside TLS
    bool plain_told;                 // that is in the log
    bool rejected;                   // the connection is being closed by rpc_channel_reject
    bool woken;                      // the next attempt, or the current one, was caused by rpc_channel_wake
    uint64_t attempt_at_ms;          // when the latest began
    char failure[RPC_FAILURE_MAX];   // see rpc_channel_failure
    char why_down[RPC_FAILURE_MAX];  // see rpc_channel_why_down
    bool hung_up;                    // see rpc_channel_hung_up
    uint64_t backoff_ms;             // before the next attempt; 0: at once
    uint64_t connect_timeout_ms;     // of the next attempt
    uint64_t up_at_ms;

    struct rpc_link waiting;       // calls not submitted to HTTP/2 yet
    struct channel_call *sending;  // ordered: the call whose body is being sent
    struct rpc_handles calls;      // without a result
    size_t objects;                // calls allocated, without the idle ones
    struct rpc_link idle_calls;
    size_t idle_count;
    struct rpc_deferred release;
};

// Submits the waiting calls that may be submitted. True: at least one.
bool rpc_channel_pump(struct rpc_channel *channel);

// `connection` takes no more requests: moves it to `draining` and connects anew.
void rpc_channel_retire_connection(struct rpc_channel *channel, enum rpc_down_reason reason);

// Frees a closed channel at the end of the turn, if its last call and connection have ended.
void rpc_channel_release(struct rpc_channel *channel);

// Ends all calls with CANCELLED.
void rpc_channel_cancel_all(struct rpc_channel *channel);

// Frees the idle calls and the handles.
void rpc_channel_free_calls(struct rpc_channel *channel);

// The role's callbacks for streams; see connection.h.
struct rpc_stream *rpc_channel_call_begin(struct rpc_connection *connection, int32_t id);
void rpc_channel_call_header(struct rpc_stream *stream, struct slice name, struct slice value);
void rpc_channel_call_headers(struct rpc_stream *stream, bool end);
void rpc_channel_call_message(struct rpc_stream *stream, struct slice message);
void rpc_channel_call_half_closed(struct rpc_stream *stream);
void rpc_channel_call_failed(struct rpc_stream *stream, enum rpc_stream_error error);
bool rpc_channel_call_out_ended(struct rpc_stream *stream);
void rpc_channel_call_headers_sent(struct rpc_stream *stream, bool end);
void rpc_channel_call_writable(struct rpc_stream *stream);
void rpc_channel_call_closed(struct rpc_stream *stream, uint32_t error_code);

#endif
