// Chronicles: chronicle.h.
#include "chronicle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/mem.h"
#include "members.h"
#include "wire/command.h"
#include "worker.h"
#include "world.h"

void key_name(unsigned key, char out[16]) {
    snprintf(out, 16, "k/%02u", key);
}

unsigned key_of(struct slice key) {
    char name[16];
    for (unsigned i = 0; i < KEYS; i++) {
        key_name(i, name);
        if (slice_equal(key, slice_of_str(name))) {
            return i;
        }
    }
    world_broken("an unknown key of %zu bytes", key.len);
}

uint64_t value_of(struct slice value) {
    char text[24] = {0};
    if (value.len == 0 || value.len >= sizeof text) {
        world_broken("a value of %zu bytes that nobody has written", value.len);
    }
    memcpy(text, value.data, value.len);
    return strtoull(text, NULL, 10);
}

uint64_t client_of(struct slice id) {
    uint64_t client = 0;
    if (id.len > sizeof client) {
        world_broken("a client's id of %zu bytes", id.len);
    }
    memcpy(&client, id.data, id.len);
    return client;
}

void chronicle_free(struct chronicle *h) {
    free(h->entries);
    free(h->changes);
    free(h->made);
}

// --- the model ---

static void change_key(struct chronicle *h, raft_index index, unsigned key, uint64_t value) {
    array_reserve(h->changes, h->change_cap, h->change_count + 1);
    h->changes[h->change_count++] = (struct made){index, key, value};
    h->now[key] = value;
    h->changed[key] = value == 0 ? 0 : index;
    if (value >= h->made_cap) {
        size_t cap = 2 * value + KEYS;
        h->made = mem_realloc(h->made, cap * sizeof *h->made);
        memset(h->made + h->made_cap, 0, (cap - h->made_cap) * sizeof *h->made);
        h->made_cap = cap;
    }
    h->made[value] = true;
}

static bool is_expected(const struct chronicle *h, bool has, uint64_t expected, unsigned key) {
    return !has || expected == h->changed[key];
}

// A client's first write begins a session: it is done once more if its session was evicted meanwhile (control.proto), and no
// other ever is.
static void look_at_again(struct chronicle *h, raft_index index, const struct pb_command *command) {
    if (command->sequence != 1 || h->sessions.evicted == 0) {
        world_broken("the write of %.*s, sequence %llu, is done once more, at %llu", (int)command->client_id.len,
                     (const char *)command->client_id.data, (unsigned long long)command->sequence,
                     (unsigned long long)index);
    }
    h->again++;
}

static void apply_write(struct chronicle *h, raft_index index, const struct pb_command *command) {
    bool is_put = command->op == PB_COMMAND_OP_PUT;
    unsigned key = key_of(is_put ? command->put.key : command->delete.key);
    bool has = is_put ? command->put.has_expected_revision : command->delete.has_expected_revision;
    uint64_t expected = is_put ? command->put.expected_revision : command->delete.expected_revision;
    if (!is_expected(h, has, expected, key) || (!is_put && h->changed[key] == 0)) {
        return;
    }
    uint64_t value = is_put ? value_of(command->put.value) : 0;
    if (value != 0 && value < h->made_cap && h->made[value]) {
        look_at_again(h, index, command);
    }
    change_key(h, index, key, value);
}

static void look_for_offline(const struct chronicle *h, const struct pb_command *command) {
    for (size_t i = 0; i < command->change_workers.changes_count; i++) {
        const struct pb_worker_change *change = &command->change_workers.changes[i];
        if (!change->online && slice_equal(change->reason, slice_of_str("missed-heartbeats"))) {
            worker_declared_offline(change->worker_id, h->generation, h->founded_us);
        }
    }
}

// What it does to the sessions and the cluster's level.
static enum session_use use_session(struct chronicle *h, struct committed *committed) {
    h->level = committed->raised > h->level ? committed->raised : h->level;
    if (h->level >= COMMAND_LEVEL_SESSION_BYTES) {
        sessions_bound_bytes(&h->sessions);
    }
    committed->use = committed->client == 0
                         ? SESSION_NEW
                         : sessions_use(&h->sessions, committed->client, committed->sequence, committed->acknowledged_below);
    return committed->use;
}

