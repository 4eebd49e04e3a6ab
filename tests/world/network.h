// Connections between hosts: ordered, whole, and late. A lost packet is a delay, since TCP sends it again; where a link is
// cut, everything waits, until it heals or one side gives up.
#ifndef BATON_TESTS_WORLD_NETWORK_H
#define BATON_TESTS_WORLD_NETWORK_H

#include "rpc/rpc.h"
#include "world.h"

enum { HOSTS_MAX = 32, PAIRS_MAX = 8 };

enum frame_type {
    FRAME_SETTINGS,
    FRAME_REQUEST,
    FRAME_MESSAGE,
    FRAME_END,
    FRAME_CANCEL,
    FRAME_PING,
    FRAME_PONG,
    FRAME_GOAWAY,
    FRAME_WINDOW
};

// Metadata or trailers: copies.
struct pairs {
    char *key[PAIRS_MAX];
    struct slice value[PAIRS_MAX];
    size_t count;
};

void pairs_add(struct pairs *pairs, const char *key, struct slice value);
struct slice pairs_find(const struct pairs *pairs, const char *key);
void pairs_free(struct pairs *pairs);

struct frame {
    struct frame *next;
    uint64_t arrives_us;
    enum frame_type type;
    uint64_t call;           // the client's number
    const char *path;        // REQUEST: a literal
    uint64_t timeout_ms;     // REQUEST; WINDOW: bytes that were taken
    enum rpc_status status;  // END
    char *text;              // END
    struct pairs pairs;      // REQUEST: metadata; END: trailers
    bool has_body;
    struct slice body;    // its own
    uint64_t generation;  // of the node that sent it; 0: no node
};

struct frame *frame_new(enum frame_type type, uint64_t call);
void frame_set_body(struct frame *frame, struct slice body);

enum { CLIENT, SERVER };

struct connection;

// One end. Its functions are called on its loop.
struct end {
    uv_loop_t *loop;
    void *owner;
    void (*on_open)(void *owner);  // the client's: connected
    // Borrowed until it returns.
    void (*on_frame)(void *owner, struct connection *connection, struct frame *frame);
    // The other side has closed it or refused it, or has forgotten it. The connection is over.
    void (*on_gone)(void *owner, struct connection *connection, bool refused);
};

// Connects to HOST:PORT; the result comes on the loop, or nothing ever does.
struct connection *network_connect(const struct end *end, const char *address);
void network_send(struct connection *connection, int from, struct frame *frame);
// Closes one's own end: the other one hears of it, and no more comes.
void network_close(struct connection *connection, int side);
// When something was last received on this side.
uint64_t network_heard_us(const struct connection *connection, int side);
int network_peer_host(const struct connection *connection, int side);

// While a frame is taken: the generation of the cluster of which its sender was.
uint64_t network_generation(void);

// The current host accepts connections: `accept(owner, connection)`, on the loop, which calls network_accept or does
// nothing.
void network_listen(uv_loop_t *loop, void (*accept)(void *owner, struct connection *connection), void *owner);
void network_unlisten(void);
void network_accept(struct connection *connection, const struct end *end);

// --- between channel.c and server.c ---

struct rpc_runtime {
    uv_loop_t *loop;
    int host;
};

// --- for hosts and faults ---

// The host's process is gone: what it had open is closed by its system, or, if the machine is gone with it, just silent.
void network_lose_host(int host, bool machine);
// From `from` nothing arrives at `to` any more.
void network_cut(int from, int to, bool cut);
bool network_is_cut(int from, int to);
void network_heal(void);

struct link {
    uint64_t delay_us;  // one way
    uint64_t jitter_us;
    unsigned loss_permille;  // of what is sent once more, some time later
};
void network_set_link(int from, int to, struct link link);
void network_set_loss(unsigned permille);  // of all links
void network_set_jitter(uint64_t us);      // on top of that of each link
// Ends all connections between the two; false: there are none.
bool network_reset_between(int one, int other);

// A host by HOST:PORT; NO_HOST: there is none. In host.c.
int host_of_address(const char *address);
const char *host_address(int host);
bool host_has_power(int host);
uint64_t host_generation(int host);  // of its node; 0: none runs
void network_reset(void);

#endif
