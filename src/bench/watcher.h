// A Watch on all keys with a prefix that outlives its node: it resumes on another one, from the revision after the last that
// it was told, so that every change is reported once and in order.
#ifndef BATON_BENCH_WATCHER_H
#define BATON_BENCH_WATCHER_H

#include "bench/nodes.h"

struct watcher;

struct watcher_events {
    void *user;
    void (*changed)(void *user, const struct pb_watch_event *change);  // borrowed until it returns
    void (*missed)(void *user);  // an unknown number of changes: the cluster no longer has them
};

// `nodes` and `prefix` are borrowed, `events` is copied. Watches what follows, once watcher_begun.
struct watcher *watcher_new(struct nodes *nodes, const char *prefix, const struct watcher_events *events);

// After nodes_close and the end of the loop; takes NULL.
void watcher_free(struct watcher *watcher);

// Begins or resumes if no stream is open; rather not at node `leader`, whose loss would end the stream. To be called often.
void watcher_pump(struct watcher *watcher, int leader);

// Whether what happens from now on will be reported, or has been missed.
bool watcher_begun(const struct watcher *watcher);

// Every change up to this revision has been reported or missed.
uint64_t watcher_revision(const struct watcher *watcher);

#endif
