// The streams behind node/watches.h. A watch is in one of three places:
//
//   at the head   it has been sent all changes up to the head, and nothing is held for it;
//   behind        it has a position of its own, and waits for its part of a turn to read the history from there;
//   blocked       likewise, but its output is full: it is in no list, and waits for watches_writable.
#include "node/watches.h"

#include <stdlib.h>

#include "base/array.h"
#include "baton/v1/control.pb.h"
#include "node/watch_prefixes.h"
#include "wire/codec.h"

enum {
    BATCH_BYTES = 64 * KIB,   // of keys and values in one message; a single larger change gets a message of its own
    DUE_MAX = 16 * KIB,       // changes for prefixes that are collected before they are sent
    PROGRESS_TURN_MAX = 256,  // watches told the head in one turn
};

struct watch {
    struct rpc_call call;
    struct watch_prefix *prefix;
    enum { AT_HEAD, BEHIND, BLOCKED } place;
    struct rpc_link link;  // at the head: in prefix->heads; behind: in watches->behind
    struct rpc_link told;  // at the head: in watches->told
    // Everything below is sent or has another prefix. At the head: everything below the revision that it was last told; what
    // was not said since has another prefix.
    uint64_t next;
};

// A change for one prefix.
struct due {
    struct pb_watch_event event;
    uint32_t next;  // of the same prefix: index + 1; 0: the last
};

struct watches {
    struct rpc_server *server;
    const struct state *state;
    uint64_t (*now_us)(void);
    struct watch **by_call;  // by the index of its call
    size_t by_call_cap;
    size_t count;
    struct watch_prefixes prefixes;
    uint64_t head;           // all watches at the head have been sent everything up to this revision
    struct rpc_link told;    // the watches at the head, the least recently told one first
    struct rpc_link behind;  // first come, first served
    // Reused.
    struct due *due;
    size_t due_count;
    size_t due_cap;
    struct watch_prefix **touched;  // the prefixes that `due` has changes for
    size_t touched_count;
    size_t touched_cap;
    struct pb_watch_event *batch;
    size_t batch_cap;
    struct buf message;
};

struct watches *watches_new(struct rpc_server *server, const struct state *state, uint64_t (*now_us)(void)) {
    struct watches *watches = mem_zalloc(sizeof *watches);
    watches->server = server;
    watches->state = state;
    watches->now_us = now_us;
    watches->head = state_last_applied(state);
    rpc_list_init(&watches->told);
    rpc_list_init(&watches->behind);
    return watches;
}

static struct watch *find(struct watches *watches, struct rpc_call call) {
    struct watch *watch = call.index < watches->by_call_cap ? watches->by_call[call.index] : NULL;
    return watch != NULL && watch->call.generation == call.generation ? watch : NULL;
}

static void drop(struct watches *watches, struct watch *watch) {
    rpc_list_remove(&watch->link);
    rpc_list_remove(&watch->told);
    watches->by_call[watch->call.index] = NULL;
    watches->count--;
    watch_prefixes_give(&watches->prefixes, watch->prefix);
    free(watch);
}

void watches_free(struct watches *watches) {
    for (size_t i = 0; i < watches->by_call_cap; i++) {
        if (watches->by_call[i] != NULL) {
            drop(watches, watches->by_call[i]);
        }
    }
    assert(watches->count == 0);
    free(watches->by_call);
    free(watches->due);
    free(watches->touched);
    free(watches->batch);
    buf_free(&watches->message);
    free(watches);
}

// --- places ---

static void put_at_head(struct watches *watches, struct watch *watch) {
    assert(rpc_list_empty(&watch->link) && watch->next == watches->head + 1);
    watch->place = AT_HEAD;
    rpc_list_push(&watch->prefix->heads, &watch->link);
    rpc_list_push(&watches->told, &watch->told);
}

// `next`: the first revision that it has not been sent.
static void take_from_head(struct watch *watch, uint64_t next) {
    assert(watch->place == AT_HEAD && next >= watch->next);
    rpc_list_remove(&watch->link);
    rpc_list_remove(&watch->told);
    watch->place = BLOCKED;
    watch->next = next;
}

static void put_behind(struct watches *watches, struct watch *watch) {
    assert(watch->place != AT_HEAD && rpc_list_empty(&watch->link));
    watch->place = BEHIND;
    rpc_list_push(&watches->behind, &watch->link);
}

// --- sending ---

static struct slice encode(struct watches *watches, const struct pb_watch_response *response) {
    buf_clear(&watches->message);
    pb_encode(&pb_watch_response_type, response, &watches->message);
    return buf_slice(&watches->message);
}

