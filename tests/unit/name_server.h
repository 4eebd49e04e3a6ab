// A small DNS server on loopback, on the test's own loop, and c-ares asking it instead of the system's. An executable that
// uses it is linked with --wrap=ares_init_options.
#ifndef BATON_TESTS_NAME_SERVER_H
#define BATON_TESTS_NAME_SERVER_H

#include <uv.h>

enum name_answer {
    NAME_FOUND,
    NAME_NOT_FOUND,     // NXDOMAIN
    NAME_SERVER_FAILS,  // SERVFAIL
    NAME_SILENT,        // the question is dropped
    NAME_GARBAGE,       // the question's id, and random bytes
};

struct name_server {
    uv_udp_t udp;
    uint16_t port;
    enum name_answer answer;
    const char *silent_for;  // the name whose questions are dropped, whatever `answer`; NULL: none
    const char *v4;          // addresses in digits, separated by spaces; NULL: none
    const char *v6;
    unsigned questions;  // that have come
    uint64_t random;     // the state of the garbage's generator
};

void name_server_start(struct name_server *server, uv_loop_t *loop);

// Its memory is free once the loop has run.
void name_server_stop(struct name_server *server);

// Whom the lookups that begin from now on ask, in this order; borrowed. None: the system's.
void name_servers_use(struct name_server *const *servers, size_t count);

#endif
