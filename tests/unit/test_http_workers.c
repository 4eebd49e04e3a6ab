// /cluster-state: the list of workers, from the leader itself or relayed from it. /workers: any node's own.
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/rfc3339.h"
#include "http_fixture.h"

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
    rfc3339_format(expected, fixture_workers[0].last_seen_unix_ms);
    assert_string_equal(text_of(w1, "last_seen"), expected);
    assert_string_equal(text_of(w1, "last_seen_source"), "predecessor");
    assert_string_equal(text_of(w1, "instance_id"), "i-1");
    assert_int_equal(number_of(w1, "epoch"), 7);
    assert_int_equal(number_of(w1, "slots"), 4);
    assert_string_equal(text_of(json_object_get(w1, "labels"), "zone"), "a\"\n\xef\xbf\xbd");
    assert_string_equal(text_of(w2, "status"), "offline");
    assert_string_equal(text_of(w2, "reason"), "missed-heartbeats");
    assert_true(json_is_null(json_object_get(w2, "last_seen")));
    assert_true(json_is_null(json_object_get(w2, "last_seen_ago_ms")));
    assert_true(json_is_null(json_object_get(w2, "last_seen_source")));
    assert_int_equal(json_object_size(json_object_get(w2, "labels")), 0);
    json_decref(list);
    response_free(response);
}

