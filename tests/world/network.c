// The network: network.h.
#include "network.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/mem.h"
#include "trace.h"

enum {
    STALLED_US = 100 * US_PER_MS,
    UNACCEPTED_US = 2 * US_PER_MS,
    RESEND_MIN_US = 200 * US_PER_MS,
    RESEND_MAX_US = 500 * US_PER_MS
};

struct direction {  // towards a side
    struct frame *first;
    struct frame **end;
    uint64_t last_us;
    bool scheduled;
};

struct connection {
    struct end ends[2];
    int host[2];
    bool open[2];
    bool attached[2];  // its owner has not closed it, nor been told that it is gone
    bool accepted;
    uint64_t heard_us[2];
    struct direction to[2];
    size_t refs;  // of events under way, and of attached ends
};

static struct {
    struct link links[HOSTS_MAX][HOSTS_MAX];
    bool cut[HOSTS_MAX][HOSTS_MAX];
    struct {
        uv_loop_t *loop;
        void (*accept)(void *owner, struct connection *connection);
        void *owner;
    } listeners[HOSTS_MAX];
    struct connection **connections;
    size_t count, cap;
    uint64_t jitter_us;
    uint64_t generation;  // of the frame that is taken
} net;

// --- frames ---

static struct slice copy_of(struct slice s) {
    uint8_t *data = mem_alloc(s.len + 1);
    if (s.len > 0) {
        memcpy(data, s.data, s.len);
    }
    data[s.len] = 0;
    return slice_of(data, s.len);
}

void pairs_add(struct pairs *pairs, const char *key, struct slice value) {
    assert(pairs->count < PAIRS_MAX);
    pairs->key[pairs->count] = mem_strdup(key);
    pairs->value[pairs->count++] = copy_of(value);
}

struct slice pairs_find(const struct pairs *pairs, const char *key) {
    for (size_t i = 0; i < pairs->count; i++) {
        if (strcmp(pairs->key[i], key) == 0) {
            return pairs->value[i];
        }
    }
    return slice_of(NULL, 0);
}

void pairs_free(struct pairs *pairs) {
    for (size_t i = 0; i < pairs->count; i++) {
        free(pairs->key[i]);
        free((uint8_t *)pairs->value[i].data);
    }
    pairs->count = 0;
}

struct frame *frame_new(enum frame_type type, uint64_t call) {
    struct frame *frame = mem_zalloc(sizeof *frame);
    frame->type = type;
    frame->call = call;
    return frame;
}

void frame_set_body(struct frame *frame, struct slice body) {
    frame->has_body = true;
    frame->body = copy_of(body);
}

static void frame_free(struct frame *frame) {
    pairs_free(&frame->pairs);
    free(frame->text);
    if (frame->has_body) {
        free((uint8_t *)frame->body.data);
    }
    free(frame);
}

// --- connections ---

static void unref(struct connection *c) {
    assert(c->refs > 0);
    if (--c->refs > 0) {
        return;
    }
    for (int side = 0; side < 2; side++) {
        for (struct frame *frame = c->to[side].first, *next; frame != NULL; frame = next) {
            next = frame->next;
            frame_free(frame);
        }
    }
    for (size_t i = 0; i < net.count; i++) {
        if (net.connections[i] == c) {
            net.connections[i] = net.connections[--net.count];
            break;
        }
    }
    free(c);
}

static void detach(struct connection *c, int side) {
    c->open[side] = false;
    if (c->attached[side]) {
        c->attached[side] = false;
        unref(c);
    }
}

static uint64_t delay_of(int from, int to) {
    const struct link *link = &net.links[from][to];
    uint64_t us = link->delay_us + (link->jitter_us > 0 ? world_between(0, link->jitter_us) : 0);
    us += net.jitter_us > 0 && from != to ? world_between(0, net.jitter_us) : 0;
    if (link->loss_permille > 0 && world_between(1, 1000) <= link->loss_permille) {
        us += world_between(RESEND_MIN_US, RESEND_MAX_US);
    }
    return us;
}

uint64_t network_heard_us(const struct connection *c, int side) {
    return c->heard_us[side];
}

uint64_t network_generation(void) {
    return net.generation;
}

int network_peer_host(const struct connection *c, int side) {
    return c->host[1 - side];
}

// --- the end of one ---

static void tell_gone(void *a, uint64_t b) {
    struct connection *c = a;
    int side = (int)(b & 1);
    if (c->open[side]) {
        struct end end = c->ends[side];
        detach(c, side);
        end.on_gone(end.owner, c, (b & 2) != 0);
    }
    unref(c);
}

