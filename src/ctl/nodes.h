// All nodes of the cluster, for commands that ask each of them, and the leader.
#ifndef BATON_CTL_NODES_H
#define BATON_CTL_NODES_H

#include "baton/v1/control.pb.h"
#include "ctl/commands.h"

enum { NODES_MAX = CTL_ENDPOINTS_MAX + MEMBERS_MAX };

// What is known of one node that was asked.
struct node_status {
    const struct ctl_probe *probe;
    bool reachable;
    struct pb_status_response status;  // if unreachable, its name at most, as other nodes tell it
    struct slice cloud;
    bool disk_full;
    bool learner;
    struct slice why;  // it is not reachable
};

// Asks all endpoints for their status, then the members they name that have not answered yet: an endpoint may be a member's
// published port or a tunnel to it. Returns their number. What `nodes` says points into the probes, which the caller frees,
// and into ctl->arena.
size_t nodes_ask(struct ctl *ctl, struct ctl_probe probes[NODES_MAX], struct node_status nodes[NODES_MAX]);

// Asks any node for its status, and then the leader that it names, if that answers: only the leader knows the others' match
// indexes. Learns the members, as nodes_learn. *status is borrowed until the next call. Errors as of ctl_call.
enum ctl_exit nodes_ask_leader(struct ctl *ctl, struct pb_status_response *status);

// Learns from any node where the members are (ctl_learn), for a command that runs for long: the endpoints that it was given
// may all be replaced meanwhile. Errors as of ctl_call.
enum ctl_exit nodes_learn(struct ctl *ctl);

// Appends what `status -o json` prints of a node.
void nodes_status_json(struct json *json, const struct node_status *node);

#endif
