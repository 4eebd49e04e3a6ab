// Changes of members on a whole node: what follows the configuration in force, and what is taken back with it.
#include <stdio.h>
#include <string.h>

#include "node/found.h"
#include "node/generation.h"
#include "node/membership.h"
#include "node/node.h"
#include "node/quarantine.h"
#include "node/stranger.h"
#include "node_fixture.h"
#include "unit.h"

struct given {
    const char *id;
    const char *address;
    bool voter;
};

static const struct given n1 = {"n1", "127.0.0.1:1", true};
static const struct given n2 = {"n2", "127.0.0.1:2", true};
static const struct given n3 = {"n3", "127.0.0.1:3", true};
static const struct given n3_learns = {"n3", "127.0.0.1:3", false};
static const struct given n2_moved = {"n2", "127.0.0.1:4", true};

static struct raft_entry *change_of(struct node *node, struct raft_entry_id id, const struct given *const *members) {
    struct wire_configuration configuration = {.generation = 1, .cluster_id = node->config->cluster_id};
    for (; members[configuration.count] != NULL; configuration.count++) {
        const struct given *given = members[configuration.count];
        struct wire_member *member = &configuration.members[configuration.count];
        *member = (struct wire_member){.id = raft_id_of(slice_of_str(given->id)), .cloud = "gcp", .voter = given->voter};
        snprintf(member->address, sizeof member->address, "%s", given->address);
    }
    return wire_configuration_encode(node->slab, id, &configuration);
}

// n1 leads; nobody waits for the outcome.
static void propose(struct node *node, const struct given *const *members) {
    struct raft_entry **entries = arena_alloc(&node->event_arena, sizeof(struct raft_entry *));
    entries[0] = change_of(node, (struct raft_entry_id){0}, members);
    *node_event(node) = (struct raft_event){.type = RAFT_EVENT_PROPOSE, .propose = {.entries = entries, .count = 1}};
}

// n2 leads this term and sends the change as the entry behind `before`.
static void receive(struct node *node, raft_term term, struct raft_entry_id before, const struct given *const *members,
                    raft_index commit) {
    struct raft_entry **entries = arena_alloc(&node->event_arena, sizeof(struct raft_entry *));
    entries[0] = change_of(node, (struct raft_entry_id){.term = term, .index = before.index + 1}, members);
    *node_event(node) = (struct raft_event){
        .type = RAFT_EVENT_MESSAGE,
        .message = {.type = RAFT_APPEND_ENTRIES,
                    .from = raft_id_of(slice_of_str("n2")),
                    .to = *node_id(node),
                    .term = term,
                    .append = {.leader_id = raft_id_of(slice_of_str("n2")),
                               .prev_log = before,
                               .entries = entries,
                               .count = 1,
                               .leader_commit = commit}},
    };
}

static void turn(struct whole_node *whole) {
    uv_run(&whole->loop, UV_RUN_ONCE);
}

static const struct peer_view *view_of(struct node *node, const char *id) {
    struct raft_id member = raft_id_of(slice_of_str(id));
    return peers_view(node->peers, &member);
}

// What Status says: "n1,n2/n3", learners behind the stroke.
static const char *told_members(struct node *node, char text[64]) {
    static struct node_status status;
    node_status(node, &status);
    char learners[32] = "";
    text[0] = '\0';
    for (size_t i = 0; i < status.response.members_count; i++) {
        const struct pb_member_status *member = &status.response.members[i];
        char *to = member->voter ? text : learners;
        snprintf(to + strlen(to), 16, "%s%.*s", to[0] == '\0' ? "" : ",", (int)member->id.len,
                 (const char *)member->id.data);
    }
    snprintf(text + strlen(text), 40, "%s%s", learners[0] == '\0' ? "" : "/", learners);
    return text;
}

