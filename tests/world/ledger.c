// The checks: ledger.h.
#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "baton/v1/control.pb.h"
#include "chronicle.h"
#include "coverage.h"
#include "host.h"
#include "levels.h"
#include "members.h"
#include "node/internal.h"
#include "raft/node.h"
#include "trace.h"
#include "world.h"

static struct {
    struct chronicle *chronicles[GENERATIONS_MAX];  // [generation - 1]
    uint64_t newest;
    raft_index seen[HOSTS_MAX];
    uint64_t seen_start[HOSTS_MAX];
    uint64_t seen_generation[HOSTS_MAX];
    raft_index durable[HOSTS_MAX];  // what its disk has, as it was last seen
    raft_term led[HOSTS_MAX];
    uint64_t acknowledged, lost, expired, too_old;
    struct arena arena;
} l;

static struct chronicle *new_chronicle(uint64_t generation) {
    struct chronicle *chronicle = mem_zalloc(sizeof *chronicle);
    chronicle->generation = l.newest = generation;
    chronicle->founded_us = world_now();
    return l.chronicles[generation - 1] = chronicle;
}

static struct chronicle *newest(void) {
    return l.chronicles[l.newest - 1];
}

static struct chronicle *chronicle_of(uint64_t generation) {
    if (generation == 0 || generation > l.newest) {
        world_broken("somebody is of generation %llu, and there are %llu", (unsigned long long)generation,
                     (unsigned long long)l.newest);
    }
    return l.chronicles[generation - 1];
}

void ledger_begin(void) {
    memset(&l, 0, sizeof l);
    new_chronicle(1);
    members_begin();
}

void ledger_free(void) {
    for (uint64_t i = 0; i < l.newest; i++) {
        chronicle_free(l.chronicles[i]);
        free(l.chronicles[i]);
    }
    arena_free(&l.arena);
}

uint64_t ledger_committed(void) {
    return newest()->count;
}

uint64_t ledger_acknowledged(void) {
    return l.acknowledged;
}

uint64_t ledger_lost(void) {
    return l.lost;
}

uint64_t ledger_sessions_gone(void) {
    return l.expired;
}

uint64_t ledger_programs_too_old(void) {
    return l.too_old;
}

uint64_t ledger_again(void) {
    uint64_t again = 0;
    for (uint64_t i = 0; i < l.newest; i++) {
        again += l.chronicles[i]->again;
    }
    return again;
}

uint64_t ledger_generation(void) {
    return l.newest;
}

uint64_t ledger_founded_us(void) {
    return newest()->founded_us;
}

bool ledger_is_old(int host) {
    const struct node *node = host_of(host)->node;
    return node != NULL && node->raft != NULL && node->configuration.count > 0 && host_generation(host) < l.newest;
}

struct floors ledger_floors(void) {
    struct floors floors = {.known = l.newest};
    for (uint64_t i = 0; i < l.newest; i++) {
        floors.of[i] = l.chronicles[i]->floor;
    }
    return floors;
}

// A generation that was founded since then has of it what it kept.
static uint64_t floor_of(const struct floors *floors, uint64_t generation) {
    uint64_t floor = floors->of[(generation < floors->known ? generation : floors->known) - 1];
    for (uint64_t later = floors->known + 1; later <= generation; later++) {
        raft_index kept = l.chronicles[later - 1]->kept;
        floor = kept < floor ? kept : floor;
    }
    return floor;
}

// --- generations ---

// What the survivor has of what was committed: equal terms are equal logs up to there (paper figure 3).
static raft_index kept_of(int host, const struct chronicle *before, const struct raft_restored *log, raft_index founded) {
    raft_index kept = log->base.index;
    if (kept > before->count) {
        world_broken("%s goes on behind entry %llu, of which nobody has seen more than %zu committed", host_of(host)->name,
                     (unsigned long long)kept, before->count);
    }
    while (kept < before->count && kept + 1 < founded &&
           log->entries[kept - log->base.index]->id.term == before->entries[kept].term) {
        kept++;
    }
    return kept;
}

