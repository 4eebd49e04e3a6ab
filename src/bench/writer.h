// A client that writes and measures each write's latency.
//
// It behaves as a good client of the cluster should. It has a connection to every endpoint, follows redirects, and uses a
// session: a write whose outcome is unknown is retried with its sequence number, on the leader of the time, and applied
// once. When the leader refuses or is lost, it polls all endpoints' status until there is a new leader. It also does so when
// the leader has not answered for `patience_ms` while writes wait; but those stay with it until there is another.
#ifndef BATON_BENCH_WRITER_H
#define BATON_BENCH_WRITER_H

#include "base/error.h"
#include "ctl/endpoints.h"

enum {
    WRITER_IN_FLIGHT_MAX = 512,  // half of the results that a session stores
    WRITER_SEARCH_MS = 5,        // between status calls to one node
    WRITER_FINISH_MS = 10000,    // at the end, for writes in flight
};

struct tls;

struct writer_options {
    const struct ctl_endpoints *endpoints;  // borrowed
    struct tls *tls;                        // borrowed; NULL: plaintext
    size_t in_flight;                       // writes in flight, 1 to WRITER_IN_FLIGHT_MAX
    size_t value_bytes;
    uint64_t rate;         // writes started per second; 0: one as soon as another completes
    uint64_t count;        // stop after this many; 0: no limit
    uint64_t seconds;      // stop after this long; 0: no limit
    uint64_t patience_ms;  // with a leader that does not answer
    // Called once, when the first write has been acknowledged by the endpoint at `address`.
    void (*on_ready)(const char *address);
};

// An acknowledged write; times in microseconds since the start. Sorted by `acked_us`.
struct writer_sample {
    uint64_t sent_us;  // the first attempt
    uint64_t acked_us;
};

struct writer_result {
    int64_t began_unix_us;          // wall clock
    struct writer_sample *samples;  // owned by the writer
    size_t acknowledged;
    uint64_t failed;       // refused for good, or not answered by the end
    uint64_t retried;      // attempts after the first
    uint64_t redirected;   // answered with another node's address
    uint64_t searches;     // times the leader was lost
    struct error failure;  // the first failure's
};

struct writer;

// `options` is copied. Catches SIGTERM and SIGINT from now on.
struct writer *writer_new(const struct writer_options *options);
void writer_free(struct writer *writer);

// Writes until a limit of the options or a signal; once only. The result is borrowed from the writer.
const struct writer_result *writer_run(struct writer *writer);

#endif
