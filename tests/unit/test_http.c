// The debug pages: a real server on a loop with made-up nodes behind it, and requests as bytes through real sockets.
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <jansson.h>
#include <uv.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/rfc3339.h"
#include "http/fetch.h"
#include "http/host.h"
#include "http/http.h"
#include "unit.h"

// --- a made-up node ---

struct node {
    struct view_status status;
    struct view_worker *workers;
    size_t worker_count;
    unsigned listed;      // how often the workers were asked for
    uint64_t listing_us;  // how long that takes at least
    bool ready;
    struct http_server *server;
    char address[32];
};

static void node_status(void *user, struct view_status *out) {
    *out = ((struct node *)user)->status;
}

static void node_workers(void *user, view_visit_worker *visit, void *arg) {
    struct node *node = user;
    node->listed++;
    uint64_t until_ns = uv_hrtime() + node->listing_us * 1000;
    while (uv_hrtime() < until_ns) {
    }
    for (size_t i = 0; i < node->worker_count && visit(arg, &node->workers[i]); i++) {
    }
}

static void node_metrics(void *user, struct buf *out) {
    (void)user;
    buf_append_str(out, "raft_term 3\n");
}

static bool node_ready(void *user, struct buf *reasons) {
    struct node *node = user;
    if (!node->ready) {
        buf_append_str(reasons, "no leader is known");
    }
    return node->ready;
}

static const struct view_label labels[] = {{{(const uint8_t *)"zone", 4}, {(const uint8_t *)"a\"\n\xff", 4}}};

static struct view_worker workers[] = {
    {.online = true, .last_seen_unix_ms = 1792818367123, .epoch = 7, .slots = 4, .labels = labels, .label_count = 1},
    {.online = false, .last_seen_unix_ms = VIEW_NEVER, .epoch = UINT64_MAX},
};

struct cluster {
    uv_loop_t loop;
    struct node nodes[3];
    bool late;  // the deadline of what is being waited for has passed
};

static void node_start(struct cluster *cluster, size_t i, uint64_t header_timeout_ms) {
    struct node *node = &cluster->nodes[i];
    struct http_source source = {node, node_status, node_workers, node_metrics, node_ready};
    struct http_options options = {.listen = "127.0.0.1:0", .header_timeout_ms = header_timeout_ms};
    struct error error;
    if (http_server_new(&cluster->loop, &options, &source, &node->server, &error) != OK) {
        fail_msg("%s", error.message);
    }
    snprintf(node->address, sizeof node->address, "127.0.0.1:%u", http_server_port(node->server));
}

// Three nodes n1 (leader), n2, n3, each with pages of its own; two workers.
static struct cluster *cluster_new(void) {
    static const char *const ids[] = {"n1", "n2", "n3"};
    struct cluster *cluster = calloc(1, sizeof *cluster);
    assert_int_equal(uv_loop_init(&cluster->loop), 0);
    workers[0].id = slice_of_str("w1");
    workers[0].address = slice_of_str("10.0.0.1:9000");
    workers[0].cloud = slice_of_str("gcp");
    workers[0].instance_id = slice_of_str("i-1");
    workers[1].id = slice_of_str("w2");
    workers[1].cloud = slice_of_str("aws");
    workers[1].reason = slice_of_str("missed-heartbeats");
    for (size_t i = 0; i < 3; i++) {
        node_start(cluster, i, 0);
    }
    for (size_t i = 0; i < 3; i++) {
        struct node *node = &cluster->nodes[i];
        node->ready = true;
        node->workers = workers;
        node->worker_count = 2;
        node->status = (struct view_status){.node_id = slice_of_str(ids[i]),
                                            .cluster_id = slice_of_str("demo"),
                                            .role = i == 0 ? VIEW_LEADER : VIEW_FOLLOWER,
                                            .leader_ready = i == 0,
                                            .leader_id = slice_of_str("n1"),
                                            .term = 3,
                                            .commit_index = 40 + i,
                                            .last_applied = 40,
                                            .uptime_ms = 12345,
                                            .member_count = 3};
        for (size_t m = 0; m < 3; m++) {
            node->status.members[m] = (struct view_member){.id = slice_of_str(ids[m]),
                                                           .address = slice_of_str("127.0.0.1:7400"),
                                                           .http_address = slice_of_str(cluster->nodes[m].address),
                                                           .cloud = slice_of_str(m == 2 ? "aws" : "gcp"),
                                                           .voter = true,
                                                           .reachable = true,
                                                           .rtt_ms = m == i   ? 0
                                                                     : m == 2 ? 50.6
                                                                              : -1,
                                                           .round_trips_ms = {0.3, -1, 50.1},
                                                           .disk_sync_ms = m == 2 ? -1 : 0.25,
                                                           .commit_ms = 0.3,
                                                           .match_index = 40};
        }
        node->status.placement = (struct view_placement){
            .on = true, .leader_cloud = slice_of_str("gcp"), .decision = slice_of_str("stay: here"), .pause_ms = 1500};
    }
    return cluster;
}

static void cluster_free(struct cluster *cluster) {
    for (size_t i = 0; i < 3; i++) {
        if (cluster->nodes[i].server != NULL) {
            http_server_close(cluster->nodes[i].server, NULL, NULL);
        }
    }
    assert_int_equal(uv_run(&cluster->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&cluster->loop), 0);
    free(cluster);
}

static void node_stop(struct cluster *cluster, size_t i) {
    http_server_close(cluster->nodes[i].server, NULL, NULL);
    cluster->nodes[i].server = NULL;
    uv_run(&cluster->loop, UV_RUN_NOWAIT);
}

