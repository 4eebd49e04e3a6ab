// wanlink's loop: packets in, verdicts out, requests answered. One thread, which sleeps in ppoll until the next packet is
// due, with its timer slack set to a nanosecond.
#include "wanlink/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <libnetfilter_queue/libnetfilter_queue.h>

#include "wanlink/control.h"
#include "wanlink/iptables.h"

enum {
    RECEIVE_MESSAGES = 64,              // per system call
    RECEIVE_BYTES = 2048,               // a packet's metadata is a few hundred
    RECEIVE_ROUNDS = 16,                // in a row before due packets are released
    RECEIVE_BUFFER = 32 * 1024 * 1024,  // of the netlink socket, for bursts; the kernel drops packets beyond it
    PRIORITY = -10,                     // above the hosts it joins: their load must not add to the delay
    LISTENER_SLOT = 1,
    CLIENT_SLOT = 2,
    SLOTS = CLIENT_SLOT + CONTROL_CLIENTS_MAX,
};

struct link {
    struct direction directions[2];
    struct nfq_q_handle *queues[2];  // by queue number, as the directions
    struct nfq_handle *netlink;
    const char *socket_path;
    uint64_t now_us;
    struct pollfd polled[SLOTS];  // the netlink socket, the listener, its clients; -1: none
};

static volatile sig_atomic_t stop_asked;

static void on_stop(int signal_number) {
    (void)signal_number;
    stop_asked = 1;
}

static uint64_t clock_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

// nfq_callback: one packet of one queue.
static int on_packet(struct nfq_q_handle *queue, struct nfgenmsg *message, struct nfq_data *packet, void *data) {
    (void)message;
    struct link *link = data;
    const struct nfqnl_msg_packet_hdr *header = nfq_get_msg_packet_hdr(packet);
    if (header == NULL) {
        return 0;
    }
    uint32_t id = ntohl(header->packet_id);
    if (!netem_arrive(&link->directions[queue == link->queues[QUEUE_BACK]].netem, id, link->now_us)) {
        (void)nfq_set_verdict(queue, id, NF_DROP, 0, NULL);
    }
    return 0;
}

// Relies on the kernel: a queue's ids ascend, and a batch verdict applies to all waiting packets up to its id.
static void release_due(struct link *link) {
    for (size_t i = 0; i < 2; i++) {
        struct netem *netem = &link->directions[i].netem;
        uint32_t last_id;
        if (netem->settings.cut && netem_drop_waiting(netem, &last_id)) {
            (void)nfq_set_verdict_batch(link->queues[i], last_id, NF_DROP);
        } else if (netem_release(netem, link->now_us, &last_id)) {
            (void)nfq_set_verdict_batch(link->queues[i], last_id, NF_ACCEPT);
        }
    }
}

// False: the socket is empty for now.
static bool receive_some(struct link *link) {
    static char bytes[RECEIVE_MESSAGES][RECEIVE_BYTES] __attribute__((aligned(8)));
    struct iovec parts[RECEIVE_MESSAGES];
    struct mmsghdr messages[RECEIVE_MESSAGES];
    for (size_t i = 0; i < RECEIVE_MESSAGES; i++) {
        parts[i] = (struct iovec){.iov_base = bytes[i], .iov_len = RECEIVE_BYTES};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
    }
    int received = recvmmsg(link->polled[0].fd, messages, RECEIVE_MESSAGES, MSG_DONTWAIT, NULL);
    link->now_us = clock_us();
    for (int i = 0; i < received; i++) {
        (void)nfq_handle_packet(link->netlink, bytes[i], (int)messages[i].msg_len);
    }
    return received == RECEIVE_MESSAGES;
}

static void accept_client(struct link *link) {
    for (size_t i = CLIENT_SLOT; i < SLOTS; i++) {
        if (link->polled[i].fd < 0) {
            link->polled[i].fd = accept4(link->polled[LISTENER_SLOT].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            return;
        }
    }
}

// Answers one request; disconnects a client that is gone or sends too much.
static void serve_client(struct link *link, struct pollfd *client) {
    char request[CONTROL_REQUEST_MAX + 1];
    ssize_t received = recv(client->fd, request, sizeof request, 0);
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    ssize_t sent = -1;
    if (received > 0 && received <= CONTROL_REQUEST_MAX) {
        request[received] = '\0';
        struct buf answer = {0};
        control_answer(link->directions, request, &answer);
        sent = send(client->fd, answer.data, answer.len, MSG_NOSIGNAL);
        buf_free(&answer);
    }
    if (sent < 0) {
        (void)close(client->fd);
        client->fd = -1;
    }
}

static void serve_clients(struct link *link) {
    for (size_t i = CLIENT_SLOT; i < SLOTS; i++) {
        if (link->polled[i].fd >= 0 && link->polled[i].revents != 0) {
            serve_client(link, &link->polled[i]);
        }
    }
    if (link->polled[LISTENER_SLOT].revents != 0) {
        accept_client(link);
    }
}

// Sleeps until there is something to read, a packet is due, or a signal arrives; signals are blocked elsewhere.
static void wait_for_work(struct link *link, const sigset_t *open_mask) {
    uint64_t next_us = netem_next_us(&link->directions[0].netem);
    uint64_t other_us = netem_next_us(&link->directions[1].netem);
    next_us = other_us < next_us ? other_us : next_us;
    uint64_t now_us = clock_us();
    uint64_t left_us = next_us > now_us ? next_us - now_us : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left_us / 1000000), .tv_nsec = (long)(left_us % 1000000) * 1000};
    if (ppoll(link->polled, SLOTS, next_us == UINT64_MAX ? NULL : &timeout, open_mask) <= 0) {
        for (size_t i = 0; i < SLOTS; i++) {
            link->polled[i].revents = 0;
        }
    }
    link->now_us = clock_us();
}