static void apply(struct chronicle *h, struct committed *committed, raft_index index, const struct pb_command *command,
                  bool newest) {
    // Commands bear the time of the leader that proposed them, which may jump but not fall.
    if (command->time_unix_ms < committed->time_ms) {
        world_broken("the time of entry %llu is before that of one before", (unsigned long long)index);
    }
    if (command->level > h->level && command->op != PB_COMMAND_OP_RAISE_LEVEL) {
        world_broken("entry %llu is of level %u, and the cluster at %u", (unsigned long long)index, command->level,
                     h->level);
    }
    committed->time_ms = command->time_unix_ms;
    if (command->op == PB_COMMAND_OP_PUT || command->op == PB_COMMAND_OP_DELETE) {
        committed->client = client_of(command->client_id);
        committed->sequence = command->sequence;
        committed->acknowledged_below = command->acknowledged_below;
        if (use_session(h, committed) == SESSION_NEW) {
            apply_write(h, index, command);
        }
    } else if (command->op == PB_COMMAND_OP_RAISE_LEVEL) {
        committed->raised = command->raise_level.level;
        if (newest) {
            members_raised(command->raise_level.level);
        }
        use_session(h, committed);
    } else if (command->op == PB_COMMAND_OP_CHANGE_WORKERS) {
        look_for_offline(h, command);
    }
}

void chronicle_append(struct chronicle *h, const struct raft_entry *entry, uint32_t crc, raft_term in, bool newest,
                      struct arena *arena) {
    int64_t time_ms = h->count == 0 ? 0 : h->entries[h->count - 1].time_ms;
    array_reserve(h->entries, h->cap, h->count + 1);
    struct committed *committed = &h->entries[h->count++];
    *committed = (struct committed){.term = entry->id.term, .in = in, .crc = crc, .time_ms = time_ms};
    if (entry->type == RAFT_ENTRY_CONFIGURATION && newest) {
        members_committed(entry);
    }
    if (entry->type == RAFT_ENTRY_COMMAND) {
        struct pb_command command;
        struct error error;
        int host = current_host();
        arena_reset(arena);
        set_current_host(NO_HOST);  // whatever its program reads
        if (wire_command_decode(arena, entry, &command, &error) != OK) {
            world_broken("entry %llu: %s", (unsigned long long)h->count, error.message);
        }
        set_current_host(host);
        apply(h, committed, h->count, &command, newest);
    }
}

void chronicle_fork(struct chronicle *to, const struct chronicle *from, raft_index kept) {
    to->kept = kept;
    array_reserve(to->entries, to->cap, kept + 1);
    for (raft_index index = 1; index <= kept; index++) {
        to->entries[to->count++] = from->entries[index - 1];
        use_session(to, &to->entries[index - 1]);
    }
    for (size_t i = 0; i < from->change_count && from->changes[i].index <= kept; i++) {
        change_key(to, from->changes[i].index, from->changes[i].key, from->changes[i].value);
    }
    to->floor = from->floor < kept ? from->floor : kept;
}

// --- looking back ---

bool chronicle_refused(const struct chronicle *h, uint64_t client, uint64_t sequence) {
    for (size_t i = h->count; i-- > 0;) {
        const struct committed *committed = &h->entries[i];
        if (committed->client == client && committed->sequence == sequence && committed->use == SESSION_EXPIRED) {
            return true;
        }
    }
    return false;
}

const struct made *chronicle_change_at(const struct chronicle *h, raft_index index) {
    size_t low = 0;
    size_t high = h->change_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (h->changes[middle].index < index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < h->change_count && h->changes[low].index == index ? &h->changes[low] : NULL;
}

const struct made *chronicle_last_change(const struct chronicle *h, unsigned key, raft_index index) {
    for (size_t i = h->change_count; i-- > 0;) {
        if (h->changes[i].index <= index && h->changes[i].key == key) {
            return &h->changes[i];
        }
    }
    return NULL;
}
