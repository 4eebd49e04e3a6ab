// What a caller's certificate permits: node/access.h.
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "node/access.c"  // whose writes wait, which no header shows
#include "node_fixture.h"
#include "unit.h"
#include "verbs/verbs.h"
#include "wire/command.h"

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
        bool shared;
        bool admitted;
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
        whole.config.shared_worker_certificates = true;
        assert_int_equal(may_use(whole.node, cases[i].identity, cases[i].id, &error), cases[i].shared);
        whole.config.shared_worker_certificates = false;
        assert_int_equal(may_use(whole.node, cases[i].identity, cases[i].id, &error), cases[i].admitted);
    }
    struct error error = {0};
    assert_false(may_use(whole.node, "workers/etl-*", "w1", &error));
    assert_int_equal(error.code, ERR_FORBIDDEN);
    assert_string_equal(error.message, "a certificate of workers/etl-* does not permit the worker id w1; it permits etl-*");
    whole_node_end(&whole);
}

// --- grants ---

static void ignore_result(struct node *node, struct rpc_call call, const struct state_result *result) {
    (void)node;
    (void)call;
    (void)result;
}

static const struct verb unawaited = {.applied = ignore_result};

static void apply(struct whole_node *whole, struct pb_command command) {
    whole_node_propose(whole, &unawaited, &command);
    while (writes_collected(whole->node->writes) || writes_count(whole->node->writes) > 0) {
        uv_run(&whole->loop, UV_RUN_ONCE);
    }
}

static void grant(struct whole_node *whole, const char *subject, uint32_t verbs, const char *prefix) {
    apply(whole, (struct pb_command){
                     .op = PB_COMMAND_OP_ACCESS_GRANT,
                     .access_grant = {.subject = slice_of_str(subject), .verbs = verbs, .prefix = slice_of_str(prefix)}});
}

static bool may(const struct whole_node *whole, const char *identity, const struct verb *verb, const char *about) {
    struct slice text = slice_of_str(about);
    union {
        struct pb_put_request put;
        struct pb_get_request get;
        struct pb_delete_request delete;
        struct pb_list_request list;
        struct pb_watch_request watch;
        struct pb_register_worker_request registration;
        struct pb_list_workers_request workers;
    } request = {.put = {.session = {.sequence = 0}}};
    if (verb == &verb_put) {
        request.put.key = text;
    } else if (verb == &verb_get) {
        request.get.key = text;
    } else if (verb == &verb_delete) {
        request.delete.key = text;
    } else if (verb == &verb_list) {
        request.list.prefix = text;
    } else if (verb == &verb_watch) {
        request.watch.prefix = text;
    } else if (verb == &verb_register_worker) {
        request.registration.worker_id = text;
    }
    struct error error = {0};
    enum error_code code = access_decide(whole->node, identity, verb, &request, &error);
    assert_true(code == OK || (code == ERR_FORBIDDEN && error.message[0] != '\0'));
    return code == OK;
}

static const struct verb *const of_keys[] = {&verb_get, &verb_put, &verb_delete, &verb_list, &verb_watch};
static const struct verb *const of_operators[] = {
    &verb_member_remove,  &verb_transfer_leadership, &verb_backup,   &verb_access_grant,
    &verb_access_revoke,  &verb_access_list,         &verb_read_log, &verb_snapshot,
    &verb_register_worker};

static bool may_all(const struct whole_node *whole, const char *identity, const struct verb *const *verbs, size_t count,
                    const char *about) {
    size_t admitted = 0;
    for (size_t i = 0; i < count; i++) {
        admitted += may(whole, identity, verbs[i], about);
    }
    assert_true(admitted == 0 || admitted == count);
    return admitted == count;
}

