// Rejoining: which node is asked, and which entries are found that only the old one has. The nodes that are asked are here.
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "cmd/rejoin.c"
#include "unit.h"

enum { LOG_MAX = 12, OLD_TERM = 3, NEW_TERM = 9 };

static struct node_config config;
static struct stopped stopped;

// --- the nodes of --peers ---

static const struct pb_status_response *answers[MEMBERS_MAX];  // NULL: it does not
static raft_index differs;                                     // the guide has another entry there, and from there on
static size_t calls;
static struct buf told;

struct ctl_client *ctl_client_new(const struct ctl_endpoints *endpoints, struct tls *tls, uint64_t timeout_ms) {
    (void)endpoints;
    (void)tls;
    (void)timeout_ms;
    return NULL;
}

void ctl_client_free(struct ctl_client *client) {
    (void)client;
}

void ctl_ask_all(struct ctl_client *client, const char *path, struct ctl_probe *probes, size_t count, uint64_t timeout_ms) {
    (void)client;
    (void)timeout_ms;
    assert_string_equal(path, pb_control_service_status.path);
    for (size_t i = 0; i < count; i++) {
        probes[i].answered = answers[i] != NULL;
        if (probes[i].answered) {
            pb_encode(&pb_status_response_type, answers[i], &probes[i].answer);
        }
    }
}

void ctl_probes_free(struct ctl_probe *probes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        buf_free(&probes[i].answer);
    }
}

enum ctl_exit ctl_call(struct ctl_client *client, enum ctl_need need, const char *path, struct slice request,
                       struct slice *answer, struct error *error) {
    struct arena arena = {.limit = 0};
    struct pb_read_log_request asked;
    (void)client;
    assert_int_equal(need, CTL_ANY_NODE);
    assert_string_equal(path, pb_control_service_read_log.path);
    assert_int_equal(pb_decode(&arena, &pb_read_log_request_type, request, &asked, error), OK);
    assert_int_equal(asked.from, asked.to);
    struct pb_log_entry entry = {
        .index = asked.from, .term = asked.from < differs ? OLD_TERM : NEW_TERM, .type = (uint32_t)RAFT_ENTRY_NOOP};
    struct pb_read_log_response response = {.entries = &entry, .entries_count = 1};
    buf_clear(&told);
    pb_encode(&pb_read_log_response_type, &response, &told);
    *answer = buf_slice(&told);
    arena_free(&arena);
    calls++;
    return CTL_OK;
}

// --- the old node ---

// Of generation 2, with entries base + 1 to `last`.
static void stop_node(raft_index base, raft_index last) {
    config = (struct node_config){.data_dir = "data", .peer_count = 4};
    config.cluster_id = raft_id_of(slice_of_str("demo"));
    config.node_id = raft_id_of(slice_of_str("n1"));
    for (size_t i = 0; i < config.peer_count; i++) {
        char id[] = {'n', (char)('1' + i), '\0'};
        config.peers[i].id = raft_id_of(slice_of_str(id));
        snprintf(config.peers[i].address, sizeof config.peers[i].address, "h%zu:1", i + 1);
    }
    stopped = (struct stopped){.config = &config, .slab = raft_slab_new(), .generation = 2};
    struct raft_restored *log = &stopped.recovered.log;
    log->base = (struct raft_entry_id){.index = base, .term = base == 0 ? 0 : OLD_TERM};
    log->entries = calloc(LOG_MAX, sizeof *log->entries);
    for (raft_index index = base + 1; index <= last; index++) {
        struct raft_entry_id id = {.index = index, .term = OLD_TERM};
        log->entries[log->count++] = raft_entry_new(stopped.slab, RAFT_ENTRY_NOOP, id, 0);
    }
}

static void free_node(void) {
    wal_recovered_free(&stopped.recovered);
    raft_slab_free(stopped.slab);
}

// --- whom to ask ---

static struct pb_status_response status_of(const char *node, uint64_t generation, const char *role, uint64_t commit) {
    return (struct pb_status_response){.cluster_id = slice_of_str("demo"),
                                       .node = slice_of_str(node),
                                       .role = slice_of_str(role),
                                       .generation = generation,
                                       .configuration_index = 1,
                                       .log_first_index = 1,
                                       .commit_index = commit};
}

