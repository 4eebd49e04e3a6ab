// A client that writes.
//
// It behaves as a good client of the cluster should. It has a connection to every node, follows redirects, and uses a
// session: a write whose outcome is unknown is retried with its sequence number, on the leader of the time, and applied
// once. When the leader refuses or is lost, it polls all nodes' Status until there is a new leader. It also does so when
// the leader has not answered for `patience_ms` while writes wait; but those stay with it until there is another. Once a
// second it asks the leader who the members are.
#ifndef BATON_BENCH_WRITER_H
#define BATON_BENCH_WRITER_H

#include "baton/v1/control.pb.h"
#include "ctl/endpoints.h"

enum {
    WRITER_IN_FLIGHT_MAX = 512,  // half of the results that a session stores
    // From the lowest sequence in flight to the highest: no result that is awaited is the first that a session drops.
    WRITER_SPAN_MAX = SESSION_RESULTS_MAX,
    WRITER_FINISH_MS = 10000,  // at the end, for writes in flight
};

struct tls;

// An acknowledged write; times in microseconds since the start, which never fall from one to the next.
struct writer_ack {
    uint64_t sequence;  // 1, 2, 3, ...: the number of the write
    uint64_t revision;
    uint64_t sent_us;  // the first attempt
    uint64_t acked_us;
};

// What is written, and who hears of it.
struct writer_work {
    void *user;
    // Fills in key, value and expected revision: the same at each attempt of a write. Borrowed until the next call.
    void (*make)(void *user, uint64_t sequence, struct pb_put_request *put);
    void (*acknowledged)(void *user, const struct writer_ack *ack);
    // The prefix of all keys, whose changes are watched, from before the first write to the last acknowledged; NULL: nothing
    // is. See watcher_events.
    const char *watched;
    void (*changed)(void *user, const struct pb_watch_event *change);
    void (*missed)(void *user);
    // Asked now and then: no further write begins. NULL: goes on although a write has failed.
    bool (*is_over)(void *user);
};

struct writer_options {
    const struct ctl_endpoints *endpoints;  // borrowed
    struct tls *tls;                        // borrowed; NULL: plaintext
    struct writer_work work;                // what it points to is borrowed
    size_t in_flight;                       // writes in flight, 1 to WRITER_IN_FLIGHT_MAX
    uint64_t rate;                          // writes started per second; 0: one as soon as another completes
    uint64_t count;                         // stop after this many; 0: no limit
    uint64_t seconds;                       // stop after this long; 0: no limit
    uint64_t patience_ms;                   // with a leader that does not answer
    // Called once, when the first write has been acknowledged by the node at `address`.
    void (*on_ready)(const char *address);
};

struct writer_result {
    int64_t began_unix_us;  // wall clock
    uint64_t acknowledged;
    uint64_t last_us;      // of the last acknowledgement
    uint64_t failed;       // refused for good, or not answered by the end
    uint64_t retried;      // attempts after the first
    uint64_t redirected;   // answered with another node's address
    uint64_t searches;     // times the leader was lost
    bool watched_all;      // no change that was acknowledged is still to be reported
    struct error failure;  // the first failure's
};

struct writer;

// `options` is copied. Catches SIGTERM and SIGINT from now on.
struct writer *writer_new(const struct writer_options *options);
void writer_free(struct writer *writer);

// Writes until a limit of the options or a signal; once only. The result is borrowed from the writer.
const struct writer_result *writer_run(struct writer *writer);

#endif
