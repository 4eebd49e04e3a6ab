// What the pages of a node show: /status, /nodes, /timeline, /cluster-state, the probes, metrics, the dashboard.
#include <stdio.h>
#include <string.h>

#include "base/rfc3339.h"
#include "http_fixture.h"

static void TestHttpStatus(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    cluster->nodes[1].status.snapshot_unix_ms = unix_ms_now() - 90000;
    cluster->nodes[1].status.members[2].disk_full = true;
    struct response response = get(cluster, 1, "/status");
    assert_int_equal(response.status, 200);
    json_t *status = json_body(&response);
    assert_string_equal(text_of(status, "node"), "n2");
    assert_string_equal(text_of(status, "cluster"), "demo");
    assert_string_equal(text_of(status, "version"), BATON_VERSION);
    assert_string_equal(text_of(status, "role"), "follower");
    assert_true(json_is_true(json_object_get(status, "voter")));
    assert_string_equal(text_of(status, "leader"), "n1");
    assert_string_equal(text_of(status, "leader_address"), "127.0.0.1:7400");
    assert_int_equal(number_of(status, "term"), 3);
    assert_int_equal(number_of(status, "commit_index"), 41);
    assert_int_equal(number_of(status, "last_applied"), 40);
    assert_float_equal(json_real_value(json_object_get(status, "uptime")), 12.345, 0);
    assert_int_equal(number_of(status, "log_first_index"), 11);
    assert_int_equal(number_of(status, "cluster_level"), 2);
    assert_int_equal(number_of(status, "level"), 3);
    assert_int_equal(number_of(status, "snapshot_index"), 30);
    assert_int_equal(number_of(status, "snapshot_bytes"), 5000);
    assert_int_equal(number_of(status, "last_log_index"), 45);
    double age = json_real_value(json_object_get(status, "snapshot_age"));
    assert_true(age >= 90 && age < 120);
    json_t *members = json_object_get(status, "members");
    assert_int_equal(json_array_size(members), 3);
    json_t *n3 = json_array_get(members, 2);
    assert_string_equal(text_of(n3, "id"), "n3");
    assert_string_equal(text_of(n3, "cloud"), "aws");
    assert_string_equal(text_of(n3, "http_address"), cluster->nodes[2].address);
    assert_true(json_is_true(json_object_get(n3, "voter")) && json_is_true(json_object_get(n3, "reachable")));
    assert_float_equal(json_real_value(json_object_get(n3, "rtt_ms")), 50.6, 0);
    assert_true(json_is_null(json_object_get(n3, "match_index")));  // only a leader knows
    assert_int_equal(number_of(n3, "level"), 2);
    assert_true(json_is_true(json_object_get(n3, "disk_full")));
    assert_true(json_is_false(json_object_get(json_array_get(members, 0), "disk_full")));
    assert_true(json_is_null(json_object_get(json_array_get(members, 0), "level")));
    assert_true(json_is_null(json_object_get(json_array_get(members, 0), "rtt_ms")));
    // 0 to itself, null where unknown.
    assert_true(json_is_real(json_object_get(json_array_get(members, 1), "rtt_ms")));
    assert_float_equal(json_real_value(json_object_get(json_array_get(members, 1), "rtt_ms")), 0, 0);
    json_decref(status);
    response_free(&response);
    // No leader: null, not an empty string.
    struct pb_status_response *told = &cluster->nodes[1].status.response;
    told->leader = told->leader_address = (struct slice){0};
    told->role = slice_of_str("candidate");
    response = get(cluster, 1, "/status");
    status = json_body(&response);
    assert_string_equal(text_of(status, "role"), "candidate");
    assert_true(json_is_null(json_object_get(status, "leader")) && json_is_null(json_object_get(status, "leader_address")));
    json_decref(status);
    response_free(&response);
    response = get(cluster, 0, "/status");
    status = json_body(&response);
    assert_int_equal(number_of(json_array_get(json_object_get(status, "members"), 2), "match_index"), 40);
    assert_true(json_is_null(json_object_get(status, "snapshot_age")));
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
    cluster->nodes[0].status.response.placement.moved_to = slice_of_str("n1");
    cluster->nodes[0].status.response.placement.moved_why = slice_of_str("faster");
    cluster->nodes[0].status.response.placement.moved_ago_ms = 2500;
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

static void TestHttpNodes(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    node_stop(cluster, 0);
    cluster->nodes[1].status.members[2].voter = cluster->nodes[2].status.members[2].voter = false;
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
    assert_true(json_is_true(json_object_get(n1, "voter")) && json_is_true(json_object_get(n2, "voter")));
    assert_true(json_is_false(json_object_get(n3, "voter")));
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

static void TestHttpTimeline(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    cluster->nodes[0].timeline = (struct view_timeline){
        .now_us = 10500000,
        .peers = {[1] = slice_of_str("n2")},
        .count = 2,
        .samples = {{.at_us = 8000000, .term = 2, .leader = 1, .rtt_ms = {[1] = 0.3F}},
                    {.at_us = 10000000,
                     .term = 3,
                     .leads = true,
                     .writes_per_s = 12.5F,
                     .commit_p50_ms = 0.42F,
                     .commit_p99_ms = 51.25F}},
    };
    struct response response = get(cluster, 0, "/timeline");
    assert_int_equal(response.status, 200);
    assert_string_equal(
        response.body,
        "{\"node\":\"n1\",\"cluster\":\"demo\",\"period\":2.0,\"ago\":[2.5,0.5],\"term\":[2,3],"
        "\"leads\":[false,true],\"leader\":[\"n2\",\"n1\"],\"writes_per_s\":[0.0,12.5],\"commit_p50_ms\":[null,0.42],"
        "\"commit_p99_ms\":[null,51.25],\"rtt_ms\":{\"n2\":[0.3,null]}}\n");
    response_free(&response);
    // Everybody's, from a node that has seen nothing yet; one of them does not answer.
    node_stop(cluster, 2);
    response = get(cluster, 1, "/timelines");
    json_t *nodes = json_body(&response);
    assert_int_equal(json_array_size(nodes), 3);
    json_t *n1 = json_array_get(nodes, 0);
    assert_int_equal(json_array_size(json_object_get(n1, "ago")), 2);
    assert_true(json_is_true(json_object_get(n1, "reachable")));
    json_t *n2 = json_array_get(nodes, 1);
    assert_true(json_is_true(json_object_get(n2, "self")));
    assert_true(json_is_array(json_object_get(n2, "ago")) && json_array_size(json_object_get(n2, "ago")) == 0);
    assert_non_null(text_of(json_array_get(nodes, 2), "error"));
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

// The files whose names are in the text after `before` are there; returns how many.
static size_t assert_has(struct cluster *cluster, const char *text, const char *before, const char *type) {
    size_t count = 0;
    for (const char *at = strstr(text, before); at != NULL; at = strstr(at, before)) {
        char path[64];
        char header[64];
        at += strlen(before);
        snprintf(path, sizeof path, "/%.*s", (int)strcspn(at, "\""), at);
        snprintf(header, sizeof header, "\r\nContent-Type: %s; charset=utf-8\r\n", type);
        struct response response = get(cluster, 1, path);
        assert_int_equal(response.status, 200);
        assert_header(&response, header);
        response_free(&response);
        count++;
    }
    return count;
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
    size_t files = assert_has(cluster, response.body, "rel=\"stylesheet\" href=\"", "text/css");
    files += assert_has(cluster, response.body, "src=\"", "text/javascript");
    response_free(&response);
    response = get(cluster, 1, "/dashboard.js");
    files += assert_has(cluster, response.body, "from \"./", "text/javascript");
    response_free(&response);
    assert_true(files >= 3 + 1 + 5);
    cluster_free(cluster);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestHttpStatus),   cmocka_unit_test(TestHttpPlacement), cmocka_unit_test(TestHttpNodes),
    cmocka_unit_test(TestHttpTimeline), cmocka_unit_test(TestHttpHealth),    cmocka_unit_test(TestHttpDashboard),
};

UNIT_MAIN(tests)
