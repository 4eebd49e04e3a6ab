// A node's certificates as it runs: opened, described in the log and the metrics, and read again when their files change.
#ifndef BATON_CMD_CERTIFICATES_H
#define BATON_CMD_CERTIFICATES_H

#include <uv.h>

#include "base/metrics.h"
#include "node/node.h"
#include "tls/tls.h"

struct certificates {
    struct tls *tls;  // NULL: plaintext
    char identity[TLS_IDENTITY_MAX + 1];
    uv_timer_t watch;  // polls the files for changes
    struct node *node;
    struct metric *cert_expiry, *ca_expiry, *crl_update;  // the last is NULL without lists
    struct metric *unusable;
    bool overdue_told;
    bool migrate;    // --tls-migrate
    uint64_t ticks;  // of the watch, while migrating
};

// Reads the files, whose names are borrowed, for the node of this id; `files` NULL: plaintext. Errors of tls_new.
enum error_code certificates_open(struct certificates *certificates, const struct tls_files *files,
                                  const struct raft_id *node_id, struct error *error);

// Logs them, registers their metrics, and reads them again when they change, until certificates_close. New ones are for new
// connections, but the node ends those whose certificate is revoked at once. With `migrate` the log warns of plaintext.
void certificates_watch(struct certificates *certificates, uv_loop_t *loop, struct metrics *metrics, struct node *node,
                        bool migrate);

// Reads them again now. What cannot be used is logged, and changes nothing.
void certificates_reload(struct certificates *certificates);

// After certificates_watch.
void certificates_close(struct certificates *certificates);

// When no connection is left.
void certificates_free(struct certificates *certificates);

#endif