// --- a raw client, on the same loop ---

struct client {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    const char *request;
    size_t request_len;
    struct buf got;
    bool ended;   // the server closed the connection
    bool closed;  // the handle is
};

static void client_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct client *client = handle->data;
    *buf = uv_buf_init((char *)buf_reserve(&client->got, suggested), (unsigned)suggested);
}

static void client_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    (void)buf;
    struct client *client = stream->data;
    client->got.len += n > 0 ? (size_t)n : 0;
    client->ended = client->ended || n < 0;
}

static void client_written(uv_write_t *write, int status) {
    (void)write;
    (void)status;
}

static void client_send(struct client *client, const char *bytes, size_t len) {
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)len);
    uv_write(&client->write, (uv_stream_t *)&client->tcp, &buf, 1, client_written);
}

static void client_connected(uv_connect_t *connect, int status) {
    struct client *client = connect->handle->data;
    assert_int_equal(status, 0);
    uv_read_start((uv_stream_t *)&client->tcp, client_alloc, client_read);
    client_send(client, client->request, client->request_len);
}

static void client_closed(uv_handle_t *handle) {
    ((struct client *)handle->data)->closed = true;
}

static void client_start(struct client *client, struct cluster *cluster, size_t node, const char *request, size_t len) {
    *client = (struct client){.request = request, .request_len = len};
    struct sockaddr_in address;
    uv_ip4_addr("127.0.0.1", http_server_port(cluster->nodes[node].server), &address);
    uv_tcp_init(&cluster->loop, &client->tcp);
    client->tcp.data = client;
    uv_tcp_connect(&client->connect, &client->tcp, (struct sockaddr *)&address, client_connected);
}

static void client_end(struct client *client, struct cluster *cluster) {
    uv_close((uv_handle_t *)&client->tcp, client_closed);
    while (!client->closed) {
        uv_run(&cluster->loop, UV_RUN_ONCE);
    }
    buf_free(&client->got);
}

static void too_late(uv_timer_t *timer) {
    *(bool *)timer->data = true;
}

// Runs the loop until *flag; fails after 30 s.
static void await(struct cluster *cluster, const bool *flag) {
    bool late = false;
    uv_timer_t timer;
    uv_timer_init(&cluster->loop, &timer);
    timer.data = &late;
    uv_timer_start(&timer, too_late, 30000, 0);
    while (!*flag && !late) {
        uv_run(&cluster->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&cluster->loop, UV_RUN_NOWAIT);
    assert_false(late);
}

struct response {
    int status;
    char *head;  // NUL-terminated
    char *body;  // NUL-terminated
    size_t len;
};

static void response_free(struct response *response) {
    free(response->head);
    free(response->body);
}

// Sends the bytes, reads until the server ends the connection.
static struct response exchange_bytes(struct cluster *cluster, size_t node, const char *bytes, size_t len) {
    struct client client;
    client_start(&client, cluster, node, bytes, len);
    await(cluster, &client.ended);
    struct response response = {0};
    const uint8_t *end = client.got.len == 0 ? NULL : memmem(client.got.data, client.got.len, "\r\n\r\n", 4);
    if (end != NULL) {
        size_t head_len = (size_t)(end - client.got.data) + 2;
        response.head = strndup((char *)client.got.data, head_len);
        response.len = client.got.len - head_len - 2;
        response.body = calloc(1, response.len + 1);
        memcpy(response.body, end + 4, response.len);
        sscanf(response.head, "HTTP/1.1 %d", &response.status);
    }
    client_end(&client, cluster);
    return response;
}

static struct response request(struct cluster *cluster, size_t node, const char *method, const char *path, const char *host,
                               const char *headers) {
    struct buf text = {0};
    buf_printf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n", method, path,
               host == NULL ? cluster->nodes[node].address : host, headers);
    struct response response = exchange_bytes(cluster, node, (char *)text.data, text.len);
    buf_free(&text);
    return response;
}

static struct response get(struct cluster *cluster, size_t node, const char *path) {
    return request(cluster, node, "GET", path, NULL, "");
}

static void assert_status(struct cluster *cluster, size_t node, const char *path, int status) {
    struct response response = get(cluster, node, path);
    assert_int_equal(response.status, status);
    response_free(&response);
}

static void assert_header(const struct response *response, const char *line) {
    assert_non_null(response->head);
    if (strcasestr(response->head, line) == NULL) {
        fail_msg("no \"%s\" in %s", line, response->head);
    }
}

static json_t *json_body(const struct response *response) {
    assert_header(response, "\r\nContent-Type: application/json\r\n");
    json_error_t error;
    json_t *json = json_loadb(response->body, response->len, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL) {
        fail_msg("%s in %s", error.text, response->body);
    }
    return json;
}