// A program may do nothing at first, and then what each verb is granted for, where it is granted.
static void TestNodeAccessPrograms(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 1);
    whole_node_await_leading(&whole);
    assert_false(may_all(&whole, "program/a", of_keys, ARRAY_COUNT(of_keys), "jobs/1"));
    assert_false(may(&whole, "program/a", &verb_status, "") || may(&whole, "program/a", &verb_list_workers, ""));
    for (size_t i = 0; i < ARRAY_COUNT(of_keys); i++) {
        char program[16];
        snprintf(program, sizeof program, "program/p%zu", i);
        grant(&whole, program, of_keys[i]->grant, "jobs/");
        for (size_t k = 0; k < ARRAY_COUNT(of_keys); k++) {
            assert_int_equal(may(&whole, program, of_keys[k], "jobs/1"), k == i);
            assert_false(may(&whole, program, of_keys[k], "job") || may(&whole, program, of_keys[k], ""));
        }
        assert_true(may(&whole, program, &verb_status, ""));
        assert_false(may(&whole, program, &verb_list_workers, ""));
        assert_false(may_all(&whole, program, of_operators, ARRAY_COUNT(of_operators), ""));
    }
    grant(&whole, "program/w", PB_ACCESS_VERB_WORKERS, "");
    assert_true(may(&whole, "program/w", &verb_list_workers, ""));
    assert_false(may_all(&whole, "program/w", of_keys, ARRAY_COUNT(of_keys), ""));
    whole_node_end(&whole);
}

// An operator may do everything, until there is a grant of that very operator.
static void TestNodeAccessOperators(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 1);
    whole_node_await_leading(&whole);
    grant(&whole, "operator/ops1", PB_ACCESS_VERB_PUT | PB_ACCESS_VERB_DELETE, "jobs/");
    static const char *const unlimited[] = {"operator/ops", "operator/ops11", "node/n1"};
    for (size_t i = 0; i < ARRAY_COUNT(unlimited); i++) {
        assert_true(may_all(&whole, unlimited[i], of_keys, ARRAY_COUNT(of_keys), "x"));
        assert_true(may_all(&whole, unlimited[i], of_operators, ARRAY_COUNT(of_operators), ""));
    }
    assert_true(may(&whole, "operator/ops1", &verb_put, "jobs/1") && may(&whole, "operator/ops1", &verb_delete, "jobs/1"));
    assert_false(may(&whole, "operator/ops1", &verb_put, "x") || may(&whole, "operator/ops1", &verb_get, "jobs/1"));
    assert_true(may(&whole, "operator/ops1", &verb_status, ""));
    assert_false(may_all(&whole, "operator/ops1", of_operators, ARRAY_COUNT(of_operators), ""));
    grant(&whole, "operator/ops1", PB_ACCESS_VERB_ADMIN, "");
    assert_true(may_all(&whole, "operator/ops1", of_operators, ARRAY_COUNT(of_operators), ""));
    assert_false(may(&whole, "operator/ops1", &verb_get, "jobs/1"));
    apply(&whole,
          (struct pb_command){.op = PB_COMMAND_OP_ACCESS_REVOKE,
                              .access_revoke = {.subject = slice_of_str("operator/ops1"), .verbs = PB_ACCESS_VERB_ADMIN}});
    apply(&whole, (struct pb_command){.op = PB_COMMAND_OP_ACCESS_REVOKE,
                                      .access_revoke = {.subject = slice_of_str("operator/ops1"),
                                                        .verbs = PB_ACCESS_VERB_PUT | PB_ACCESS_VERB_DELETE,
                                                        .prefix = slice_of_str("jobs/")}});
    assert_true(may_all(&whole, "operator/ops1", of_operators, ARRAY_COUNT(of_operators), ""));
    whole_node_end(&whole);
}

