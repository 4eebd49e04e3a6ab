// Who may call what, by the role that a certificate names: rpc/roles.h.
#include "rpc/server_call.c"  // what is asked before a call is taken, which no header shows
#include "unit.h"

static bool admits(const char *const *roles, const char *identity, bool encrypted) {
    struct rpc_transport transport = {.identity = identity};
    struct rpc_connection connection = {.transport = &transport};
    struct rpc_server server = {.tls = encrypted ? (struct tls *)&transport : NULL};  // only whether there is any is asked
    struct rpc_route route = {.roles = roles};
    struct server_call call = {.server = &server, .route = &route, .stream = {.connection = &connection}};
    return may_call(&call);
}

// With TLS, those alone whose role the service or method names; without it there are no identities.
static void TestRpcRoles(void **state) {
    (void)state;
    static const char *const node[] = {"node", NULL};
    static const char *const both[] = {"worker", "operator", NULL};
    static const char *const nobody[] = {NULL};
    assert_true(admits(node, "node/n1", true));
    assert_false(admits(node, "worker/w1", true));
    assert_false(admits(node, "nodes/n1", true));
    assert_false(admits(node, "nod", true));
    assert_true(admits(both, "worker/w1", true) && admits(both, "operator/o1", true));
    assert_false(admits(both, "node/n1", true));
    assert_false(admits(nobody, "node/n1", true));
    assert_true(admits(NULL, "worker/w1", true));
    assert_true(admits(node, NULL, false));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestRpcRoles),
};

UNIT_MAIN(tests)
