// libmicrohttpd on the node's loop. It has an epoll set of its own; that set's descriptor is readable when any of its
// sockets is, so one uv_poll on it drives everything, and one timer handles what is due by time.
//
// Its inactivity timeout is not used: a client that sends a byte a second would never hit it. Instead every connection has a
// deadline: for the headers of its next request, then for its response to be taken.
#include "http/server.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "base/files.h"
#include "base/limits.h"
#include "base/mem.h"
#include "http/cluster_state.h"
#include "http/pages.h"
#include "tls/tls.h"

static void on_timer(uv_timer_t *timer);

static void wake(struct http_server *server) {
    uv_timer_start(&server->timer, on_timer, 0, 0);
}

// --- requests ---

// What of a request's headers decides whether it is taken.
struct header_search {
    unsigned hosts;
    struct slice host;
    bool body;
};

static enum MHD_Result search_header(void *arg, enum MHD_ValueKind kind, const char *key, const char *value) {
    (void)kind;
    struct header_search *search = arg;
    struct slice text = slice_of_str(value == NULL ? "" : value);
    if (strcasecmp(key, MHD_HTTP_HEADER_HOST) == 0) {
        search->hosts++;
        search->host = text;
    } else if (strcasecmp(key, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
        // Of several, each: who goes by another one than we do sees another end of the request (RFC 9112, section 6.3).
        search->body |= !slice_equal(text, slice_of_str("0"));
    } else if (strcasecmp(key, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
        search->body = true;
    }
    return MHD_YES;
}

static bool host_is_ours(const struct exchange *exchange, const struct header_search *search) {
    struct sockaddr_storage local = {0};
    socklen_t len = sizeof local;
    int fd = MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    getsockname(fd, (struct sockaddr *)&local, &len);  // on failure the family stays unspecified, which matches nothing
    return search->hosts == 1 && host_allowed(&exchange->server->names, search->host, (const struct sockaddr *)&local);
}

// Refuses a bad request as soon as its headers are in. Its body is not read, so the connection ends. False: nothing is
// wrong.
static bool refuse(struct exchange *exchange, const char *path, const char *method) {
    struct header_search search = {0};
    MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, search_header, &search);
    if (!host_is_ours(exchange, &search)) {
        exchange_reply_error(exchange, MHD_HTTP_MISDIRECTED_REQUEST, "foreign-host",
                             "the Host header does not name this node; use %.*s", (int)exchange->server->names.advertise.len,
                             (const char *)exchange->server->names.advertise.data);
    } else if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        exchange_reply_error(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, "method-not-allowed",
                             "only GET and HEAD are served here");
        exchange_add_header(exchange, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    } else if (search.body) {
        exchange_reply_error(exchange, MHD_HTTP_BAD_REQUEST, "unexpected-body", "a request without a body is expected here");
    } else if (page_find(path) == NULL) {
        exchange_reply_error(exchange, MHD_HTTP_NOT_FOUND, "not-found",
                             "there is no such page; / is the dashboard, and it names the others");
        return true;  // harmless: the connection stays open
    } else {
        return false;
    }
    exchange_add_header(exchange, MHD_HTTP_HEADER_CONNECTION, "close");
    return true;
}

struct connection *connection_of(struct MHD_Connection *connection) {
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static enum MHD_Result exchange_queue(struct exchange *exchange) {
    return MHD_queue_response(exchange->connection, exchange->status, exchange->response);
}

// libmicrohttpd calls this for each request once its headers are in, once it is complete, and again when it is resumed.
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *path, const char *method,
                                  const char *version, const char *data, size_t *data_len, void **context) {
    (void)version;
    (void)data;
    struct http_server *server = cls;
    struct exchange *exchange = *context;
    if (exchange == NULL) {
        exchange = mem_zalloc(sizeof *exchange);
        *exchange = (struct exchange){.server = server,
                                      .wake = wake,
                                      .cluster_state = server->cluster_state,
                                      .own_workers = server->own_workers,
                                      .loop = server->loop,
                                      .tls = server->tls,
                                      .source = &server->source,
                                      .connection = connection};
        *context = exchange;
        struct connection *own = connection_of(connection);
        own->exchange = exchange;
        own->deadline_ms = uv_now(server->loop) + HTTP_RESPONSE_TIMEOUT_MS;
        return refuse(exchange, path, method) ? exchange_queue(exchange) : MHD_YES;
    }
    *data_len = 0;
    if (!exchange->begun) {
        exchange->begun = true;
        page_find(path)(exchange);
        if (exchange->response == NULL) {
            exchange->suspended = true;
            MHD_suspend_connection(connection);
            return MHD_YES;
        }
    }
    return exchange->response == NULL ? MHD_NO : exchange_queue(exchange);
}

static void on_request_end(void *cls, struct MHD_Connection *connection, void **context,
                           enum MHD_RequestTerminationCode code) {
    (void)code;
    struct http_server *server = cls;
    struct connection *own = connection_of(connection);
    struct exchange *exchange = *context;
    own->exchange = NULL;
    own->deadline_ms = uv_now(server->loop) + server->header_timeout_ms;
    if (exchange != NULL) {
        if (exchange->cancel != NULL) {
            exchange->cancel(exchange);
        }
        if (exchange->list != NULL) {
            cluster_state_release(exchange->list);
        } else if (exchange->response != NULL) {
            MHD_destroy_response(exchange->response);
        }
        free(exchange);
        *context = NULL;
    }
}

// --- connections ---

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code) {
    struct http_server *server = cls;
    struct connection *connection = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        connection = mem_zalloc(sizeof *connection);
        *connection = (struct connection){
            .server = server,
            .next = server->connections,
            .at = &server->connections,
            .fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
            .deadline_ms = uv_now(server->loop) + server->header_timeout_ms,
        };
        if (connection->next != NULL) {
            connection->next->at = &connection->next;
        }
        server->connections = connection;
        *context = connection;
    } else {
        *connection->at = connection->next;
        if (connection->next != NULL) {
            connection->next->at = connection->at;
        }
        free(connection);
        *context = NULL;
        server->ended++;
    }
}

