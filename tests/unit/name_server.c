// A small DNS server: name_server.h. It answers one question at a time, in place.
#include "name_server.h"

#include <ares.h>
#include <arpa/inet.h>
#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/array.h"
#include "random.h"

enum { HEADER = 12, TYPE_A = 1, TYPE_AAAA = 28 };

static struct name_server *const *used;
static size_t used_count;

void name_servers_use(struct name_server *const *servers, size_t count) {
    used = servers;
    used_count = count;
}

int __real_ares_init_options(ares_channel *channel, struct ares_options *options, int mask);
int __wrap_ares_init_options(ares_channel *channel, struct ares_options *options, int mask);

int __wrap_ares_init_options(ares_channel *channel, struct ares_options *options, int mask) {
    int status = __real_ares_init_options(channel, options, mask);
    assert(status == ARES_SUCCESS);
    if (used_count == 0) {
        return status;
    }
    char list[256];
    size_t len = 0;
    for (size_t i = 0; i < used_count; i++) {
        len += (size_t)snprintf(list + len, sizeof list - len, "%s127.0.0.1:%u", i == 0 ? "" : ",", used[i]->port);
    }
    status = ares_set_servers_ports_csv(*channel, list);
    assert(status == ARES_SUCCESS);
    return status;
}

// The name of a question, with dots. Returns where its type is; 0: it is cut short.
static size_t read_name(const uint8_t *packet, size_t len, char name[256]) {
    size_t at = HEADER;
    size_t out = 0;
    while (at < len && packet[at] != 0) {
        size_t label = packet[at++];
        if (at + label >= len || out + label + 2 > 256) {
            return 0;
        }
        out += (size_t)snprintf(name + out, 256 - out, "%s%.*s", out == 0 ? "" : ".", (int)label, packet + at);
        at += label;
    }
    return at + 5 <= len ? at + 1 : 0;
}

static size_t put16(uint8_t *at, unsigned value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return 2;
}

// Appends a record for each address of the list; returns how many.
static unsigned put_records(uint8_t *packet, size_t *len, int family, const char *list) {
    unsigned count = 0;
    char text[INET6_ADDRSTRLEN];
    int read;
    for (; list != NULL && sscanf(list, "%45s%n", text, &read) == 1; list += read) {
        size_t size = family == AF_INET ? 4 : 16;
        uint8_t *at = packet + *len;
        at += put16(at, 0xc000 | HEADER);  // the question's name
        at += put16(at, family == AF_INET ? TYPE_A : TYPE_AAAA);
        at += put16(at, 1);  // class IN
        at += put16(at, 0);  // time to live
        at += put16(at, 5);
        at += put16(at, (unsigned)size);
        int status = inet_pton(family, text, at);
        assert(status == 1);
        *len = (size_t)(at + size - packet);
        count++;
    }
    return count;
}

// Makes the answer of the question in place. Returns its length; 0: none.
static size_t answer(struct name_server *server, uint8_t *packet, size_t len) {
    char name[256] = "";
    size_t type_at = len < HEADER ? 0 : read_name(packet, len, name);
    if (type_at == 0 || server->answer == NAME_SILENT ||
        (server->silent_for != NULL && strcasecmp(name, server->silent_for) == 0)) {
        return 0;
    }
    if (server->answer == NAME_GARBAGE) {
        size_t end = 2 + random_below(&server->random, 200);
        for (size_t i = random_below(&server->random, 2) == 0 ? 2 : HEADER; i < end; i++) {
            packet[i] = (uint8_t)random_u64(&server->random);
        }
        return end;
    }
    static const unsigned codes[] = {[NAME_FOUND] = 0, [NAME_NOT_FOUND] = 3, [NAME_SERVER_FAILS] = 2};
    unsigned type = (unsigned)packet[type_at] << 8 | packet[type_at + 1];
    size_t end = type_at + 4;
    unsigned count = 0;
    if (server->answer == NAME_FOUND) {
        count = type == TYPE_A      ? put_records(packet, &end, AF_INET, server->v4)
                : type == TYPE_AAAA ? put_records(packet, &end, AF_INET6, server->v6)
                                    : 0;
    }
    put16(packet + 2, 0x8180 | codes[server->answer]);
    put16(packet + 6, count);
    put16(packet + 8, 0);
    put16(packet + 10, 0);
    return end;
}

static uint8_t buffer[4096];

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)handle, (void)suggested;
    *buf = uv_buf_init((char *)buffer, sizeof buffer / 4);
}

static void on_question(uv_udp_t *udp, ssize_t len, const uv_buf_t *buf, const struct sockaddr *from, unsigned flags) {
    (void)buf, (void)flags;
    struct name_server *server = udp->data;
    if (len <= 0 || from == NULL) {
        return;
    }
    server->questions++;
    uv_buf_t reply = uv_buf_init((char *)buffer, (unsigned)answer(server, buffer, (size_t)len));
    if (reply.len > 0) {
        uv_udp_try_send(udp, &reply, 1, from);
    }
}

void name_server_start(struct name_server *server, uv_loop_t *loop) {
    *server = (struct name_server){.answer = NAME_FOUND};
    struct sockaddr_in address;
    int size = sizeof address;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_udp_init(loop, &server->udp);
    server->udp.data = server;
    int status = uv_udp_bind(&server->udp, (struct sockaddr *)&address, 0);
    assert(status == 0);
    status = uv_udp_getsockname(&server->udp, (struct sockaddr *)&address, &size);
    assert(status == 0);
    server->port = ntohs(address.sin_port);
    uv_udp_recv_start(&server->udp, on_alloc, on_question);
}

void name_server_stop(struct name_server *server) {
    uv_close((uv_handle_t *)&server->udp, NULL);
}
