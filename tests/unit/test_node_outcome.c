// What a client is told of each outcome: status, wording and trailers, as it reads them from the wire.
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/metrics.h"
#include "node/outcome.h"
#include "unit.h"

static const struct outcome_facts facts = {
    .name = {(const uint8_t *)"n2", 2},
    .leader = {(const uint8_t *)"n1", 2},
    .address = {(const uint8_t *)"10.0.0.1:7400", 13},
    .number = 41,
    .limit = 7,
};

static const struct {
    enum outcome outcome;
    enum rpc_status status;
    const char *trailers;  // "key=value " each, in the order of `trailer_keys`
    const char *text;
} told[] = {
    {OUTCOME_NOT_LEADER, RPC_FAILED_PRECONDITION, "baton-leader-id=n1 baton-leader-address=10.0.0.1:7400 ",
     "n2 does not lead; ask the leader n1 at 10.0.0.1:7400"},
    {OUTCOME_NO_LEADER, RPC_UNAVAILABLE, "", "there is no leader at the moment; nothing was done, try again"},
    {OUTCOME_NOT_READY, RPC_UNAVAILABLE, "", "this node has just become leader and is not ready yet; try again"},
    {OUTCOME_NO_CLUSTER, RPC_FAILED_PRECONDITION, "",
     "this node started on an empty data directory without --bootstrap and belongs to no cluster until it is added"},
    {OUTCOME_UNCONFIRMED, RPC_UNAVAILABLE, "",
     "the leader n1 at 10.0.0.1:7400 did not confirm the read to this node; try again, or ask the leader"},
    {OUTCOME_QUARANTINED, RPC_UNAVAILABLE, "baton-reason=quarantined ",
     "this node is out of service, nothing was done; ask another node: n2"},
    {OUTCOME_QUARANTINED_IN_DOUBT, RPC_UNAVAILABLE, "baton-outcome=unknown baton-reason=quarantined ",
     "outcome unknown: this node went out of service; repeat the write on another node with the same client id and "
     "sequence, or read there: n2"},
    {OUTCOME_UNKNOWN, RPC_UNAVAILABLE, "baton-outcome=unknown ",
     "outcome unknown: this node lost leadership before a majority confirmed the write; repeat it with the same client id "
     "and "
     "sequence, or read"},
    {OUTCOME_OVERWRITTEN, RPC_UNAVAILABLE, "",
     "leadership changed before the write was replicated; nothing was written, try again"},
    {OUTCOME_LEADERSHIP_CHANGED, RPC_UNAVAILABLE, "", "leadership changed meanwhile; nothing was done, try again"},
    {OUTCOME_TOO_MUCH_UNCOMMITTED, RPC_RESOURCE_EXHAUSTED, "",
     "too many writes wait for a majority; nothing was written, try again later"},
    {OUTCOME_TRANSFERRING, RPC_UNAVAILABLE, "", "leadership is being transferred; nothing was written, try again"},
    {OUTCOME_TOO_MANY_PAUSED, RPC_RESOURCE_EXHAUSTED, "",
     "leadership is being transferred and too many writes wait for that; nothing was written, try again"},
    {OUTCOME_REVISION_MISMATCH, RPC_ABORTED, "baton-reason=revision-mismatch baton-revision=41 ",
     "the key's revision is 41; nothing was written"},
    {OUTCOME_NO_SUCH_REVISION, RPC_ABORTED, "baton-reason=revision-mismatch baton-revision=0 ",
     "the key's revision is 0 (there is no such key); nothing was written"},
    {OUTCOME_SESSION_EXPIRED, RPC_ABORTED, "baton-outcome=unknown baton-reason=session-expired ",
     "session expired, outcome unknown: the result of this sequence is no longer held; read before you repeat"},
    {OUTCOME_SEQUENCE_REUSED, RPC_INVALID_ARGUMENT, "baton-reason=sequence-reused ",
     "this client id has used the sequence for another write; nothing was written"},
    {OUTCOME_NO_SUCH_KEY, RPC_NOT_FOUND, "", "there is no such key"},
    {OUTCOME_REVISION_AHEAD, RPC_OUT_OF_RANGE, "baton-reason=revision-ahead ",
     "revision 41 does not exist yet; this node is at 7"},
    {OUTCOME_REVISION_GONE, RPC_OUT_OF_RANGE, "",
     "revision 41 is no longer held; the oldest is 7: list the keys, then watch from there"},
    {OUTCOME_WATCH_BEHIND, RPC_OUT_OF_RANGE, "",
     "the watch fell behind: revision 41 is next, but the oldest held is 7; list the keys and watch again"},
    {OUTCOME_WATCH_LEADERLESS, RPC_UNAVAILABLE, "",
     "this node knows no leader; watch on another node from the next revision"},
    {OUTCOME_WATCH_LEAVING, RPC_UNAVAILABLE, "", "this node is shutting down; watch on another node from the next revision"},
    {OUTCOME_WATCH_QUARANTINED, RPC_UNAVAILABLE, "baton-reason=quarantined ",
     "this node is out of service, see its status; watch on another node from the next revision"},
    {OUTCOME_TOO_MANY_WATCHES, RPC_RESOURCE_EXHAUSTED, "", "too many watches on this node; use another"},
    {OUTCOME_ENTRY_GONE, RPC_OUT_OF_RANGE, "", "entry 41 is no longer held; the first is 7"},
    {OUTCOME_TOO_MANY_SLOW, RPC_RESOURCE_EXHAUSTED, "", "too many large replies are queued on this node; try again later"},
    {OUTCOME_LIST_GONE, RPC_OUT_OF_RANGE, "baton-reason=list-gone ",
     "n2 does not hold the list as of entry 41: pages are asked of one node, soon after each other; list again from the "
     "beginning"},
    {OUTCOME_LIST_TOO_LONG, RPC_RESOURCE_EXHAUSTED, "", "not enough memory for so large a reply; ask for less"},
    {OUTCOME_TOO_MANY_WORKERS, RPC_RESOURCE_EXHAUSTED, "",
     "too many workers for one reply; list them in pages, by limit and start_after"},
    {OUTCOME_NO_SUCH_WORKER, RPC_NOT_FOUND, "", "no such worker is registered; register again"},
    {OUTCOME_REPLACED, RPC_ABORTED, "", "another instance has registered as n2; this one is replaced and must stop"},
    {OUTCOME_REGISTRATION_ENDED, RPC_NOT_FOUND, "", "this registration has ended; register again"},
    {OUTCOME_REGISTRATION_CHANGED, RPC_UNAVAILABLE, "", "the registration changed meanwhile; nothing was done, try again"},
    {OUTCOME_REGISTRY_FULL, RPC_RESOURCE_EXHAUSTED, "", "the registry is full of online workers; stop some first"},
    {OUTCOME_GRANTS_UNKNOWN, RPC_FAILED_PRECONDITION, "",
     "the cluster is at level 41, and grants are known from level 7 on; upgrade all nodes, and see batonctl status"},
    {OUTCOME_TOO_MANY_GRANTS, RPC_RESOURCE_EXHAUSTED, "",
     "there are 1,024 grants, or 64 of this subject, which is all that a cluster keeps; revoke some, or grant a shorter "
     "prefix"},
    {OUTCOME_NO_SUCH_VOTER, RPC_FAILED_PRECONDITION, "", "there is no such voter; see batonctl member list"},
    {OUTCOME_TRANSFER_RUNNING, RPC_FAILED_PRECONDITION, "baton-reason=transfer-running ",
     "a transfer is already under way; wait until it ends"},
    {OUTCOME_LEADS_NO_MORE, RPC_FAILED_PRECONDITION, "", "this node is no longer the leader"},
    {OUTCOME_TRANSFER_FAILED, RPC_ABORTED, "", "the target did not take over in time; see batonctl status for who leads"},
    {OUTCOME_NO_SNAPSHOT, RPC_FAILED_PRECONDITION, "", "no snapshot was taken: n2"},
    {OUTCOME_TOO_MANY_SNAPSHOTS, RPC_RESOURCE_EXHAUSTED, "",
     "too many operators wait for a snapshot of this node; try again later"},
    {OUTCOME_BACKUP_UNREADABLE, RPC_DATA_LOSS, "",
     "the snapshot cannot be read, take the backup from another node and check this one's disk: n2"},
    {OUTCOME_TOO_MANY_BACKUPS, RPC_RESOURCE_EXHAUSTED, "",
     "this node streams 7 backups already; try again later, or another node"},
    {OUTCOME_BACKUP_STALLED, RPC_ABORTED, "",
     "the client took nothing of the backup for a minute, so it was given up; try again"},
    {OUTCOME_BACKUP_LEAVING, RPC_UNAVAILABLE, "", "this node is shutting down; take the backup from another one"},
    {OUTCOME_CHANGE_PENDING, RPC_FAILED_PRECONDITION, "baton-reason=change-pending ",
     "another change of members is under way; wait until it is committed, then try again"},
    {OUTCOME_UNKNOWN_CHANGE, RPC_UNAVAILABLE, "baton-outcome=unknown ",
     "outcome unknown: this node lost leadership before a majority confirmed the change of members; see batonctl member "
     "list"},
    {OUTCOME_WAS_REMOVED, RPC_FAILED_PRECONDITION, "", "n2 was removed once, and an id is never used again; choose another"},
    {OUTCOME_IS_MEMBER, RPC_FAILED_PRECONDITION, "", "n2 is a member already; see batonctl member list"},
    {OUTCOME_IS_VOTER, RPC_FAILED_PRECONDITION, "", "n2 is a voter already"},
    {OUTCOME_NO_SUCH_MEMBER, RPC_NOT_FOUND, "", "n2 is no member; see batonctl member list"},
    {OUTCOME_ADDRESS_TAKEN, RPC_FAILED_PRECONDITION, "", "n2 has the address 10.0.0.1:7400; each member has its own"},
    {OUTCOME_TOO_MANY_MEMBERS, RPC_FAILED_PRECONDITION, "",
     "there are 7 members, which is all that a cluster may have; remove one first"},
    {OUTCOME_TOO_MANY_REMOVED, RPC_FAILED_PRECONDITION, "",
     "7 members have been removed from this cluster, which is all that it remembers; found a new one"},
    {OUTCOME_LEARNER_BEHIND, RPC_FAILED_PRECONDITION, "baton-reason=learner-behind ",
     "n2 has not caught up: it has the log up to 41, and 7 is needed; try again later, or see whether it runs"},
    {OUTCOME_LEARNER_TOO_OLD, RPC_FAILED_PRECONDITION, "",
     "n2 runs a version that reads level 41, and the cluster is at level 7; upgrade it first"},
    {OUTCOME_NO_MAJORITY_LEFT, RPC_FAILED_PRECONDITION, "",
     "refused: only 41 of then 7 voters can be reached, which is no majority, and nothing could be written; start those "
     "that are down first"},
    {OUTCOME_MEMBER_TOO_OLD, RPC_FAILED_PRECONDITION, "",
     "n2 runs a version that cannot follow changes of members; upgrade all nodes first"},
};

