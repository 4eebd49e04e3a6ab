// The stream, one at a time, and the choice of its node.
#include "bench/watcher.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/mem.h"
#include "wire/codec.h"

struct watcher {
    struct nodes *nodes;
    const char *prefix;
    struct watcher_events events;
    bool open;     // a stream
    int next;      // the node to try first
    bool resumes;  // from `revision`; false: from now on
    bool begun;
    uint64_t revision;
    struct arena arena;
    struct buf request;
};

struct watcher *watcher_new(struct nodes *nodes, const char *prefix, const struct watcher_events *events) {
    struct watcher *watcher = mem_zalloc(sizeof *watcher);
    watcher->nodes = nodes;
    watcher->prefix = prefix;
    watcher->events = *events;
    return watcher;
}

void watcher_free(struct watcher *watcher) {
    if (watcher != NULL) {
        arena_free(&watcher->arena);
        buf_free(&watcher->request);
        free(watcher);
    }
}

bool watcher_begun(const struct watcher *watcher) {
    return watcher->begun;
}

uint64_t watcher_revision(const struct watcher *watcher) {
    return watcher->revision;
}

static void on_message(void *user, uint64_t tag, struct slice message) {
    struct watcher *watcher = user;
    struct pb_watch_response response;
    (void)tag;
    arena_reset(&watcher->arena);
    if (pb_decode(&watcher->arena, &pb_watch_response_type, message, &response, NULL) != OK) {
        watcher->resumes = false;  // what was in it is not known
        watcher->events.missed(watcher->events.user);
        return;
    }
    for (size_t i = 0; i < response.events_count; i++) {
        watcher->events.changed(watcher->events.user, &response.events[i]);
    }
    watcher->begun = watcher->resumes = true;
    watcher->revision = response.revision;
}

static void on_done(void *user, uint64_t tag, const struct rpc_result *result) {
    struct watcher *watcher = user;
    (void)tag;
    watcher->open = false;
    struct slice reason = rpc_result_trailer(result, "baton-reason");
    if (result->status == RPC_OUT_OF_RANGE && watcher->resumes && !slice_equal(reason, slice_of_str("revision-ahead"))) {
        watcher->resumes = false;
        watcher->events.missed(watcher->events.user);
    }
}

static int choose(struct watcher *watcher, int leader) {
    int count = nodes_count(watcher->nodes);
    int chosen = NODES_NONE;
    for (int i = 0; i < count && chosen == NODES_NONE; i++) {
        int node = (watcher->next + i) % count;
        if (node != leader && nodes_is_up(watcher->nodes, node)) {
            chosen = node;
        }
    }
    if (chosen == NODES_NONE && leader != NODES_NONE && nodes_is_up(watcher->nodes, leader)) {
        chosen = leader;
    }
    watcher->next = chosen + 1;
    return chosen;
}

void watcher_pump(struct watcher *watcher, int leader) {
    int node = watcher->open ? NODES_NONE : choose(watcher, leader);
    if (node == NODES_NONE) {
        return;
    }
    struct pb_watch_request watch = {
        .prefix = slice_of_str(watcher->prefix),
        .has_from_revision = watcher->resumes,
        .from_revision = watcher->revision + 1,
    };
    buf_clear(&watcher->request);
    pb_encode(&pb_watch_request_type, &watch, &watcher->request);
    struct rpc_request request = {
        .path = pb_control_service_watch.path,
        .body = buf_slice(&watcher->request),
        .user = watcher,
        .on_done = on_done,
        .on_message = on_message,
    };
    watcher->open = true;
    rpc_channel_call(nodes_channel(watcher->nodes, node), &request);
}