void ledger_founded(int host, uint64_t generation, const struct raft_restored *log) {
    const struct chronicle *before = newest();
    const struct raft_entry *last = log->count == 0 ? NULL : log->entries[log->count - 1];
    if (generation != l.newest + 1 || generation > GENERATIONS_MAX || last == NULL ||
        last->type != RAFT_ENTRY_CONFIGURATION) {
        world_broken("%s has founded generation %llu without an entry, or after %llu", host_of(host)->name,
                     (unsigned long long)generation, (unsigned long long)l.newest);
    }
    if (last->id.index <= l.durable[host]) {
        world_broken("%s founds generation %llu with entry %llu, and had %llu on its disk", host_of(host)->name,
                     (unsigned long long)generation, (unsigned long long)last->id.index,
                     (unsigned long long)l.durable[host]);
    }
    raft_index kept = kept_of(host, before, log, last->id.index);
    for (raft_index index = kept + 1; index <= before->count; index++) {
        l.lost += before->entries[index - 1].acknowledged;
    }
    world_trace(host, "founds generation %llu with entry %llu; of %zu that were committed it has %llu",
                (unsigned long long)generation, (unsigned long long)last->id.index, before->count, (unsigned long long)kept);
    struct chronicle *founded = new_chronicle(generation);
    founded->founded = last->id.index;
    founded->founded_term = last->id.term;
    chronicle_fork(founded, before, kept);
    members_founded(host, last);
}

// Equal terms are equal entries, also across generations.
raft_index ledger_differs(const struct raft_restored *log) {
    const struct chronicle *h = newest();
    for (size_t i = 0; i < log->count; i++) {
        raft_index index = log->base.index + 1 + i;
        if (index > h->count || log->entries[i]->id.term != h->entries[index - 1].term) {
            return index > h->count ? 0 : index;
        }
    }
    return 0;
}

// --- nodes ---

static void look_at_entry(int host, struct chronicle *h, raft_index index, const struct raft_entry *entry, raft_term in) {
    struct slice command = raft_entry_command(entry);
    uint32_t crc = crc32c((uint32_t)entry->type, command.data, command.len);
    if (index <= h->count) {
        const struct committed *known = &h->entries[index - 1];
        if (known->term != entry->id.term || known->crc != crc) {
            world_broken("%s commits another entry %llu (term %llu) than another node (term %llu)", host_of(host)->name,
                         (unsigned long long)index, (unsigned long long)entry->id.term, (unsigned long long)known->term);
        }
        return;
    }
    chronicle_append(h, entry, crc, in, h->generation == l.newest, &l.arena);
}

static void look_at_commits(int host, struct chronicle *h, const struct node *node) {
    raft_index commit = raft_commit_index(node->raft);
    raft_index from = l.seen[host];
    if (l.seen_start[host] != host_of(host)->starts || l.seen_generation[host] != h->generation) {
        from = 0;  // a new life: everything that it still has
        l.seen_start[host] = host_of(host)->starts;
        l.seen_generation[host] = h->generation;
    }
    from = from < raft_base(node->raft).index ? raft_base(node->raft).index : from;
    if (from > h->count) {
        world_broken("%s has dropped entries up to %llu, of which nobody has seen more than %zu committed",
                     host_of(host)->name, (unsigned long long)from, h->count);
    }
    for (raft_index index = from + 1; index <= commit; index++) {
        look_at_entry(host, h, index, raft_entry_at(node->raft, index), raft_current_term(node->raft));
    }
    l.seen[host] = commit;
}

static void look_at_leader(int host, struct chronicle *h, const struct node *node) {
    raft_term term = raft_current_term(node->raft);
    if (raft_state(node->raft) != RAFT_LEADER || l.led[host] == term) {
        return;
    }
    l.led[host] = term;
    if (term < h->founded_term || term - h->founded_term >= TERMS) {
        world_broken("%s leads term %llu of generation %llu, which began with %llu: elections do not end, or went back",
                     host_of(host)->name, (unsigned long long)term, (unsigned long long)h->generation,
                     (unsigned long long)h->founded_term);
    }
    int *leader = &h->leaders[term - h->founded_term];
    if (*leader != 0 && *leader != host + 1) {
        world_broken("term %llu has two leaders, %s and %s", (unsigned long long)term, host_of(*leader - 1)->name,
                     host_of(host)->name);
    }
    *leader = host + 1;
    // A leader of an older term may be elected late, and need not have what was committed since.
    size_t count = h->count;
    while (count > 0 && h->entries[count - 1].in >= term) {
        count--;
    }
    const struct raft_entry *last = count == 0 ? NULL : raft_entry_at(node->raft, count);
    bool has = count <= raft_base(node->raft).index || (last != NULL && last->id.term == h->entries[count - 1].term);
    if (!has) {
        world_broken("%s leads term %llu without the committed entry %zu", host_of(host)->name, (unsigned long long)term,
                     count);
    }
}