static const char *text_of(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

static json_int_t number_of(const json_t *object, const char *key) {
    json_t *value = json_object_get(object, key);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void assert_error(struct response *response, int status, const char *code) {
    assert_int_equal(response->status, status);
    json_t *error = json_body(response);
    assert_string_equal(text_of(error, "error"), code);
    assert_true(strlen(text_of(error, "message")) > 10);
    json_decref(error);
    response_free(response);
}

// --- tests ---

static void TestHttpStatus(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    struct response response = get(cluster, 1, "/status");
    assert_int_equal(response.status, 200);
    json_t *status = json_body(&response);
    assert_string_equal(text_of(status, "node"), "n2");
    assert_string_equal(text_of(status, "cluster"), "demo");
    assert_string_equal(text_of(status, "version"), BATON_VERSION);
    assert_string_equal(text_of(status, "role"), "follower");
    assert_string_equal(text_of(status, "leader"), "n1");
    assert_string_equal(text_of(status, "leader_address"), "127.0.0.1:7400");
    assert_int_equal(number_of(status, "term"), 3);
    assert_int_equal(number_of(status, "commit_index"), 41);
    assert_int_equal(number_of(status, "last_applied"), 40);
    assert_float_equal(json_real_value(json_object_get(status, "uptime")), 12.345, 0);
    json_t *members = json_object_get(status, "members");
    assert_int_equal(json_array_size(members), 3);
    json_t *n3 = json_array_get(members, 2);
    assert_string_equal(text_of(n3, "id"), "n3");
    assert_string_equal(text_of(n3, "cloud"), "aws");
    assert_string_equal(text_of(n3, "http_address"), cluster->nodes[2].address);
    assert_true(json_is_true(json_object_get(n3, "voter")) && json_is_true(json_object_get(n3, "reachable")));
    assert_float_equal(json_real_value(json_object_get(n3, "rtt_ms")), 50.6, 0);
    assert_true(json_is_null(json_object_get(n3, "match_index")));  // only a leader knows
    assert_true(json_is_null(json_object_get(json_array_get(members, 0), "rtt_ms")));
    json_decref(status);
    response_free(&response);
    // No leader: null, not an empty string.
    cluster->nodes[1].status.leader_id = (struct slice){0};
    cluster->nodes[1].status.role = VIEW_CANDIDATE;
    response = get(cluster, 1, "/status");
    status = json_body(&response);
    assert_string_equal(text_of(status, "role"), "candidate");
    assert_true(json_is_null(json_object_get(status, "leader")) && json_is_null(json_object_get(status, "leader_address")));
    json_decref(status);
    response_free(&response);
    response = get(cluster, 0, "/status");
    status = json_body(&response);
    assert_int_equal(number_of(json_array_get(json_object_get(status, "members"), 2), "match_index"), 40);
    json_decref(status);
    response_free(&response);
    cluster_free(cluster);
}

static void TestHttpPlacement(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    struct response response = get(cluster, 0, "/status");
    json_t *status = json_body(&response);
    json_t *n2 = json_array_get(json_object_get(status, "members"), 1);
    json_t *round_trips = json_object_get(n2, "round_trips_ms");
    assert_int_equal(json_object_size(round_trips), 2);
    assert_float_equal(json_real_value(json_object_get(round_trips, "n1")), 0.3, 0);
    assert_float_equal(json_real_value(json_object_get(round_trips, "n3")), 50.1, 0);
    assert_float_equal(json_real_value(json_object_get(n2, "commit_ms")), 0.3, 0);
    assert_float_equal(json_real_value(json_object_get(n2, "disk_sync_ms")), 0.25, 0);
    json_t *n3 = json_array_get(json_object_get(status, "members"), 2);
    assert_true(json_is_null(json_object_get(json_object_get(n3, "round_trips_ms"), "n2")));
    assert_true(json_is_null(json_object_get(n3, "disk_sync_ms")));
    json_t *placement = json_object_get(status, "placement");
    assert_true(json_is_true(json_object_get(placement, "on")));
    assert_string_equal(text_of(placement, "leader_cloud"), "gcp");
    assert_string_equal(text_of(placement, "decision"), "stay: here");
    assert_float_equal(json_real_value(json_object_get(placement, "pause")), 1.5, 0);
    assert_true(json_is_null(json_object_get(placement, "last_move")));
    json_decref(status);
    response_free(&response);
    cluster->nodes[0].status.placement.moved_to = slice_of_str("n1");
    cluster->nodes[0].status.placement.moved_why = slice_of_str("faster");
    cluster->nodes[0].status.placement.moved_ago_ms = 2500;
    response = get(cluster, 0, "/status");
    status = json_body(&response);
    json_t *move = json_object_get(json_object_get(status, "placement"), "last_move");
    assert_string_equal(text_of(move, "to"), "n1");
    assert_string_equal(text_of(move, "why"), "faster");
    assert_float_equal(json_real_value(json_object_get(move, "ago")), 2.5, 0);
    json_decref(status);
    response_free(&response);
    cluster_free(cluster);
}

static void assert_workers(struct response *response) {
    assert_int_equal(response->status, 200);
    assert_header(response, "\r\nBaton-Leader: n1\r\n");
    json_t *list = json_body(response);
    assert_true(json_is_array(list));
    assert_int_equal(json_array_size(list), 2);
    json_t *w1 = json_array_get(list, 0);
    json_t *w2 = json_array_get(list, 1);
    assert_string_equal(text_of(w1, "id"), "w1");
    assert_string_equal(text_of(w1, "address"), "10.0.0.1:9000");
    assert_string_equal(text_of(w1, "cloud"), "gcp");
    assert_string_equal(text_of(w1, "status"), "online");
    assert_string_equal(text_of(w1, "reason"), "");
    char expected[RFC3339_SIZE];
    rfc3339_format(expected, workers[0].last_seen_unix_ms);
    assert_string_equal(text_of(w1, "last_seen"), expected);
    assert_string_equal(text_of(w1, "instance_id"), "i-1");
    assert_int_equal(number_of(w1, "epoch"), 7);
    assert_int_equal(number_of(w1, "slots"), 4);
    assert_string_equal(text_of(json_object_get(w1, "labels"), "zone"), "a\"\n\xef\xbf\xbd");
    assert_string_equal(text_of(w2, "status"), "offline");
    assert_string_equal(text_of(w2, "reason"), "missed-heartbeats");
    assert_true(json_is_null(json_object_get(w2, "last_seen")));
    assert_true(json_is_null(json_object_get(w2, "last_seen_ago_ms")));
    assert_int_equal(json_object_size(json_object_get(w2, "labels")), 0);
    json_decref(list);
    response_free(response);
}

static void TestHttpClusterState(void **state) {
    (void)state;
    workers[1].epoch = 9;
    struct cluster *cluster = cluster_new();
    struct response response = get(cluster, 0, "/cluster-state");
    assert_workers(&response);
    cluster->nodes[0].worker_count = 0;
    response = get(cluster, 0, "/cluster-state");
    json_t *list = json_body(&response);
    assert_true(json_is_array(list) && json_array_size(list) == 0);
    json_decref(list);
    response_free(&response);
    // Elected, but its registry may lack what the last leader acknowledged.
    cluster->nodes[0].status.leader_ready = false;
    response = get(cluster, 0, "/cluster-state");
    assert_header(&response, "\r\nRetry-After: 1\r\n");
    assert_error(&response, 503, "leader-not-ready");
    cluster_free(cluster);
}

static void TestHttpRelay(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    struct response response = get(cluster, 1, "/cluster-state");
    assert_workers(&response);
    assert_int_equal(cluster->nodes[0].listed, 1);
    assert_int_equal(cluster->nodes[1].listed, 0);
    response = request(cluster, 2, "HEAD", "/cluster-state", NULL, "");
    assert_int_equal(response.status, 200);
    assert_header(&response, "\r\nBaton-Leader: n1\r\n");
    assert_int_equal(response.len, 0);
    response_free(&response);
    cluster_free(cluster);
}

static void TestHttpRelayNoLeader(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    cluster->nodes[1].status.leader_id = (struct slice){0};
    struct response response = get(cluster, 1, "/cluster-state");
    assert_header(&response, "\r\nRetry-After: 1\r\n");
    assert_error(&response, 503, "no-leader");
    // A leader that is not among the members it knows.
    cluster->nodes[1].status.leader_id = slice_of_str("n9");
    response = get(cluster, 1, "/cluster-state");
    assert_error(&response, 503, "no-leader");
    // A leader that is gone, and one without an address.
    cluster->nodes[1].status.leader_id = slice_of_str("n1");
    node_stop(cluster, 0);
    response = get(cluster, 1, "/cluster-state");
    assert_header(&response, "\r\nRetry-After: 1\r\n");
    assert_error(&response, 503, "leader-unreachable");
    cluster->nodes[1].status.members[0].http_address = (struct slice){0};
    response = get(cluster, 1, "/cluster-state");
    assert_error(&response, 503, "leader-unreachable");
    cluster_free(cluster);
}

// n2 takes n3 for the leader and n3 takes n2: one hop, and an honest answer.
static void TestHttpRelayNeverCircles(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    cluster->nodes[1].status.leader_id = slice_of_str("n3");
    cluster->nodes[2].status.leader_id = slice_of_str("n2");
    struct response response = get(cluster, 1, "/cluster-state");
    assert_non_null(strstr(response.body, "answered 503"));
    assert_error(&response, 503, "leader-unreachable");
    response = request(cluster, 1, "GET", "/cluster-state", NULL, "Baton-Relay: n3\r\n");
    assert_error(&response, 503, "not-leader");
    cluster_free(cluster);
}

// A leader that takes connections and never answers: both pages come back when the relay's time is over, and the node that
// asks serves others meanwhile.
static void TestHttpRelayDeadline(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    int silent = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    assert_int_equal(bind(silent, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(silent, 10), 0);
    getsockname(silent, (struct sockaddr *)&address, &len);
    char text[32];
    snprintf(text, sizeof text, "127.0.0.1:%u", ntohs(address.sin_port));
    cluster->nodes[1].status.members[0].http_address = slice_of_str(text);
    struct client waiting;
    char ask[128];
    snprintf(ask, sizeof ask, "GET /cluster-state HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
             cluster->nodes[1].address);
    uint64_t begun = uv_hrtime();
    client_start(&waiting, cluster, 1, ask, strlen(ask));
    assert_status(cluster, 1, "/livez", 200);
    assert_false(waiting.ended);
    await(cluster, &waiting.ended);
    uint64_t took_ms = (uv_hrtime() - begun) / 1000000;
    assert_true(took_ms >= HTTP_RELAY_TIMEOUT_MS - 10);
    buf_append(&waiting.got, "", 1);
    assert_non_null(strstr((char *)waiting.got.data, "no answer in time"));
    client_end(&waiting, cluster);
    // And the server can end while one waits.
    client_start(&waiting, cluster, 1, ask, strlen(ask));
    assert_status(cluster, 1, "/livez", 200);
    node_stop(cluster, 1);
    await(cluster, &waiting.ended);
    assert_int_equal(waiting.got.len, 0);
    client_end(&waiting, cluster);
    close(silent);
    cluster_free(cluster);
}

static void TestHttpNodes(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    node_stop(cluster, 0);
    struct response response = get(cluster, 1, "/nodes");
    assert_int_equal(response.status, 200);
    json_t *nodes = json_body(&response);
    assert_int_equal(json_array_size(nodes), 3);
    json_t *n1 = json_array_get(nodes, 0);
    json_t *n2 = json_array_get(nodes, 1);
    json_t *n3 = json_array_get(nodes, 2);
    assert_string_equal(text_of(n1, "node"), "n1");
    assert_true(json_is_false(json_object_get(n1, "reachable")));
    assert_non_null(text_of(n1, "error"));
    assert_null(json_object_get(n1, "term"));
    assert_true(json_is_true(json_object_get(n2, "reachable")) && json_is_true(json_object_get(n3, "reachable")));
    assert_true(json_is_true(json_object_get(n2, "self")));
    assert_null(json_object_get(n3, "self"));
    assert_string_equal(text_of(n2, "cloud"), "gcp");
    assert_string_equal(text_of(n3, "cloud"), "aws");
    assert_int_equal(number_of(n2, "commit_index"), 41);
    assert_int_equal(number_of(n3, "commit_index"), 42);
    assert_string_equal(text_of(n3, "http_address"), cluster->nodes[2].address);
    json_decref(nodes);
    response_free(&response);
    // Somebody else at a member's address is not taken for it.
    cluster->nodes[1].status.members[0].http_address = slice_of_str(cluster->nodes[2].address);
    response = get(cluster, 1, "/nodes");
    nodes = json_body(&response);
    assert_true(json_is_false(json_object_get(json_array_get(nodes, 0), "reachable")));
    assert_non_null(strstr(text_of(json_array_get(nodes, 0), "error"), "another node"));
    json_decref(nodes);
    response_free(&response);
    cluster_free(cluster);
}

static void TestHttpHealth(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    assert_status(cluster, 0, "/livez", 200);
    assert_status(cluster, 0, "/readyz", 200);
    cluster->nodes[0].ready = false;
    assert_status(cluster, 0, "/livez", 200);
    struct response response = get(cluster, 0, "/readyz");
    assert_int_equal(response.status, 503);
    assert_string_equal(response.body, "no leader is known\n");
    response_free(&response);
    response = get(cluster, 0, "/metrics");
    assert_int_equal(response.status, 200);
    assert_header(&response, "\r\nContent-Type: text/plain; version=0.0.4");
    assert_string_equal(response.body, "raft_term 3\n");
    response_free(&response);
    cluster_free(cluster);
}

static void TestHttpDashboard(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    struct response response = get(cluster, 1, "/");
    assert_int_equal(response.status, 200);
    assert_header(&response, "\r\nContent-Type: text/html; charset=utf-8\r\n");
    assert_header(&response, "\r\nContent-Security-Policy: default-src 'none'; script-src 'self'");
    assert_header(&response, "\r\nX-Content-Type-Options: nosniff\r\n");
    // No asset of anybody else, and nothing inline that the policy would refuse.
    assert_null(strstr(response.body, "http://"));
    assert_null(strstr(response.body, "https://"));
    assert_null(strstr(response.body, "style="));
    assert_non_null(strstr(response.body, "src=\"dashboard.js\""));
    response_free(&response);
    assert_status(cluster, 1, "/dashboard.js", 200);
    assert_status(cluster, 1, "/dashboard.css", 200);
    cluster_free(cluster);
}

static void TestHttpHost(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    uint16_t port = http_server_port(cluster->nodes[0].server);
    static const struct {
        const char *format;
        int status;
    } hosts[] = {
        {"127.0.0.1:%u", 200},
        {"localhost:%u", 200},
        {"LOCALHOST:%u", 200},
        {"[::1]:%u", 200},
        {"evil.example:%u", 421},
        {"127.0.0.1", 200},  // behind a published port or a tunnel the port is another
        {"localhost:7481", 200},
        {"[::1]:1", 200},
        {"localhost.evil.example:7481", 421},
        {"127.0.0.2:%u", 421},
        {"127.0.0.1.evil:%u", 421},
        {"localhost:%u:80", 421},
        {"", 421},
        {"localhost:", 421},
    };
    for (size_t i = 0; i < ARRAY_COUNT(hosts); i++) {
        char host[64];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(host, sizeof host, hosts[i].format, port);
#pragma GCC diagnostic pop
        struct response response = request(cluster, 0, "GET", "/livez", host, "");
        if (response.status != hosts[i].status) {
            fail_msg("Host \"%s\" got %d", host, response.status);
        }
        response_free(&response);
    }
    struct response response = request(cluster, 0, "GET", "/cluster-state", "evil.example", "");
    assert_error(&response, 421, "foreign-host");
    assert_int_equal(cluster->nodes[0].listed, 0);
    // None, and two of which one is right.
    static const char *const twice[] = {"Host: localhost:%u\r\nHost: evil:%u\r\n",
                                        "Host: evil:%u\r\nHost: localhost:%u\r\n"};
    for (size_t i = 0; i < 2; i++) {
        struct buf text = {0};
        buf_append_str(&text, "GET /livez HTTP/1.1\r\nConnection: close\r\n");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        buf_printf(&text, twice[i], port, port);
#pragma GCC diagnostic pop
        buf_append_str(&text, "\r\n");
        response = exchange_bytes(cluster, 0, (char *)text.data, text.len);
        assert_true(response.status == 421 || response.status == 400);
        response_free(&response);
        buf_free(&text);
    }
    response = exchange_bytes(cluster, 0, "GET /livez HTTP/1.0\r\n\r\n", 23);
    assert_true(response.status == 421 || response.status == 400);
    response_free(&response);
    response = exchange_bytes(cluster, 0, "GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n", 42);
    assert_int_equal(response.status, 400);
    response_free(&response);
    cluster_free(cluster);
}

static void TestHttpHostNames(void **state) {
    (void)state;
    struct host_names names = {slice_of_str("0.0.0.0:7480"), slice_of_str("n1.example:80"), 7480, 80};
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr = {htonl(0xc6120101)}};
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_addr = {{{[10] = 0xff, [11] = 0xff, 198, 18, 1, 1}}}};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = {{{0xfd, [15] = 7}}}};
    const struct sockaddr *at = (const struct sockaddr *)&local;
    assert_true(host_allowed(&names, slice_of_str("198.18.1.1:7480"), at));
    assert_true(host_allowed(&names, slice_of_str("198.18.1.1:7480"), (const struct sockaddr *)&mapped));
    assert_true(host_allowed(&names, slice_of_str("[fd00::7]:7480"), (const struct sockaddr *)&six));
    assert_true(host_allowed(&names, slice_of_str("n1.example"), at));  // a URL's default port is left out
    assert_true(host_allowed(&names, slice_of_str("n1.example:80"), at));
    assert_false(host_allowed(&names, slice_of_str("n1.example:7480"), at));
    names.implied_port = 443;
    assert_false(host_allowed(&names, slice_of_str("n1.example"), at));
    assert_false(host_allowed(&names, slice_of_str("198.18.1.2:7480"), at));
    assert_false(host_allowed(&names, slice_of_str("198.18.1.1:7481"), at));  // only loopback has any port
    assert_false(host_allowed(&names, slice_of_str("localhost:748x"), at));
    assert_true(host_allowed(&names, slice_of_str("LocalHost:7481"), at));
    assert_false(host_allowed(&names, slice_of_str("fd00::7:7480"), (const struct sockaddr *)&six));
    assert_false(host_allowed(&names, slice_of_str(":7480"), at));
    assert_false(host_allowed(&names, slice_of("localhost:7480\0", 15), at));
}

