// An HTTP/2 peer that is a plain socket: client or server, it sends the frames that a test makes, also those that no library
// would, and notes what comes back.
#ifndef BATON_TESTS_RPC_RAW_PEER_H
#define BATON_TESTS_RPC_RAW_PEER_H

#include <nghttp2/nghttp2.h>

#include "rpc_env.h"

struct raw_peer {
    int fd;
    bool ended;  // end of file, or reset
    unsigned goaways;
    uint32_t goaway_id[2];  // the last stream id of the first and the second
    struct buf in;
    nghttp2_hd_inflater *inflater;
    bool serves;           // it is the server
    bool preface_skipped;  // of its client
    unsigned requests;     // that came to it
    unsigned answers;      // streams that ended, with headers or reset
    unsigned stops;        // RST_STREAM with NO_ERROR after an answer: send no more
    char status[32];       // of the last answer: "http/grpc", such as "200/12"
    char grpc_status[4];
    char http_status[4];
    uint32_t data_bytes;
    char last_data[16];  // the beginning of the last DATA
};

// A client, connected to the environment's server.
struct raw_peer raw_connect(struct env *env);

// A socket that listens; `target` becomes its address.
int raw_listen(int backlog, char target[32]);

// A server that has sent its SETTINGS, with that initial window, to its only client: the environment's channel, made anew
// from `options`, which is up.
struct raw_peer raw_serve(struct env *env, struct rpc_channel_options options, uint32_t window);

void raw_close(struct raw_peer *raw);

// Sends all of it, unless the peer closes; turns the loop while the socket is full.
void raw_send(struct env *env, struct raw_peer *raw, const struct buf *bytes);

// Reads and notes what has come.
void raw_read(struct raw_peer *raw);

// Turns the loop until `done`, which reads from env->watched: this peer.
void raw_wait(struct env *env, struct raw_peer *raw, bool (*done)(struct env *env));

// Turns the loop until so many streams have ended, or the connection has.
void raw_wait_answers(struct env *env, struct raw_peer *raw, unsigned answers);

// Turns the loop until the connection has ended.
void raw_wait_end(struct env *env, struct raw_peer *raw);

// --- frames ---

void put_frame(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream, const void *payload, size_t len);

// A client's preface and SETTINGS.
void put_preface(struct buf *out);

// A field of a header block: HPACK, literal without indexing. The name has less than 127 bytes.
void put_field(struct buf *out, const char *name, const char *value);

struct raw_request {
    const char *path;          // NULL: Echo
    const char *method;        // NULL: POST
    const char *content_type;  // NULL: application/grpc
    const char *key, *value;   // one more field; NULL: none
    const char *body;
    size_t body_len;
    bool open;  // without END_STREAM
};

void put_request(struct buf *out, uint32_t stream, const struct raw_request *request);

// WINDOW_UPDATE; stream 0: the connection's window.
void put_window_update(struct buf *out, uint32_t stream, uint32_t increment);

#endif
