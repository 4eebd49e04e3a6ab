// The configuration in force, outside the core: node/membership.h.
#include "node/membership.h"

#include <stdio.h>
#include <stdlib.h>

#include "node/generation.h"
#include "node/internal.h"
#include "node/leader_placement.h"
#include "node/leave.h"

enum { HEARD_MAX = 2 * MEMBERS_MAX };

// What a member's Status told last.
struct heard {
    struct raft_id id;
    char incarnation[INCARNATION_DIGITS + 1];  // "": it is too old to have one
    bool waits;                                // it has no configuration yet
    uint64_t generation;                       // 0: not told
};

struct membership {
    struct heard heard[HEARD_MAX];
    size_t heard_count;
    // The change under way.
    enum { IDLE, COLLECTED, PROPOSED, PLACED } state;
    struct raft_entry *entry;
    struct raft_entry_id id;
    struct rpc_call call;
    membership_done *done;
};

struct membership *membership_new(void) {
    return mem_zalloc(sizeof(struct membership));
}

void membership_free(struct membership *membership) {
    if (membership->state == COLLECTED) {
        raft_entry_unref(membership->entry);
    }
    free(membership);
}

// --- following ---

// "n1, n2, n3, n4 (learner)", for people.
static void describe(const struct wire_configuration *configuration, char *text, size_t size) {
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < configuration->count && len < size; i++) {
        const struct wire_member *member = &configuration->members[i];
        len += (size_t)snprintf(text + len, size - len, "%s%s%s", i == 0 ? "" : ", ", member->id.text,
                                member->voter ? "" : " (learner)");
    }
}

// False: its entry was dropped, as an image covers it, and that image is not in use yet.
static bool read_in_force(const struct node *node, raft_index index, struct wire_configuration *configuration) {
    struct error error = {0};
    const struct raft_entry *entry = raft_entry_at(node->raft, index);
    bool applied = node->configuration_index == index;
    if (entry == NULL && !applied) {
        return false;
    }
    struct slice command = entry != NULL ? raft_entry_command(entry) : buf_slice(&node->configuration_command);
    enum error_code code = wire_configuration_read(command, configuration, &error);
    assert(code == OK);  // the core has had it read before
    configuration->index = index;
    return true;
}

static void meet_members(struct node *node, struct slice command) {
    struct wire_configuration earlier;
    struct error error = {0};
    if (wire_configuration_read(command, &earlier, &error) != OK) {
        return;  // there is none: the log begins with the first one
    }
    for (size_t i = 0; i < earlier.count; i++) {
        if (raft_may_contact(node->raft, &earlier.members[i].id)) {
            peers_meet(node->peers, &earlier.members[i]);
        }
    }
}

// A new leader tells those of their removal whom a configuration that it does not know to be committed has removed (raft's
// members.c). A node that has started with that in its log has never been connected to them: their addresses are in the
// configurations before.
static void meet_leaving(struct node *node) {
    raft_index base = raft_base(node->raft).index;
    raft_index commit = raft_commit_index(node->raft);
    for (raft_index index = node->configuration.index; index > commit && index > base + 1;) {
        const struct raft_entry *entry = raft_entry_at(node->raft, --index);
        if (entry->type == RAFT_ENTRY_CONFIGURATION) {
            meet_members(node, raft_entry_command(entry));
        }
    }
    meet_members(node, buf_slice(&node->configuration_command));
}

static bool begins_to_lead(const struct raft_update *update) {
    return update->transition_count > 0 && update->transitions[update->transition_count - 1].to == RAFT_LEADER;
}