// Sends events [0, count) of the batch, all changes from `from` to `through`, to every watch of the prefix at the head.
static void send_to_heads(struct watches *watches, struct watch_prefix *prefix, size_t count, uint64_t from,
                          uint64_t through) {
    struct pb_watch_response response = {.events = watches->batch, .events_count = count, .revision = through};
    struct slice message = encode(watches, &response);
    for (struct rpc_link *link = prefix->heads.next, *next; link != &prefix->heads; link = next) {
        next = link->next;
        struct watch *watch = rpc_container(link, struct watch, link);
        if (rpc_send(watches->server, watch->call, message)) {
            watch->next = through + 1;
            rpc_list_remove(&watch->told);
            rpc_list_push(&watches->told, &watch->told);
        } else {
            take_from_head(watch, from);
        }
    }
}

// Sends a prefix's due changes, which with others are all from `from` to `through`.
static void send_due(struct watches *watches, struct watch_prefix *prefix, uint64_t from, uint64_t through) {
    size_t count = 0;
    size_t bytes = 0;
    for (uint32_t at = prefix->first_due; at != 0; at = watches->due[at - 1].next) {
        const struct pb_watch_event *event = &watches->due[at - 1].event;
        bytes += event->key.len + event->value.len;
        // All changes of one revision go together: a watch resumes at the next.
        if (count > 0 && bytes > BATCH_BYTES && event->revision > watches->batch[count - 1].revision) {
            send_to_heads(watches, prefix, count, from, event->revision - 1);
            from = event->revision;
            count = 0;
            bytes = event->key.len + event->value.len;
        }
        array_reserve(watches->batch, watches->batch_cap, count + 1);
        watches->batch[count++] = *event;
    }
    send_to_heads(watches, prefix, count, from, through);
    prefix->first_due = prefix->last_due = 0;
}

static void send_all_due(struct watches *watches, uint64_t through) {
    for (size_t i = 0; i < watches->touched_count; i++) {
        send_due(watches, watches->touched[i], watches->head + 1, through);
    }
    watches->due_count = watches->touched_count = 0;
    watches->head = through;
}

// --- the head ---

static struct pb_watch_event event_of(const struct state_change *change) {
    return (struct pb_watch_event){
        .type = change->is_delete ? PB_WATCH_EVENT_TYPE_DELETE : PB_WATCH_EVENT_TYPE_PUT,
        .key = change->key,
        .value = change->value,
        .revision = change->revision,
    };
}

struct sorting {
    struct watches *watches;
    struct pb_watch_event event;
};

static void add_due(void *user, struct watch_prefix *prefix) {
    const struct sorting *sorting = user;
    struct watches *watches = sorting->watches;
    if (rpc_list_empty(&prefix->heads)) {
        return;
    }
    array_reserve(watches->due, watches->due_cap, watches->due_count + 1);
    watches->due[watches->due_count++] = (struct due){.event = sorting->event};
    uint32_t at = (uint32_t)watches->due_count;
    if (prefix->first_due == 0) {
        prefix->first_due = at;
        array_reserve(watches->touched, watches->touched_cap, watches->touched_count + 1);
        watches->touched[watches->touched_count++] = prefix;
    } else {
        watches->due[prefix->last_due - 1].next = at;
    }
    prefix->last_due = at;
}

static bool sort_change(void *user, const struct state_change *change) {
    struct sorting *sorting = user;
    struct watches *watches = sorting->watches;
    if (watches->due_count >= DUE_MAX && change->revision > sorting->event.revision) {
        send_all_due(watches, change->revision - 1);
    }
    sorting->event = event_of(change);
    watch_prefixes_match(&watches->prefixes, change->key, add_due, sorting);
    return true;
}

// The history has passed the head, as when the state machine was replaced by a newer one: everyone is behind.
static void leave_head(struct watches *watches) {
    for (struct rpc_link *link; (link = rpc_list_first(&watches->told)) != NULL;) {
        struct watch *watch = rpc_container(link, struct watch, told);
        take_from_head(watch, watches->head + 1);
        put_behind(watches, watch);
    }
}

void watches_replace_state(struct watches *watches, const struct state *state) {
    watches->state = state;
}

// Tells those the head that have heard nothing for long.
static void tell_progress(struct watches *watches) {
    struct slice message = {0};
    for (int i = 0; i < PROGRESS_TURN_MAX; i++) {
        struct rpc_link *first = rpc_list_first(&watches->told);
        struct watch *watch = first == NULL ? NULL : rpc_container(first, struct watch, told);
        if (watch == NULL || watch->next + WATCH_QUIET_MAX > watches->head + 1) {
            return;
        }
        if (message.len == 0) {
            message = encode(watches, &(struct pb_watch_response){.revision = watches->head});
        }
        if (rpc_send(watches->server, watch->call, message)) {
            watch->next = watches->head + 1;
            rpc_list_remove(&watch->told);
            rpc_list_push(&watches->told, &watch->told);
        } else {
            take_from_head(watch, watches->head + 1);
        }
    }
}