static void TestHttpMethods(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "NONSENSE"};
    for (size_t i = 0; i < ARRAY_COUNT(methods); i++) {
        struct response response = request(cluster, 0, methods[i], "/status", NULL, "Content-Length: 5\r\n");
        assert_header(&response, "\r\nAllow: GET, HEAD\r\n");
        assert_error(&response, 405, "method-not-allowed");
    }
    struct response response = request(cluster, 0, "HEAD", "/status", NULL, "");
    assert_int_equal(response.status, 200);
    assert_int_equal(response.len, 0);
    assert_null(strstr(response.head, "Content-Length: 0"));
    response_free(&response);
    static const char *const paths[] = {"/nope",     "/status/",   "/%2e%2e/status", "/../status",
                                        "/%73tatus", "/status%00", "//status",       "/..%2f..%2fetc%2fpasswd"};
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        response = get(cluster, 0, paths[i]);
        assert_error(&response, 404, "not-found");
    }
    assert_status(cluster, 0, "/livez?verbose", 200);
    cluster_free(cluster);
}

// Two lengths for one body is how a request is smuggled past a proxy: refused, and what stands behind is not served.
static void TestHttpBodies(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    const char *host = cluster->nodes[0].address;
    static const char *const headers[] = {
        "Content-Length: 44\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Transfer-Encoding: gzip\r\nContent-Length: 44\r\n",
        "Content-Length: 3\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Transfer-Encoding: chunked\r\n",
    };
    for (size_t i = 0; i < ARRAY_COUNT(headers); i++) {
        struct buf text = {0};
        buf_printf(&text,
                   "GET /livez HTTP/1.1\r\nHost: %s\r\n%s\r\n0\r\n\r\nGET /cluster-state HTTP/1.1\r\nHost: %s\r\n\r\n", host,
                   headers[i], host);
        struct response response = exchange_bytes(cluster, 0, (char *)text.data, text.len);
        if (response.status / 100 != 4) {
            fail_msg("%s got %d", headers[i], response.status);
        }
        assert_null(strstr(response.body, "HTTP/1.1 200"));
        response_free(&response);
        buf_free(&text);
    }
    assert_int_equal(cluster->nodes[0].listed, 0);
    cluster_free(cluster);
}