// Or equal terms would not be equal entries.
static void look_at_reach(int host, const struct chronicle *h, const struct node *node) {
    raft_term term = raft_current_term(node->raft);
    if (h->generation < l.newest && term >= l.chronicles[h->generation]->founded_term) {
        world_broken("%s is in term %llu of generation %llu, and the next one began with %llu", host_of(host)->name,
                     (unsigned long long)term, (unsigned long long)h->generation,
                     (unsigned long long)l.chronicles[h->generation]->founded_term);
    }
}

static void look_at_digest(int host, struct chronicle *h, const struct node *node) {
    raft_index applied = state_last_applied(node->state);
    if (applied == 0 || applied > h->count) {
        return;
    }
    struct committed *entry = &h->entries[applied - 1];
    uint64_t digest = state_digest(node->state);
    if (entry->has_digest && entry->digest != digest) {
        world_broken("%s (start %llu) has another state after entry %llu than %s", host_of(host)->name,
                     (unsigned long long)host_of(host)->starts, (unsigned long long)applied, host_of(entry->by)->name);
    }
    if (!entry->has_digest) {
        entry->by = host;
    }
    entry->has_digest = true;
    entry->digest = digest;
}

void ledger_look(int host) {
    struct node *node = host_of(host)->node;
    if (node == NULL || node->raft == NULL || host_of(host)->killed) {
        return;
    }
    const char *violated = raft_check_invariants(node->raft);
    if (violated != NULL) {
        world_broken("%s: %s", host_of(host)->name, violated);
    }
    raft_index configured;
    raft_configuration(node->raft, &configured);
    members_in_force(host, configured, node->raft->log.durable_index);
    l.durable[host] = node->raft->log.durable_index;
    struct chronicle *h = chronicle_of(host_generation(host));
    look_at_commits(host, h, node);
    look_at_leader(host, h, node);
    look_at_reach(host, h, node);
    trace_role(host,
               raft_state(node->raft) == RAFT_LEADER     ? 'L'
               : raft_state(node->raft) == RAFT_FOLLOWER ? 'F'
                                                         : 'C',
               raft_current_term(node->raft));
    look_at_digest(host, h, node);
    if (state_level(node->state) > host_of(host)->level) {
        world_broken("%s has a state of level %u, and a program that reads %u", host_of(host)->name,
                     state_level(node->state), host_of(host)->level);
    }
    coverage_look();
}

// A bit that was turned may be noticed, and must be if it matters: then the node refuses to start. Entries that were lost,
// too.
void ledger_start_failed(int host, const struct error *error) {
    struct host *h = host_of(host);
    bool damaged = error->code == ERR_WAL_CORRUPT || error->code == ERR_WAL_GAP || error->code == ERR_SNAP_CORRUPT ||
                   error->code == ERR_FOREIGN || error->code == ERR_WAL_VERSION;
    if ((h->flipped && damaged) || (h->set_back && error->code == ERR_WAL_GAP)) {
        world_trace(host, "does not start: %s", error_name(error->code));
        h->lost = true;
        return;
    }
    if (error->code == ERR_UNKNOWN_COMMAND) {
        ledger_too_old(host);
        return;
    }
    if (error->code == ERR_NO_SPACE || (error->code == ERR_IO && h->failing)) {
        return;  // it is started again
    }
    world_broken("%s does not start: %s", host_of(host)->name, error->message);
}

