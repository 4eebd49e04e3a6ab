// The commands; script.h describes them.
#include "script.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/mem.h"
#include "messages.h"
#include "words.h"

// --- set-up ---

static void run_members(struct words *words) {
    struct cluster *cluster = words->cluster;
    if (cluster->count > 0) {
        cluster_fail(cluster, "the members are named already");
        return;
    }
    bool voter = true;
    bool member = true;
    size_t preferred = 0;
    while (words_more(words)) {
        if (words_take(words, "learners")) {
            voter = false;
        } else if (words_take(words, "outside")) {
            member = voter = false;
        } else if (words_take(words, "preferred")) {
            preferred = words_number(words, "n", "a member");
        } else if (words_number(words, "n", "a member") != cluster->count + 1 || cluster->count == MEMBERS_MAX) {
            cluster_fail(cluster, "members are n1, n2, ... in this order, at most %d", MEMBERS_MAX);
        } else {
            struct server *server = &cluster->servers[cluster->count++];
            *server =
                (struct server){.id = cluster_id(cluster->count), .member = member, .voter = voter, .seed = cluster->count};
        }
    }
    for (size_t i = 0; i < cluster->count; i++) {
        cluster->servers[i].prefers = preferred;
    }
}

struct start_command {
    bool chosen[MEMBERS_MAX];
    struct start start;
    uint64_t seed;       // 0: each its own
    uint64_t preferred;  // 0: as the members say
    bool leases;
};

static void next_log(struct words *words, struct start *start) {
    start->log_count = 0;
    uint64_t term;
    while (words_more(words) && words_scan_log_entry(words->words[words->at], &term, start->texts[start->log_count])) {
        if (start->log_count == CLUSTER_LOG_MAX || (start->log_count > 0 && term < start->log[start->log_count - 1])) {
            cluster_fail(words->cluster, "a log has at most %d entries, and terms that never fall", CLUSTER_LOG_MAX);
            return;
        }
        start->log[start->log_count++] = term;
        words->at++;
    }
}

static void next_start_option(struct words *words, struct start_command *command) {
    struct start *start = &command->start;
    if (words_take(words, "term")) {
        start->hard_state.current_term = words_number(words, "", "a term");
    } else if (words_take(words, "vote")) {
        start->hard_state.voted_for = cluster_id(words_number(words, "n", "a member"));
    } else if (words_take(words, "seed")) {
        command->seed = words_number(words, "", "a seed");
    } else if (words_take(words, "leases")) {
        command->leases = true;
    } else if (words_take(words, "preferred")) {
        command->preferred = words_number(words, "n", "a member");
    } else if (words_take(words, "empty")) {
        *start = (struct start){.empty = true};
    } else if (words_take(words, "base")) {
        start->base = words_entry_id(words);
        start->snapshot = start->snapshot > start->base.index ? start->snapshot : start->base.index;
        start->log_count = 0;
    } else if (words_take(words, "snapshot")) {
        start->snapshot = words_number(words, "", "an index");
    } else if (words_take(words, "log")) {
        next_log(words, start);
    } else if (words_take(words, "all")) {
        memset(command->chosen, true, sizeof command->chosen);
    } else {
        struct server *server = words_server(words);
        if (server != NULL) {
            command->chosen[server - words->cluster->servers] = true;
        }
    }
}

static void check_start(struct words *words, const struct start *start) {
    raft_term last = start->log_count > 0 ? start->log[start->log_count - 1] : start->base.term;
    if (last > start->hard_state.current_term) {
        cluster_fail(words->cluster, "the log's last term is beyond the current one");
    }
    if (start->log_count > 0 && start->log[0] < start->base.term) {
        cluster_fail(words->cluster, "the log's first term is before its base's");
    }
    if (start->snapshot < start->base.index || start->snapshot > start->base.index + start->log_count) {
        cluster_fail(words->cluster, "the snapshot must cover the base, and nothing behind the log");
    }
}

static void run_start(struct words *words) {
    struct start_command command = {.start = {.hard_state.current_term = 1, .log = {1}, .log_count = 1}};
    while (words_more(words)) {
        next_start_option(words, &command);
    }
    check_start(words, &command.start);
    for (size_t i = 0; i < words->cluster->count && !cluster_failed(words->cluster); i++) {
        struct server *server = &words->cluster->servers[i];
        if (command.chosen[i]) {
            server->seed = command.seed > 0 ? command.seed : server->seed;
            server->prefers = command.preferred > 0 ? command.preferred : server->prefers;
            server->lease_reads = command.leases;
            cluster_start(words->cluster, server, &command.start);
        }
    }
}

// --- time ---

static void run_wait(struct words *words) {
    uint64_t duration_us = words_duration(words);
    bool chosen[MEMBERS_MAX];
    words_servers(words, chosen);
    if (!cluster_failed(words->cluster)) {
        cluster_wait(words->cluster, chosen, duration_us);
    }
}

