// Feeds the comparison of digests: node/digests.h.
#include "node/digests.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "node/internal.h"
#include "node/quarantine.h"

struct report {
    struct raft_id id;
    struct digests digests;
};

struct node_digests {
    struct digests own;
    struct report reports[MEMBERS_MAX];  // of members that have told any
    size_t report_count;
    raft_index undecided_logged;  // the last index at which it was logged that nobody can say who is right; 0: never
};

struct node_digests *digests_new(void) {
    return mem_zalloc(sizeof(struct node_digests));
}

void digests_free(struct node_digests *digests) {
    free(digests);
}

void digests_keep(struct node *node) {
    digests_note(&node->digests->own, state_last_applied(node->state), state_digest(node->state));
}

void digests_applied(struct node *node) {
    if (state_last_applied(node->state) % DIGEST_INTERVAL == 0) {
        digests_keep(node);
    }
}

void digests_replaced(struct node *node) {
    node->digests->own.count = 0;
    digests_keep(node);
}

size_t digests_tell(const struct node *node, struct pb_state_digest out[DIGESTS_TOLD_MAX]) {
    const struct digests *own = &node->digests->own;
    size_t count = own->count < DIGESTS_TOLD_MAX ? own->count : DIGESTS_TOLD_MAX;
    for (size_t i = 0; i < count; i++) {
        const struct index_digest *kept = &own->list[own->count - count + i];
        out[i] = (struct pb_state_digest){.index = kept->index, .digest = kept->digest};
    }
    return count;
}

// --- what others tell ---

static struct report *report_of(struct node_digests *own, const struct raft_id *id) {
    for (size_t i = 0; i < own->report_count; i++) {
        if (raft_id_equal(&own->reports[i].id, id)) {
            return &own->reports[i];
        }
    }
    return NULL;
}

// Those of nodes that have left give room.
static void forget_strangers(struct node *node) {
    struct node_digests *own = node->digests;
    size_t kept = 0;
    for (size_t i = 0; i < own->report_count; i++) {
        if (wire_configuration_member(&node->configuration, &own->reports[i].id) != NULL) {
            own->reports[kept++] = own->reports[i];
        }
    }
    own->report_count = kept;
}

// What it tells now takes the place of what it told before: it may have another state since.
static void take_report(struct node *node, const struct raft_id *peer, const struct pb_status_response *status) {
    struct node_digests *own = node->digests;
    forget_strangers(node);
    if (wire_configuration_member(&node->configuration, peer) == NULL) {
        return;
    }
    // Of another generation is another log.
    bool comparable = status->generation == 0 || status->generation == node->identity.generation;
    struct report *report = report_of(own, peer);
    if (report == NULL) {
        report = &own->reports[own->report_count++];
    }
    *report = (struct report){.id = *peer};
    for (size_t i = 0; comparable && i < status->digests_count; i++) {
        digests_note(&report->digests, status->digests[i].index, status->digests[i].digest);
    }
}

// --- comparing ---

static struct divergence compare(struct node *node) {
    static const struct digests none;
    struct divergence_member members[MEMBERS_MAX + 1];
    size_t count = node->configuration.count;
    size_t self = count;  // unless it is a member
    for (size_t i = 0; i < count; i++) {
        const struct wire_member *member = &node->configuration.members[i];
        const struct report *report = report_of(node->digests, &member->id);
        members[i] =
            (struct divergence_member){.voter = member->voter, .digests = report == NULL ? &none : &report->digests};
        if (raft_id_equal(&member->id, node_id(node))) {
            self = i;
            members[i].digests = &node->digests->own;
        }
    }
    members[count] = (struct divergence_member){.voter = false, .digests = &node->digests->own};
    return divergence_find(members, self == count ? count + 1 : count, self);
}

static void stop_serving(struct node *node, const struct divergence *found) {
    char message[QUARANTINE_MESSAGE_MAX + 1];
    snprintf(
        message, sizeof message,
        "its state after entry %llu has the digest %016llx, but that of a majority of voters is %016llx: stop this node, "
        "fetch the state from another by batond --rebuild, and start it again",
        (unsigned long long)found->index, (unsigned long long)found->own, (unsigned long long)found->other);
    quarantine_begin(node, QUARANTINE_DIVERGED, message);
}

// Without a majority that agrees nobody stops: it may be the one node that is right.
static void tell_undecided(struct node *node, const struct divergence *found) {
    char own[2 * sizeof found->own + 1];
    char other[sizeof own];
    if (found->index == node->digests->undecided_logged) {
        return;
    }
    node->digests->undecided_logged = found->index;
    snprintf(own, sizeof own, "%016llx", (unsigned long long)found->own);
    snprintf(other, sizeof other, "%016llx", (unsigned long long)found->other);
    slog(SLOG_ERROR, "digests-undecided",
         "the states of members differ, and no majority of voters agrees on one: do not trust them",
         F_U64("index", found->index), F_STR("own", own), F_STR("other", other));
}

void digests_heard(struct node *node, const struct raft_id *peer, const struct pb_status_response *status) {
    take_report(node, peer, status);
    struct divergence found = compare(node);
    metric_set(node->m.digests_undecided, found.verdict == DIVERGENCE_UNDECIDED);
    if (found.verdict == DIVERGENCE_OWN) {
        stop_serving(node, &found);
    } else if (found.verdict == DIVERGENCE_UNDECIDED) {
        tell_undecided(node, &found);
    }
}