static void run_loop(struct link *link, const sigset_t *open_mask) {
    while (!stop_asked) {
        wait_for_work(link, open_mask);
        if (link->polled[0].revents != 0) {
            for (int round = 0; round < RECEIVE_ROUNDS && receive_some(link); round++) {
            }
        }
        serve_clients(link);
        release_due(link);
    }
}

static enum error_code open_queues(struct link *link, struct error *error) {
    link->netlink = nfq_open();
    if (link->netlink == NULL) {
        return error_set(error, ERR_IO, "cannot open the kernel's packet queue: %s", strerror(errno));
    }
    for (uint16_t i = 0; i < 2; i++) {
        link->queues[i] = nfq_create_queue(link->netlink, i, on_packet, link);
        if (link->queues[i] == NULL) {
            return error_set(error, ERR_BUSY,
                             "cannot take packet queue %u: we are not root in this namespace, or another wanlink runs in it",
                             i);
        }
        if (nfq_set_mode(link->queues[i], NFQNL_COPY_META, 0) < 0 ||
            nfq_set_queue_flags(link->queues[i], NFQA_CFG_F_GSO, NFQA_CFG_F_GSO) < 0 ||
            nfq_set_queue_maxlen(link->queues[i], NETEM_PACKETS_MAX) < 0) {
            return error_set(error, ERR_IO, "cannot set up packet queue %u: %s", i, strerror(errno));
        }
    }
    int fd = nfq_fd(link->netlink);
    // A full socket should not report an error: its packets are lost, as on a real link.
    int on = 1;
    (void)setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on);
    (void)nfnl_rcvbufsiz(nfq_nfnlh(link->netlink), RECEIVE_BUFFER);
    link->polled[0].fd = fd;
    return OK;
}

static enum error_code open_link(struct link *link, const struct link_options *options, struct error *error) {
    for (size_t i = 0; i < SLOTS; i++) {
        link->polled[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    }
    enum error_code code = open_queues(link, error);
    if (code != OK) {
        return code;
    }
    if (options->socket_path != NULL) {
        link->polled[LISTENER_SLOT].fd = control_listen(options->socket_path, error);
        if (link->polled[LISTENER_SLOT].fd < 0) {
            return error->code;
        }
        link->socket_path = options->socket_path;
    }
    return iptables_install(options->from, options->to, error);
}

static void close_link(struct link *link) {
    for (size_t i = LISTENER_SLOT; i < SLOTS; i++) {
        if (link->polled[i].fd >= 0) {
            (void)close(link->polled[i].fd);
        }
    }
    if (link->socket_path != NULL) {
        (void)unlink(link->socket_path);
    }
    for (size_t i = 0; i < 2; i++) {
        if (link->queues[i] != NULL) {
            (void)nfq_destroy_queue(link->queues[i]);
        }
        netem_free(&link->directions[i].netem);
    }
    if (link->netlink != NULL) {
        (void)nfq_close(link->netlink);
    }
}

// Blocks SIGTERM and SIGINT except during ppoll, for which *open_mask is the mask.
static void catch_signals(sigset_t *open_mask) {
    const struct sigaction action = {.sa_handler = on_stop};
    sigset_t stops;
    (void)sigemptyset(&stops);
    (void)sigaddset(&stops, SIGTERM);
    (void)sigaddset(&stops, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &stops, open_mask);
    (void)sigdelset(open_mask, SIGTERM);
    (void)sigdelset(open_mask, SIGINT);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
}

enum error_code link_run(const struct link_options *options, struct error *error) {
    struct link link = {0};
    const char *ends[] = {options->from, options->to};
    for (size_t i = 0; i < 2; i++) {
        struct direction *direction = &link.directions[i];
        snprintf(direction->name, sizeof direction->name, "%.*s-to-%.*s", IFNAMSIZ - 1, ends[i], IFNAMSIZ - 1, ends[1 - i]);
        netem_init(&direction->netem, &options->settings, options->seed + i);
    }
    sigset_t open_mask;
    catch_signals(&open_mask);
    enum error_code code = open_link(&link, options, error);
    if (code == OK) {
        (void)prctl(PR_SET_TIMERSLACK, 1);
        (void)setpriority(PRIO_PROCESS, 0, PRIORITY);  // may be refused
        printf("%s and %s: delay %gms, jitter %gms, loss %g%%, seed %lu\n", link.directions[0].name, link.directions[1].name,
               options->settings.delay_us / 1e3, options->settings.jitter_us / 1e3, options->settings.loss * 100,
               options->seed);
        (void)fflush(stdout);
        run_loop(&link, &open_mask);
        code = iptables_remove(error);
    }
    close_link(&link);
    return code;
}
