// TLS over another transport, by a session of src/tls, which does no I/O: bytes from below are fed to it, and its output,
// ours or its own, is written below as soon as there is room.
//
// While a cluster migrates to TLS, the first byte of an accepted connection decides: HTTP/2's preface (RFC 9113,
// section 3.4) begins with a P, a TLS handshake with 0x16. A plain connection's bytes are passed on as they are.
//
// After a failure an alert is sent, and the connection lingers until the peer closes it: closing with unread input would
// reset it, and the peer could lose the alert.
#include <assert.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "rpc/transport.h"
#include "tls/tls.h"

enum { LINGER_MS = 1000 };

struct tls_transport {
    struct rpc_transport transport;
    struct rpc_runtime *runtime;
    struct rpc_transport *below;
    struct tls *tls;
    struct tls_session *session;
    struct rpc_link encrypted;  // in runtime->encrypted, until it is closed
    enum rpc_tls_mode mode;
    bool undecided;  // migrating, before the first byte
    bool plain;      // the client speaks no TLS
    bool ready;      // the handshake is complete, and `opened` was called
    bool refusing;   // lingering
    bool closing;
    struct rpc_timer linger;
    struct rpc_deferred release;
};

static struct tls_transport *tls_of(struct rpc_transport *transport) {
    return rpc_container(transport, struct tls_transport, transport);
}

// A failed write is not reported: reading fails too, perhaps after an alert that gives the reason.
static void push(struct tls_transport *tls) {
    struct slice output = tls_session_output(tls->session);
    if (output.len > 0 && tls->below->pending == 0) {
        tls->below->ops->write(tls->below, output);
        tls_session_sent(tls->session);
    }
}

static size_t unsent(const struct tls_transport *tls) {
    return tls->below->pending + tls_session_output(tls->session).len;
}

// --- failure and close ---

static void give_up(struct tls_transport *tls, int uv_error) {
    tls->transport.events->failed(tls->transport.owner, uv_error);
}

static void on_linger(struct rpc_timer *timer) {
    give_up(rpc_container(timer, struct tls_transport, linger), UV_EPROTO);
}

static void refuse(struct tls_transport *tls) {
    bool alert = tls_session_output(tls->session).len > 0;
    tls->transport.failure = tls_session_failure(tls->session);
    tls->transport.found_plain = tls_session_found_plain(tls->session);
    if (alert) {
        push(tls);
        tls->refusing = true;
        rpc_timer_start(tls->runtime, &tls->linger, LINGER_MS, on_linger);
    } else {
        give_up(tls, UV_EPROTO);
    }
}

static void release(struct rpc_deferred *deferred) {
    struct tls_transport *tls = rpc_container(deferred, struct tls_transport, release);
    tls_session_free(tls->session);
    free(tls);
}

static void tls_close(struct rpc_transport *transport) {
    struct tls_transport *tls = tls_of(transport);
    assert(!tls->closing);
    tls->closing = true;
    if (tls->plain) {
        metric_add(tls->runtime->plaintext_gauge, -1);
    }
    rpc_list_remove(&tls->encrypted);
    rpc_timer_stop(tls->runtime, &tls->linger);
    tls_session_end(tls->session);
    push(tls);
    tls->below->ops->close(tls->below);
    rpc_defer(tls->runtime, &tls->release, release);  // this may be within one of the callbacks below
}

// --- events from below ---

static void on_opened(void *owner) {
    struct tls_transport *tls = owner;
    tls->transport.unanswered = false;
    tls_session_start(tls->session);
    push(tls);
}

static void become_ready(struct tls_transport *tls) {
    assert(!tls->ready && !tls->refusing);
    tls->ready = true;
    tls->transport.identity = tls_session_identity(tls->session);
    tls->transport.events->opened(tls->transport.owner);
}

// Without an identity: nobody has shown a certificate, and none can be revoked.
static void become_plain(struct tls_transport *tls) {
    tls->plain = tls->ready = true;
    rpc_list_remove(&tls->encrypted);
    metric_add(tls->runtime->plaintext_gauge, 1);
    metric_add(tls->runtime->plaintext_counter, 1);
    slog(SLOG_INFO, "plaintext-accepted", "accepted a connection in plaintext (--tls-migrate)",
         F_STR("peer", tls->transport.address));
    tls->transport.events->opened(tls->transport.owner);
}