static const char *const trailer_keys[] = {"baton-outcome", "baton-reason", "baton-leader-id", "baton-leader-address",
                                           "baton-revision"};

// --- one server and one client ---

struct line {
    uv_loop_t loop;
    struct metrics *metrics;
    struct rpc_runtime *rpc;
    struct rpc_server *server;
    struct rpc_channel *channel;
    struct rpc_method method;
    struct rpc_service service;
    enum rpc_status status;
    char text[512];
    char trailers[256];
    bool done;
};

static void tell(void *user, struct rpc_call call, struct slice message) {
    struct line *line = user;
    size_t i = message.data[0];
    struct outcome_facts known = facts;
    if (told[i].outcome == OUTCOME_NO_SUCH_REVISION) {
        known.number = 0;  // as the state machine says it
    }
    bool without_facts = strpbrk(told[i].text, "0123456789") == NULL;
    outcome_tell(line->server, call, told[i].outcome, without_facts ? NULL : &known);
}

static void refuse(void *user, struct rpc_call call, struct slice message) {
    struct line *line = user;
    struct error error = {0};
    error_set(&error, (enum error_code)message.data[0], "slots: is %d", 0);
    outcome_refuse(line->server, call, &error);
}

static void begin(struct line *line, rpc_handler *handler) {
    *line = (struct line){.metrics = metrics_new()};
    uv_loop_init(&line->loop);
    line->rpc = rpc_runtime_new(&line->loop, line->metrics);
    struct error error = {0};
    assert_int_equal(rpc_server_listen(line->rpc, "127.0.0.1:0", &line->server, &error), OK);
    line->method = (struct rpc_method){.name = "Tell", .kind = RPC_UNARY, .on_message = handler};
    line->service = (struct rpc_service){.name = "test.Outcomes", .methods = &line->method, .method_count = 1, .user = line};
    rpc_server_add_service(line->server, &line->service);
    struct rpc_channel_options options = {.target = rpc_server_address(line->server)};
    line->channel = rpc_channel_new(line->rpc, &options);
}

