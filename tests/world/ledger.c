// The checks: ledger.h.
#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/crc32c.h"
#include "baton/v1/control.pb.h"
#include "coverage.h"
#include "host.h"
#include "members.h"
#include "node/internal.h"
#include "raft/node.h"
#include "trace.h"
#include "wire/command.h"
#include "worker.h"
#include "world.h"

struct committed {
    raft_term term;
    raft_term in;  // the term in which a node was first seen to know that it is committed
    uint32_t crc;
    uint64_t digest;  // of the state after it, by the first node that had applied it; 0: none yet
    int by;
    bool has_digest;
};

struct made {
    raft_index index;
    unsigned key;
    uint64_t value;  // 0: deleted
};

struct seen_session {
    char client[16];
    uint64_t last;  // sequence
};

enum { TERMS = 4096, SESSIONS = 64 };

static struct {
    struct committed *entries;  // [index - 1]
    size_t count, cap;
    struct made *changes;
    size_t change_count, change_cap;
    uint64_t now[KEYS];        // value
    raft_index changed[KEYS];  // revision of it; 0: there is none
    struct seen_session sessions[SESSIONS];
    size_t session_count;
    int leaders[TERMS];  // host + 1
    raft_index seen[HOSTS_MAX];
    uint64_t seen_start[HOSTS_MAX];
    raft_term led[HOSTS_MAX];
    uint64_t floor;
    uint64_t acknowledged;
    int64_t time_ms;
    struct arena arena;
} l;

void key_name(unsigned key, char out[16]) {
    snprintf(out, 16, "k/%02u", key);
}

static unsigned key_of(struct slice key) {
    char name[16];
    for (unsigned i = 0; i < KEYS; i++) {
        key_name(i, name);
        if (slice_equal(key, slice_of_str(name))) {
            return i;
        }
    }
    world_broken("an unknown key of %zu bytes", key.len);
}

static uint64_t value_of(struct slice value) {
    char text[24] = {0};
    if (value.len == 0 || value.len >= sizeof text) {
        world_broken("a value of %zu bytes that nobody has written", value.len);
    }
    memcpy(text, value.data, value.len);
    return strtoull(text, NULL, 10);
}

void ledger_begin(void) {
    memset(&l, 0, sizeof l);
    members_begin();
}

void ledger_free(void) {
    free(l.entries);
    free(l.changes);
    arena_free(&l.arena);
}

uint64_t ledger_committed(void) {
    return l.count;
}

uint64_t ledger_acknowledged(void) {
    return l.acknowledged;
}

uint64_t ledger_floor(void) {
    return l.floor;
}

// --- the model ---

static void change_key(raft_index index, unsigned key, uint64_t value) {
    array_reserve(l.changes, l.change_cap, l.change_count + 1);
    l.changes[l.change_count++] = (struct made){index, key, value};
    l.now[key] = value;
    l.changed[key] = value == 0 ? 0 : index;
}

// False: the session has had this one already.
static bool is_new(const struct pb_command *command) {
    if (command->client_id.len == 0) {
        return true;
    }
    for (size_t i = 0; i < l.session_count; i++) {
        if (slice_equal(command->client_id, slice_of_str(l.sessions[i].client))) {
            bool news = command->sequence > l.sessions[i].last;
            l.sessions[i].last = news ? command->sequence : l.sessions[i].last;
            return news;
        }
    }
    if (l.session_count == SESSIONS) {
        world_broken("more than %d sessions", SESSIONS);
    }
    struct seen_session *session = &l.sessions[l.session_count++];
    snprintf(session->client, sizeof session->client, "%.*s", (int)command->client_id.len,
             (const char *)command->client_id.data);
    session->last = command->sequence;
    return true;
}

static bool is_expected(bool has, uint64_t expected, unsigned key) {
    return !has || expected == l.changed[key];
}

// Commands bear the time of the leader that proposed them, which may jump but not fall.
static void look_at_time(raft_index index, const struct pb_command *command) {
    if (command->time_unix_ms < l.time_ms) {
        world_broken("the time of entry %llu is before that of one before", (unsigned long long)index);
    }
    l.time_ms = command->time_unix_ms;
}