void membership_follow(struct node *node, const struct raft_update *update) {
    if (begins_to_lead(update)) {
        meet_leaving(node);
    }
    raft_index index;
    struct wire_configuration configuration;
    raft_configuration(node->raft, &index);
    bool changed = update->configuration_changed || index != node->configuration.index;
    if (!changed || !read_in_force(node, index, &configuration)) {
        return;
    }
    char members[MEMBERS_MAX * (ID_MAX + sizeof ", (learner)")];
    describe(&configuration, members, sizeof members);
    bool taken_back = index < node->configuration.index;
    slog(SLOG_INFO, taken_back ? "configuration-taken-back" : "configuration-changed",
         taken_back ? "a change of members was taken back" : "another configuration is in force", F_STR("members", members),
         F_U64("entry", index));
    node->configuration = configuration;
    generation_follow(node, configuration.generation);
    leader_placement_follow(node);
    peers_follow(node->peers);
}

bool membership_wants(void *user, const struct raft_id *id) {
    const struct node *node = user;
    raft_index index;
    raft_configuration(node->raft, &index);
    return raft_may_contact(node->raft, id) || index > raft_commit_index(node->raft);
}

// --- changes ---

static const struct heard *find_heard(const struct membership *own, const struct raft_id *id) {
    for (size_t i = 0; i < own->heard_count; i++) {
        if (raft_id_equal(&own->heard[i].id, id)) {
            return &own->heard[i];
        }
    }
    return NULL;
}

static bool is_incarnation(struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return text.len == INCARNATION_DIGITS;
}

void membership_heard(struct node *node, const struct raft_id *peer, const struct pb_status_response *status) {
    struct membership *own = node->membership;
    struct heard *heard = (struct heard *)find_heard(own, peer);
    if (heard == NULL) {
        // Of those who have left, the first gives way.
        if (own->heard_count == HEARD_MAX) {
            memmove(own->heard, own->heard + 1, (HEARD_MAX - 1) * sizeof own->heard[0]);
            own->heard_count--;
        }
        heard = &own->heard[own->heard_count++];
    }
    *heard = (struct heard){.id = *peer, .waits = status->configuration_index == 0, .generation = status->generation};
    if (is_incarnation(status->incarnation)) {
        memcpy(heard->incarnation, status->incarnation.data, INCARNATION_DIGITS);
    }
}

bool membership_is_old(const struct node *node, const struct raft_id *id) {
    const struct heard *heard = find_heard(node->membership, id);
    return heard != NULL && heard->incarnation[0] == '\0';
}

// Whether the directory that it has is the one it will keep. A voter whose directory is empty has lost what it had promised:
// that is not the member's. And who is of an earlier generation is to leave its directory behind (batond --rejoin).
static bool has_own_directory(const struct node *node, const struct wire_member *member, const struct heard *heard) {
    bool stays_behind = !heard->waits && heard->generation > 0 && heard->generation < node->identity.generation;
    return !stays_behind && !(heard->waits && member->voter);
}

// True: one that was not known is known now.
static bool fill_incarnations(const struct node *node, struct wire_configuration *configuration) {
    bool filled = false;
    for (size_t i = 0; i < configuration->count; i++) {
        struct wire_member *member = &configuration->members[i];
        const struct heard *heard = find_heard(node->membership, &member->id);
        const char *incarnation = "";
        if (raft_id_equal(&member->id, node_id(node))) {
            incarnation = node->identity.incarnation;
        } else if (heard != NULL && has_own_directory(node, member, heard)) {
            incarnation = heard->incarnation;
        }
        if (member->incarnation[0] == '\0' && incarnation[0] != '\0') {
            memcpy(member->incarnation, incarnation, sizeof member->incarnation);
            filled = true;
        }
    }
    return filled;
}

bool membership_change(struct node *node, const struct wire_configuration *configuration, struct rpc_call call,
                       membership_done *done) {
    struct membership *own = node->membership;
    if (own->state != IDLE) {
        return false;
    }
    struct wire_configuration next = *configuration;
    fill_incarnations(node, &next);
    own->entry = wire_configuration_encode(node->slab, (struct raft_entry_id){.index = 0}, &next);
    if (own->entry == NULL) {
        return false;
    }
    own->state = COLLECTED;
    own->call = call;
    own->done = done;
    return true;
}