static void end(struct line *line) {
    rpc_channel_close(line->channel);
    rpc_server_close(line->server);
    rpc_runtime_close(line->rpc);
    uv_run(&line->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&line->loop), 0);
    metrics_free(line->metrics);
}

static void on_done(void *user, uint64_t tag, const struct rpc_result *result) {
    struct line *line = user;
    (void)tag;
    line->status = result->status;
    snprintf(line->text, sizeof line->text, "%.*s", (int)result->message.len, (const char *)result->message.data);
    line->trailers[0] = '\0';
    for (size_t i = 0; i < ARRAY_COUNT(trailer_keys); i++) {
        struct slice value = rpc_result_trailer(result, trailer_keys[i]);
        size_t len = strlen(line->trailers);
        if (value.data != NULL) {
            snprintf(line->trailers + len, sizeof line->trailers - len, "%s=%.*s ", trailer_keys[i], (int)value.len,
                     (const char *)value.data);
        }
    }
    line->done = true;
}

static void call(struct line *line, uint8_t what) {
    line->done = false;
    rpc_channel_call(line->channel, &(struct rpc_request){.path = "/test.Outcomes/Tell",
                                                          .body = slice_of(&what, 1),
                                                          .wait_for_ready = true,
                                                          .user = line,
                                                          .on_done = on_done});
    while (!line->done) {
        uv_run(&line->loop, UV_RUN_ONCE);
    }
}