static void gone_arrives(void *a, uint64_t b) {
    struct connection *c = a;
    int side = (int)(b & 1);
    int from = c->host[1 - side];
    if (c->open[side] && net.cut[from][c->host[side]]) {
        world_at(world_now() + STALLED_US, gone_arrives, c, b);
        return;
    }
    if (!c->open[side]) {
        unref(c);
        return;
    }
    loop_post(c->ends[side].loop, tell_gone, c, b);
}

static void send_gone(struct connection *c, int to, bool refused) {
    c->refs++;
    uint64_t at_us = world_now() + delay_of(c->host[1 - to], c->host[to]);
    at_us = at_us < c->to[to].last_us ? c->to[to].last_us : at_us;
    c->to[to].last_us = at_us;
    world_at(at_us, gone_arrives, c, (uint64_t)to | (refused ? 2 : 0));
}

static void shut(struct connection *c, int side) {
    if (c->open[side] && c->open[1 - side]) {
        send_gone(c, 1 - side, false);
    }
    c->open[side] = false;
}

void network_close(struct connection *c, int side) {
    shut(c, side);
    detach(c, side);
}

void network_lose_host(int host, bool machine) {
    for (size_t i = net.count; i-- > 0;) {
        struct connection *c = net.connections[i];
        c->refs++;
        for (int side = 0; side < 2; side++) {
            if (c->host[side] == host && machine) {
                c->open[side] = false;
            } else if (c->host[side] == host) {
                shut(c, side);
            }
        }
        unref(c);
    }
    net.listeners[host].loop = NULL;
}

// --- frames on their way ---

static void schedule(struct connection *c, int to, uint64_t at_us);

static void take_frame(void *a, uint64_t b) {
    struct frame *frame = a;
    struct connection *c = (struct connection *)(uintptr_t)(b & ~UINT64_C(1));
    int side = (int)(b & 1);
    if (c->open[side]) {
        trace_frame(c->host[1 - side], c->host[side], frame->type == FRAME_REQUEST ? frame->path : NULL);
        world_note((uint64_t)frame->type << 56 | frame->call << 8 | (uint64_t)c->host[side]);
        net.generation = frame->generation;
        c->ends[side].on_frame(c->ends[side].owner, c, frame);
        net.generation = 0;
    }
    frame_free(frame);
    unref(c);
}

static void deliver(void *a, uint64_t to) {
    struct connection *c = a;
    int side = (int)to;
    struct direction *d = &c->to[side];
    d->scheduled = false;
    int from = c->host[1 - side];
    if (net.cut[from][c->host[side]]) {
        schedule(c, side, world_now() + STALLED_US);
        unref(c);
        return;
    }
    if (c->open[CLIENT] && !c->accepted && net.listeners[c->host[SERVER]].loop != NULL) {
        schedule(c, side, world_now() + UNACCEPTED_US);  // its system holds it until the process takes it over
        unref(c);
        return;
    }
    while (d->first != NULL && d->first->arrives_us <= world_now()) {
        struct frame *frame = d->first;
        d->first = frame->next;
        if (c->open[side] && c->accepted) {
            c->heard_us[side] = world_now();
            c->refs++;
            loop_post(c->ends[side].loop, take_frame, frame, (uint64_t)(uintptr_t)c | to);
            continue;
        }
        frame_free(frame);
        if (host_has_power(c->host[side]) && c->open[1 - side]) {
            send_gone(c, 1 - side, false);  // its system knows of no such connection
        }
    }
    if (d->first != NULL) {
        schedule(c, side, d->first->arrives_us);
    }
    unref(c);
}

static void schedule(struct connection *c, int to, uint64_t at_us) {
    if (!c->to[to].scheduled) {
        c->to[to].scheduled = true;
        c->refs++;
        world_at(at_us, deliver, c, (uint64_t)to);
    }
}

void network_send(struct connection *c, int from, struct frame *frame) {
    int to = 1 - from;
    if (!c->open[from]) {
        frame_free(frame);
        return;
    }
    struct direction *d = &c->to[to];
    frame->generation = host_generation(c->host[from]);
    uint64_t at_us = world_now() + delay_of(c->host[from], c->host[to]);
    frame->arrives_us = d->last_us = at_us < d->last_us ? d->last_us : at_us;
    if (d->first == NULL) {
        d->first = frame;
    } else {
        *d->end = frame;
    }
    d->end = &frame->next;
    schedule(c, to, frame->arrives_us);
}

