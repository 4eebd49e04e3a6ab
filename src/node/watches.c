// The streams behind node/watches.h. A watch holds the next revision to send; changes are read from the state machine's
// history, so a slow reader costs a number, not a queue.
#include "node/watches.h"

#include <stdlib.h>

#include "base/array.h"
#include "baton/v1/control.pb.h"
#include "wire/codec.h"

// Bytes of keys and values in one message; a single larger change gets a message of its own.
enum { BATCH_BYTES = 64 * KIB };

struct watch {
    struct rpc_call call;
    struct buf prefix;
    uint64_t next;  // everything below is sent or has another prefix
    bool blocked;   // its output is full
};

struct watches {
    struct rpc_server *server;
    const struct state *state;
    struct watch *list;
    size_t count;
    size_t cap;
    struct pb_watch_event *batch;  // reused
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
        // All changes of one revision go together: the watch resumes at the next.
        if (g->count > 0 && g->bytes + bytes > BATCH_BYTES && change->revision >= g->next) {
            g->more = true;
            return false;
        }
        array_reserve(g->watches->batch, g->watches->batch_cap, g->count + 1);
        g->watches->batch[g->count++] = (struct pb_watch_event){
            .type = change->is_delete ? PB_WATCH_EVENT_TYPE_DELETE : PB_WATCH_EVENT_TYPE_PUT,
            .key = change->key,
            .value = change->value,
            .revision = change->revision,
        };
        g->bytes += bytes;
    }
    g->next = change->revision + 1;
    return true;
}

// False: the call's output is full, or the call has ended.
static bool send_message(struct watches *watches, struct rpc_call call, const struct pb_watch_response *response) {
    buf_clear(&watches->message);
    pb_encode(&pb_watch_response_type, response, &watches->message);
    return rpc_send(watches->server, call, buf_slice(&watches->message));
}

// Sends pending changes until the output is full. False: the watch was ended.
static bool advance(struct watches *watches, struct watch *watch) {
    while (!watch->blocked && watch->next <= state_last_applied(watches->state)) {
        uint64_t oldest = state_history_from(watches->state);
        if (watch->next < oldest) {
            struct outcome_facts facts = {.number = watch->next, .limit = oldest};
            outcome_tell(watches->server, watch->call, OUTCOME_WATCH_BEHIND, &facts);
            return false;
        }
        struct gather g = {.watches = watches, .prefix = buf_slice(&watch->prefix), .next = watch->next};
        state_history(watches->state, watch->next, gather_change, &g);
        if (!g.more) {
            g.next = state_last_applied(watches->state) + 1;
        }
        if (g.count > 0) {
            struct pb_watch_response response = {.events = watches->batch, .events_count = g.count, .revision = g.next - 1};
            if (!send_message(watches, watch->call, &response)) {
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
    array_reserve(watches->list, watches->cap, watches->count + 1);
    struct watch *watch = &watches->list[watches->count++];
    *watch = (struct watch){.call = call, .next = from};
    buf_append_slice(&watch->prefix, prefix);
    send_message(watches, call, &(struct pb_watch_response){.revision = from - 1});
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

void watches_finish(struct watches *watches, enum outcome outcome) {
    while (watches->count > 0) {
        struct watch *last = &watches->list[watches->count - 1];
        struct rpc_call call = last->call;
        drop(watches, last);
        outcome_tell(watches->server, call, outcome, NULL);
    }
}

size_t watches_count(const struct watches *watches) {
    return watches->count;
}
