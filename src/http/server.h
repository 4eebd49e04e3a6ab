// The server's state, shared by the files that make it up: server.c (connections, requests, the loop) and
// certificate.c (TLS).
#ifndef BATON_HTTP_SERVER_H
#define BATON_HTTP_SERVER_H

#include <gnutls/abstract.h>

#include "http/exchange.h"
#include "http/host.h"
#include "http/http.h"

struct connection {
    struct http_server *server;
    struct connection *next;
    struct connection **at;  // the pointer to this one, in the list
    int fd;
    uint64_t deadline_ms;       // of the loop's clock
    struct exchange *exchange;  // the request being served, if any
};

struct http_server {
    uv_loop_t *loop;
    struct http_source source;
    char *listen;
    char *advertise;
    struct host_names names;
    uint64_t header_timeout_ms;
    struct tls *tls;  // NULL: plaintext
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned open_handles;
    struct connection *connections;
    uint64_t ended;  // connections so far, for drive()
    struct cluster_state *cluster_state;
    struct cluster_state *own_workers;
    size_t lists_bytes;  // of both
    void (*closed)(void *user);
    void *closed_user;
};

// The connection's own state; NULL before on_connection.
struct connection *connection_of(struct MHD_Connection *connection);

// GnuTLS's priorities for this port: the versions and ciphers of src/tls.
extern const char certificate_priorities[];

// GnuTLS's callback for the certificate of a new connection: always the last valid state of the files.
int certificate_retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **certs,
                         unsigned *cert_count, gnutls_ocsp_data_st **ocsp, unsigned *ocsp_count, gnutls_privkey_t *key,
                         unsigned *flags);

#endif