static void TestHttpHugeHeader(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    struct buf text = {0};
    buf_printf(&text, "GET /livez HTTP/1.1\r\nHost: %s\r\nX: ", cluster->nodes[0].address);
    memset(buf_reserve(&text, 1 * MIB), 'a', 1 * MIB);
    text.len += 1 * MIB;
    buf_append_str(&text, "\r\n\r\n");
    struct response response = exchange_bytes(cluster, 0, (char *)text.data, text.len);
    assert_true(response.status == 431 || response.status == 0);  // the answer may be lost: the connection is reset
    response_free(&response);
    // The same in the request line.
    memset(text.data + 5, 'a', text.len - 9);
    response = exchange_bytes(cluster, 0, (char *)text.data, text.len);
    assert_true(response.status == 414 || response.status == 431 || response.status == 0);
    response_free(&response);
    buf_free(&text);
    assert_status(cluster, 0, "/livez", 200);
    cluster_free(cluster);
}

struct drip {
    struct client *client;
    unsigned sent;
};

static void drip_send(uv_timer_t *timer) {
    struct drip *drip = timer->data;
    if (!drip->client->ended) {
        client_send(drip->client, "x", 1);
        drip->sent++;
    }
}

// A client that is never quite silent is cut off all the same, also one that was served before.
static void TestHttpSlowHeader(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    node_stop(cluster, 0);
    node_start(cluster, 0, 300);
    char begin[256];
    snprintf(begin, sizeof begin,
             "GET /livez HTTP/1.1\r\nHost: %s\r\n\r\nGET /livez HTTP/1.1\r\nX: ", cluster->nodes[0].address);
    struct client client;
    uint64_t begun = uv_hrtime();
    client_start(&client, cluster, 0, begin, strlen(begin));
    struct drip drip = {&client, 0};
    uv_timer_t timer;
    uv_timer_init(&cluster->loop, &timer);
    timer.data = &drip;
    uv_timer_start(&timer, drip_send, 20, 20);
    await(cluster, &client.ended);
    uint64_t took_ms = (uv_hrtime() - begun) / 1000000;
    assert_true(took_ms >= 290);
    assert_true(drip.sent >= 5);
    assert_true(client.got.len > 12 && memcmp(client.got.data, "HTTP/1.1 200", 12) == 0);
    uv_close((uv_handle_t *)&timer, NULL);
    client_end(&client, cluster);
    cluster_free(cluster);
}

