// Behind http_fixture.h.
#include "http_fixture.h"

#include <stdio.h>
#include <string.h>

// --- a made-up node ---

// Points into the made-up node.
static void status_of(void *user, struct node_status *out) {
    *out = ((struct node *)user)->status;
}

static bool node_workers(void *user, struct slice start_after, view_visit_worker *visit, void *arg) {
    struct node *node = user;
    size_t at = 0;
    if (start_after.len == 0) {
        node->listed++;
        uint64_t until_ns = uv_hrtime() + node->listing_us * 1000;
        while (uv_hrtime() < until_ns) {
        }
    } else {
        node->parts++;
    }
    while (at < node->worker_count && slice_compare(node->workers[at].id, start_after) <= 0) {
        at++;
    }
    while (at < node->worker_count && visit(arg, &node->workers[at])) {
        at++;
    }
    return at == node->worker_count;
}

static void node_timeline(void *user, struct view_timeline *out) {
    *out = ((struct node *)user)->timeline;
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

static const struct slice_pair labels[] = {{{(const uint8_t *)"zone", 4}, {(const uint8_t *)"a\"\n\xff", 4}}};

struct pb_worker_info fixture_workers[FIXTURE_WORKERS] = {
    {.has_last_seen_unix_ms = true,
     .last_seen_unix_ms = 1792818367123,
     .epoch = 7,
     .slots = 4,
     .labels = labels,
     .labels_count = 1},
    {.epoch = UINT64_MAX},
};

void node_start(struct cluster *cluster, size_t i, uint64_t header_timeout_ms) {
    struct node *node = &cluster->nodes[i];
    struct http_source source = {node, status_of, node_workers, node_timeline, node_metrics, node_ready};
    struct http_options options = {.listen = "127.0.0.1:0", .header_timeout_ms = header_timeout_ms};
    struct error error;
    if (http_server_new(&cluster->loop, &options, &source, &node->server, &error) != OK) {
        fail_msg("%s", error.message);
    }
    snprintf(node->address, sizeof node->address, "127.0.0.1:%u", http_server_port(node->server));
}

static const char *const ids[] = {"n1", "n2", "n3"};

// As node `i` sees n1 lead: n2 measures 0.3 ms to n1; n3 is far from all, and has not told of its disk.
static void make_status(struct cluster *cluster, size_t i) {
    struct node_status *status = &cluster->nodes[i].status;
    status->leader_ready = i == 0;
    status->response = (struct pb_status_response){
        .node = slice_of_str(ids[i]),
        .cluster_id = slice_of_str("demo"),
        .role = slice_of_str(i == 0 ? "leader" : "follower"),
        .leader = slice_of_str("n1"),
        .leader_address = slice_of_str("127.0.0.1:7400"),
        .term = 3,
        .commit_index = 40 + i,
        .last_applied = 40,
        .last_log_index = 45,
        .version = slice_of_str(BATON_VERSION),
        .uptime_ms = 12345,
        .log_first_index = 11,
        .cluster_level = 2,
        .level = 3,
        .snapshot_index = i == 1 ? 30 : 0,
        .snapshot_bytes = i == 1 ? 5000 : 0,
        .members = status->members,
        .members_count = 3,
        .has_placement = true,
        .placement = {.on = true,
                      .leader_cloud = slice_of_str("gcp"),
                      .decision = slice_of_str("stay: here"),
                      .pause_ms = 1500},
    };
    for (size_t m = 0; m < 3; m++) {
        struct pb_round_trip *round_trips = status->round_trips[m];
        size_t count = 0;
        if (m != 0) {
            round_trips[count++] = (struct pb_round_trip){.id = slice_of_str("n1"), .rtt_ms = 0.3};
        }
        if (m != 2) {
            round_trips[count++] = (struct pb_round_trip){.id = slice_of_str("n3"), .rtt_ms = 50.1};
        }
        status->members[m] = (struct pb_member_status){.id = slice_of_str(ids[m]),
                                                       .address = slice_of_str("127.0.0.1:7400"),
                                                       .http_address = slice_of_str(cluster->nodes[m].address),
                                                       .cloud = slice_of_str(m == 2 ? "aws" : "gcp"),
                                                       .voter = true,
                                                       .level = m == 2 ? 2 : 0,
                                                       .reachable = true,
                                                       .rtt_ms = m == 2 && i != 2 ? 50.6 : 0,
                                                       .round_trips = round_trips,
                                                       .round_trips_count = count,
                                                       .disk_sync_ms = m == 2 ? 0 : 0.25,
                                                       .commit_ms = 0.3,
                                                       .match_index = 40};
    }
}

struct cluster *cluster_new(void) {
    struct cluster *cluster = calloc(1, sizeof *cluster);
    assert_int_equal(uv_loop_init(&cluster->loop), 0);
    fixture_workers[0].id = slice_of_str("w1");
    fixture_workers[0].address = slice_of_str("10.0.0.1:9000");
    fixture_workers[0].cloud = slice_of_str("gcp");
    fixture_workers[0].instance_id = slice_of_str("i-1");
    fixture_workers[0].status = slice_of_str("online");
    fixture_workers[0].last_seen_source = slice_of_str("predecessor");
    fixture_workers[1].id = slice_of_str("w2");
    fixture_workers[1].cloud = slice_of_str("aws");
    fixture_workers[1].status = slice_of_str("offline");
    fixture_workers[1].reason = slice_of_str("missed-heartbeats");
    for (size_t i = 0; i < 3; i++) {
        node_start(cluster, i, 0);
    }
    for (size_t i = 0; i < 3; i++) {
        struct node *node = &cluster->nodes[i];
        node->ready = true;
        node->workers = fixture_workers;
        node->worker_count = FIXTURE_WORKERS;
        make_status(cluster, i);
    }
    return cluster;
}

void cluster_free(struct cluster *cluster) {
    for (size_t i = 0; i < 3; i++) {
        if (cluster->nodes[i].server != NULL) {
            http_server_close(cluster->nodes[i].server, NULL, NULL);
        }
    }
    assert_int_equal(uv_run(&cluster->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&cluster->loop), 0);
    free(cluster);
}

void node_stop(struct cluster *cluster, size_t i) {
    http_server_close(cluster->nodes[i].server, NULL, NULL);
    cluster->nodes[i].server = NULL;
    uv_run(&cluster->loop, UV_RUN_NOWAIT);
}

// --- a raw client, on the same loop ---

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

void client_send(struct client *client, const char *bytes, size_t len) {
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

void client_start(struct client *client, struct cluster *cluster, size_t node, const char *request, size_t len) {
    *client = (struct client){.request = request, .request_len = len};
    struct sockaddr_in address;
    uv_ip4_addr("127.0.0.1", http_server_port(cluster->nodes[node].server), &address);
    uv_tcp_init(&cluster->loop, &client->tcp);
    client->tcp.data = client;
    uv_tcp_connect(&client->connect, &client->tcp, (struct sockaddr *)&address, client_connected);
}

void client_end(struct client *client, struct cluster *cluster) {
    uv_close((uv_handle_t *)&client->tcp, client_closed);
    while (!client->closed) {
        uv_run(&cluster->loop, UV_RUN_ONCE);
    }
    buf_free(&client->got);
}

static void too_late(uv_timer_t *timer) {
    *(bool *)timer->data = true;
}

void await(struct cluster *cluster, const bool *flag) {
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

void response_free(struct response *response) {
    free(response->head);
    free(response->body);
}

struct response exchange_bytes(struct cluster *cluster, size_t node, const char *bytes, size_t len) {
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

struct response request(struct cluster *cluster, size_t node, const char *method, const char *path, const char *host,
                        const char *headers) {
    struct buf text = {0};
    buf_printf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n", method, path,
               host == NULL ? cluster->nodes[node].address : host, headers);
    struct response response = exchange_bytes(cluster, node, (char *)text.data, text.len);
    buf_free(&text);
    return response;
}

struct response get(struct cluster *cluster, size_t node, const char *path) {
    return request(cluster, node, "GET", path, NULL, "");
}

void assert_status(struct cluster *cluster, size_t node, const char *path, int status) {
    struct response response = get(cluster, node, path);
    assert_int_equal(response.status, status);
    response_free(&response);
}

void assert_header(const struct response *response, const char *line) {
    assert_non_null(response->head);
    if (strcasestr(response->head, line) == NULL) {
        fail_msg("no \"%s\" in %s", line, response->head);
    }
}

json_t *json_body(const struct response *response) {
    assert_header(response, "\r\nContent-Type: application/json\r\n");
    json_error_t error;
    json_t *json = json_loadb(response->body, response->len, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL) {
        fail_msg("%s in %s", error.text, response->body);
    }
    return json;
}

const char *text_of(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

json_int_t number_of(const json_t *object, const char *key) {
    json_t *value = json_object_get(object, key);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

void assert_error(struct response *response, int status, const char *code) {
    assert_int_equal(response->status, status);
    json_t *error = json_body(response);
    assert_string_equal(text_of(error, "error"), code);
    assert_true(strlen(text_of(error, "message")) > 10);
    json_decref(error);
    response_free(response);
}