// Paths are compared as sent: no page's path needs escapes, so one that has them (an encoded slash or `..`) is not found.
static size_t keep_escapes(void *cls, struct MHD_Connection *connection, char *text) {
    (void)cls;
    (void)connection;
    return strlen(text);
}

// --- the loop ---

static void drive(struct http_server *server) {
    // At its connection limit libmicrohttpd stops accepting, and starts again only in the run after the one in which a
    // connection ended.
    uint64_t ended;
    do {
        ended = server->ended;
        MHD_run(server->daemon);
    } while (server->ended != ended);
    uint64_t now = uv_now(server->loop);
    uint64_t next = UINT64_MAX;
    MHD_UNSIGNED_LONG_LONG wait_ms;
    if (MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES) {
        next = now + wait_ms;
    }
    for (const struct connection *connection = server->connections; connection != NULL; connection = connection->next) {
        next = connection->deadline_ms < next ? connection->deadline_ms : next;
    }
    if (cluster_state_has_work(server->cluster_state) || cluster_state_has_work(server->own_workers)) {
        next = now;
    }
    if (next == UINT64_MAX) {
        uv_timer_stop(&server->timer);
    } else {
        // Never 0: libuv before 1.45 runs a timer that is due again at once in the same turn, so for ever while a TLS
        // handshake stays incomplete, of which libmicrohttpd believes that there is something to read.
        uv_timer_start(&server->timer, on_timer, next > now ? next - now : 1, 0);
    }
}

static void on_timer(uv_timer_t *timer) {
    struct http_server *server = timer->data;
    uint64_t now = uv_now(server->loop);
    for (struct connection *connection = server->connections; connection != NULL; connection = connection->next) {
        if (connection->deadline_ms <= now) {
            shutdown(connection->fd, SHUT_RDWR);  // libmicrohttpd sees the end and closes it
            connection->deadline_ms = UINT64_MAX;
        }
    }
    cluster_state_turn(server->cluster_state);
    cluster_state_turn(server->own_workers);
    drive(server);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    drive(poll->data);
}

// --- start and end ---

// A listening socket; -1 with errno set.
static int listen_at(const struct addrinfo *address) {
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
                    bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, HTTP_CONNECTIONS_MAX) != 0)) {
        int saved = errno;
        close(fd);
        errno = saved;
        fd = -1;
    }
    return fd;
}

