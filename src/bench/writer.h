// A client that writes and watches itself doing so: how long each write took, and how long none was acknowledged.
//
// It behaves as a good client of the cluster would. It keeps a connection to every endpoint, follows redirects, and opens a
// session: a write whose fate is unknown is sent again with its sequence, to whoever leads by then, and applied once. When
// its leader refuses or is gone it asks all endpoints who leads, again and again, until one says that it does itself. The
// same when the leader has been silent for `patience_ms` while writes wait; but these stay with it until there is another.
#ifndef BATON_BENCH_WRITER_H
#define BATON_BENCH_WRITER_H

#include "base/error.h"
#include "ctl/endpoints.h"

enum {
    WRITER_IN_FLIGHT_MAX = 512,  // half of what a session keeps results for
    WRITER_SEARCH_MS = 5,        // from one answer without a leader to the next question to the same node
    WRITER_FINISH_MS = 10000,    // for what is unanswered at the end
};

struct tls;

struct writer_options {
    const struct ctl_endpoints *endpoints;  // borrowed
    struct tls *tls;                        // borrowed; NULL: plain
    size_t in_flight;                       // at most this many writes at once
    size_t value_bytes;
    uint64_t rate;         // new writes a second; 0: one as soon as another is answered
    uint64_t count;        // ends after so many; 0: no limit
    uint64_t seconds;      // ends after so long; 0: no limit
    uint64_t patience_ms;  // with a leader that does not answer
    // Called once, when the first write has been acknowledged by the endpoint at `address`.
    void (*on_ready)(const char *address);
};

// An acknowledged write, in microseconds since the writer began. Sorted by `acked_us`.
struct writer_sample {
    uint64_t sent_us;  // for the first time
    uint64_t acked_us;
};

struct writer_result {
    int64_t began_unix_us;          // wall clock
    struct writer_sample *samples;  // owned by the writer
    size_t acknowledged;
    uint64_t failed;       // answered with an error that no repetition mends, or not answered by the end
    uint64_t retried;      // sent again
    uint64_t redirected;   // answered with another's address
    uint64_t searches;     // times it had to ask who leads
    struct error failure;  // the first failure's
};

struct writer;

struct writer *writer_new(const struct writer_options *options);
void writer_free(struct writer *writer);

// Writes until it ends, or a signal (SIGTERM, SIGINT) ends it; the result is borrowed from the writer.
const struct writer_result *writer_run(struct writer *writer);

#endif