// Idle connections take all places; each is closed in its time, and then others are served.
static void TestHttpConnectionLimit(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    node_stop(cluster, 0);
    node_start(cluster, 0, 500);
    static struct client idle[HTTP_CONNECTIONS_MAX + 20];
    size_t n = ARRAY_COUNT(idle);
    for (size_t i = 0; i < n; i++) {
        client_start(&idle[i], cluster, 0, "GET", 3);
    }
    assert_status(cluster, 0, "/livez", 200);
    for (size_t i = 0; i < n; i++) {
        await(cluster, &idle[i].ended);
        client_end(&idle[i], cluster);
    }
    cluster_free(cluster);
}

enum { MANY = 20000 };

static void many_workers(struct node *node, struct view_worker **many, char (**ids)[16]) {
    *many = calloc(MANY, sizeof **many);
    *ids = calloc(MANY, sizeof **ids);
    for (size_t i = 0; i < MANY; i++) {
        snprintf((*ids)[i], sizeof **ids, "w%05zu", i);
        (*many)[i] = workers[0];
        (*many)[i].id = slice_of_str((*ids)[i]);
    }
    node->workers = *many;
    node->worker_count = MANY;
}

// Many who ask for a long list at once get one that is made once: making it for each would hold up the loop.
static void TestHttpManyWorkersAreListedOnce(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    struct node *node = &cluster->nodes[0];
    struct view_worker *many;
    char(*ids)[16];
    many_workers(node, &many, &ids);
    node->listing_us = 200000;
    struct response first = get(cluster, 0, "/cluster-state");
    struct response second = get(cluster, 0, "/cluster-state");
    assert_int_equal(node->listed, 1);
    assert_header(&second, "Baton-Leader: n1");
    assert_int_equal(first.len, second.len);
    response_free(&second);
    node->status.term++;  // what another leadership knew is no answer
    second = get(cluster, 0, "/cluster-state");
    assert_int_equal(node->listed, 2);
    response_free(&second);
    node->listing_us = 0;
    node->worker_count = 1;  // cheap ones are always new
    node->status.term++;
    for (unsigned i = 0; i < 2; i++) {
        second = get(cluster, 0, "/cluster-state");
        response_free(&second);
    }
    assert_int_equal(node->listed, 4);
    response_free(&first);
    free(many);
    free(ids);
    cluster_free(cluster);
}

