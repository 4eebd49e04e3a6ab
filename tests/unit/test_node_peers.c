// Answers of other members: node/peers.h.
#include "node/peers.c"  // what an answer is taken for, which no header shows
#include "node_fixture.h"
#include "unit.h"

// The answer to a RequestVote of n1 that n2 got, as this node writes it.
static bool is_taken(struct node *node, const char *from, uint64_t generation) {
    struct raft_message reply = {.type = RAFT_REQUEST_VOTE_REPLY,
                                 .from = raft_id_of(slice_of_str(from)),
                                 .to = *node_id(node),
                                 .term = 9,
                                 .vote_reply.granted = true};
    struct wire_identity identity = {
        .cluster_id = node->config->cluster_id, .generation = generation, .node_id = reply.from};
    struct raft_id n2 = raft_id_of(slice_of_str("n2"));
    struct request request = {.peer = find(node->peers, &n2), .type = RAFT_REQUEST_VOTE, .call = 1};
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
    struct buf body = {0};
    wire_raft_encode(&identity, &reply, &body);
    bool taken =
        decode_answer(node->peers, &request, &(struct rpc_result){.status = RPC_OK, .body = buf_slice(&body)}, &event);
    assert_true(!taken || raft_id_equal(&event.message.from, &reply.from));
    buf_free(&body);
    return taken;
}

// Whoever is at the peer's address by now answers in his own name, and his vote is not the peer's.
static void TestNodeAnswersOfAnotherNode(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 2);
    assert_true(is_taken(whole.node, "n2", 1));
    assert_false(is_taken(whole.node, "n3", 1));
    assert_false(is_taken(whole.node, "n1", 1));
    whole_node_end(&whole);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestNodeAnswersOfAnotherNode),
};

UNIT_MAIN(tests)