// A program's write waits until the leader has applied all that was acknowledged before it was elected; no other does.
static void TestNodeAccessWaitsForTheLeader(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 1);
    assert_true(is_early(whole.node, "program/a", &verb_put));
    assert_false(is_early(whole.node, "program/a", &verb_get));
    assert_false(is_early(whole.node, "operator/a", &verb_put));
    assert_false(is_early(whole.node, "programs/a", &verb_put));
    whole_node_await_leading(&whole);
    assert_false(is_early(whole.node, "program/a", &verb_put));
    whole_node_end(&whole);
}

// Nothing is granted before all members know grants.
static void TestNodeAccessNeedsItsLevel(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 1);
    whole_node_await_leading(&whole);
    struct pb_access_grant_request grant = {.subject = slice_of_str("program/a"), .verbs = PB_ACCESS_VERB_GET};
    struct pb_access_revoke_request revoke = {.subject = slice_of_str("program/a"), .verbs = PB_ACCESS_VERB_GET};
    struct pb_command command = {.format = COMMAND_FORMAT};
    assert_int_equal(state_level(whole.node->state), 0);
    assert_false(verb_access_grant.propose(whole.node, (struct rpc_call){0}, &grant, &command));
    assert_false(verb_access_revoke.propose(whole.node, (struct rpc_call){0}, &revoke, &command));
    while (state_level(whole.node->state) < COMMAND_LEVEL_GRANTS) {
        uv_run(&whole.loop, UV_RUN_ONCE);
    }
    assert_true(verb_access_grant.propose(whole.node, (struct rpc_call){0}, &grant, &command));
    assert_int_equal(command.level, COMMAND_LEVEL_GRANTS);
    assert_true(verb_access_revoke.propose(whole.node, (struct rpc_call){0}, &revoke, &command));
    assert_int_equal(command.level, COMMAND_LEVEL_GRANTS);
    whole_node_end(&whole);
}

// What can be granted to whom.
static void TestNodeAccessChecksGrants(void **state) {
    (void)state;
    static const struct {
        const char *subject;
        uint32_t verbs;
        const char *prefix;
        const char *says;  // NULL: allowed
    } cases[] = {
        {"program/a", PB_ACCESS_VERB_GET | PB_ACCESS_VERB_WATCH, "jobs/", NULL},
        {"program/a", PB_ACCESS_VERB_WORKERS, "", NULL},
        {"operator/a", PB_ACCESS_VERB_ADMIN | PB_ACCESS_VERB_GET, "", NULL},
        {"program/a", PB_ACCESS_VERB_ADMIN, "", "verbs: admin is for operators alone"},
        {"program/a", PB_ACCESS_VERB_WORKERS, "jobs/", "prefix: admin and workers are not of keys"},
        {"operator/a", PB_ACCESS_VERB_ADMIN, "jobs/", "prefix: admin and workers are not of keys"},
        {"program/a", 128, "", "verbs: 128 has bits that this version does not know"},
        {"worker/a", PB_ACCESS_VERB_GET, "", "subject: is not operator/NAME or program/NAME"},
        {"programs/a", PB_ACCESS_VERB_GET, "", "subject: is not operator/NAME or program/NAME"},
        {"program/", PB_ACCESS_VERB_GET, "", "subject: is not operator/NAME or program/NAME"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct error error = {0};
        struct pb_access_grant_request request = {
            .subject = slice_of_str(cases[i].subject), .verbs = cases[i].verbs, .prefix = slice_of_str(cases[i].prefix)};
        assert_int_equal(verb_access_grant.check(&request, &error), cases[i].says == NULL ? OK : ERR_INVALID);
        assert_true(cases[i].says == NULL || strstr(error.message, cases[i].says) != NULL);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestNodeAccessPrograms),          cmocka_unit_test(TestNodeAccessOperators),
    cmocka_unit_test(TestNodeAccessWaitsForTheLeader), cmocka_unit_test(TestNodeAccessNeedsItsLevel),
    cmocka_unit_test(TestNodeAccessChecksGrants),      cmocka_unit_test(TestNodeAccessWorkerIds),
};

UNIT_MAIN(tests)
