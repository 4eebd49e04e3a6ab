// Members: members.h.
#include "members.h"

#include <stdio.h>
#include <string.h>

#include "host.h"
#include "ledger.h"
#include "wire/configuration.h"
#include "world.h"

static struct {
    struct wire_configuration now;
    bool known;
    uint64_t changes, raises;
    raft_index in_force[HOSTS_MAX];  // of the configuration that was last in force on a host
    raft_index durable[HOSTS_MAX];   // the same of one that its disk surely has
    raft_index named[HOSTS_MAX];     // the first configuration that names the present directory; 0: none
    char had[HOSTS_MAX][ID_MAX + 1];
} m;

void members_begin(void) {
    memset(&m, 0, sizeof m);
}

static const struct wire_member *member_of(const struct wire_configuration *configuration, int host) {
    struct raft_id id = raft_id_of(slice_of_str(host_of(host)->name));
    return wire_configuration_member(configuration, &id);
}

static size_t voters_of(const struct wire_configuration *configuration) {
    size_t voters = 0;
    for (size_t i = 0; i < configuration->count; i++) {
        voters += configuration->members[i].voter;
    }
    return voters;
}

// Voters of one that are none of the other.
static size_t voters_lacking(const struct wire_configuration *one, const struct wire_configuration *other) {
    size_t lacking = 0;
    for (size_t i = 0; i < one->count; i++) {
        const struct wire_member *there = wire_configuration_member(other, &one->members[i].id);
        lacking += one->members[i].voter && (there == NULL || !there->voter);
    }
    return lacking;
}

static void check_change(const struct wire_configuration *next) {
    if (voters_lacking(&m.now, next) + voters_lacking(next, &m.now) > 1) {
        world_broken("the configuration of entry %llu changes more than one voter", (unsigned long long)next->index);
    }
    for (size_t i = 0; i < m.now.removed_count; i++) {
        if (wire_configuration_member(next, &m.now.removed[i]) != NULL) {
            world_broken("%s was removed, and is a member again by entry %llu", m.now.removed[i].text,
                         (unsigned long long)next->index);
        }
    }
    if (voters_of(next) == 0) {
        world_broken("the configuration of entry %llu has no voter", (unsigned long long)next->index);
    }
}

static struct wire_configuration decode(const struct raft_entry *entry) {
    struct wire_configuration configuration;
    struct error error = {0};
    if (wire_configuration_decode(entry, &configuration, &error) != OK) {
        world_broken("entry %llu: %s", (unsigned long long)entry->id.index, error.message);
    }
    return configuration;
}

static void follow(const struct wire_configuration *next) {
    m.now = *next;
    m.known = true;
    for (int i = 0; i < host_count(); i++) {
        const struct wire_member *member = host_of(i)->is_node ? member_of(next, i) : NULL;
        if (member != NULL) {
            snprintf(m.had[i], sizeof m.had[i], "%s", host_of(i)->name);
        }
        bool named = member != NULL && member->incarnation[0] != '\0';
        m.named[i] = !named ? 0 : m.named[i] == 0 ? next->index : m.named[i];
    }
}

void members_committed(const struct raft_entry *entry) {
    struct wire_configuration next = decode(entry);
    if (m.known && next.index <= m.now.index) {
        return;  // what founded a generation, or was before that in its founder's log
    }
    if (m.known) {
        check_change(&next);
        m.changes++;
    }
    follow(&next);
}

void members_founded(int host, const struct raft_entry *entry) {
    struct wire_configuration next = decode(entry);
    const struct wire_member *self = member_of(&next, host);
    if (next.count != 1 || self == NULL || !self->voter || next.generation <= m.now.generation) {
        world_broken("%s founds a generation with others, without itself, or once more", host_of(host)->name);
    }
    for (int i = 0; i < host_count(); i++) {
        m.had[i][0] = members_have(i) ? '\0' : m.had[i][0];
        m.named[i] = 0;
    }
    follow(&next);
}

void members_in_force(int host, raft_index index, raft_index durable) {
    m.in_force[host] = index;
    m.durable[host] = index <= durable ? index : m.durable[host] < index ? m.durable[host] : 0;
}

void members_raised(uint32_t level) {
    for (int i = 0; i < host_count(); i++) {
        const struct host *h = host_of(i);
        if (h->is_node && members_have(i) && h->level_ever < level) {
            world_broken("the cluster is raised to level %u, and %s never had a program that reads more than %u", level,
                         h->name, h->level_ever);
        }
    }
    world_trace(NO_HOST, "the cluster is at level %u", level);
    m.raises++;
}

uint64_t members_raises(void) {
    return m.raises;
}

bool members_have(int host) {
    return m.known && member_of(&m.now, host) != NULL;
}

bool members_vote(int host) {
    return members_have(host) && member_of(&m.now, host)->voter;
}

bool members_had(int host) {
    return strcmp(m.had[host], host_of(host)->name) == 0;
}

uint64_t members_changes(void) {
    return m.changes;
}

size_t members_count(void) {
    return m.now.count;
}

size_t members_voters(void) {
    return voters_of(&m.now);
}

// --- choosing one ---

static bool is_lost(int host) {
    return members_have(host) && host_of(host)->lost;
}

// One whose disk may turn out to be damaged is not promoted: with few voters it would take their majority with it.
static bool is_learner(int host) {
    const struct host *h = host_of(host);
    return members_have(host) && !members_vote(host) && !h->lost && !h->flipped && !h->set_back;
}

static bool is_spare(int host) {
    return !members_had(host) && host_of(host)->running && !host_of(host)->founder && !ledger_is_old(host);
}

static int choose(bool (*is)(int host), uint64_t draw) {
    int chosen[HOSTS_MAX];
    uint64_t count = 0;
    for (int i = 0; i < host_count(); i++) {
        if (host_of(i)->is_node && is(i)) {
            chosen[count++] = i;
        }
    }
    return count == 0 ? NO_HOST : chosen[draw % count];
}

int members_lost(void) {
    return choose(is_lost, 0);
}

bool members_are_hurt(void) {
    for (int i = 0; i < host_count(); i++) {
        const struct host *h = host_of(i);
        if (h->is_node && members_have(i) && (h->lost || h->set_back || h->flipped)) {
            return true;
        }
    }
    return false;
}

int members_any(uint64_t draw) {
    return choose(members_have, draw);
}

int members_learner(uint64_t draw) {
    return choose(is_learner, draw);
}

int members_spare(uint64_t draw) {
    return choose(is_spare, draw);
}

// --- losing one ---

bool members_are_named(int host) {
    return members_have(host) && member_of(&m.now, host)->incarnation[0] != '\0';
}

// A voter that has missed the entry which names the data directories takes a wiped one for what it was (docs/operations.md).
static bool is_known(int host) {
    return members_are_named(host) && m.named[host] > 0;
}

bool members_may_lose(int host) {
    if (!is_known(host)) {
        return false;
    }
    size_t lost = 0;
    for (int i = 0; i < host_count(); i++) {
        const struct host *h = host_of(i);
        if (!h->is_node || !members_have(i)) {
            continue;
        }
        if (i != host && !h->lost && (m.in_force[i] > m.now.index || m.durable[i] < m.named[host])) {
            return false;  // another configuration may come to be, or it does not know the directory
        }
        lost += members_vote(i) && (i == host || h->lost || h->set_back || h->flipped);
    }
    return lost <= (members_voters() - 1) / 2;
}

void members_as_peers(struct node_config *config) {
    memcpy(config->peers, m.now.members, sizeof config->peers);
    config->peer_count = m.now.count;
}
