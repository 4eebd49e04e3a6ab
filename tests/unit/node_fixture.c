// The node behind tests/unit/node_fixture.h.
#include "node_fixture.h"

#include <stdio.h>
#include <string.h>

#include "node/node.h"
#include "scratch.h"
#include "unit.h"
#include "verbs/verbs.h"
#include "wire/command.h"

static void note_failure(void *user, enum error_code failure) {
    *(enum error_code *)user = failure;
}

static struct wire_member member_of(const char *id, const char *address) {
    struct wire_member member = {.id = raft_id_of(slice_of_str(id)), .cloud = "gcp", .voter = true};
    snprintf(member.address, sizeof member.address, "%s", address);
    return member;
}

static enum error_code start(struct whole_node *whole, struct error *error) {
    whole->node = NULL;
    whole->failure = OK;
    return node_start(&whole->loop, &whole->config, whole->metrics, note_failure, &whole->failure, &whole->node, error);
}

void whole_node_start(struct whole_node *whole, size_t members) {
    *whole = (struct whole_node){.metrics = metrics_new()};
    scratch_make(whole->dir, sizeof whole->dir, SCRATCH_MEMORY);
    uv_loop_init(&whole->loop);
    whole->config = (struct node_config){
        .node_id = raft_id_of(slice_of_str("n1")),
        .cluster_id = raft_id_of(slice_of_str("test")),
        .cloud = "gcp",
        .data_dir = whole->dir,
        .listen = "127.0.0.1:0",
        .advertise = "127.0.0.1:1",
        .advertise_http = "127.0.0.1:1",
        .bootstrap = true,
        .peers = {member_of("n1", "127.0.0.1:1"), member_of("n2", "127.0.0.1:2")},
        .peer_count = members,
        .heartbeat_interval_us = HEARTBEAT_INTERVAL_US,
        .election_timeout_min_us = ELECTION_TIMEOUT_MIN_US,
        .election_timeout_max_us = ELECTION_TIMEOUT_MAX_US,
        .snapshot_log_bytes = 64 * MIB,
        .log_retention = 256 * MIB,
        .settings = "",
        .verbs = all_verbs,
    };
    struct error error = {0};
    assert_int_equal(start(whole, &error), OK);
}

static void stop(struct whole_node *whole) {
    if (whole->node != NULL) {
        node_close(whole->node);
    }
    uv_run(&whole->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&whole->loop), 0);
    if (whole->node != NULL) {
        node_free(whole->node);  // asserts that no entry is left
    }
    metrics_free(whole->metrics);
}

enum error_code whole_node_restart(struct whole_node *whole, struct error *error) {
    stop(whole);
    whole->metrics = metrics_new();
    uv_loop_init(&whole->loop);
    return start(whole, error);
}

void whole_node_end(struct whole_node *whole) {
    stop(whole);
    char command[160];
    snprintf(command, sizeof command, "rm -r %s", whole->dir);
    assert_int_equal(system(command), 0);
}

void whole_node_await_leading(struct whole_node *whole) {
    while (!node_serves_workers(whole->node)) {
        uv_run(&whole->loop, UV_RUN_ONCE);
    }
}

void whole_node_propose(struct whole_node *whole, const struct verb *verb, struct pb_command *command) {
    whole_node_await_leading(whole);
    command->format = COMMAND_FORMAT;
    node_propose(whole->node, (struct rpc_call){0}, verb, command);
}

static void register_worker(struct whole_node *whole, size_t number, const struct slice_pair *labels, size_t label_count) {
    char id[24];
    struct state_worker worker;
    snprintf(id, sizeof id, "w%05zu", number);
    struct pb_command command = {
        .op = PB_COMMAND_OP_REGISTER_WORKER,
        .register_worker = {.worker_id = slice_of_str(id),
                            .instance_id = slice_of_str("i"),
                            .cloud = slice_of_str("gcp"),
                            .address = slice_of_str("127.0.0.1:1"),
                            .labels = labels,
                            .labels_count = label_count},
    };
    if (!state_worker(whole->node->state, slice_of_str(id), &worker)) {
        whole_node_propose(whole, &verb_register_worker, &command);
    }
}

// A leader whose process stood still steps down, and refuses what was proposed meanwhile: that is proposed again.
void whole_node_register_workers(struct whole_node *whole, size_t count, const struct slice_pair *labels,
                                 size_t label_count) {
    for (size_t done = 0, few; done < count; done = state_worker_count(whole->node->state)) {
        few = count - done < 100 ? count - done : 100;
        for (size_t i = 0; i < done + few; i++) {
            register_worker(whole, i, labels, label_count);
        }
        do {
            uv_run(&whole->loop, UV_RUN_ONCE);
        } while (state_worker_count(whole->node->state) < done + few && node_serves_workers(whole->node));
    }
}
