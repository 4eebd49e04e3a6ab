// Compares who answered with who was called: node/stranger.h.
#include "node/stranger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"

// An id as another wrote it, which may be anything.
static const char *shown(struct slice id, struct raft_id *copy) {
    if (id_check(id, "id", NULL) != OK) {
        return "(not an id)";
    }
    *copy = raft_id_of(id);
    return copy->text;
}

// One that waits to be added has no generation yet, but it has left those below its own. Versions that tell none know only
// the first.
static bool is_of_another(const struct wire_identity *us, const struct pb_status_response *status, uint64_t *generation) {
    *generation = status->generation == 0 ? 1 : status->generation;
    bool waits = status->configuration_index == 0;
    return *generation > us->generation || (*generation < us->generation && !waits);
}

bool stranger_find(const struct wire_identity *us, const struct raft_id *called, const struct pb_status_response *status,
                   struct stranger *stranger) {
    uint64_t generation;
    stranger->generation = 0;
    // A node's id means something within its cluster alone, so the cluster's comes first.
    if (!slice_equal(status->cluster_id, raft_id_slice(&us->cluster_id)) ||
        !slice_equal(status->node, raft_id_slice(called))) {
        struct raft_id node, cluster;
        snprintf(stranger->text, sizeof stranger->text, "node %s of cluster %s", shown(status->node, &node),
                 shown(status->cluster_id, &cluster));
        return true;
    }
    if (is_of_another(us, status, &generation)) {
        stranger->generation = generation;
        snprintf(stranger->text, sizeof stranger->text, "%s of the cluster's generation %llu%s", called->text,
                 (unsigned long long)generation,
                 generation > us->generation ? "" : " (stop it, and run batond --rejoin there)");
        return true;
    }
    const struct wire_member *member =
        us->configuration == NULL ? NULL : wire_configuration_member(us->configuration, called);
    if (member == NULL || member->incarnation[0] == '\0' || status->incarnation.len == 0 ||
        slice_equal(status->incarnation, slice_of_str(member->incarnation))) {
        return false;
    }
    snprintf(stranger->text, sizeof stranger->text,
             "%s with a data directory that was wiped or replaced (remove it, and add the machine under a new id)",
             called->text);
    return true;
}

uint64_t stranger_generation(struct slice trailer) {
    char text[21];
    if (trailer.len == 0 || trailer.len >= sizeof text) {
        return 0;
    }
    memcpy(text, trailer.data, trailer.len);
    text[trailer.len] = '\0';
    return strspn(text, "0123456789") == trailer.len ? strtoull(text, NULL, 10) : 0;
}