// Who is chosen among three answers; "": nobody, and it is said that nothing was changed.
static void assert_guide(const char *expected, const struct pb_status_response *n2, const struct pb_status_response *n3,
                         const struct pb_status_response *n4) {
    struct guide guide;
    struct error error = {0};
    answers[0] = n2;
    answers[1] = n3;
    answers[2] = n4;
    enum error_code code = find_guide(&stopped, NULL, &guide, &error);
    assert_int_equal(code, expected[0] == '\0' ? ERR_UNAVAILABLE : OK);
    if (code == OK) {
        assert_string_equal(guide.id.text, expected);
        assert_int_equal(guide.endpoint.count, 1);
        size_t at = 0;
        while (answers[at] == NULL || !slice_equal(answers[at]->node, slice_of_str(expected))) {
            at++;
        }
        assert_string_equal(guide.endpoint.addresses[0], config.peers[at + 1].address);
    } else {
        assert_non_null(strstr(error.message, "nothing was changed"));
    }
}

// It gives up its log only for a generation that is newer, and that the node which it asks knows.
static void TestRejoinAsksTheNewGeneration(void **state) {
    (void)state;
    stop_node(0, 5);
    struct pb_status_response same = status_of("n2", 2, "leader", 100);
    struct pb_status_response older = status_of("n2", 1, "leader", 100);
    struct pb_status_response follower = status_of("n3", 3, "follower", 50);
    struct pb_status_response waits = follower, quarantined = follower, foreign = follower;
    waits.configuration_index = 0;
    quarantined.quarantine = slice_of_str("diverged");
    foreign.cluster_id = slice_of_str("other");
    assert_guide("", NULL, NULL, NULL);
    assert_guide("", &same, NULL, NULL);
    assert_guide("", &older, NULL, NULL);
    assert_guide("", &same, &waits, NULL);
    assert_guide("", &same, &quarantined, NULL);
    assert_guide("", &same, &foreign, NULL);
    assert_guide("n3", &same, &follower, NULL);
    free_node();
}

// The newest; its leader; who knows most to be committed. In whatever order they answer.
static void TestRejoinAsksWhoKnowsMost(void **state) {
    (void)state;
    stop_node(0, 5);
    const struct pb_status_response rising[] = {status_of("n2", 3, "follower", 90), status_of("n3", 4, "follower", 50),
                                                status_of("n4", 4, "follower", 60), status_of("n2", 4, "leader", 40)};
    for (size_t i = 0; i + 1 < ARRAY_COUNT(rising); i++) {
        const char *better = (const char *)rising[i + 1].node.data;
        assert_guide(better, &rising[i], &rising[i + 1], NULL);
        assert_guide(better, &rising[i + 1], &rising[i], NULL);
    }
    free_node();
}

// --- what only the old node has ---

// The first own entry that is kept: that which differs or is not there, and all if the two logs cannot be compared.
static raft_index expected_first(raft_index base, raft_index last, const struct guide *guide) {
    raft_index from = base + 1 > guide->first ? base + 1 : guide->first;
    raft_index common = guide->commit < differs ? guide->commit : differs - 1;
    common = common < last ? common : last;
    return common < from ? base + 1 : common + 1;
}

static void TestRejoinFindsWhatDiffers(void **state) {
    (void)state;
    for (raft_index base = 0; base <= 3; base++) {
        for (raft_index last = base; last <= base + 6; last++) {
            stop_node(base, last);
            for (raft_index i = 0; i < 12 * 5 * 12; i++) {
                struct guide guide = {.first = 1 + i / 12 % 5, .commit = i / 60};
                raft_index first;
                struct error error;
                differs = i % 12 + 1;
                calls = 0;
                assert_int_equal(find_divergence(&stopped, &guide, NULL, &first, &error), OK);
                assert_int_equal(first, expected_first(base, last, &guide));
                assert_in_range(calls, 0, 3);  // by bisection
            }
            free_node();
        }
    }
    buf_free(&told);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestRejoinAsksTheNewGeneration),
    cmocka_unit_test(TestRejoinAsksWhoKnowsMost),
    cmocka_unit_test(TestRejoinFindsWhatDiffers),
};

UNIT_MAIN(tests)