bool membership_has_event(const struct membership *own) {
    return own->state == COLLECTED;
}

bool membership_event(struct membership *own, struct raft_event *event) {
    if (own->state != COLLECTED) {
        return false;
    }
    own->state = PROPOSED;
    *event = (struct raft_event){.type = RAFT_EVENT_PROPOSE,
                                 .propose = {.entries = &own->entry, .count = 1, .tag = MEMBERSHIP_TAG}};
    return true;
}

static void end(struct node *node, enum membership_outcome outcome, enum raft_refusal refusal) {
    struct membership *own = node->membership;
    own->state = IDLE;
    if (own->done != NULL) {
        own->done(node, own->call, outcome, refusal);
    }
}

void membership_placed(struct node *node, const struct raft_proposed *proposed) {
    struct membership *own = node->membership;
    assert(own->state == PROPOSED);
    own->state = PLACED;
    own->id = proposed->first;
    if (proposed->refusal != RAFT_ACCEPTED) {
        end(node, MEMBERSHIP_REFUSED, proposed->refusal);
    }
}

static void follow_change(struct node *node) {
    struct membership *own = node->membership;
    if (own->state != PLACED) {
        return;
    }
    if (!node_leads(node) || raft_current_term(node->raft) != own->id.term) {
        end(node, MEMBERSHIP_LOST, RAFT_NOT_LEADER);
    } else if (raft_commit_index(node->raft) >= own->id.index) {
        end(node, MEMBERSHIP_DONE, RAFT_ACCEPTED);
    }
}

// Whether there are other members, and each of them tells at this moment which data directory it has: then it reads a
// configuration that says so, too.
static bool all_tell(const struct node *node) {
    for (size_t i = 0; i < node->configuration.count; i++) {
        const struct raft_id *id = &node->configuration.members[i].id;
        const struct heard *heard = find_heard(node->membership, id);
        const struct peer_view *view = peers_view(node->peers, id);
        bool tells = view != NULL && view->reachable && heard != NULL && heard->incarnation[0] != '\0' && !heard->waits;
        if (!tells && !raft_id_equal(id, node_id(node))) {
            return false;
        }
    }
    return node->configuration.count > 1;
}

void membership_sample(struct node *node) {
    struct wire_configuration next = node->configuration;
    bool calm = node_leads(node) && raft_leader_is_established(node->raft) && node->stopping == RUNNING &&
                !transfer_is_running(node->transfer) && node->configuration.index <= raft_commit_index(node->raft);
    bool readable = node->configuration.index > 1 || all_tell(node);
    if (calm && readable && fill_incarnations(node, &next)) {
        membership_change(node, &next, (struct rpc_call){0}, NULL);
    }
}

// `told_by`: this node, if its own log says so.
static void stop_as_removed(struct node *node, const struct raft_id *told_by) {
    slog(SLOG_WARN, "removed",
         "this node was removed from the cluster and stops; its id is never used again, and its data directory can go",
         F_STR("dir", node->config->data_dir), F_STR("told_by", told_by->text));
    leave_begin(node);
}

void membership_settle(struct node *node, const struct raft_update *update) {
    follow_change(node);
    if (update->removed && node->stopping == RUNNING) {
        stop_as_removed(node, node_id(node));
    }
}

raft_index membership_removal(const struct node *node, const struct raft_id *id) {
    const struct wire_configuration *now = &node->configuration;
    if (now->index > raft_commit_index(node->raft)) {
        return 0;  // it may be taken back
    }
    for (size_t i = 0; i < now->removed_count; i++) {
        if (raft_id_equal(&now->removed[i], id)) {
            return now->index;
        }
    }
    return 0;
}

void membership_told_removed(struct node *node, const struct raft_id *peer) {
    if (node->stopping == RUNNING) {
        stop_as_removed(node, peer);
    }
}
