// Members, as far as scenarios cannot show it: what the caller is told, configurations that cannot be read, many who leave.
#include "base/array.h"
#include "raft_configuration.h"
#include "raft_solo.h"

static bool is_past;        // what is decoded is of an earlier generation
static bool n1_was_member;  // and lies behind the last member still

static bool decode(void *user, struct slice command, struct raft_configuration *out) {
    ++*(size_t *)user;
    bool readable = configuration_read(command, out);
    out->past = is_past;
    if (n1_was_member) {
        out->members[out->count] = (struct raft_member){.id = solo_id(1), .voter = true};
    }
    return readable;
}

static struct raft_entry *configuration_entry(struct raft_slab *slab, struct raft_entry_id id, const char *text) {
    struct raft_entry *entry = raft_entry_new(slab, RAFT_ENTRY_CONFIGURATION, id, strlen(text));
    memcpy(entry->data, text, strlen(text));
    return entry;
}

// A node whose log is this configuration.
static struct raft_node *new_node(struct raft_slab *slab, const char *text, size_t *decoded) {
    struct raft_config config = {
        .id = solo_id(1),
        .decode_configuration = decode,
        .user = decoded,
        .seed = 1,
        .election_timeout_min_us = ELECTION_TIMEOUT_MIN_US,
        .election_timeout_max_us = ELECTION_TIMEOUT_MAX_US,
        .heartbeat_interval_us = HEARTBEAT_INTERVAL_US,
        .quorum_timeout_us = QUORUM_TIMEOUT_US,
    };
    struct raft_entry *entry = configuration_entry(slab, at(1, 1), text);
    struct raft_restored restored = {.hard_state.current_term = 1, .entries = &entry, .count = 1};
    return raft_new(&config, slab, &restored, US_PER_S);
}

// A log whose configuration cannot be read, or has no voter, starts no node.
static void TestMembersUnreadableLog(void **state) {
    (void)state;
    static const char *const texts[] = {"[n1,n2", "[]", "[/n1]", "[n1,n1]", ""};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct raft_slab *slab = raft_slab_new();
        size_t decoded = 0;
        assert_null(new_node(slab, texts[i], &decoded));
        assert_int_equal(decoded, 1);
        raft_slab_free(slab);  // asserts that the entry was released
    }
    struct raft_slab *slab = raft_slab_new();
    size_t decoded = 0;
    struct raft_node *node = new_node(slab, "[n1/n2,n3]", &decoded);
    raft_index index = 0;
    assert_int_equal(raft_configuration(node, &index)->count, 3);
    assert_int_equal(index, 1);
    assert_true(raft_may_contact(node, &(struct raft_id){.len = 2, .text = "n3"}));
    assert_false(raft_may_contact(node, &(struct raft_id){.len = 2, .text = "n1"}));
    raft_free(node);
    raft_free(NULL);
    raft_slab_free(slab);
}

// A node that has rejoined, and so far has only the beginning of the log, may be a voter there; even alone it is not
// elected.
static void TestMembersOfAnEarlierGeneration(void **state) {
    (void)state;
    for (size_t past = 0; past <= 1; past++) {
        is_past = past == 1;
        struct raft_slab *slab = raft_slab_new();
        size_t decoded = 0;
        struct raft_node *node = new_node(slab, "[n1]", &decoded);
        struct raft_event tick = {.type = RAFT_EVENT_TICK};
        struct raft_update update;
        raft_step(node, US_PER_S + ELECTION_TIMEOUT_MAX_US, &tick, 1, &update);
        assert_int_equal(raft_current_term(node), past == 1 ? 1 : 2);
        assert_null(raft_check_invariants(node));
        raft_free(node);
        raft_slab_free(slab);
    }
    is_past = false;
}

// Who is no member any more is not elected, though the decoder has left it behind those who are.
static void TestMembersBehindTheLast(void **state) {
    (void)state;
    n1_was_member = true;
    struct raft_slab *slab = raft_slab_new();
    size_t decoded = 0;
    struct raft_node *node = new_node(slab, "[n2,n3]", &decoded);
    struct raft_event tick = {.type = RAFT_EVENT_TICK};
    struct raft_update update;
    raft_step(node, US_PER_S + ELECTION_TIMEOUT_MAX_US, &tick, 1, &update);
    assert_int_equal(update.send_now_count + update.send_after_persist_count, 0);
    raft_free(node);
    raft_slab_free(slab);
    n1_was_member = false;
}

static enum raft_refusal propose(struct solo *solo, const char *text) {
    struct raft_entry *entry = configuration_entry(solo->slab, at(0, 0), text);
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE, .propose = {.entries = &entry, .count = 1, .tag = 7}};
    solo_event(solo, event);
    return solo->update.proposed[0].refusal;
}

// "[n1/n10,n11,...]": `count` learners from that number on.
static const char *with_learners(size_t from, size_t count) {
    static char text[CONFIGURATION_TEXT_MAX];
    size_t len = (size_t)snprintf(text, sizeof text, "[n1");
    for (size_t i = 0; i < count; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "%sn%zu", i == 0 ? "/" : ",", from + i);
    }
    snprintf(text + len, sizeof text - len, "]");
    return text;
}

