// The HTTP server: which requests it serves and which it refuses, and that no client can keep it from serving others.
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/array.h"
#include "base/limits.h"
#include "http/host.h"
#include "http_fixture.h"

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
        {"localhost:65536", 421},
        {"localhost:07481", 421},
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
    cmocka_unit_test(TestHttpHost),
    cmocka_unit_test(TestHttpHostNames),
    cmocka_unit_test(TestHttpMethods),
    cmocka_unit_test(TestHttpBodies),
    cmocka_unit_test(TestHttpHugeHeader),
    cmocka_unit_test(TestHttpSlowHeader),
    cmocka_unit_test(TestHttpConnectionLimit),
    cmocka_unit_test(TestHttpListenFails),
};

UNIT_MAIN(tests)