static void apply(raft_index index, const struct raft_entry *entry) {
    struct pb_command command;
    struct error error;
    if (entry->type == RAFT_ENTRY_CONFIGURATION) {
        members_committed(entry);
    }
    if (entry->type != RAFT_ENTRY_COMMAND) {
        return;
    }
    arena_reset(&l.arena);
    if (wire_command_decode(&l.arena, entry, &command, &error) != OK) {
        world_broken("entry %llu: %s", (unsigned long long)index, error.message);
    }
    look_at_time(index, &command);
    if (command.op == PB_COMMAND_OP_PUT && is_new(&command)) {
        unsigned key = key_of(command.put.key);
        if (is_expected(command.put.has_expected_revision, command.put.expected_revision, key)) {
            change_key(index, key, value_of(command.put.value));
        }
    } else if (command.op == PB_COMMAND_OP_DELETE && is_new(&command)) {
        unsigned key = key_of(command.delete.key);
        if (is_expected(command.delete.has_expected_revision, command.delete.expected_revision, key) &&
            l.changed[key] != 0) {
            change_key(index, key, 0);
        }
    } else if (command.op == PB_COMMAND_OP_CHANGE_WORKERS) {
        for (size_t i = 0; i < command.change_workers.changes_count; i++) {
            const struct pb_worker_change *change = &command.change_workers.changes[i];
            if (!change->online && slice_equal(change->reason, slice_of_str("missed-heartbeats"))) {
                worker_declared_offline(change->worker_id);
            }
        }
    }
}

// --- nodes ---

static void look_at_entry(int host, raft_index index, const struct raft_entry *entry, raft_term in) {
    struct slice command = raft_entry_command(entry);
    uint32_t crc = crc32c((uint32_t)entry->type, command.data, command.len);
    if (index <= l.count) {
        const struct committed *known = &l.entries[index - 1];
        if (known->term != entry->id.term || known->crc != crc) {
            world_broken("%s commits another entry %llu (term %llu) than another node (term %llu)", host_of(host)->name,
                         (unsigned long long)index, (unsigned long long)entry->id.term, (unsigned long long)known->term);
        }
        return;
    }
    array_reserve(l.entries, l.cap, l.count + 1);
    l.entries[l.count++] = (struct committed){.term = entry->id.term, .in = in, .crc = crc};
    apply(index, entry);
}

static void look_at_commits(int host, const struct node *node) {
    raft_index commit = raft_commit_index(node->raft);
    raft_index from = l.seen[host];
    if (l.seen_start[host] != host_of(host)->starts) {
        from = 0;  // a new life: everything that it still has
        l.seen_start[host] = host_of(host)->starts;
    }
    from = from < raft_base(node->raft).index ? raft_base(node->raft).index : from;
    if (from > l.count) {
        world_broken("%s has dropped entries up to %llu, of which nobody has seen more than %zu committed",
                     host_of(host)->name, (unsigned long long)from, l.count);
    }
    for (raft_index index = from + 1; index <= commit; index++) {
        look_at_entry(host, index, raft_entry_at(node->raft, index), raft_current_term(node->raft));
    }
    l.seen[host] = commit;
}

static void look_at_leader(int host, const struct node *node) {
    raft_term term = raft_current_term(node->raft);
    if (raft_state(node->raft) != RAFT_LEADER || l.led[host] == term) {
        return;
    }
    l.led[host] = term;
    int *leader = &l.leaders[term % TERMS];
    if (term >= TERMS) {
        world_broken("term %llu: elections do not end", (unsigned long long)term);
    }
    if (*leader != 0 && *leader != host + 1) {
        world_broken("term %llu has two leaders, %s and %s", (unsigned long long)term, host_of(*leader - 1)->name,
                     host_of(host)->name);
    }
    *leader = host + 1;
    // A leader of an older term may be elected late, and need not have what was committed since.
    size_t count = l.count;
    while (count > 0 && l.entries[count - 1].in >= term) {
        count--;
    }
    const struct raft_entry *last = count == 0 ? NULL : raft_entry_at(node->raft, count);
    bool has = count <= raft_base(node->raft).index || (last != NULL && last->id.term == l.entries[count - 1].term);
    if (!has) {
        world_broken("%s leads term %llu without the committed entry %zu", host_of(host)->name, (unsigned long long)term,
                     count);
    }
}

static void look_at_digest(int host, const struct node *node) {
    raft_index applied = state_last_applied(node->state);
    if (applied == 0 || applied > l.count) {
        return;
    }
    struct committed *entry = &l.entries[applied - 1];
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
    if (node == NULL || node->raft == NULL || host_of(host)->stopping) {
        return;
    }
    const char *violated = raft_check_invariants(node->raft);
    if (violated != NULL) {
        world_broken("%s: %s", host_of(host)->name, violated);
    }
    raft_index configured;
    raft_configuration(node->raft, &configured);
    members_in_force(host, configured, node->raft->log.durable_index);
    look_at_commits(host, node);
    look_at_leader(host, node);
    trace_role(host,
               raft_state(node->raft) == RAFT_LEADER     ? 'L'
               : raft_state(node->raft) == RAFT_FOLLOWER ? 'F'
                                                         : 'C',
               raft_current_term(node->raft));
    look_at_digest(host, node);
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
    if (error->code == ERR_NO_SPACE || (error->code == ERR_IO && h->failing)) {
        return;  // it is started again
    }
    world_broken("%s does not start: %s", host_of(host)->name, error->message);
}