// As many as may be members are replaced again and again, faster than those who leave are given up: the first of them give
// way, and members never do.
static void TestMembersManyLeave(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 1, .term = 1});
    solo_establish(solo);
    for (size_t round = 1; round <= 6; round++) {
        assert_int_equal(propose(solo, with_learners(round * 10, MEMBERS_MAX - 1)), RAFT_ACCEPTED);
        assert_true(solo->update.configuration_changed);
        solo_persist(solo);
        assert_false(solo->update.configuration_changed);
        for (size_t i = 0; i < MEMBERS_MAX - 1; i++) {
            struct raft_id member = solo_id(round * 10 + i);
            struct raft_id before = solo_id(round * 10 - 10 + i);
            assert_true(raft_may_contact(solo->node, &member));
            assert_int_equal(raft_may_contact(solo->node, &before), round > 1);
        }
        struct raft_progress all[MEMBERS_MAX];
        assert_int_equal(raft_progress(solo->node, all), MEMBERS_MAX - 1);
        struct raft_id first = solo_id(10);
        assert_int_equal(raft_may_contact(solo->node, &first), round <= 2);
    }
    for (size_t i = 0; i < 67; i++) {
        solo_tick(solo, HEARTBEAT_INTERVAL_US);  // 10 s
    }
    struct raft_id last = solo_id(50);
    assert_false(raft_may_contact(solo->node, &last));
    solo_free(solo);
}

// n2, a learner, is removed while it answers nothing. The messages that were sent to it meanwhile.
static struct solo *without_n2(struct raft_message *removal, struct raft_message *next) {
    struct solo *solo = solo_new(&(struct solo_config){.voters = 1, .learners = 1, .term = 1});
    solo_establish(solo);
    assert_int_equal(propose(solo, "[n1]"), RAFT_ACCEPTED);
    *removal = solo_sent_append(solo, 2);
    solo_persist(solo);
    assert_int_equal(raft_commit_index(solo->node), 3);
    solo_propose(solo, 8);
    *next = solo_sent_append(solo, 2);
    assert_int_equal(next->append.leader_commit, 3);
    solo_persist(solo);
    return solo;
}

// Who is removed has heard of it once it has accepted anything that says so; it need not be a heartbeat.
static void TestMembersLeaveWithAnEntry(void **state) {
    (void)state;
    struct raft_message removal, next;
    struct solo *solo = without_n2(&removal, &next);
    struct raft_id n2 = solo_id(2);
    solo_accept(solo, &removal, 3);
    assert_true(raft_may_contact(solo->node, &n2));  // it does not know yet that its removal is committed
    solo_accept(solo, &next, 4);
    assert_false(raft_may_contact(solo->node, &n2));
    solo_free(solo);
}

// Or else it is sent to for LEAVING_US.
static void TestMembersLeaveInTime(void **state) {
    (void)state;
    struct raft_message removal, next;
    struct solo *solo = without_n2(&removal, &next);
    struct raft_id n2 = solo_id(2);
    uint64_t until_us = solo->now_us + LEAVING_US;
    while (solo->now_us + HEARTBEAT_INTERVAL_US < until_us) {
        solo_tick(solo, HEARTBEAT_INTERVAL_US);
    }
    solo_tick(solo, until_us - 1 - solo->now_us);
    assert_true(raft_may_contact(solo->node, &n2));
    solo_tick(solo, 1);
    assert_false(raft_may_contact(solo->node, &n2));
    solo_free(solo);
}

// A refused change counts nowhere: proposals go on being accepted (etcd/raft a370b6f).
static void TestMembersRefusedCost(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 1});
    solo_establish(solo);
    char text[CONFIGURATION_TEXT_MAX] = "[n1,n9,n8,n7]";
    for (size_t i = 0; i < 3 * (size_t)UNCOMMITTED_BYTES_MAX / (64 * KIB); i++) {
        struct raft_entry *entry = raft_entry_new(solo->slab, RAFT_ENTRY_CONFIGURATION, at(0, 0), 64 * KIB);
        memset(entry->data, ' ', 64 * KIB);
        memcpy(entry->data, text, strlen(text));
        struct raft_event event = {.type = RAFT_EVENT_PROPOSE, .propose = {.entries = &entry, .count = 1, .tag = 7}};
        solo_event(solo, event);
        assert_int_equal(solo->update.proposed[0].refusal, RAFT_UNSAFE_CHANGE);
    }
    assert_int_not_equal(solo_propose(solo, 8), 0);
    solo_free(solo);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestMembersUnreadableLog), cmocka_unit_test(TestMembersOfAnEarlierGeneration),
    cmocka_unit_test(TestMembersManyLeave),     cmocka_unit_test(TestMembersRefusedCost),
    cmocka_unit_test(TestMembersBehindTheLast), cmocka_unit_test(TestMembersLeaveWithAnEntry),
    cmocka_unit_test(TestMembersLeaveInTime),
};

UNIT_MAIN(tests)