// A leader takes a learner in: it is met, counted and shown from when the entry is appended, and gone with the next change.
static void TestNodeMembersFollowTheLog(void **state) {
    (void)state;
    struct whole_node whole;
    char text[64];
    whole_node_start(&whole, 1);
    struct node *node = whole.node;
    whole_node_await_leading(&whole);
    raft_index founded = node->configuration.index;
    assert_int_equal(founded, 1);
    assert_null(view_of(node, "n3"));
    propose(node, (const struct given *[]){&n1, &n3_learns, NULL});
    while (node->configuration.index == founded) {
        turn(&whole);
    }
    assert_non_null(view_of(node, "n3"));
    assert_string_equal(told_members(node, text), "n1/n3");
    assert_int_equal(node->placement.count, 2);
    assert_int_equal(node->placement.self, 0);
    while (node->configuration_index != node->configuration.index) {
        turn(&whole);  // the learner does not count towards the quorum
    }
    propose(node, (const struct given *[]){&n1, NULL});
    raft_index added = node->configuration.index;
    while (node->configuration.index == added || node->configuration_index == added) {
        turn(&whole);
    }
    assert_string_equal(told_members(node, text), "n1");
    assert_int_equal(node->placement.count, 1);
    whole_node_end(&whole);
}

// A follower's change that the next leader's log is without is taken back everywhere.
static void TestNodeMembersAreTakenBack(void **state) {
    (void)state;
    struct whole_node whole;
    char text[64];
    whole_node_start(&whole, 2);
    struct node *node = whole.node;
    struct raft_entry_id founded = {.term = 1, .index = 1};
    receive(node, 2, founded, (const struct given *[]){&n1, &n2, &n3_learns, NULL}, 1);
    turn(&whole);
    assert_string_equal(told_members(node, text), "n1,n2/n3");
    assert_non_null(view_of(node, "n3"));
    assert_int_equal(node->configuration.index, 2);
    receive(node, 3, founded, (const struct given *[]){&n1, &n2_moved, NULL}, 1);  // another entry 2
    turn(&whole);
    assert_string_equal(told_members(node, text), "n1,n2");
    assert_int_equal(node->configuration.index, 2);
    assert_string_equal(node->configuration.members[1].address, n2_moved.address);
    assert_int_equal(node->placement.count, 2);
    whole_node_end(&whole);
}

// A peer that was removed is kept until the removal is committed: until then it may come back, or must hear of it.
static void TestNodeMembersStayUntilTheirRemovalIsCommitted(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 2);
    struct node *node = whole.node;
    receive(node, 2, (struct raft_entry_id){.term = 1, .index = 1}, (const struct given *[]){&n1, &n2, &n3, NULL}, 2);
    turn(&whole);
    receive(node, 2, (struct raft_entry_id){.term = 2, .index = 2}, (const struct given *[]){&n1, &n2, NULL}, 2);
    turn(&whole);
    assert_int_equal(node->configuration.count, 2);
    assert_non_null(view_of(node, "n3"));
    receive(node, 2, (struct raft_entry_id){.term = 2, .index = 3}, (const struct given *[]){&n1, &n2, &n3_learns, NULL}, 3);
    turn(&whole);
    receive(node, 2, (struct raft_entry_id){.term = 2, .index = 4}, (const struct given *[]){&n1, &n2, NULL}, 5);
    turn(&whole);
    peers_follow(node->peers);  // as it is each second
    assert_null(view_of(node, "n3"));
    whole_node_end(&whole);
}

// A node that hears of its own removal stops by itself, in order.
static void TestNodeRemovedStops(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 2);
    struct node *node = whole.node;
    receive(node, 2, (struct raft_entry_id){.term = 1, .index = 1}, (const struct given *[]){&n2, &n3, NULL}, 1);
    turn(&whole);
    assert_int_equal(node->stopping, RUNNING);  // it may be taken back
    assert_int_equal(node->placement.count, 3);
    assert_int_equal(node->placement.self, 2);
    receive(node, 2, (struct raft_entry_id){.term = 2, .index = 2}, (const struct given *[]){&n2, NULL}, 2);
    while (node->stopping != STOPPED) {
        turn(&whole);
    }
    assert_int_equal(whole.failure, OK);
    whole_node_end(&whole);
}

// A configuration of another cluster is refused with the entries around it.
static void TestNodeMembersOfAnotherCluster(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 2);
    struct node *node = whole.node;
    struct raft_id cluster = whole.config.cluster_id;
    whole.config.cluster_id = raft_id_of(slice_of_str("other"));
    receive(node, 2, (struct raft_entry_id){.term = 1, .index = 1}, (const struct given *[]){&n1, &n2, &n3, NULL}, 2);
    whole.config.cluster_id = cluster;
    turn(&whole);
    assert_int_equal(node->configuration.count, 2);
    assert_int_equal(raft_last_log(node->raft).index, 1);
    whole_node_end(&whole);
}

