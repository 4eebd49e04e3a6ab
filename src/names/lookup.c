// c-ares on libuv: its sockets in uv_poll handles, its next timeout in a uv_timer.
//
// Each lookup has a channel (in c-ares' sense) of its own, which reads the system's configuration when it is made. So a
// change of the name servers takes effect at once, lookups share no queue, and cancelling one is destroying its channel. It
// costs 0.1 ms, paid only by a connection that is about to be made.
#include "names/lookup.h"

#include <ares.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

// A socket of c-ares.
struct lookup_socket {
    uv_poll_t poll;
    struct lookup *lookup;
    ares_socket_t fd;
    struct lookup_socket *next;
};

struct lookup {
    uv_timer_t timer;  // c-ares' next timeout; immediate once there is a result
    ares_channel channel;
    struct lookup_socket *sockets;
    uint16_t port;
    bool ready;  // the result is there, and to be delivered
    struct addresses found;
    const char *failure;
    lookup_done *done;
    void *user;
};

// --- c-ares' sockets and time ---

static void on_socket_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void on_timer(uv_timer_t *timer);

// After anything that c-ares has done. Its callback may have brought the result meanwhile.
static void set_timer(struct lookup *lookup) {
    struct timeval left;
    if (lookup->ready) {
        uv_timer_start(&lookup->timer, on_timer, 0, 0);
    } else if (ares_timeout(lookup->channel, NULL, &left) != NULL) {
        uint64_t ms = (uint64_t)left.tv_sec * 1000 + (uint64_t)(left.tv_usec + 999) / 1000;
        uv_timer_start(&lookup->timer, on_timer, ms, 0);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    struct lookup_socket *ready = poll->data;
    struct lookup *lookup = ready->lookup;
    ares_socket_t fd = ready->fd;
    bool any = status < 0;  // an error of the socket: c-ares learns of it by reading
    ares_process_fd(lookup->channel, any || (events & UV_READABLE) != 0 ? fd : ARES_SOCKET_BAD,
                    any || (events & UV_WRITABLE) != 0 ? fd : ARES_SOCKET_BAD);
    set_timer(lookup);
}

static struct lookup_socket *add_socket(struct lookup *lookup, ares_socket_t fd) {
    struct lookup_socket *added = mem_zalloc(sizeof *added);
    if (uv_poll_init_socket(lookup->timer.loop, &added->poll, fd) != 0) {
        free(added);
        return NULL;  // the loop cannot watch it: c-ares' timeout ends the query
    }
    added->poll.data = added;
    added->lookup = lookup;
    added->fd = fd;
    added->next = lookup->sockets;
    lookup->sockets = added;
    return added;
}

// What c-ares waits for on a socket; nothing at all: it is about to close it.
static void on_socket(void *user, ares_socket_t fd, int readable, int writable) {
    struct lookup *lookup = user;
    struct lookup_socket **place = &lookup->sockets;
    while (*place != NULL && (*place)->fd != fd) {
        place = &(*place)->next;
    }
    struct lookup_socket *watched = *place;
    if (!readable && !writable) {
        if (watched != NULL) {
            *place = watched->next;
            uv_close((uv_handle_t *)&watched->poll, on_socket_closed);
        }
        return;
    }
    if (watched == NULL && (watched = add_socket(lookup, fd)) == NULL) {
        return;
    }
    uv_poll_start(&watched->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0), on_poll);
}

// --- the result ---

static void take(struct lookup *lookup, const struct ares_addrinfo *info) {
    for (const struct ares_addrinfo_node *node = info->nodes; node != NULL; node = node->ai_next) {
        bool fits = node->ai_family == AF_INET || node->ai_family == AF_INET6;
        if (!fits || lookup->found.count == LOOKUP_ADDRESSES_MAX) {
            continue;
        }
        union socket_address *address = &lookup->found.list[lookup->found.count++];
        assert((size_t)node->ai_addrlen <= sizeof *address);
        memcpy(address, node->ai_addr, (size_t)node->ai_addrlen);
        if (node->ai_family == AF_INET) {
            address->v4.sin_port = htons(lookup->port);
        } else {
            address->v6.sin6_port = htons(lookup->port);
        }
    }
}

static void on_answer(void *user, int status, int timeouts, struct ares_addrinfo *info) {
    (void)timeouts;
    struct lookup *lookup = user;
    if (status == ARES_SUCCESS) {
        take(lookup, info);
        ares_freeaddrinfo(info);
    }
    if (status != ARES_SUCCESS || lookup->found.count == 0) {
        lookup->failure = ares_strerror(status == ARES_SUCCESS ? ARES_ENODATA : status);
    }
    lookup->ready = true;
}

// --- beginning and end ---

static void on_timer_closed(uv_handle_t *handle) {
    free(handle->data);
}

// c-ares calls on_answer and on_socket once more for what is outstanding.
static void end(struct lookup *lookup) {
    if (lookup->channel != NULL) {
        ares_destroy(lookup->channel);
    }
    assert(lookup->sockets == NULL);
    uv_close((uv_handle_t *)&lookup->timer, on_timer_closed);
}

static void on_timer(uv_timer_t *timer) {
    struct lookup *lookup = timer->data;
    if (!lookup->ready) {
        ares_process_fd(lookup->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        set_timer(lookup);
        return;
    }
    lookup->done(lookup->user, &lookup->found, lookup->failure);
    end(lookup);
}

// ARES_SUCCESS, or c-ares' error.
static int open_channel(struct lookup *lookup) {
    char order[] = "fb";  // the hosts file, then DNS, whatever nsswitch.conf says
    struct ares_options options = {
        .timeout = LOOKUP_SERVER_MS,
        .tries = LOOKUP_ROUNDS,
        .lookups = order,
        .sock_state_cb = on_socket,
        .sock_state_cb_data = lookup,
    };
    return ares_init_options(&lookup->channel, &options,
                             ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB);
}

struct lookup *lookup_start(uv_loop_t *loop, const char *host, uint16_t port, lookup_done *done, void *user) {
    struct lookup *lookup = mem_zalloc(sizeof *lookup);
    lookup->port = port;
    lookup->done = done;
    lookup->user = user;
    uv_timer_init(loop, &lookup->timer);
    lookup->timer.data = lookup;
    int status = open_channel(lookup);
    if (status == ARES_SUCCESS) {
        struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
        ares_getaddrinfo(lookup->channel, host, NULL, &hints, on_answer, lookup);
    } else {
        lookup->channel = NULL;
        lookup->failure = ares_strerror(status);
        lookup->ready = true;
    }
    set_timer(lookup);
    return lookup;
}

void lookup_cancel(struct lookup *lookup) {
    end(lookup);
}