static void run_timeout(struct words *words) {
    struct server *server = words_server(words);
    if (server != NULL) {
        cluster_time_out(words->cluster, server);
    }
}

static void run_freeze(struct words *words) {
    struct server *server = words_server(words);
    uint64_t duration_us = words_duration(words);
    if (server != NULL && !cluster_failed(words->cluster)) {
        server->now_us += duration_us;
        cluster_event(words->cluster, server, (struct raft_event){.type = RAFT_EVENT_TICK});
    }
}

// --- life, and the disk ---

static void run_crash(struct words *words) {
    struct server *server = words_server(words);
    if (server != NULL) {
        cluster_crash(words->cluster, server);
    }
}

static void run_restart(struct words *words) {
    struct server *server = words_server(words);
    if (server != NULL) {
        cluster_restart(words->cluster, server);
    }
}

static void run_disk(struct words *words) {
    struct server *server = words_server(words);
    if (server == NULL) {
        return;
    }
    if (words_take(words, "held")) {
        server->disk.held = true;
    } else if (words_take(words, "prompt")) {
        server->disk.held = false;
        cluster_persist(words->cluster, server, UINT64_MAX, false);
    } else if (words_take(words, "full")) {
        cluster_event(words->cluster, server, (struct raft_event){.type = RAFT_EVENT_STORAGE, .storage = RAFT_STORAGE_FULL});
    } else if (words_take(words, "good")) {
        cluster_event(words->cluster, server, (struct raft_event){.type = RAFT_EVENT_STORAGE, .storage = RAFT_STORAGE_GOOD});
    } else if (words_take(words, "loses")) {
        cluster_lose(words->cluster, server, words_number(words, "", "an index"));
    } else {
        words_unexpected(words);
    }
}

static void run_persist(struct words *words) {
    struct server *server = words_server(words);
    uint64_t write = UINT64_MAX;
    if (words_more(words) && words->words[words->at][0] == 'w') {
        write = words_number(words, "w", "a write");
    }
    bool hard_state_only = words_take(words, "hard-state");
    if (server == NULL || cluster_failed(words->cluster)) {
        return;
    }
    if (server->core == NULL || server->disk.writes.count == 0) {
        cluster_fail(words->cluster, "%s has no write in progress", server->id.text);
        return;
    }
    cluster_persist(words->cluster, server, write, hard_state_only);
}

static void run_compact(struct words *words) {
    struct server *server = words_server(words);
    raft_index index = words_number(words, "", "an index");
    if (server != NULL && !cluster_failed(words->cluster)) {
        cluster_compact(words->cluster, server, index);
    }
}

static void run_snapshot(struct words *words) {
    struct server *server = words_server(words);
    struct server *to = words_server(words);
    struct raft_entry_id last = words_entry_id(words);
    if (server != NULL && to != NULL && !cluster_failed(words->cluster)) {
        cluster_send_snapshot(words->cluster, server, to, last);
    }
}

static void run_install(struct words *words) {
    struct server *server = words_server(words);
    struct raft_entry_id last = words_entry_id(words);
    if (server == NULL || cluster_failed(words->cluster)) {
        return;
    }
    struct raft_configuration members = {.count = 0};
    raft_index members_index = 0;
    if (words_more(words)) {
        members_index = words_number(words, "", "the index of a configuration");
        const char *text = words_next(words, "members such as [n1,n2/n3]");
        if (!configuration_read(slice_of_str(text), &members)) {
            cluster_fail(words->cluster, "members such as [n1,n2/n3] expected instead of '%s'", text);
        }
    }
    for (size_t i = 0; i < words->cluster->count && members_index == 0; i++) {
        const struct server *member = &words->cluster->servers[i];
        members.members[members.count] = (struct raft_member){.id = member->id, .voter = member->voter};
        members.count += member->member;
    }
    if (!cluster_failed(words->cluster)) {
        cluster_install(words->cluster, server, last, &members, members_index);
    }
}

// --- what clients ask ---

static void fill_up(char *text, size_t size, const char *word, uint64_t bytes) {
    size_t len = strlen(word);
    memset(text, '.', size);
    memcpy(text, word, len < size ? len : size - 1);
    text[bytes > len ? bytes : len] = '\0';
}