// --- data directories ---

#define DIRECTORY_A "00112233445566778899aabbccddeeff"
#define DIRECTORY_B "ffeeddccbbaa99887766554433221100"

static struct pb_status_response told(const char *incarnation, uint64_t configuration_index) {
    return (struct pb_status_response){.incarnation = slice_of_str(incarnation), .configuration_index = configuration_index};
}

// The leader writes down which directory a learner has, once: another is never taken for it. A voter that has none of its
// log is not believed.
static void TestNodeMembersDirectoriesAreWrittenDown(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 1);
    struct node *node = whole.node;
    whole_node_await_leading(&whole);
    struct pb_status_response empty = told(DIRECTORY_A, 0);
    membership_heard(node, &(struct raft_id){.len = 2, .text = "n3"}, &empty);
    membership_sample(node);
    assert_false(membership_has_event(node->membership));  // nobody has changed yet
    propose(node, (const struct given *[]){&n1, &n3_learns, NULL});
    while (node->configuration.members[1].incarnation[0] == '\0' || node->configuration_index != node->configuration.index) {
        turn(&whole);
    }
    assert_string_equal(node->configuration.members[0].incarnation, node->identity.incarnation);
    assert_string_equal(node->configuration.members[1].incarnation, DIRECTORY_A);
    struct pb_status_response wiped = told(DIRECTORY_B, 0);
    membership_heard(node, &(struct raft_id){.len = 2, .text = "n3"}, &wiped);
    membership_sample(node);
    assert_false(membership_has_event(node->membership));
    whole_node_end(&whole);
}

// A node that was added before it has rejoined has another directory then: only that one is written down.
static void TestNodeMembersDirectoriesOfEarlierGenerations(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 1);
    struct node *node = whole.node;
    whole_node_await_leading(&whole);
    generation_follow(node, 3);
    struct raft_id third = {.len = 2, .text = "n3"};
    struct pb_status_response earlier = told(DIRECTORY_A, 7), rejoined = told(DIRECTORY_B, 0);
    earlier.generation = 2;
    rejoined.generation = 1;  // it knows of none yet
    membership_heard(node, &third, &earlier);
    propose(node, (const struct given *[]){&n1, &n3_learns, NULL});
    // The leader writes down its own directory.
    while (node->configuration.members[0].incarnation[0] == '\0' || node->configuration_index != node->configuration.index) {
        turn(&whole);
    }
    membership_sample(node);
    assert_false(membership_has_event(node->membership));
    assert_string_equal(node->configuration.members[1].incarnation, "");
    membership_heard(node, &third, &rejoined);
    membership_sample(node);
    assert_true(membership_has_event(node->membership));
    while (node->configuration.members[1].incarnation[0] == '\0') {
        turn(&whole);
    }
    assert_string_equal(node->configuration.members[1].incarnation, DIRECTORY_B);
    whole_node_end(&whole);
}

static struct wire_member member_with(const char *id, const char *incarnation, bool voter) {
    struct wire_member member = {
        .id = raft_id_of(slice_of_str(id)), .voter = voter, .address = "127.0.0.1:9", .cloud = "gcp"};
    snprintf(member.incarnation, sizeof member.incarnation, "%s", incarnation);
    return member;
}

// What n2 says to n1 and how n1 takes it, each with what it knows of members, and the directory that it has.
static enum error_code refusal_of(enum raft_message_type type, bool raised, const struct wire_configuration *n1_knows,
                                  const char *n1_has, const struct wire_configuration *n2_knows, const char *n2_has,
                                  struct error *error) {
    struct wire_identity us = {.cluster_id = raft_id_of(slice_of_str("test")),
                               .generation = 1,
                               .configuration = n1_knows,
                               .all_tell_theirs = raised};
    struct wire_identity them = {.cluster_id = us.cluster_id, .generation = 1, .configuration = n2_knows};
    us.node_id = raft_id_of(slice_of_str("n1"));
    them.node_id = raft_id_of(slice_of_str("n2"));
    snprintf(us.incarnation, sizeof us.incarnation, "%s", n1_has);
    snprintf(them.incarnation, sizeof them.incarnation, "%s", n2_has);
    struct raft_message message = {.type = type, .to = us.node_id, .term = 2}, received;
    struct buf out = {0};
    struct arena arena = {0};
    wire_raft_encode(&them, &message, &out);
    enum error_code code = wire_raft_decode(&us, type, buf_slice(&out), NULL, &arena, &received, error);
    buf_free(&out);
    arena_free(&arena);
    return code;
}

