// Certificates of a running node: see certificates.h.
#include "cmd/certificates.h"

#include <stdio.h>
#include <time.h>

#include "base/slog.h"

enum { WATCH_MS = 1000, TOLD_TICKS = 60 };

enum error_code certificates_open(struct certificates *certificates, const struct tls_files *files,
                                  const struct raft_id *node_id, struct error *error) {
    if (files == NULL) {
        return OK;
    }
    snprintf(certificates->identity, sizeof certificates->identity, "node/%s", node_id->text);
    return tls_new(files, certificates->identity, &certificates->tls, error);
}

static void measure(struct certificates *certificates) {
    struct tls_ends ends = tls_ends(certificates->tls);
    metric_set(certificates->cert_expiry, (double)ends.cert);
    metric_set(certificates->ca_expiry, (double)ends.ca);
    if (certificates->crl_update != NULL) {
        metric_set(certificates->crl_update, (double)ends.crl);
    }
}

static void describe_certificate(const struct tls *tls, const char *event) {
    if (tls_revoked(tls)) {
        slog(SLOG_ERROR, "certificate-revoked", "this node's certificate is revoked: peers will refuse it",
             F_STR("identity", tls_identity(tls)));
    }
    bool expired = tls_expired(tls);
    slog(expired ? SLOG_WARN : SLOG_INFO, expired ? "certificate-expired" : "certificate-read",
         expired ? "the certificate has expired: peers will refuse it" : event, F_STR("identity", tls_identity(tls)),
         F_STR("good_until", tls_expiry(tls)));
}

// Once for each time that they become overdue.
static void tell_overdue(struct certificates *certificates) {
    int64_t due = tls_ends(certificates->tls).crl;
    bool overdue = due != 0 && due <= time(NULL);
    if (overdue && !certificates->overdue_told) {
        slog(SLOG_WARN, "revocations-overdue",
             "the next list of revoked certificates is overdue; the last one stays in force",
             F_U64("overdue_s", (uint64_t)(time(NULL) - due)));
    }
    certificates->overdue_told = overdue;
}

static void describe(struct certificates *certificates, const char *event) {
    const struct tls *tls = certificates->tls;
    struct tls_ends ends = tls_ends(tls);
    measure(certificates);
    describe_certificate(tls, event);
    node_certificates_read(certificates->node, ends.cert < ends.ca ? ends.cert : ends.ca);
    if (ends.crl != 0) {
        slog(SLOG_INFO, "revocations-read", "revoked certificates are refused", F_U64("revoked", tls_revoked_count(tls)));
        tell_overdue(certificates);
    }
}

void certificates_reload(struct certificates *certificates) {
    struct error error = {0};
    if (certificates->tls == NULL) {
        return;
    }
    enum error_code code = tls_reload(certificates->tls, &error);
    metric_set(certificates->unusable, code != OK);
    if (code == OK) {
        describe(certificates, "read the certificates again");
    } else {
        slog(SLOG_ERROR, "certificate-unusable", "the new certificates cannot be used; going on with the old",
             F_STR("reason", error.message));
    }
}

// At the start, and then each minute: a migration is not to be forgotten.
static void tell_migration(struct certificates *certificates) {
    uint64_t open, accepted;
    if (certificates->migrate && certificates->ticks++ % TOLD_TICKS == 0) {
        node_plaintext(certificates->node, &open, &accepted);
        slog(SLOG_WARN, "tls-migrating", "plaintext is accepted beside TLS: who comes so may do anything (--tls-migrate)",
             F_U64("open", open), F_U64("accepted", accepted));
    }
}

static void on_watch(uv_timer_t *timer) {
    struct certificates *certificates = timer->data;
    if (tls_files_changed(certificates->tls)) {
        certificates_reload(certificates);
    }
    tell_overdue(certificates);
    tell_migration(certificates);
}

static struct metric *add_expiry(struct metrics *metrics, const char *labels) {
    return metrics_add(metrics, METRIC_GAUGE, "baton_tls_expiry_timestamp_seconds",
                       "Until when what was read from the file is good, in seconds since the Unix epoch.", labels);
}

void certificates_watch(struct certificates *certificates, uv_loop_t *loop, struct metrics *metrics, struct node *node,
                        bool migrate) {
    uv_timer_init(loop, &certificates->watch);
    certificates->watch.data = certificates;
    certificates->node = node;
    certificates->migrate = migrate;
    if (certificates->tls == NULL) {
        return;
    }
    certificates->cert_expiry = add_expiry(metrics, "file=\"cert\"");
    certificates->ca_expiry = add_expiry(metrics, "file=\"ca\"");
    certificates->crl_update = tls_ends(certificates->tls).crl == 0 ? NULL : add_expiry(metrics, "file=\"crl\"");
    certificates->unusable = metrics_add(metrics, METRIC_GAUGE, "baton_tls_files_unusable",
                                         "1 while the certificate files have changed and cannot be used.", NULL);
    describe(certificates, "connections are encrypted");
    tell_migration(certificates);
    uv_timer_start(&certificates->watch, on_watch, WATCH_MS, WATCH_MS);
}

void certificates_close(struct certificates *certificates) {
    uv_close((uv_handle_t *)&certificates->watch, NULL);
}

void certificates_free(struct certificates *certificates) {
    if (certificates->tls != NULL) {
        tls_free(certificates->tls);
    }
}
