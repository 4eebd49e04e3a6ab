// What a caller's certificate permits: node/access.h.
#include <string.h>

#include "base/array.h"
#include "node/access.h"
#include "node_fixture.h"
#include "unit.h"
#include "verbs/verbs.h"

static bool may_use(const struct node *node, const char *identity, const char *id, struct error *error) {
    struct slice worker = slice_of_str(id);
    struct pb_register_worker_request registration = {.worker_id = worker};
    struct pb_heartbeat_request heartbeat = {.worker_id = worker};
    struct pb_deregister_worker_request leave = {.worker_id = worker};
    bool may = access_decide(node, identity, &verb_register_worker, &registration, error) == OK;
    assert_int_equal(access_decide(node, identity, &verb_heartbeat, &heartbeat, error) == OK, may);
    assert_int_equal(access_decide(node, identity, &verb_deregister_worker, &leave, error) == OK, may);
    return may;
}

// A fleet's certificate is for the ids that it names, and a worker's for its own if the node is told so.
static void TestNodeAccessWorkerIds(void **state) {
    (void)state;
    static const struct {
        const char *identity;
        const char *id;
        bool admitted;
        bool strictly;
    } cases[] = {
        {"worker/w1", "w1", true, true},           {"worker/w1", "w10", true, false},
        {"worker/w1", "w", true, false},           {"workers/etl-*", "etl-1", true, true},
        {"workers/etl-*", "etl-", true, true},     {"workers/etl-*", "etl", false, false},
        {"workers/etl-*", "w-etl-", false, false}, {"workers/etl-1", "etl-1", true, true},
        {"workers/etl-1", "etl-12", false, false}, {"workers/*", "w1", true, true},
        {"operator/anna", "w1", true, true},       {"node/n1", "w1", true, true},
    };
    struct whole_node whole;
    whole_node_start(&whole, 1);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct error error = {0};
        whole.config.strict_worker_ids = false;
        assert_int_equal(may_use(whole.node, cases[i].identity, cases[i].id, &error), cases[i].admitted);
        whole.config.strict_worker_ids = true;
        assert_int_equal(may_use(whole.node, cases[i].identity, cases[i].id, &error), cases[i].strictly);
    }
    struct error error = {0};
    assert_false(may_use(whole.node, "workers/etl-*", "w1", &error));
    assert_int_equal(error.code, ERR_FORBIDDEN);
    assert_string_equal(error.message, "a certificate of workers/etl-* does not permit the worker id w1; it permits etl-*");
    whole_node_end(&whole);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestNodeAccessWorkerIds),
};

UNIT_MAIN(tests)