static enum error_code vote_refusal_at(bool raised, const struct wire_configuration *n1_knows, const char *n1_has,
                                       const struct wire_configuration *n2_knows, const char *n2_has, struct error *error) {
    return refusal_of(RAFT_REQUEST_VOTE, raised, n1_knows, n1_has, n2_knows, n2_has, error);
}

static enum error_code vote_refusal(const struct wire_configuration *n1_knows, const char *n1_has,
                                    const struct wire_configuration *n2_knows, const char *n2_has, struct error *error) {
    return vote_refusal_at(false, n1_knows, n1_has, n2_knows, n2_has, error);
}

// Its answers count until it has heard of it, also where nobody knows anybody's directory yet; its requests do not.
static void TestNodeRemovedNodeAnswers(void **state) {
    (void)state;
    struct error error = {0};
    struct wire_configuration both = {.members = {member_with("n1", "", true), member_with("n2", "", true)}, .count = 2};
    struct wire_configuration without = {.members = {member_with("n1", "", true)}, .count = 1};
    assert_int_equal(refusal_of(RAFT_APPEND_ENTRIES_REPLY, false, &without, DIRECTORY_A, &both, DIRECTORY_B, &error), OK);
    assert_int_equal(refusal_of(RAFT_REQUEST_VOTE_REPLY, false, &without, DIRECTORY_A, &both, DIRECTORY_B, &error), OK);
    assert_int_equal(refusal_of(RAFT_REQUEST_VOTE, false, &without, DIRECTORY_A, &both, DIRECTORY_B, &error), ERR_FOREIGN);
    assert_non_null(strstr(error.message, "n2 is no member of cluster test"));
}

// A vote that is asked for, or asked of, another directory than the member's is refused on both sides.
static void TestNodeWipedDirectoryNeitherAsksNorVotes(void **state) {
    (void)state;
    struct error error = {0};
    struct wire_configuration both = {
        .members = {member_with("n1", DIRECTORY_A, true), member_with("n2", DIRECTORY_B, true)}, .count = 2};
    struct wire_configuration unknown = {.members = {member_with("n1", "", true), member_with("n2", "", true)}, .count = 2};
    struct wire_configuration none = {.count = 0};
    assert_int_equal(vote_refusal(&both, DIRECTORY_A, &both, DIRECTORY_B, &error), OK);
    assert_int_equal(vote_refusal(&unknown, DIRECTORY_A, &unknown, DIRECTORY_B, &error), OK);
    assert_int_equal(vote_refusal(&unknown, DIRECTORY_A, &unknown, "", &error), OK);  // n2 is of 0.1.0
    // n2 has gone back to 0.1.0, which is possible up to a level. From there on it may as well have been wiped.
    assert_int_equal(vote_refusal(&both, DIRECTORY_A, &unknown, "", &error), OK);
    assert_int_equal(vote_refusal_at(true, &both, DIRECTORY_A, &unknown, "", &error), ERR_FOREIGN);
    assert_non_null(strstr(error.message, "n2 does not say which data directory it has"));
    assert_int_equal(vote_refusal_at(true, &unknown, DIRECTORY_A, &unknown, "", &error), OK);
    assert_int_equal(vote_refusal(&both, DIRECTORY_A, &both, DIRECTORY_A, &error), ERR_FOREIGN);
    assert_non_null(strstr(error.message, "n2 has another data directory (00112233)"));
    assert_int_equal(vote_refusal(&unknown, DIRECTORY_B, &both, DIRECTORY_B, &error), ERR_FOREIGN);
    assert_non_null(strstr(error.message, "Stop it, remove n1 from the cluster"));
    // n1 waits with an empty directory.
    assert_int_equal(vote_refusal(&none, DIRECTORY_A, &unknown, DIRECTORY_B, &error), ERR_FOREIGN);
    assert_non_null(strstr(error.message, "empty data directory"));
    assert_int_equal(vote_refusal(&none, DIRECTORY_B, &both, DIRECTORY_B, &error), ERR_FOREIGN);
    assert_int_equal(vote_refusal(&none, DIRECTORY_A, &both, DIRECTORY_B, &error), OK);
}