bool ledger_all_equal(void) {
    uint64_t digest = 0;
    bool first = true;
    for (int i = 0; i < host_count(); i++) {
        const struct node *node = host_of(i)->node;
        if (!members_have(i) || host_of(i)->lost || host_of(i)->set_back) {
            continue;
        }
        if (node == NULL || state_last_applied(node->state) != l.count) {
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

static void ended(uint64_t index) {
    l.floor = index > l.floor ? index : l.floor;
    l.acknowledged++;
}

static const struct made *change_at(raft_index index) {
    size_t low = 0;
    size_t high = l.change_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l.changes[middle].index < index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < l.change_count && l.changes[low].index == index ? &l.changes[low] : NULL;
}

void ledger_wrote(unsigned key, uint64_t value, uint64_t revision, uint64_t floor) {
    if (revision > l.count) {
        world_broken("a write is acknowledged at %llu, and no node has committed more than %zu",
                     (unsigned long long)revision, l.count);
    }
    const struct made *change = change_at(revision);
    bool missing = change == NULL || change->key != key || change->value != value;
    if (missing && value != 0) {  // a delete of a missing key changes nothing
        world_broken("the write of %llu to key %u, acknowledged at %llu, is not there", (unsigned long long)value, key,
                     (unsigned long long)revision);
    }
    if (revision <= floor) {
        world_broken("a write at %llu began after something that ended at %llu", (unsigned long long)revision,
                     (unsigned long long)floor);
    }
    ended(revision);
}

// The key's last change at or before an index; NULL: none.
static const struct made *last_change(unsigned key, raft_index index) {
    for (size_t i = l.change_count; i-- > 0;) {
        if (l.changes[i].index <= index && l.changes[i].key == key) {
            return &l.changes[i];
        }
    }
    return NULL;
}

void ledger_read(unsigned key, struct slice value, uint64_t revision, uint64_t read_index, uint64_t floor) {
    if (read_index < floor) {
        world_broken("a read of key %u reflects %llu, and began after something that ended at %llu", key,
                     (unsigned long long)read_index, (unsigned long long)floor);
    }
    // The node may have applied more than it had to.
    raft_index reflected = revision > read_index ? revision : read_index;
    const struct made *change = last_change(key, reflected);
    if (reflected > l.count || change == NULL || change->index != revision || change->value != value_of(value)) {
        world_broken("a read of key %u at %llu has revision %llu, which is not its value there (%llu)", key,
                     (unsigned long long)read_index, (unsigned long long)revision,
                     (unsigned long long)(change == NULL ? 0 : change->index));
    }
    ended(reflected);
}

void ledger_read_nothing(unsigned key, uint64_t floor) {
    const struct made *change = last_change(key, floor);
    bool absent = change == NULL || change->value == 0;
    for (size_t i = l.change_count; i-- > 0 && !absent && l.changes[i].index > floor;) {
        absent = l.changes[i].key == key && l.changes[i].value == 0;
    }
    if (!absent) {
        world_broken("a read finds no key %u, which has been there since %llu", key, (unsigned long long)change->index);
    }
}

unsigned ledger_listed(unsigned from, const struct pb_key_value *items, size_t count, bool more, uint64_t read_index,
                       uint64_t floor) {
    if (read_index < floor || read_index > l.count) {
        world_broken("a list is of entry %llu, and began after something that ended at %llu", (unsigned long long)read_index,
                     (unsigned long long)floor);
    }
    if (more && count == 0) {
        world_broken("a list's page is empty, and there is more");
    }
    unsigned end = more ? key_of(items[count - 1].key) + 1 : KEYS;
    size_t at = 0;
    for (unsigned key = from; key < end; key++) {
        const struct made *change = last_change(key, read_index);
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
    ended(read_index);
    return end;
}

size_t ledger_place(uint64_t from_revision) {
    size_t place = 0;
    while (place < l.change_count && l.changes[place].index < from_revision) {
        place++;
    }
    return place;
}

void ledger_watched(size_t *place, struct slice key, struct slice value, bool is_delete, uint64_t revision) {
    if (*place == SIZE_MAX) {
        *place = ledger_place(revision);
    }
    if (*place >= l.change_count) {
        world_broken("a watch is told a change at %llu that is not committed", (unsigned long long)revision);
    }
    const struct made *change = &l.changes[*place];
    uint64_t told = is_delete ? 0 : value_of(value);
    if (change->index != revision || change->key != key_of(key) || change->value != told) {
        world_broken("a watch is told the change at %llu, and the next one is that at %llu", (unsigned long long)revision,
                     (unsigned long long)change->index);
    }
    ++*place;
}
