// Three servers on one loop with made-up nodes behind them, and a client that exchanges raw bytes with them.
#ifndef BATON_TESTS_HTTP_FIXTURE_H
#define BATON_TESTS_HTTP_FIXTURE_H

#include <jansson.h>
#include <uv.h>

#include "base/buf.h"
#include "http/http.h"
#include "unit.h"

// --- a cluster ---

struct node {
    struct node_status status;
    struct view_timeline timeline;
    struct pb_worker_info *workers;
    size_t worker_count;
    unsigned listed;      // how often the workers were asked for
    unsigned parts;       // how often for more of them
    uint64_t listing_us;  // how long that takes at least
    bool ready;
    struct http_server *server;
    char address[32];
};

struct cluster {
    uv_loop_t loop;
    struct node nodes[3];
};

enum { FIXTURE_WORKERS = 2 };  // w1 is online, w2 offline
extern struct pb_worker_info fixture_workers[FIXTURE_WORKERS];

// n1 (the leader), n2 and n3, all ready, each with pages of its own and both workers.
struct cluster *cluster_new(void);
void cluster_free(struct cluster *cluster);

// Starts a node's server, which is not running.
void node_start(struct cluster *cluster, size_t i, uint64_t header_timeout_ms);
void node_stop(struct cluster *cluster, size_t i);

// --- a raw client on the same loop ---

struct client {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    const char *request;
    size_t request_len;
    struct buf got;
    bool ended;   // the server closed the connection
    bool closed;  // the handle is
};

// Connects and sends the request, which must outlive the client; then collects what comes.
void client_start(struct client *client, struct cluster *cluster, size_t node, const char *request, size_t len);
void client_send(struct client *client, const char *bytes, size_t len);
void client_end(struct client *client, struct cluster *cluster);

// Runs the loop until *flag; fails after 30 s.
void await(struct cluster *cluster, const bool *flag);

struct response {
    int status;
    char *head;  // NUL-terminated
    char *body;  // NUL-terminated
    size_t len;
};

void response_free(struct response *response);

// Sends the bytes and reads until the server ends the connection.
struct response exchange_bytes(struct cluster *cluster, size_t node, const char *bytes, size_t len);

// A whole request; `host` NULL: the node's own address. `headers` are further lines, each ended by CRLF.
struct response request(struct cluster *cluster, size_t node, const char *method, const char *path, const char *host,
                        const char *headers);
struct response get(struct cluster *cluster, size_t node, const char *path);

// --- what is in a response ---

void assert_status(struct cluster *cluster, size_t node, const char *path, int status);
void assert_header(const struct response *response, const char *line);
json_t *json_body(const struct response *response);
const char *text_of(const json_t *object, const char *key);
json_int_t number_of(const json_t *object, const char *key);

// A JSON error of this code; frees the response.
void assert_error(struct response *response, int status, const char *code);

#endif