// --- connecting ---

static void tell_open(void *a, uint64_t b) {
    struct connection *c = a;
    (void)b;
    if (c->open[CLIENT]) {
        c->heard_us[CLIENT] = world_now();
        c->ends[CLIENT].on_open(c->ends[CLIENT].owner);
    }
    unref(c);
}

static void syn_ack_arrives(void *a, uint64_t b) {
    struct connection *c = a;
    (void)b;
    if (!c->open[CLIENT] || net.cut[c->host[SERVER]][c->host[CLIENT]]) {
        unref(c);
        return;
    }
    loop_post(c->ends[CLIENT].loop, tell_open, c, 0);
}

static void offer(void *a, uint64_t b) {
    struct connection *c = a;
    int host = (int)b;
    if (net.listeners[host].loop != NULL && current_host() == host) {
        net.listeners[host].accept(net.listeners[host].owner, c);
    }
    unref(c);
}

static void syn_arrives(void *a, uint64_t b) {
    struct connection *c = a;
    int from = c->host[CLIENT];
    int to = c->host[SERVER];
    (void)b;
    if (!c->open[CLIENT] || net.cut[from][to] || !host_has_power(to)) {
        unref(c);
        return;
    }
    if (net.listeners[to].loop == NULL) {
        send_gone(c, CLIENT, true);
        unref(c);
        return;
    }
    // The system accepts it; the process takes it over when it comes to it.
    c->refs++;
    world_at(world_now() + delay_of(to, from), syn_ack_arrives, c, 0);
    loop_post(net.listeners[to].loop, offer, c, (uint64_t)to);
}

struct connection *network_connect(const struct end *end, const char *address) {
    struct connection *c = mem_zalloc(sizeof *c);
    array_reserve(net.connections, net.cap, net.count + 1);
    net.connections[net.count++] = c;
    c->ends[CLIENT] = *end;
    c->host[CLIENT] = current_host();
    c->host[SERVER] = host_of_address(address);
    c->open[CLIENT] = host_has_power(c->host[CLIENT]);
    c->attached[CLIENT] = true;
    c->refs = 1;
    if (c->host[SERVER] != NO_HOST && c->open[CLIENT]) {
        c->refs++;
        world_at(world_now() + delay_of(c->host[CLIENT], c->host[SERVER]), syn_arrives, c, 0);
    }
    return c;
}

void network_listen(uv_loop_t *loop, void (*accept)(void *owner, struct connection *connection), void *owner) {
    int host = current_host();
    net.listeners[host].loop = loop;
    net.listeners[host].accept = accept;
    net.listeners[host].owner = owner;
}

void network_unlisten(void) {
    net.listeners[current_host()].loop = NULL;
}

void network_accept(struct connection *c, const struct end *end) {
    c->ends[SERVER] = *end;
    c->open[SERVER] = c->attached[SERVER] = true;
    c->accepted = true;
    c->heard_us[SERVER] = world_now();
    c->refs++;
    if (!c->open[CLIENT]) {
        send_gone(c, SERVER, false);
    }
}

// --- faults ---

void network_cut(int from, int to, bool cut) {
    net.cut[from][to] = cut;
}

bool network_is_cut(int from, int to) {
    return net.cut[from][to];
}

void network_heal(void) {
    memset(net.cut, 0, sizeof net.cut);
}

void network_set_link(int from, int to, struct link link) {
    net.links[from][to] = link;
}

void network_set_loss(unsigned permille) {
    for (int from = 0; from < HOSTS_MAX; from++) {
        for (int to = 0; to < HOSTS_MAX; to++) {
            net.links[from][to].loss_permille = from == to ? 0 : permille;
        }
    }
}

void network_set_jitter(uint64_t us) {
    net.jitter_us = us;
}

// Both systems are told at once, as by a firewall that has forgotten the connection.
bool network_reset_between(int one, int other) {
    bool any = false;
    for (size_t i = net.count; i-- > 0;) {
        struct connection *c = net.connections[i];
        bool is_between = (c->host[0] == one && c->host[1] == other) || (c->host[0] == other && c->host[1] == one);
        if (is_between && one != other && c->open[CLIENT] && c->open[SERVER]) {
            send_gone(c, CLIENT, false);
            send_gone(c, SERVER, false);
            any = true;
        }
    }
    return any;
}

void network_reset(void) {
    assert(net.count == 0);
    free(net.connections);
    memset(&net, 0, sizeof net);
}
