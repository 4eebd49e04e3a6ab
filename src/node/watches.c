// The streams behind node/watches.h. A watch remembers the next revision it has not been told; what happened since is read
// from the state machine's history, so a slow reader costs a number, not a queue.
#include "node/watches.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "wire/control.h"

// Bytes of keys and values gathered into one message; a single larger change goes alone.
enum { BATCH_BYTES = 64 * KIB };

struct watch {
    struct rpc_call call;
    struct buf prefix;
    uint64_t next;  // everything below has been told or does not concern it
    bool blocked;   // its output is full
};

struct watches {
    struct rpc_server *server;
    const struct state *state;
    struct watch *list;
    size_t count;
    size_t cap;
    struct state_change *batch;  // reused
    size_t batch_cap;
    struct buf message;
};

struct watches *watches_new(struct rpc_server *server, const struct state *state) {
    struct watches *watches = mem_zalloc(sizeof *watches);
    watches->server = server;
    watches->state = state;
    return watches;
}

void watches_free(struct watches *watches) {
    for (size_t i = 0; i < watches->count; i++) {
        buf_free(&watches->list[i].prefix);
    }
    free(watches->list);
    free(watches->batch);
    buf_free(&watches->message);
    free(watches);
}

static struct watch *find(struct watches *watches, struct rpc_call call) {
    for (size_t i = 0; i < watches->count; i++) {
        if (rpc_call_pack(watches->list[i].call) == rpc_call_pack(call)) {
            return &watches->list[i];
        }
    }
    return NULL;
}

static void drop(struct watches *watches, struct watch *watch) {
    buf_free(&watch->prefix);
    *watch = watches->list[--watches->count];
}

struct gather {
    struct watches *watches;
    struct slice prefix;
    size_t count;
    size_t bytes;
    uint64_t next;
    bool more;
};

static bool gather_change(void *user, const struct state_change *change) {
    struct gather *g = user;
    if (slice_starts_with(change->key, g->prefix)) {
        size_t bytes = change->key.len + change->value.len;
        if (g->count > 0 && g->bytes + bytes > BATCH_BYTES) {
            g->more = true;
            return false;
        }
        if (g->count == g->watches->batch_cap) {
            g->watches->batch_cap = g->watches->batch_cap == 0 ? 64 : g->watches->batch_cap * 2;
            g->watches->batch = mem_realloc(g->watches->batch, g->watches->batch_cap * sizeof *g->watches->batch);
        }
        g->watches->batch[g->count++] = *change;
        g->bytes += bytes;
    }
    g->next = change->revision + 1;
    return true;
}

// Sends what the watch has not been told, until its output is full. False: the watch was ended.
static bool advance(struct watches *watches, struct watch *watch) {
    while (!watch->blocked && watch->next <= state_last_applied(watches->state)) {
        uint64_t oldest = state_history_from(watches->state);
        if (watch->next < oldest) {
            char text[160];
            snprintf(
                text, sizeof text,
                "the watch fell behind: changes from revision %llu on are held, %llu was next; list the keys and watch anew",
                (unsigned long long)oldest, (unsigned long long)watch->next);
            rpc_finish(watches->server, watch->call, RPC_OUT_OF_RANGE, text);
            return false;
        }
        struct gather g = {.watches = watches, .prefix = buf_slice(&watch->prefix), .next = watch->next};
        state_history(watches->state, watch->next, gather_change, &g);
        if (!g.more) {
            g.next = state_last_applied(watches->state) + 1;
        }
        if (g.count > 0) {
            struct wire_watch_response response = {.events = watches->batch, .count = g.count, .revision = g.next - 1};
            buf_clear(&watches->message);
            wire_watch_response_encode(&response, &watches->message);
            if (!rpc_send(watches->server, watch->call, buf_slice(&watches->message))) {
                watch->blocked = true;
                return true;
            }
        }
        watch->next = g.next;
    }
    return true;
}

bool watches_add(struct watches *watches, struct rpc_call call, struct slice prefix, uint64_t from) {
    if (watches->count == WATCHES_MAX) {
        return false;
    }
    if (watches->count == watches->cap) {
        watches->cap = watches->cap == 0 ? 16 : watches->cap * 2;
        watches->list = mem_realloc(watches->list, watches->cap * sizeof *watches->list);
    }
    struct watch *watch = &watches->list[watches->count++];
    *watch = (struct watch){.call = call, .next = from};
    buf_append_slice(&watch->prefix, prefix);
    struct wire_watch_response response = {.revision = from - 1};
    buf_clear(&watches->message);
    wire_watch_response_encode(&response, &watches->message);
    rpc_send(watches->server, call, buf_slice(&watches->message));
    if (!advance(watches, watch)) {
        drop(watches, watch);
    }
    return true;
}

void watches_remove(struct watches *watches, struct rpc_call call) {
    struct watch *watch = find(watches, call);
    if (watch != NULL) {
        drop(watches, watch);
    }
}

void watches_writable(struct watches *watches, struct rpc_call call) {
    struct watch *watch = find(watches, call);
    if (watch == NULL) {
        return;
    }
    watch->blocked = false;
    if (!advance(watches, watch)) {
        drop(watches, watch);
    }
}

void watches_advance(struct watches *watches) {
    for (size_t i = watches->count; i-- > 0;) {
        if (!advance(watches, &watches->list[i])) {
            drop(watches, &watches->list[i]);
        }
    }
}

void watches_finish(struct watches *watches, enum rpc_status status, const char *message) {
    while (watches->count > 0) {
        struct watch *last = &watches->list[watches->count - 1];
        struct rpc_call call = last->call;
        drop(watches, last);
        rpc_finish(watches->server, call, status, message);
    }
}

size_t watches_count(const struct watches *watches) {
    return watches->count;
}
