// Finding all nodes of the cluster, and its leader: nodes.h.
#include "ctl/nodes.h"

#include "base/address.h"
#include "wire/codec.h"

static bool is_asked(const struct ctl_probe *probes, size_t count, struct slice address) {
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(slice_of_str(probes[i].address), address)) {
            return true;
        }
    }
    return false;
}

static size_t add_probe(struct ctl_probe *probes, size_t count, struct slice address) {
    if (count == NODES_MAX || is_asked(probes, count, address) || address_check(address, "address", NULL) != OK) {
        return count;
    }
    probes[count] = (struct ctl_probe){.answered = false};
    memcpy(probes[count].address, address.data, address.len);
    return count + 1;
}

static void read_status(struct ctl *ctl, const struct ctl_probe *probe, struct node_status *node) {
    struct pb_status_response status;
    *node = (struct node_status){.probe = probe, .why = slice_of_str((const char *)probe->why.data)};
    if (!probe->answered) {
        return;
    }
    if (pb_decode(&ctl->arena, &pb_status_response_type, buf_slice(&probe->answer), &status, &ctl->error) != OK) {
        node->why = slice_of_str("its answer is not a node's status");
        return;
    }
    node->reachable = true;
    node->status = status;
    for (size_t i = 0; i < status.members_count; i++) {
        if (slice_equal(status.members[i].id, status.node)) {
            node->cloud = status.members[i].cloud;
            node->disk_full = status.members[i].disk_full;
            node->learner = !status.members[i].voter;
        }
    }
}

static bool has_answered(const struct node_status *nodes, size_t count, struct slice id) {
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].reachable && slice_equal(nodes[i].status.node, id)) {
            return true;
        }
    }
    return false;
}

static void name_unreachable(struct node_status *node, const struct node_status *nodes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < nodes[i].status.members_count; k++) {
            const struct pb_member_status *member = &nodes[i].status.members[k];
            if (slice_equal(member->address, slice_of_str(node->probe->address))) {
                node->status.node = member->id;
                node->cloud = member->cloud;
            }
        }
    }
}

size_t nodes_ask(struct ctl *ctl, struct ctl_probe probes[NODES_MAX], struct node_status nodes[NODES_MAX]) {
    size_t count = 0;
    for (size_t i = 0; i < ctl->endpoints->count; i++) {
        count = add_probe(probes, count, slice_of_str(ctl->endpoints->addresses[i]));
    }
    size_t asked = count;
    ctl_ask_all(ctl->client, pb_control_service_status.path, probes, asked, ctl->options->timeout_ms);
    for (size_t i = 0; i < asked; i++) {
        read_status(ctl, &probes[i], &nodes[i]);
    }
    for (size_t i = 0; i < asked; i++) {
        for (size_t k = 0; k < nodes[i].status.members_count; k++) {
            if (!has_answered(nodes, asked, nodes[i].status.members[k].id)) {
                count = add_probe(probes, count, nodes[i].status.members[k].address);
            }
        }
    }
    ctl_ask_all(ctl->client, pb_control_service_status.path, probes + asked, count - asked, ctl->options->timeout_ms);
    for (size_t i = asked; i < count; i++) {
        read_status(ctl, &probes[i], &nodes[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (!nodes[i].reachable) {
            name_unreachable(&nodes[i], nodes, count);
        }
    }
    return count;
}

static void learn(struct ctl *ctl, const struct pb_status_response *status) {
    for (size_t i = 0; i < status->members_count; i++) {
        ctl_learn(ctl->client, status->members[i].address);
    }
}

// Any node's status; `answer` is what it is decoded from.
static enum ctl_exit ask_any(struct ctl *ctl, struct pb_status_response *status, struct slice *answer) {
    enum ctl_exit asked = ctl_ask(ctl, CTL_ANY_NODE, pb_control_service_status.path, answer);
    if (asked == CTL_OK && pb_decode(&ctl->arena, &pb_status_response_type, *answer, status, &ctl->error) != OK) {
        return ctl_undecodable(ctl);
    }
    if (asked == CTL_OK) {
        learn(ctl, status);
    }
    return asked;
}

enum ctl_exit nodes_learn(struct ctl *ctl) {
    struct slice answer;
    struct pb_status_response status;
    return ask_any(ctl, &status, &answer);
}

enum ctl_exit nodes_ask_leader(struct ctl *ctl, struct pb_status_response *status) {
    struct slice answer;
    enum ctl_exit asked = ask_any(ctl, status, &answer);
    if (asked != CTL_OK || slice_equal(status->node, status->leader) ||
        address_check(status->leader_address, "leader", NULL) != OK) {
        return asked;
    }
    struct slice first = arena_copy(&ctl->arena, answer);
    struct ctl_probe leader = {.answered = false};
    memcpy(leader.address, status->leader_address.data, status->leader_address.len);
    ctl_ask_all(ctl->client, pb_control_service_status.path, &leader, 1, ctl->options->timeout_ms);
    struct slice second = arena_copy(&ctl->arena, buf_slice(&leader.answer));
    ctl_probes_free(&leader, 1);
    if (pb_decode(&ctl->arena, &pb_status_response_type, leader.answered ? second : first, status, &ctl->error) != OK) {
        return ctl_undecodable(ctl);
    }
    learn(ctl, status);
    return CTL_OK;
}