static void run_propose(struct words *words) {
    struct server *server = words_server(words);
    const char *texts[WORDS_MAX];
    size_t count = 0;
    uint64_t bytes = 0;
    while (words_more(words)) {
        if (words_take(words, "bytes")) {
            bytes = words_number(words, "", "a number of bytes");
        } else {
            texts[count++] = words_next(words, "a text");
        }
    }
    if (server == NULL || server->core == NULL || count == 0 || bytes > COMMAND_MAX || cluster_failed(words->cluster)) {
        cluster_fail(words->cluster, "propose needs a node that runs, and a text; an entry has at most %d bytes",
                     COMMAND_MAX);
        return;
    }
    struct raft_entry *entries[WORDS_MAX];
    char *text = mem_alloc(COMMAND_MAX + 1);
    for (size_t i = 0; i < count; i++) {
        fill_up(text, COMMAND_MAX, texts[i], bytes);
        entries[i] = cluster_entry(words->cluster, (struct raft_entry_id){0}, text);
    }
    free(text);
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE};
    event.propose.entries = entries;
    event.propose.count = count;
    event.propose.tag = cluster_tag(words->cluster, texts[0]);
    cluster_event(words->cluster, server, event);
}

static void run_read(struct words *words) {
    struct server *server = words_server(words);
    uint64_t tag = cluster_tag(words->cluster, words_next(words, "a name"));
    if (server != NULL && !cluster_failed(words->cluster)) {
        cluster_event(words->cluster, server, (struct raft_event){.type = RAFT_EVENT_READ, .read.tag = tag});
    }
}

static void run_transfer(struct words *words) {
    struct server *server = words_server(words);
    struct raft_event event = {.type = RAFT_EVENT_TRANSFER};
    if (!words_take(words, "any")) {
        event.transfer.target = cluster_id(words_number(words, "n", "a member or `any`"));
    }
    if (server != NULL && !cluster_failed(words->cluster)) {
        cluster_event(words->cluster, server, event);
    }
}

static void run_resign(struct words *words) {
    struct server *server = words_server(words);
    struct raft_event event = {.type = RAFT_EVENT_RESIGN, .resign.hand_over = words_more(words)};
    if (event.resign.hand_over && !words_take(words, "any")) {
        event.resign.target = cluster_id(words_number(words, "n", "a member or `any`"));
    }
    if (server != NULL && !cluster_failed(words->cluster)) {
        cluster_event(words->cluster, server, event);
    }
}

// --- what a node knows ---

static void run_status(struct words *words) {
    bool chosen[MEMBERS_MAX];
    words_servers(words, chosen);
    for (size_t i = 0; i < words->cluster->count; i++) {
        if (chosen[i] && words->cluster->servers[i].starts) {
            trace_status(words->cluster, &words->cluster->servers[i]);
        }
    }
}

static void run_progress(struct words *words) {
    struct server *server = words_server(words);
    if (server != NULL) {
        trace_progress(words->cluster, server);
    }
}

static void run_logs(struct words *words) {
    trace_logs(words->cluster);
}

static const struct {
    const char *name;
    void (*run)(struct words *words);
} commands[] = {
    {"members", run_members}, {"start", run_start},       {"wait", run_wait},
    {"timeout", run_timeout}, {"freeze", run_freeze},     {"deliver", messages_deliver},
    {"drop", messages_drop},  {"fail", messages_fail},    {"repeat", messages_repeat},
    {"cut", messages_cut},    {"heal", messages_heal},    {"disconnect", messages_disconnect},
    {"crash", run_crash},     {"restart", run_restart},   {"disk", run_disk},
    {"persist", run_persist}, {"propose", run_propose},   {"read", run_read},
    {"send", messages_send},  {"reply", messages_reply},  {"transfer", run_transfer},
    {"status", run_status},   {"logs", run_logs},         {"progress", run_progress},
    {"compact", run_compact}, {"snapshot", run_snapshot}, {"install", run_install},
    {"resign", run_resign},   {"meet", messages_meet},
};

// What the command has written down gives way to what the nodes are after it.
static void summarize(struct cluster *cluster) {
    while (cluster->trace_count > cluster->command_trace) {
        free(cluster->trace[--cluster->trace_count]);
    }
    for (size_t i = 0; i < cluster->count; i++) {
        if (cluster->servers[i].starts) {
            trace_changed_status(cluster, &cluster->servers[i]);
        }
        cluster->servers[i].shown_tick_us = cluster->servers[i].next_tick_us;
    }
}

void script_run(struct cluster *cluster, const char *command) {
    struct words words = {.cluster = cluster};
    char *text = mem_strdup(command);
    cluster->command_trace = cluster->trace_count;
    words_split(&words, text);
    bool quietly = words_take(&words, "quietly");
    const char *name = words_next(&words, "a command");
    size_t i = 0;
    while (i < ARRAY_COUNT(commands) && strcmp(commands[i].name, name) != 0) {
        i++;
    }
    if (i == ARRAY_COUNT(commands)) {
        cluster_fail(cluster, "there is no command '%s'", name);
    } else {
        commands[i].run(&words);
    }
    if (words_more(&words)) {
        words_unexpected(&words);
    }
    if (quietly) {
        summarize(cluster);
    }
    trace_timers(cluster);
    free(text);
}
