// Fuzzes the debug pages' server: the input is what a browser sends on a connection, in pieces. All that comes back is whole
// responses of HTTP/1.1 with the headers that each of ours has, but for the refusals of libmicrohttpd itself.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "fuzz.h"
#include "http/server.h"

enum { TURNS_MAX = 50 };

static struct {
    uv_loop_t loop;
    struct http_server *server;  // NULL: not begun yet
} at;

int __real_getsockname(int fd, struct sockaddr *name, socklen_t *len);
int __wrap_getsockname(int fd, struct sockaddr *name, socklen_t *len);

// A pair of sockets stands for a connection to 127.0.0.1:7480.
int __wrap_getsockname(int fd, struct sockaddr *name, socklen_t *len) {
    int result = __real_getsockname(fd, name, len);
    if (result == 0 && name->sa_family == AF_UNIX) {
        *(struct sockaddr_in *)name =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(7480), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        *len = sizeof(struct sockaddr_in);
    }
    return result;
}

// --- a made-up node, which leads alone ---

static void status_of(void *user, struct node_status *out) {
    (void)user;
    *out = (struct node_status){.leader_ready = true};
    out->members[0] =
        (struct pb_member_status){.id = slice_of_str("n1"), .http_address = slice_of_str("n1:7480"), .voter = true};
    out->response = (struct pb_status_response){.node = slice_of_str("n1"),
                                                .cluster_id = slice_of_str("demo"),
                                                .role = slice_of_str("leader"),
                                                .leader = slice_of_str("n1"),
                                                .members = out->members,
                                                .members_count = 1};
}

static bool workers(void *user, struct slice start_after, view_visit_worker *visit, void *arg) {
    (void)user;
    struct pb_worker_info worker = {.id = slice_of_str("w1"), .address = slice_of_str("a\"\n\xff:1")};
    return start_after.len > 0 || visit(arg, &worker);
}

static void timeline(void *user, struct view_timeline *out) {
    (void)user;
    *out = (struct view_timeline){.peers = {slice_of_str("n2")}, .count = 1};
}

static void metrics(void *user, struct buf *out) {
    (void)user;
    buf_append_str(out, "raft_term 3\n");
}

static bool ready(void *user, struct buf *reasons) {
    (void)user;
    buf_append_str(reasons, "no leader is known");
    return false;
}

static void begin(void) {
    struct http_source source = {NULL, status_of, workers, timeline, metrics, ready};
    struct http_options options = {.listen = "127.0.0.1:0", .advertise = "n1:7480"};
    struct error error;
    uv_loop_init(&at.loop);
    enum error_code code = http_server_new(&at.loop, &options, &source, &at.server, &error);
    assert(code == OK);
}

// --- the browser ---

static void receive(int fd, struct buf *got) {
    ssize_t len;
    while ((len = recv(fd, buf_reserve(got, 16 * KIB), 16 * KIB, MSG_DONTWAIT)) > 0) {
        got->len += (size_t)len;
    }
}

static void turn(int fd, struct buf *got) {
    MHD_run(at.server->daemon);
    uv_run(&at.loop, UV_RUN_NOWAIT);
    receive(fd, got);
}

static const char *header_of(const char *head, const char *end, const char *name) {
    const char *found = memmem(head, (size_t)(end - head), name, strlen(name));
    return found == NULL ? NULL : found + strlen(name);
}

// One response at the front of the text; the rest. NULL: the end is cut off.
static const char *check_response(const char *text, const char *end) {
    const char *head_end = memmem(text, (size_t)(end - text), "\r\n\r\n", 4);
    if (head_end == NULL) {
        return NULL;
    }
    assert(memcmp(text, "HTTP/1.1 ", 9) == 0 || memcmp(text, "HTTP/1.0 ", 9) == 0);
    unsigned long status = strtoul(text + 9, NULL, 10);
    assert(status >= 100 && status < 600);
    const char *ours = header_of(text, head_end, "X-Content-Type-Options: nosniff");
    assert(ours != NULL || status == 100 || status >= 400);
    const char *length = header_of(text, head_end, "Content-Length: ");
    return head_end + 4 + (length == NULL ? 0 : strtoul(length, NULL, 10));
}

// Not where HEAD was asked for: those lengths are of bodies that do not come.
static void check(const struct buf *got, bool has_head) {
    const char *at_text = (const char *)got->data;
    const char *end = at_text + got->len;
    while (!has_head && at_text != NULL && at_text < end) {
        at_text = check_response(at_text, end);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (at.server == NULL) {
        begin();
    }
    struct slice input = slice_of(data, size);
    uint8_t how = take_byte(&input);
    bool has_head = memmem(data, size, "HEAD", 4) != NULL;
    int pair[2];
    int failed = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
    assert(failed == 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    MHD_add_connection(at.server->daemon, pair[1], (struct sockaddr *)&address, sizeof address);
    struct buf got = {.len = 0};
    size_t piece = how % 8 == 0 ? input.len : (size_t)(how % 8) * 16;
    while (input.len > 0) {
        struct slice part = take_bytes(&input, piece);
        if (send(pair[0], part.data, part.len, MSG_NOSIGNAL) < 0) {
            break;
        }
        turn(pair[0], &got);
    }
    shutdown(pair[0], SHUT_WR);
    for (int i = 0; i < TURNS_MAX && at.server->connections != NULL; i++) {
        turn(pair[0], &got);
    }
    close(pair[0]);
    while (at.server->connections != NULL) {
        MHD_run(at.server->daemon);
        uv_run(&at.loop, UV_RUN_NOWAIT);
    }
    check(&got, has_head);
    buf_free(&got);
    return 0;
}