static enum error_code server_listen(struct http_server *server, int *fd, struct error *error) {
    struct address address;
    enum error_code code =
        address_parse(slice_of_str(server->listen), "the HTTP address", ADDRESS_PORT_LISTEN, &address, error);
    if (code != OK) {
        return code;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    int rc = getaddrinfo(address.host, address.port, &hints, &found);
    if (rc != 0) {
        return error_set(error, ERR_INVALID, "%s: %s; give an address of this machine", server->listen, gai_strerror(rc));
    }
    *fd = listen_at(found);
    int failure = errno;
    freeaddrinfo(found);
    if (*fd < 0) {
        return error_set(error, ERR_IO, "cannot listen on %s: %s", server->listen, strerror(failure));
    }
    struct sockaddr_in6 bound;  // the port is at the same offset in both families
    socklen_t len = sizeof bound;
    getsockname(*fd, (struct sockaddr *)&bound, &len);
    server->names.port = ntohs(bound.sin6_port);
    return OK;
}

static void server_free(struct http_server *server) {
    free(server->listen);
    free(server->advertise);
    free(server);
}

// Takes ownership of the listening socket. NULL: it did not start.
static struct MHD_Daemon *start_daemon(struct http_server *server, int fd) {
    struct MHD_OptionItem secure[] = {
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)certificate_priorities},
        {MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, (void *)(uintptr_t)certificate_retrieve},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned connections = (unsigned)files_share(HTTP_CONNECTIONS_SHARE, HTTP_CONNECTIONS_MAX);
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (server->tls == NULL ? 0 : MHD_USE_TLS);
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, server,                           //
                            MHD_OPTION_LISTEN_SOCKET, fd,                                       //
                            MHD_OPTION_CONNECTION_LIMIT, connections,                           //
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)(2 * HEADER_LIST_MAX),  //
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,                //
                            MHD_OPTION_NOTIFY_COMPLETED, on_request_end, server,                //
                            MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,                   //
                            MHD_OPTION_STRICT_FOR_CLIENT, 1,                                    //
                            MHD_OPTION_ARRAY, server->tls == NULL ? &secure[2] : secure,        //
                            MHD_OPTION_END);
}

enum error_code http_server_new(uv_loop_t *loop, const struct http_options *options, const struct http_source *source,
                                struct http_server **out, struct error *error) {
    struct http_server *server = mem_zalloc(sizeof *server);
    server->loop = loop;
    server->source = *source;
    server->listen = mem_strdup(options->listen);
    server->advertise = mem_strdup(options->advertise == NULL ? options->listen : options->advertise);
    server->names.listen = slice_of_str(server->listen);
    server->names.advertise = slice_of_str(server->advertise);
    server->tls = options->tls;
    server->names.implied_port = server->tls == NULL ? 80 : 443;
    server->header_timeout_ms = options->header_timeout_ms == 0 ? HTTP_HEADER_TIMEOUT_MS : options->header_timeout_ms;
    json_set_alloc_funcs(mem_alloc, free);
    int fd = -1;
    enum error_code code = server_listen(server, &fd, error);
    if (code != OK) {
        server_free(server);
        return code;
    }
    server->daemon = start_daemon(server, fd);
    if (server->daemon == NULL) {
        code = error_set(error, ERR_IO, "cannot serve HTTP on %s: libmicrohttpd did not start", server->listen);
        server_free(server);
        return code;
    }
    server->cluster_state = cluster_state_new(server, wake, loop, server->tls, &server->source, false, &server->lists_bytes);
    server->own_workers = cluster_state_new(server, wake, loop, server->tls, &server->source, true, &server->lists_bytes);
    server->open_handles = 2;
    server->timer.data = server;
    server->poll.data = server;
    uv_timer_init(loop, &server->timer);
    uv_poll_init(loop, &server->poll, MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    uv_poll_start(&server->poll, UV_READABLE, on_readable);
    *out = server;
    return OK;
}

uint16_t http_server_port(const struct http_server *server) {
    return server->names.port;
}

static void on_closed(uv_handle_t *handle) {
    struct http_server *server = handle->data;
    if (--server->open_handles == 0) {
        if (server->closed != NULL) {
            server->closed(server->closed_user);
        }
        server_free(server);
    }
}

void http_server_close(struct http_server *server, void (*closed)(void *user), void *user) {
    server->closed = closed;
    server->closed_user = user;
    uv_close((uv_handle_t *)&server->poll, on_closed);  // before its descriptor is closed
    uv_close((uv_handle_t *)&server->timer, on_closed);
    // The daemon cannot stop while a connection is suspended. Resumed without a reply they end, which cancels what they
    // wait for.
    for (struct connection *connection = server->connections; connection != NULL; connection = connection->next) {
        struct exchange *exchange = connection->exchange;
        if (exchange != NULL && exchange->suspended) {
            exchange->suspended = false;
            MHD_resume_connection(exchange->connection);
        }
    }
    MHD_stop_daemon(server->daemon);
    cluster_state_free(server->cluster_state);
    cluster_state_free(server->own_workers);
    assert(server->lists_bytes == 0);
}