// 20,000 workers: an answer that takes many writes, relayed whole.
static void TestHttpManyWorkers(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    struct view_worker *many;
    char(*ids)[16];
    many_workers(&cluster->nodes[0], &many, &ids);
    struct response own = get(cluster, 0, "/cluster-state");
    struct response relayed = get(cluster, 2, "/cluster-state");
    assert_int_equal(relayed.status, 200);
    json_t *list = json_body(&relayed);
    assert_int_equal(json_array_size(list), MANY);
    assert_string_equal(text_of(json_array_get(list, MANY - 1), "id"), "w19999");
    assert_true(own.len == relayed.len || own.status == 200);  // the ages differ
    json_decref(list);
    response_free(&own);
    response_free(&relayed);
    free(many);
    free(ids);
    cluster_free(cluster);
}

// --- the client against servers that do not behave ---

struct rogue {
    uv_tcp_t listener;
    uv_tcp_t peer;
    uv_write_t write;
    const char *answer;
    char question[1024];
    bool has_peer;
};

static void rogue_shut(uv_write_t *write, int status) {
    (void)status;
    struct rogue *rogue = write->data;
    uv_close((uv_handle_t *)&rogue->peer, NULL);
    rogue->has_peer = false;
}

// Answers when the question has come: what is closed with bytes unread is reset.
static void rogue_read(uv_stream_t *peer, ssize_t n, const uv_buf_t *buf) {
    (void)buf;
    struct rogue *rogue = peer->data;
    if (n > 0) {
        uv_read_stop(peer);
        uv_buf_t answer = uv_buf_init((char *)(uintptr_t)rogue->answer, (unsigned)strlen(rogue->answer));
        uv_write(&rogue->write, peer, &answer, 1, rogue_shut);
    }
}

static void rogue_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)suggested;
    struct rogue *rogue = handle->data;
    *buf = uv_buf_init(rogue->question, sizeof rogue->question);
}

static void rogue_accept(uv_stream_t *listener, int status) {
    struct rogue *rogue = listener->data;
    assert_int_equal(status, 0);
    uv_tcp_init(listener->loop, &rogue->peer);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&rogue->peer), 0);
    rogue->has_peer = true;
    rogue->write.data = rogue;
    rogue->peer.data = rogue;
    uv_read_start((uv_stream_t *)&rogue->peer, rogue_alloc, rogue_read);
}

struct outcome {
    bool done;
    struct fetch_answer answer;
    char error[128];
};

static void take_outcome(void *user, const struct fetch_answer *answer) {
    struct outcome *outcome = user;
    assert_false(outcome->done);
    outcome->done = true;
    outcome->answer = *answer;
    snprintf(outcome->error, sizeof outcome->error, "%s", answer->error == NULL ? "" : answer->error);
}