// --- tests ---

static void TestOutcomesAreTold(void **state) {
    (void)state;
    struct line line;
    assert_int_equal(ARRAY_COUNT(told), OUTCOME_MEMBER_TOO_OLD + 1);  // all of them
    begin(&line, tell);
    for (size_t i = 0; i < ARRAY_COUNT(told); i++) {
        assert_int_equal(told[i].outcome, i);
        call(&line, (uint8_t)i);
        assert_string_equal(line.text, told[i].text);
        assert_int_equal(line.status, told[i].status);
        assert_string_equal(line.trailers, told[i].trailers);
    }
    end(&line);
}

// Whatever the facts are, no placeholder is left, and the text ends within its room.
static void TestOutcomeTextFits(void **state) {
    (void)state;
    char whole[512];
    char text[512];
    struct outcome_facts odd = facts;
    odd.name = slice_of_str("{leader}");
    for (size_t i = 0; i < ARRAY_COUNT(told); i++) {
        outcome_text(told[i].outcome, &facts, whole, sizeof whole);
        assert_null(strpbrk(whole, "{}"));
        for (size_t size = 1; size <= strlen(whole) + 1; size++) {
            memset(text, 'x', sizeof text);
            outcome_text(told[i].outcome, &facts, text, size);
            assert_int_equal(strlen(text), size - 1);
            assert_memory_equal(text, whole, size - 1);
        }
    }
    outcome_text(OUTCOME_REPLACED, &odd, text, sizeof text);
    assert_non_null(strstr(text, "registered as {leader};"));
}

// A refused request: the error's own words, and one status for each kind.
static void TestRefusalsAreTold(void **state) {
    (void)state;
    static const struct {
        enum error_code code;
        enum rpc_status status;
    } refused[] = {
        {ERR_INVALID, RPC_INVALID_ARGUMENT},     {ERR_MALFORMED, RPC_INVALID_ARGUMENT},
        {ERR_TOO_LARGE, RPC_RESOURCE_EXHAUSTED}, {ERR_NO_MEMORY, RPC_RESOURCE_EXHAUSTED},
        {ERR_FOREIGN, RPC_PERMISSION_DENIED},
    };
    struct line line;
    begin(&line, refuse);
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
        call(&line, (uint8_t)refused[i].code);
        assert_int_equal(line.status, refused[i].status);
        assert_string_equal(line.text, "slots: is 0");
        assert_string_equal(line.trailers, "");
    }
    end(&line);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestOutcomesAreTold),
    cmocka_unit_test(TestOutcomeTextFits),
    cmocka_unit_test(TestRefusalsAreTold),
};

UNIT_MAIN(tests)
