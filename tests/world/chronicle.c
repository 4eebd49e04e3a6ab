// Chronicles: chronicle.h.
#include "chronicle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
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
    free(h->sessions);
}

// --- the model ---

static void change_key(struct chronicle *h, raft_index index, unsigned key, uint64_t value) {
    array_reserve(h->changes, h->change_cap, h->change_count + 1);
    h->changes[h->change_count++] = (struct made){index, key, value};
    h->now[key] = value;
    h->changed[key] = value == 0 ? 0 : index;
}

static struct seen_session *find_session(const struct chronicle *h, uint64_t client) {
    for (size_t i = 0; i < h->session_count; i++) {
        if (h->sessions[i].client == client) {
            return &h->sessions[i];
        }
    }
    return NULL;
}

const struct seen_session *chronicle_session(const struct chronicle *h, uint64_t client) {
    return find_session(h, client);
}

// False: the session has had this one already, or is gone.
static bool use_session(struct chronicle *h, uint64_t client, uint64_t sequence) {
    if (client == 0) {
        return true;
    }
    struct seen_session *session = find_session(h, client);
    if (session == NULL) {
        array_reserve(h->sessions, h->session_cap, h->session_count + 1);
        session = &h->sessions[h->session_count++];
        *session = (struct seen_session){.client = client};
    }
    if (session->last == 0 && sequence > 1) {
        session->expired = sequence;
        return false;
    }
    bool news = sequence > session->last;
    session->last = news ? sequence : session->last;
    return news;
}

static bool is_expected(const struct chronicle *h, bool has, uint64_t expected, unsigned key) {
    return !has || expected == h->changed[key];
}

static void apply_write(struct chronicle *h, raft_index index, const struct pb_command *command) {
    bool is_put = command->op == PB_COMMAND_OP_PUT;
    unsigned key = key_of(is_put ? command->put.key : command->delete.key);
    bool has = is_put ? command->put.has_expected_revision : command->delete.has_expected_revision;
    uint64_t expected = is_put ? command->put.expected_revision : command->delete.expected_revision;
    if (is_expected(h, has, expected, key) && (is_put || h->changed[key] != 0)) {
        change_key(h, index, key, is_put ? value_of(command->put.value) : 0);
    }
}

static void look_for_offline(const struct chronicle *h, const struct pb_command *command) {
    for (size_t i = 0; i < command->change_workers.changes_count; i++) {
        const struct pb_worker_change *change = &command->change_workers.changes[i];
        if (!change->online && slice_equal(change->reason, slice_of_str("missed-heartbeats"))) {
            worker_declared_offline(change->worker_id, h->generation, h->founded_us);
        }
    }
}

static void apply(struct chronicle *h, struct committed *committed, raft_index index, const struct pb_command *command) {
    // Commands bear the time of the leader that proposed them, which may jump but not fall.
    if (command->time_unix_ms < committed->time_ms) {
        world_broken("the time of entry %llu is before that of one before", (unsigned long long)index);
    }
    committed->time_ms = command->time_unix_ms;
    if (command->op == PB_COMMAND_OP_PUT || command->op == PB_COMMAND_OP_DELETE) {
        committed->client = client_of(command->client_id);
        committed->sequence = command->sequence;
        if (use_session(h, committed->client, committed->sequence)) {
            apply_write(h, index, command);
        }
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
        arena_reset(arena);
        if (wire_command_decode(arena, entry, &command, &error) != OK) {
            world_broken("entry %llu: %s", (unsigned long long)h->count, error.message);
        }
        apply(h, committed, h->count, &command);
    }
}

void chronicle_fork(struct chronicle *to, const struct chronicle *from, raft_index kept) {
    to->kept = kept;
    array_reserve(to->entries, to->cap, kept + 1);
    for (raft_index index = 1; index <= kept; index++) {
        const struct committed *committed = &from->entries[index - 1];
        to->entries[to->count++] = *committed;
        use_session(to, committed->client, committed->sequence);
    }
    for (size_t i = 0; i < from->change_count && from->changes[i].index <= kept; i++) {
        change_key(to, from->changes[i].index, from->changes[i].key, from->changes[i].value);
    }
    to->floor = from->floor < kept ? from->floor : kept;
}

// --- looking at changes ---

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