static struct outcome fetch_from(struct cluster *cluster, const char *answer) {
    struct rogue rogue = {.answer = answer};
    struct sockaddr_in address;
    int len = sizeof address;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(&cluster->loop, &rogue.listener);
    rogue.listener.data = &rogue;
    uv_tcp_bind(&rogue.listener, (struct sockaddr *)&address, 0);
    assert_int_equal(uv_listen((uv_stream_t *)&rogue.listener, 1, rogue_accept), 0);
    uv_tcp_getsockname(&rogue.listener, (struct sockaddr *)&address, &len);
    char text[32];
    snprintf(text, sizeof text, "localhost:%u", ntohs(address.sin_port));
    struct outcome outcome = {0};
    struct fetch_request request = {
        .address = slice_of_str(text), .path = "/status", .headers = "", .timeout_ms = 20000, .body_max = 1000};
    fetch_start(&cluster->loop, &request, take_outcome, &outcome);
    assert_false(outcome.done);
    await(cluster, &outcome.done);
    uv_close((uv_handle_t *)&rogue.listener, NULL);
    while (rogue.has_peer) {
        uv_run(&cluster->loop, UV_RUN_ONCE);
    }
    uv_run(&cluster->loop, UV_RUN_NOWAIT);
    return outcome;
}

static void TestHttpFetch(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    static const struct {
        const char *answer;
        const char *error;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", ""},
        {"HTTP/1.0 404 No\r\ncontent-length:\t0 \r\n\r\n", ""},
        {"HTTP/1.1 200 OK\r\n\r\nhello", "without Content-Length"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", "ended within"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhello", "more bytes"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", "too large"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551621\r\n\r\nhello", "too large"},
        {"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", "wrong"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "wrong"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "transfer encoding"},
        {"HTTP/2 200\r\nContent-Length: 5\r\n\r\nhello", "not an HTTP/1.1"},
        {"garbage\r\n\r\n", "not an HTTP/1.1"},
        {"\r\n\r\n", "not an HTTP/1.1"},
        {"", "ended within"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct outcome outcome = fetch_from(cluster, cases[i].answer);
        if (strstr(outcome.error, cases[i].error) == NULL || (cases[i].error[0] == '\0') != (outcome.error[0] == '\0')) {
            fail_msg("\"%s\" gave \"%s\"", cases[i].answer, outcome.error);
        }
        if (i == 0) {
            assert_int_equal(outcome.answer.status, 200);
            assert_memory_equal(outcome.answer.body, "hello", 5);
        }
        free(outcome.answer.body);
    }
    struct buf endless = {0};
    buf_append_str(&endless, "HTTP/1.1 200 OK\r\nX: ");
    memset(buf_reserve(&endless, 64 * KIB), 'a', 64 * KIB - 1);
    endless.len += 64 * KIB - 1;
    buf_append(&endless, "", 1);
    struct outcome outcome = fetch_from(cluster, (char *)endless.data);
    assert_non_null(strstr(outcome.error, "headers that are too large"));
    buf_free(&endless);
    // Addresses that are none, and a call that is given up, at once and later.
    outcome = (struct outcome){0};
    struct fetch_request request = {
        .address = slice_of_str("nowhere"), .path = "/", .headers = "", .timeout_ms = 1000, .body_max = 10};
    fetch_start(&cluster->loop, &request, take_outcome, &outcome);
    assert_false(outcome.done);
    await(cluster, &outcome.done);
    assert_non_null(outcome.answer.error);
    outcome = (struct outcome){0};
    request.address = slice_of_str("localhost:1");
    fetch_cancel(fetch_start(&cluster->loop, &request, take_outcome, &outcome));
    request.address = slice_of_str("127.0.0.1:1");
    fetch_cancel(fetch_start(&cluster->loop, &request, take_outcome, &outcome));
    cluster_free(cluster);
    assert_false(outcome.done);
}

static void TestHttpListenFails(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    struct http_source source = {0};
    struct http_server *server;
    struct error error;
    struct http_options taken = {.listen = cluster->nodes[0].address};
    assert_int_equal(http_server_new(&cluster->loop, &taken, &source, &server, &error), ERR_IO);
    assert_non_null(strstr(error.message, cluster->nodes[0].address));
    static const char *const bad[] = {"", "nonsense", "127.0.0.1:70000", "[::1", "no.such.host.invalid:80"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct http_options options = {.listen = bad[i]};
        assert_int_equal(http_server_new(&cluster->loop, &options, &source, &server, &error), ERR_INVALID);
    }
    cluster_free(cluster);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestHttpStatus),
    cmocka_unit_test(TestHttpPlacement),
    cmocka_unit_test(TestHttpClusterState),
    cmocka_unit_test(TestHttpRelay),
    cmocka_unit_test(TestHttpRelayNoLeader),
    cmocka_unit_test(TestHttpRelayNeverCircles),
    cmocka_unit_test(TestHttpRelayDeadline),
    cmocka_unit_test(TestHttpNodes),
    cmocka_unit_test(TestHttpHealth),
    cmocka_unit_test(TestHttpDashboard),
    cmocka_unit_test(TestHttpHost),
    cmocka_unit_test(TestHttpHostNames),
    cmocka_unit_test(TestHttpMethods),
    cmocka_unit_test(TestHttpBodies),
    cmocka_unit_test(TestHttpHugeHeader),
    cmocka_unit_test(TestHttpSlowHeader),
    cmocka_unit_test(TestHttpConnectionLimit),
    cmocka_unit_test(TestHttpManyWorkers),
    cmocka_unit_test(TestHttpManyWorkersAreListedOnce),
    cmocka_unit_test(TestHttpFetch),
    cmocka_unit_test(TestHttpListenFails),
};

UNIT_MAIN(tests)