// Its operator gives it the newest program. A newer one must have run somewhere.
void ledger_too_old(int host) {
    struct host *h = host_of(host);
    bool newer = false;
    for (int i = 0; i < host_count(); i++) {
        newer = newer || host_of(i)->level_ever > h->level;
    }
    if (!newer) {
        world_broken("%s, whose program reads level %u, is too old, and nobody has a newer one", h->name, h->level);
    }
    world_trace(host, "is too old, with a program that reads level %u", h->level);
    l.too_old++;
    h->next_level = LEVEL_NEWEST;
}

bool ledger_all_equal(void) {
    uint64_t digest = 0;
    bool first = true;
    for (int i = 0; i < host_count(); i++) {
        const struct node *node = host_of(i)->node;
        if (!members_have(i) || host_of(i)->lost || host_of(i)->set_back) {
            continue;
        }
        if (node == NULL || host_generation(i) != l.newest || state_last_applied(node->state) != newest()->count) {
            return false;
        }
        if (!first && state_digest(node->state) != digest) {
            world_broken("%s has another digest at the end", host_of(i)->name);
        }
        digest = state_digest(node->state);
        first = false;
    }
    return !first;
}

void ledger_explain(void) {
    for (int i = 0; i < host_count(); i++) {
        const struct host *h = host_of(i);
        if (h->is_node && (members_have(i) || members_had(i))) {
            bool runs = h->node != NULL && h->node->raft != NULL;
            fprintf(stderr, "%s: %s%s%s%s, term %llu, state %d, last %llu, commit %llu, applied %llu\n", h->name,
                    members_vote(i)   ? "voter"
                    : members_have(i) ? "learner"
                                      : "removed",
                    h->running ? "" : ", off", h->lost ? ", lost" : "", h->set_back ? ", set back" : "",
                    (unsigned long long)(runs ? raft_current_term(h->node->raft) : 0),
                    runs ? (int)raft_state(h->node->raft) : -1,
                    (unsigned long long)(runs ? raft_last_log(h->node->raft).index : 0),
                    (unsigned long long)(runs ? raft_commit_index(h->node->raft) : 0),
                    (unsigned long long)(runs ? state_last_applied(h->node->state) : 0));
        }
    }
}

// --- clients ---

static void ended(struct chronicle *h, uint64_t index) {
    h->floor = index > h->floor ? index : h->floor;
    l.acknowledged++;
}

void ledger_wrote(uint64_t generation, unsigned key, uint64_t value, uint64_t revision, const struct floors *floors) {
    struct chronicle *h = chronicle_of(generation);
    uint64_t floor = floor_of(floors, generation);
    if (revision > h->count) {
        world_broken("a write is acknowledged at %llu, and no node has committed more than %zu",
                     (unsigned long long)revision, h->count);
    }
    const struct made *change = chronicle_change_at(h, revision);
    bool missing = change == NULL || change->key != key || change->value != value;
    if (missing && value != 0) {  // a delete of a missing key changes nothing
        world_broken("the write of %llu to key %u, acknowledged at %llu, is not there", (unsigned long long)value, key,
                     (unsigned long long)revision);
    }
    if (revision <= floor) {
        world_broken("a write at %llu began after something that ended at %llu", (unsigned long long)revision,
                     (unsigned long long)floor);
    }
    if (revision > 0) {
        h->entries[revision - 1].acknowledged = true;
    }
    // The node that answers may not know yet that a later generation parted from its own before this.
    if (generation < l.newest && revision > l.chronicles[generation]->kept) {
        l.lost++;
    }
    ended(h, revision);
}

void ledger_read(uint64_t generation, unsigned key, struct slice value, uint64_t revision, uint64_t read_index,
                 const struct floors *floors) {
    struct chronicle *h = chronicle_of(generation);
    uint64_t floor = floor_of(floors, generation);
    if (read_index < floor) {
        world_broken("a read of key %u reflects %llu, and began after something that ended at %llu", key,
                     (unsigned long long)read_index, (unsigned long long)floor);
    }
    // The node may have applied more than it had to.
    raft_index reflected = revision > read_index ? revision : read_index;
    const struct made *change = chronicle_last_change(h, key, reflected);
    if (reflected > h->count || change == NULL || change->index != revision || change->value != value_of(value)) {
        world_broken("a read of key %u at %llu has revision %llu, which is not its value there (%llu; %zu committed, "
                     "generation %llu)",
                     key, (unsigned long long)read_index, (unsigned long long)revision,
                     (unsigned long long)(change == NULL ? 0 : change->index), h->count, (unsigned long long)generation);
    }
    ended(h, reflected);
}