static void TestNodeGenerationParse(void **state) {
    (void)state;
    assert_int_equal(stranger_generation(slice_of_str("12")), 12);
    assert_int_equal(stranger_generation(slice_of_str("18446744073709551615")), UINT64_MAX);
    assert_int_equal(stranger_generation(slice_of(NULL, 0)), 0);
    assert_int_equal(stranger_generation(slice_of_str("2x")), 0);
    assert_int_equal(stranger_generation(slice_of_str("-1")), 0);
    assert_int_equal(stranger_generation(slice_of_str(" 2")), 0);
    assert_int_equal(stranger_generation(slice_of_str("123456789012345678901")), 0);
}

// Only of a higher generation than its own; which never falls.
static void TestNodeGenerationHeard(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 1);
    struct node *node = whole.node;
    whole_node_await_leading(&whole);
    struct raft_id peer = raft_id_of(slice_of_str("n2"));
    assert_int_equal(node->identity.generation, 1);
    generation_follow(node, 3);
    generation_follow(node, 2);
    assert_int_equal(node->identity.generation, 3);
    generation_heard(node, &peer, 3);
    generation_heard(node, &peer, 2);
    assert_false(quarantine_begun(node));
    generation_heard(node, &peer, 4);
    assert_true(quarantine_is_silent(node));
    assert_non_null(strstr(quarantine_message(node), "generation 4 of the cluster exists (n2 is of it)"));
    while (node_leads(node)) {
        turn(&whole);
    }
    whole_node_end(&whole);
}

// Appends a configuration of n1 alone, in that cluster, to the log of the cluster "test".
static void append_configuration(const char *dir, const char *cluster, bool voter) {
    struct raft_slab *slab = raft_slab_new();
    struct wal_options options = {.dir = dir,
                                  .cluster_id = slice_of_str("test"),
                                  .node_id = slice_of_str("n1"),
                                  .incarnation = slice_of_str("00112233445566778899aabbccddeeff"),
                                  .generation = 1};
    struct wire_configuration configuration = {.generation = 1, .cluster_id = raft_id_of(slice_of_str(cluster)), .count = 1};
    configuration.members[0] =
        (struct wire_member){.id = raft_id_of(slice_of_str("n1")), .address = "127.0.0.1:1", .cloud = "gcp", .voter = voter};
    struct raft_entry_id founded;
    struct error error = {0};
    assert_int_equal(found_generation(&options, slab, &configuration, &founded, &error), OK);
    raft_slab_free(slab);
}

// A node starts with no configuration that it cannot take, even if a later one has replaced it; and says which.
static void TestNodeMembersOfAnotherClusterBefore(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 1);
    char dir[sizeof whole.dir + sizeof "/other"];
    snprintf(dir, sizeof dir, "%s/other", whole.dir);
    append_configuration(dir, "other", true);
    append_configuration(dir, "test", true);
    whole.config.data_dir = dir;
    struct error error = {0};
    assert_int_equal(whole_node_restart(&whole, &error), ERR_FOREIGN);
    assert_non_null(strstr(error.message, ": configuration 1: it is of cluster other"));
    dir[strlen(dir) - 1] = '2';
    append_configuration(dir, "test", false);  // of no voter, which the core alone notices
    append_configuration(dir, "test", true);
    assert_int_equal(whole_node_restart(&whole, &error), ERR_WAL_CORRUPT);
    whole_node_end(&whole);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestNodeGenerationParse),
    cmocka_unit_test(TestNodeGenerationHeard),
    cmocka_unit_test(TestNodeMembersDirectoriesAreWrittenDown),
    cmocka_unit_test(TestNodeMembersDirectoriesOfEarlierGenerations),
    cmocka_unit_test(TestNodeRemovedNodeAnswers),
    cmocka_unit_test(TestNodeWipedDirectoryNeitherAsksNorVotes),
    cmocka_unit_test(TestNodeMembersFollowTheLog),
    cmocka_unit_test(TestNodeMembersAreTakenBack),
    cmocka_unit_test(TestNodeMembersStayUntilTheirRemovalIsCommitted),
    cmocka_unit_test(TestNodeRemovedStops),
    cmocka_unit_test(TestNodeMembersOfAnotherCluster),
    cmocka_unit_test(TestNodeMembersOfAnotherClusterBefore),
};

UNIT_MAIN(tests)