static void on_read(void *owner, struct slice bytes) {
    struct tls_transport *tls = owner;
    if (tls->refusing) {
        return;
    }
    if (tls->undecided) {
        tls->undecided = false;
        if (bytes.data[0] == 'P') {
            become_plain(tls);
        }
    }
    if (tls->plain) {
        tls->transport.events->read(tls->transport.owner, bytes);
        return;
    }
    uint8_t *plain = tls->runtime->plain;
    enum tls_read result;
    size_t len;
    tls_session_feed(tls->session, bytes);
    do {
        result = tls_session_read(tls->session, plain, RPC_INPUT, &len);
        if (!tls->ready && tls_session_ready(tls->session)) {
            become_ready(tls);
        }
        if (result == TLS_READ && !tls->closing) {
            assert(tls->ready);  // or the owner would take what is read for a plain connection's
            tls->transport.events->read(tls->transport.owner, slice_of(plain, len));
        }
    } while (result == TLS_READ && !tls->closing);
    if (tls->closing) {
        return;
    }
    if (result == TLS_READ_FAILED) {
        refuse(tls);
        return;
    }
    push(tls);
    if (result == TLS_READ_END || unsent(tls) > RPC_TLS_UNSENT_MAX) {
        give_up(tls, result == TLS_READ_END ? UV_EOF : UV_ENOBUFS);
    }
}

static void on_drained(void *owner) {
    struct tls_transport *tls = owner;
    push(tls);
    bool waited = tls->transport.pending > 0;
    tls->transport.pending = waited ? unsent(tls) : 0;
    if (waited && tls->transport.pending == 0) {
        tls->transport.events->drained(tls->transport.owner);
    }
}

static void on_failed(void *owner, int uv_error) {
    struct tls_transport *tls = owner;
    if (!tls->ready && tls->mode == RPC_TLS_CLIENT && tls->transport.failure == NULL && uv_error == UV_EOF) {
        tls->transport.failure = "the peer closed the connection within the TLS handshake";
    }
    give_up(tls, uv_error);
}

static const struct rpc_transport_events below_events = {
    .opened = on_opened,
    .read = on_read,
    .drained = on_drained,
    .failed = on_failed,
};

// --- functions for the owner ---

static void tls_start(struct rpc_transport *transport) {
    struct tls_transport *tls = tls_of(transport);
    tls->below->events = &below_events;
    tls->below->owner = tls;
    tls->below->ops->start(tls->below);
}

static enum rpc_written tls_write(struct rpc_transport *transport, struct slice bytes) {
    struct tls_transport *tls = tls_of(transport);
    assert(tls->ready && transport->pending == 0);
    if (tls->plain) {
        enum rpc_written written = tls->below->ops->write(tls->below, bytes);
        transport->pending = tls->below->pending;
        return written;
    }
    if (tls->refusing || !tls_session_write(tls->session, bytes)) {
        return RPC_WRITE_FAILED;
    }
    push(tls);
    transport->pending = unsent(tls);
    return transport->pending == 0 ? RPC_WRITTEN : RPC_WRITTEN_PART;
}

static const struct rpc_transport_ops tls_ops = {.start = tls_start, .write = tls_write, .close = tls_close};

struct rpc_transport *rpc_tls_wrap(struct rpc_runtime *runtime, struct rpc_transport *below, struct tls *tls,
                                   enum rpc_tls_mode mode, const char *peer) {
    struct tls_session *session = tls_session_new(tls, mode == RPC_TLS_CLIENT ? TLS_CLIENT : TLS_SERVER, "h2", peer);
    if (session == NULL) {
        below->ops->close(below);
        return NULL;
    }
    if (runtime->plain == NULL) {
        runtime->plain = mem_alloc(RPC_INPUT);
    }
    struct tls_transport *wrapped = mem_zalloc(sizeof *wrapped);
    wrapped->transport.ops = &tls_ops;
    wrapped->transport.unanswered = below->unanswered;
    memcpy(wrapped->transport.address, below->address, sizeof below->address);
    wrapped->runtime = runtime;
    wrapped->below = below;
    wrapped->tls = tls;
    wrapped->session = session;
    rpc_list_push(&runtime->encrypted, &wrapped->encrypted);
    wrapped->mode = mode;
    wrapped->undecided = mode == RPC_TLS_SERVER_MIGRATING;
    return &wrapped->transport;
}

// --- revocation ---

// Ending one connection may close others, and make new ones: first all are found, then each is ended that is still there.
void rpc_end_revoked(struct rpc_runtime *runtime) {
    struct rpc_link revoked, *next;
    rpc_list_init(&revoked);
    for (struct rpc_link *link = runtime->encrypted.next; link != &runtime->encrypted; link = next) {
        const struct tls_transport *tls = rpc_container(link, struct tls_transport, encrypted);
        next = link->next;
        if (tls_session_revoked(tls->session, tls->tls)) {
            rpc_list_remove(link);
            rpc_list_push(&revoked, link);
        }
    }
    for (struct rpc_link *link; (link = rpc_list_first(&revoked)) != NULL;) {
        struct tls_transport *tls = rpc_container(link, struct tls_transport, encrypted);
        rpc_list_remove(link);
        if (tls->ready) {
            slog(SLOG_WARN, "connection-revoked", "ended a connection: its certificate has been revoked",
                 F_STR("peer", tls->transport.address), F_STR("identity", tls->transport.identity));
        }
        give_up(tls, UV_ECONNABORTED);
    }
}