void ledger_read_nothing(uint64_t generation, unsigned key, const struct floors *floors) {
    const struct chronicle *h = chronicle_of(generation);
    uint64_t floor = floor_of(floors, generation);
    const struct made *change = chronicle_last_change(h, key, floor);
    bool absent = change == NULL || change->value == 0;
    for (size_t i = h->change_count; i-- > 0 && !absent && h->changes[i].index > floor;) {
        absent = h->changes[i].key == key && h->changes[i].value == 0;
    }
    if (!absent) {
        world_broken("a read finds no key %u, which has been there since %llu", key, (unsigned long long)change->index);
    }
}

unsigned ledger_listed(uint64_t generation, unsigned from, const struct pb_key_value *items, size_t count, bool more,
                       uint64_t read_index, const struct floors *floors) {
    struct chronicle *h = chronicle_of(generation);
    uint64_t floor = floor_of(floors, generation);
    if (read_index < floor || read_index > h->count) {
        world_broken("a list is of entry %llu, and began after something that ended at %llu", (unsigned long long)read_index,
                     (unsigned long long)floor);
    }
    if (more && count == 0) {
        world_broken("a list's page is empty, and there is more");
    }
    unsigned end = more ? key_of(items[count - 1].key) + 1 : KEYS;
    size_t at = 0;
    for (unsigned key = from; key < end; key++) {
        const struct made *change = chronicle_last_change(h, key, read_index);
        bool listed = at < count && key_of(items[at].key) == key;
        bool present = change != NULL && change->value != 0;
        if (listed != present) {
            world_broken("a list of entry %llu has key %u %s", (unsigned long long)read_index, key,
                         listed ? "that is not there" : "missing");
        }
        if (listed && (items[at].revision != change->index || value_of(items[at].value) != change->value)) {
            world_broken("a list of entry %llu has key %u of %llu, which is of %llu", (unsigned long long)read_index, key,
                         (unsigned long long)items[at].revision, (unsigned long long)change->index);
        }
        at += listed;
    }
    if (at != count) {
        world_broken("a list has keys that were not asked for");
    }
    ended(h, read_index);
    return end;
}

void ledger_expired(uint64_t generation, struct slice client, uint64_t sequence) {
    l.expired++;
    if (!chronicle_refused(chronicle_of(generation), client_of(client), sequence)) {
        world_broken("%.*s is told that its session is gone, and it is not", (int)client.len, (const char *)client.data);
    }
}

size_t ledger_place(uint64_t generation, uint64_t from_revision) {
    const struct chronicle *h = chronicle_of(generation);
    size_t place = 0;
    while (place < h->change_count && h->changes[place].index < from_revision) {
        place++;
    }
    return place;
}

size_t ledger_move(size_t place, uint64_t next_revision, uint64_t from, uint64_t to) {
    uint64_t high = from < to ? to : from;
    for (uint64_t later = (from < to ? from : to) + 1; later <= high; later++) {
        place = next_revision <= chronicle_of(later)->kept + 1 ? place : SIZE_MAX;
    }
    return place;
}

void ledger_watched(uint64_t generation, size_t *place, struct slice key, struct slice value, bool is_delete,
                    uint64_t revision) {
    const struct chronicle *h = chronicle_of(generation);
    if (*place == SIZE_MAX) {
        *place = ledger_place(generation, revision);
    }
    if (*place >= h->change_count) {
        world_broken("a watch is told a change at %llu that is not committed", (unsigned long long)revision);
    }
    const struct made *change = &h->changes[*place];
    uint64_t told = is_delete ? 0 : value_of(value);
    if (change->index != revision || change->key != key_of(key) || change->value != told) {
        world_broken("a watch is told the change at %llu, and the next one is that at %llu", (unsigned long long)revision,
                     (unsigned long long)change->index);
    }
    ++*place;
}