static void TestHttpClusterState(void **state) {
    (void)state;
    fixture_workers[1].epoch = 9;
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
    cluster->nodes[1].status.response.leader = (struct slice){0};
    struct response response = get(cluster, 1, "/cluster-state");
    assert_header(&response, "\r\nRetry-After: 1\r\n");
    assert_error(&response, 503, "no-leader");
    // A leader that is not among the members it knows.
    cluster->nodes[1].status.response.leader = slice_of_str("n9");
    response = get(cluster, 1, "/cluster-state");
    assert_error(&response, 503, "no-leader");
    // A leader that is gone, and one without an address.
    cluster->nodes[1].status.response.leader = slice_of_str("n1");
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
    cluster->nodes[1].status.response.leader = slice_of_str("n3");
    cluster->nodes[2].status.response.leader = slice_of_str("n2");
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

enum { MANY = 20000 };

static void many_workers(struct node *node, struct pb_worker_info **many, char (**ids)[16]) {
    *many = calloc(MANY, sizeof **many);
    *ids = calloc(MANY, sizeof **ids);
    for (size_t i = 0; i < MANY; i++) {
        snprintf((*ids)[i], sizeof **ids, "w%05zu", i);
        (*many)[i] = fixture_workers[0];
        (*many)[i].id = slice_of_str((*ids)[i]);
    }
    node->workers = *many;
    node->worker_count = MANY;
}

// 20,000 workers: an answer that takes many writes, relayed whole.
static void TestHttpManyWorkers(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    struct pb_worker_info *many;
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

// Many who ask for a long list at once get one that is made once: making it for each would hold up the loop.
static void TestHttpManyWorkersAreListedOnce(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    struct node *node = &cluster->nodes[0];
    struct pb_worker_info *many;
    char(*ids)[16];
    many_workers(node, &many, &ids);
    node->listing_us = 200000;
    struct response first = get(cluster, 0, "/cluster-state");
    struct response second = get(cluster, 0, "/cluster-state");
    assert_int_equal(node->listed, 1);
    assert_header(&second, "Baton-Leader: n1");
    assert_int_equal(first.len, second.len);
    response_free(&second);
    node->status.response.term++;  // what another leadership knew is no answer
    second = get(cluster, 0, "/cluster-state");
    assert_int_equal(node->listed, 2);
    response_free(&second);
    node->listing_us = 0;
    node->worker_count = 1;  // cheap ones are always new
    node->status.response.term++;
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

static void ask_slowly(struct client *client, struct cluster *cluster, size_t node, char ask[128]) {
    snprintf(ask, 128, "GET /cluster-state HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", cluster->nodes[node].address);
    client_start(client, cluster, node, ask, strlen(ask));
}

// Turns the loop until the client's answer has begun, and reads no more of it.
static void stop_reading(struct client *client, struct cluster *cluster) {
    while (client->got.len == 0) {
        uv_run(&cluster->loop, UV_RUN_ONCE);
    }
    uv_read_stop((uv_stream_t *)&client->tcp);
    assert_false(client->ended);
}

// Clients that read slowly share their list; beyond the limit for all lists together others are told to come again. A list
// is made in parts, between which the loop turns.
static void TestHttpSlowReadersAreBounded(void **state) {
    (void)state;
    enum { READERS = 20, LABEL_BYTES = 2000 };
    static struct slice_pair large_label = {.key = {(const uint8_t *)"k", 1}};
    static uint8_t value[LABEL_BYTES];
    struct cluster *cluster = cluster_new();
    struct node *leader = &cluster->nodes[0];
    struct pb_worker_info *many;
    char(*ids)[16];
    many_workers(leader, &many, &ids);
    memset(value, 'x', sizeof value);
    large_label.value = slice_of(value, sizeof value);
    for (size_t i = 0; i < MANY; i++) {
        many[i].labels = &large_label;
        many[i].labels_count = 1;
    }
    static_assert(MANY * LABEL_BYTES < HTTP_LISTS_BYTES_MAX / 3 && MANY * (LABEL_BYTES + 500) > HTTP_LISTS_BYTES_MAX / 3,
                  "two lists fit, and a third does not");
    struct client readers[READERS];
    char asked[READERS][128];
    for (size_t i = 0; i < READERS; i++) {
        ask_slowly(&readers[i], cluster, 0, asked[i]);
    }
    for (size_t i = 0; i < READERS; i++) {
        stop_reading(&readers[i], cluster);
    }
    assert_int_equal(leader->listed, 1);
    assert_true(leader->parts > 0);
    leader->status.response.term++;
    struct client other;
    char asked_other[128];
    ask_slowly(&other, cluster, 0, asked_other);
    stop_reading(&other, cluster);
    assert_int_equal(leader->listed, 2);
    leader->status.response.term++;
    struct response refused = get(cluster, 0, "/cluster-state");
    assert_header(&refused, "\r\nRetry-After: 1\r\n");
    assert_error(&refused, 503, "too-many-readers");
    assert_int_equal(leader->listed, 2);
    client_end(&other, cluster);
    for (size_t i = 0; i < READERS; i++) {
        client_end(&readers[i], cluster);
    }
    struct response again = get(cluster, 0, "/cluster-state");
    assert_int_equal(again.status, 200);
    response_free(&again);
    free(many);
    free(ids);
    cluster_free(cluster);
}

// Those who ask a follower while it fetches the list share the next one: the leader is asked twice, not for each.
static void TestHttpRelayIsShared(void **state) {
    (void)state;
    enum { READERS = 20 };
    struct cluster *cluster = cluster_new();
    struct client readers[READERS];
    char asked[READERS][128];
    for (size_t i = 0; i < READERS; i++) {
        ask_slowly(&readers[i], cluster, 1, asked[i]);
    }
    for (size_t i = 0; i < READERS; i++) {
        await(cluster, &readers[i].ended);
        buf_append(&readers[i].got, "", 1);
        assert_non_null(strstr((char *)readers[i].got.data, "missed-heartbeats"));
        client_end(&readers[i], cluster);
    }
    assert_in_range(cluster->nodes[0].listed, 1, READERS / 2);
    cluster_free(cluster);
}

// A node without a leader tells what it knows, and of when that is; in parts if they are many.
static void TestHttpOwnWorkers(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    struct node *node = &cluster->nodes[1];
    struct pb_worker_info *many;
    char(*ids)[16];
    many_workers(node, &many, &ids);
    node->status.response.leader = (struct slice){0};
    node->status.current_unix_ms = unix_ms_now() - 90000;
    char as_of[RFC3339_SIZE];
    rfc3339_format(as_of, node->status.current_unix_ms);
    struct response response = get(cluster, 1, "/workers");
    assert_int_equal(response.status, 200);
    assert_null(strstr(response.head, "Baton-Leader"));
    json_t *own = json_body(&response);
    assert_string_equal(text_of(own, "node"), "n2");
    assert_true(json_is_null(json_object_get(own, "leader")));
    assert_string_equal(text_of(own, "as_of"), as_of);
    assert_in_range(number_of(own, "as_of_ago_ms"), 90000, 120000);
    assert_int_equal(number_of(own, "last_applied"), 40);
    json_t *list = json_object_get(own, "workers");
    assert_int_equal(json_array_size(list), MANY);
    assert_string_equal(text_of(json_array_get(list, MANY - 1), "id"), "w19999");
    assert_in_range(node->parts, 1, MANY);
    json_decref(own);
    response_free(&response);
    // Of a state that was never known to be the cluster's; and the leader is not asked, though it is known.
    node->worker_count = 0;
    node->status.current_unix_ms = 0;
    node->status.response.leader = slice_of_str("n1");
    response = get(cluster, 1, "/workers");
    assert_string_equal(response.body, "{\"node\":\"n2\",\"leader\":\"n1\",\"as_of\":null,\"as_of_ago_ms\":null,"
                                       "\"last_applied\":40,\"workers\":[]\n}\n");
    assert_int_equal(cluster->nodes[0].listed, 0);
    response_free(&response);
    free(many);
    free(ids);
    cluster_free(cluster);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestHttpClusterState),
    cmocka_unit_test(TestHttpRelay),
    cmocka_unit_test(TestHttpRelayNoLeader),
    cmocka_unit_test(TestHttpRelayNeverCircles),
    cmocka_unit_test(TestHttpRelayDeadline),
    cmocka_unit_test(TestHttpManyWorkers),
    cmocka_unit_test(TestHttpManyWorkersAreListedOnce),
    cmocka_unit_test(TestHttpSlowReadersAreBounded),
    cmocka_unit_test(TestHttpRelayIsShared),
    cmocka_unit_test(TestHttpOwnWorkers),
};

UNIT_MAIN(tests)
