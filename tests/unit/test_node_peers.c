// Answers of other members: node/peers.h.
#include "node/peer.c"   // what becomes of its connections, and of its answers,
#include "node/peers.c"  // and what an answer is taken for, which no header shows
#include "node_fixture.h"
#include "rpc/metadata.h"
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

static size_t losses(const struct node *node) {
    size_t count = 0;
    for (size_t i = 0; i < node->event_count; i++) {
        count += node->events[i].type == RAFT_EVENT_LOST;
    }
    return count;
}

// A connection that is reset has lost its process. One that falls silent may have lost the network: whoever asked for
// pre-votes then would do so at every disturbance.
static void TestNodeTellsADeadPeerFromASilentOne(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 2);
    struct node *node = whole.node;
    struct raft_id n2 = raft_id_of(slice_of_str("n2"));
    struct peer *peer = find(node->peers, &n2);
    static const enum rpc_down_reason reasons[] = {RPC_DOWN_KEEPALIVE, RPC_DOWN_GOAWAY, RPC_DOWN_REFUSED, RPC_DOWN_CLOSED,
                                                   RPC_DOWN_RESET};
    for (size_t i = 0; i < ARRAY_COUNT(reasons); i++) {
        size_t before = losses(node);
        peer->met[RAFT_CONTROL] = true;
        lane_down(peer, RAFT_CONTROL, reasons[i]);
        assert_int_equal(losses(node) - before, reasons[i] == RPC_DOWN_RESET);
        lane_down(peer, RAFT_CONTROL, reasons[i]);  // of one that was never met it says nothing
        assert_int_equal(losses(node) - before, reasons[i] == RPC_DOWN_RESET);
    }
    whole_node_end(&whole);
}

// A connection that ends in order may still answer when the next one is made, perhaps to another node.
static void TestNodeAnswersOfAnEarlierConnection(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 2);
    struct raft_id n2 = raft_id_of(slice_of_str("n2"));
    struct peer *peer = find(whole.node->peers, &n2);
    struct pb_status_response status = {.cluster_id = slice_of_str("test"), .node = slice_of_str("n2"), .generation = 1};
    struct buf body = {0};
    pb_encode(&pb_status_response_type, &status, &body);
    struct rpc_metadata none = {0};
    struct rpc_result result = {.status = RPC_OK, .body = buf_slice(&body), .trailers = &none};
    peer->connection[RAFT_BULK] = 7;
    uint64_t tag = question_tag(peer, RAFT_BULK);
    peer->connection[RAFT_BULK]++;
    peer->calls += 2;
    question_done(peer, tag, &result);
    assert_false(peer->met[RAFT_BULK]);
    question_done(peer, question_tag(peer, RAFT_BULK), &result);
    assert_true(peer->met[RAFT_BULK]);
    buf_free(&body);
    whole_node_end(&whole);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestNodeAnswersOfAnotherNode),
    cmocka_unit_test(TestNodeTellsADeadPeerFromASilentOne),
    cmocka_unit_test(TestNodeAnswersOfAnEarlierConnection),
};

UNIT_MAIN(tests)