void watches_advance(struct watches *watches) {
    uint64_t applied = state_last_applied(watches->state);
    if (applied == watches->head) {
        return;
    }
    if (watches->head + 1 < state_history_from(watches->state)) {
        leave_head(watches);
    }
    if (!rpc_list_empty(&watches->told)) {
        struct sorting sorting = {.watches = watches};
        state_history(watches->state, watches->head + 1, sort_change, &sorting);
    }
    send_all_due(watches, applied);
    tell_progress(watches);
}

// --- behind ---

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
        g->watches->batch[g->count++] = event_of(change);
        g->bytes += bytes;
    }
    g->next = change->revision + 1;
    return true;
}

// Sends from the history until the head is reached or the output is full; ends the watch if the history has passed it by.
static void follow_history(struct watches *watches, struct watch *watch) {
    while (watch->next <= watches->head) {
        uint64_t oldest = state_history_from(watches->state);
        if (watch->next < oldest) {
            struct outcome_facts facts = {.number = watch->next, .limit = oldest};
            struct rpc_call call = watch->call;
            drop(watches, watch);
            outcome_tell(watches->server, call, OUTCOME_WATCH_BEHIND, &facts);
            return;
        }
        struct gather g = {.watches = watches, .prefix = trie_key(&watch->prefix->leaf), .next = watch->next};
        state_history(watches->state, watch->next, gather_change, &g);
        if (!g.more) {
            g.next = watches->head + 1;
        }
        if (g.count > 0) {
            struct pb_watch_response response = {.events = watches->batch, .events_count = g.count, .revision = g.next - 1};
            if (!rpc_send(watches->server, watch->call, encode(watches, &response))) {
                watch->place = BLOCKED;
                return;
            }
        }
        watch->next = g.next;
    }
    put_at_head(watches, watch);
}

void watches_catch_up(struct watches *watches) {
    if (rpc_list_empty(&watches->behind)) {
        return;
    }
    watches_advance(watches);
    uint64_t until_us = watches->now_us() + WATCHES_TURN_US;
    for (struct rpc_link *link; (link = rpc_list_first(&watches->behind)) != NULL;) {
        rpc_list_remove(link);
        follow_history(watches, rpc_container(link, struct watch, link));
        if (watches->now_us() >= until_us) {
            return;
        }
    }
}

bool watches_behind(const struct watches *watches) {
    return !rpc_list_empty(&watches->behind);
}

// --- calls ---

bool watches_add(struct watches *watches, struct rpc_call call, struct slice prefix, uint64_t from) {
    if (watches->count == WATCHES_MAX) {
        return false;
    }
    watches_advance(watches);
    assert(from <= watches->head + 1);
    while (watches->by_call_cap <= call.index) {
        size_t before = watches->by_call_cap;
        array_reserve(watches->by_call, watches->by_call_cap, (size_t)call.index + 1);
        memset(&watches->by_call[before], 0, (watches->by_call_cap - before) * sizeof(struct watch *));
    }
    assert(watches->by_call[call.index] == NULL);
    struct watch *watch = mem_zalloc(sizeof *watch);
    *watch = (struct watch){.call = call, .place = BLOCKED, .next = from};
    rpc_list_init(&watch->link);
    rpc_list_init(&watch->told);
    watch->prefix = watch_prefixes_take(&watches->prefixes, prefix);
    watches->by_call[call.index] = watch;
    watches->count++;
    rpc_send(watches->server, call, encode(watches, &(struct pb_watch_response){.revision = from - 1}));
    follow_history(watches, watch);
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
    if (watch != NULL && watch->place == BLOCKED) {
        put_behind(watches, watch);
    }
}

void watches_finish(struct watches *watches, enum outcome outcome) {
    for (size_t i = 0; i < watches->by_call_cap; i++) {
        if (watches->by_call[i] != NULL) {
            struct rpc_call call = watches->by_call[i]->call;
            drop(watches, watches->by_call[i]);
            outcome_tell(watches->server, call, outcome, NULL);
        }
    }
}

void watches_end_those(struct watches *watches, bool (*ends)(void *user, struct rpc_call call, struct slice prefix),
                       void *user) {
    for (size_t i = 0; i < watches->by_call_cap; i++) {
        struct watch *watch = watches->by_call[i];
        if (watch != NULL && ends(user, watch->call, trie_key(&watch->prefix->leaf))) {
            drop(watches, watch);
        }
    }
}

size_t watches_count(const struct watches *watches) {
    return watches->count;
}
