// Nodes, clocks, disks and messages; see cluster.h.
#include "cluster.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/mem.h"

enum { LOOP_MAX = 10000 };  // steps of one command: more is an endless exchange

void cluster_init(struct cluster *cluster) {
    *cluster = (struct cluster){.slab = raft_slab_new(), .leaders = raft_queue_of(sizeof(struct raft_entry_id))};
}

void cluster_fail(struct cluster *cluster, const char *format, ...) {
    if (cluster_failed(cluster)) {
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(cluster->error, sizeof cluster->error, format, args);
    va_end(args);
}

bool cluster_failed(const struct cluster *cluster) {
    return cluster->error[0] != '\0';
}

struct raft_id cluster_id(size_t number) {
    char name[8];
    snprintf(name, sizeof name, "n%zu", number % 1000);
    return raft_id_of(slice_of_str(name));
}

struct server *cluster_find(struct cluster *cluster, const struct raft_id *id) {
    for (size_t i = 0; i < cluster->count; i++) {
        if (raft_id_equal(&cluster->servers[i].id, id)) {
            return &cluster->servers[i];
        }
    }
    return NULL;
}

struct raft_entry *cluster_entry(struct cluster *cluster, struct raft_entry_id id, const char *text) {
    enum raft_entry_type type = strcmp(text, "no-op") == 0 ? RAFT_ENTRY_NOOP
                                : text[0] == '['           ? RAFT_ENTRY_CONFIGURATION
                                                           : RAFT_ENTRY_COMMAND;
    size_t len = type == RAFT_ENTRY_NOOP ? 0 : strlen(text);
    struct raft_entry *entry = raft_entry_new(cluster->slab, type, id, len);
    if (len > 0) {
        memcpy(entry->data, text, len);
    }
    return entry;
}

uint64_t cluster_tag(struct cluster *cluster, const char *text) {
    array_reserve(cluster->tags, cluster->tag_cap, cluster->tag_count + 1);
    cluster->tags[cluster->tag_count++] = mem_strdup(text);
    return cluster->tag_count;
}

// --- disks ---

static struct raft_entry **copy_entries(struct raft_entry *const *entries, size_t count) {
    struct raft_entry **copy = mem_alloc((count + 1) * sizeof *copy);
    for (size_t i = 0; i < count; i++) {
        copy[i] = raft_entry_ref(entries[i]);
    }
    return copy;
}

static void drop_entries(struct raft_entry *const *entries, size_t count) {
    for (size_t i = 0; i < count; i++) {
        raft_entry_unref(entries[i]);
    }
    free((void *)entries);
}

// Drops the entries after `last`.
static void disk_cut(struct disk *disk, raft_index last) {
    while (disk->count > 0 && disk->base.index + disk->count > last) {
        raft_entry_unref(disk->entries[--disk->count]);
    }
}

// Drops the entries up to the new base.
static void disk_compact(struct disk *disk, struct raft_entry_id base) {
    size_t dropped = base.index - disk->base.index;
    for (size_t i = 0; i < dropped; i++) {
        raft_entry_unref(disk->entries[i]);
    }
    disk->count -= dropped;
    memmove((void *)disk->entries, (void *)(disk->entries + dropped), disk->count * sizeof *disk->entries);
    disk->base = base;
}

// The log starts anew behind a snapshot.
static void disk_restart(struct disk *disk, struct raft_entry_id base) {
    disk_cut(disk, disk->base.index);
    disk->base = base;
}

// What recovery does with a snapshot that was installed, if a crash came before the write that starts the log behind it.
static void disk_recover(struct disk *disk) {
    raft_index index = disk->snapshot.index;
    if (index < disk->base.index || index == 0) {
        return;
    }
    bool here = index == disk->base.index || (index <= disk->base.index + disk->count &&
                                              disk->entries[index - disk->base.index - 1]->id.term == disk->snapshot.term);
    if (!here) {
        disk_restart(disk, disk->snapshot);
    }
}

static void write_hard_state(struct disk *disk, const struct raft_persist *write) {
    if (write->has_hard_state && write->write > disk->hard_state_write) {
        disk->hard_state = write->hard_state;
    }
    if (write->write > disk->hard_state_write) {
        disk->hard_state_write = write->write;
    }
}

static void write_all(struct disk *disk, const struct raft_persist *write) {
    write_hard_state(disk, write);
    if (write->reset.index > 0) {
        disk_restart(disk, write->reset);
    }
    for (size_t i = 0; i < write->count; i++) {
        disk_cut(disk, write->entries[i]->id.index - 1);
        array_reserve(disk->entries, disk->cap, disk->count + 1);
        disk->entries[disk->count++] = raft_entry_ref(write->entries[i]);
    }
    disk->durable_write = write->write;
}

static void release_held(struct cluster *cluster, struct server *server) {
    char numbers[512];
    size_t len = 0;
    for (size_t i = 0; i < cluster->packet_count; i++) {
        struct packet *packet = cluster->packets[i];
        if (packet->place == PACKET_HELD && raft_id_equal(&packet->message.from, &server->id) &&
            raft_may_leave(&packet->message, server->disk.durable_write, server->disk.hard_state_write)) {
            packet->place = PACKET_IN_FLIGHT;
            int more = snprintf(numbers + len, sizeof numbers - len, " m%zu", packet->number);
            len = more > 0 && (size_t)more < sizeof numbers - len ? len + (size_t)more : sizeof numbers - 1;
        }
    }
    if (len > 0) {
        trace_line(cluster, "%s sends%s", server->id.text, numbers);
    }
}

void cluster_persist(struct cluster *cluster, struct server *server, uint64_t write, bool hard_state_only) {
    struct disk *disk = &server->disk;
    uint64_t before = disk->durable_write;
    for (size_t i = 0; hard_state_only && i < disk->writes.count; i++) {
        const struct raft_persist *pending = raft_queue_at(&disk->writes, i);
        if (pending->write <= write) {
            write_hard_state(disk, pending);
        }
    }
    for (struct raft_persist *front; !hard_state_only && (front = raft_queue_front(&disk->writes)) != NULL;) {
        if (front->write > write) {
            break;
        }
        write_all(disk, front);
        drop_entries(front->entries, front->count);
        raft_queue_pop(&disk->writes);
    }
    if (hard_state_only) {
        trace_line(cluster, "the hard state of w%llu is durable at %s", (unsigned long long)disk->hard_state_write,
                   server->id.text);
    } else if (disk->durable_write > before) {
        trace_line(cluster, "w%llu is durable at %s", (unsigned long long)disk->durable_write, server->id.text);
    }
    release_held(cluster, server);
    if (disk->durable_write > before) {
        cluster_event(cluster, server,
                      (struct raft_event){.type = RAFT_EVENT_PERSISTED, .persisted_write = disk->durable_write});
    }
}

// --- steps ---

static void check_leader(struct cluster *cluster, struct server *server, raft_term term) {
    raft_index number = (raft_index)(server - cluster->servers) + 1;
    for (size_t i = 0; i < cluster->leaders.count; i++) {
        const struct raft_entry_id *leader = raft_queue_at(&cluster->leaders, i);
        if (leader->term == term && leader->index != number) {
            cluster_fail(cluster, "%s is elected in term %llu, which has a leader", server->id.text,
                         (unsigned long long)term);
        }
    }
    *(struct raft_entry_id *)raft_queue_push(&cluster->leaders) = (struct raft_entry_id){.term = term, .index = number};
}

// Keeps a copy of what a core sends; the update's is borrowed.
static void send_copy(struct cluster *cluster, struct server *server, const struct raft_message *sent, bool held) {
    struct raft_message message = *sent;
    struct packet *request = NULL;
    if (message.type == RAFT_APPEND_ENTRIES) {
        message.append.entries = copy_entries(sent->append.entries, sent->append.count);
    }
    if (!cluster_is_request(&message)) {
        if (message.call == 0 || message.call > cluster->packet_count) {
            cluster_fail(cluster, "%s replies to call %llu, which there is not", server->id.text,
                         (unsigned long long)message.call);
            return;
        }
        request = cluster->packets[message.call - 1];
        if (++request->replies > 1) {
            cluster_fail(cluster, "%s replies to m%zu twice", server->id.text, request->number);
        }
    }
    struct packet *packet = cluster_packet(cluster, message, request);
    packet->place = held ? PACKET_HELD : PACKET_IN_FLIGHT;
    packet->life = server->life;
    trace_packet(cluster, packet);
}

static void submit(struct server *server, const struct raft_persist *persist) {
    struct raft_persist *write = raft_queue_push(&server->disk.writes);
    *write = *persist;
    write->entries = copy_entries(persist->entries, persist->count);
}

static void step(struct cluster *cluster, struct server *server, struct raft_event *event) {
    struct raft_update update;
    raft_step(server->core, server->now_us, event, 1, &update);
    const char *broken = raft_check_invariants(server->core);
    if (broken != NULL) {
        cluster_fail(cluster, "%s breaks an invariant: %s", server->id.text, broken);
    }
    server->next_tick_us = update.next_tick_us;
    trace_update(cluster, server, &update);
    for (size_t i = 0; i < update.transition_count; i++) {
        if (update.transitions[i].to == RAFT_LEADER) {
            check_leader(cluster, server, update.transitions[i].term);
        }
    }
    if (update.installed.index > 0) {
        server->applied = update.installed.index;
    }
    if (update.has_persist) {
        submit(server, &update.persist);
    }
    for (size_t i = 0; i < update.send_now_count; i++) {
        send_copy(cluster, server, &update.send_now[i], false);
    }
    for (size_t i = 0; i < update.send_after_persist_count; i++) {
        send_copy(cluster, server, &update.send_after_persist[i], true);
    }
    trace_results(cluster, server, &update);
}

void cluster_event(struct cluster *cluster, struct server *server, struct raft_event event) {
    if (cluster_failed(cluster)) {
        return;
    }
    if (server->core == NULL) {
        cluster_fail(cluster, "%s is %s", server->id.text, server->starts ? "down" : "played by the script");
        return;
    }
    step(cluster, server, &event);
    raft_index commit = raft_commit_index(server->core);
    if (commit > server->applied) {
        trace_applied(cluster, server, server->applied + 1, commit);
        server->applied = commit;
        cluster_event(cluster, server, (struct raft_event){.type = RAFT_EVENT_APPLIED, .applied_index = commit});
    }
    const struct raft_queue *writes = &server->disk.writes;
    if (!server->disk.held && writes->count > 0) {
        cluster_persist(cluster, server, UINT64_MAX, false);
    }
}

// --- life ---

static void prefer(const struct server *server, struct raft_configuration *members) {
    struct raft_id preferred = cluster_id(server->prefers);
    for (size_t i = 0; i < members->count; i++) {
        members->members[i].preferred = raft_id_equal(&members->members[i].id, &preferred);
    }
}

static bool decode_configuration(void *user, struct slice command, struct raft_configuration *out) {
    bool readable = configuration_read(command, out);
    prefer(user, out);
    return readable;
}

static void start_core(struct cluster *cluster, struct server *server) {
    struct raft_configuration members = server->disk.members;
    prefer(server, &members);
    struct raft_config config = {
        .id = server->id,
        .configuration = members,
        .configuration_index = server->disk.members_index,
        .decode_configuration = decode_configuration,
        .user = server,
        .seed = server->seed,
        .election_timeout_min_us = ELECTION_TIMEOUT_MIN_US,
        .election_timeout_max_us = ELECTION_TIMEOUT_MAX_US,
        .heartbeat_interval_us = HEARTBEAT_INTERVAL_US,
        .quorum_timeout_us = QUORUM_TIMEOUT_US,
        .lease_reads = server->lease_reads,
        .may_have_promised = server->lease_reads && server->life > 0,
    };
    struct disk *disk = &server->disk;
    disk_recover(disk);
    struct raft_restored restored = {
        .hard_state = disk->hard_state, .base = disk->base, .count = disk->count, .applied = disk->snapshot.index};
    restored.entries = copy_entries(disk->entries, disk->count);
    server->core = raft_new(&config, cluster->slab, &restored, server->now_us);
    free(restored.entries);
    server->life++;
    server->applied = disk->snapshot.index;
    server->shown_tick_us = 0;
    server->shown_leader = (struct raft_id){0};
    server->shown_removed = false;
    disk->durable_write = 0;
    disk->hard_state_write = 0;
    cluster_event(cluster, server, (struct raft_event){.type = RAFT_EVENT_TICK});
}

void cluster_start(struct cluster *cluster, struct server *server, const struct start *start) {
    if (server->starts) {
        cluster_fail(cluster, "%s was started before", server->id.text);
        return;
    }
    server->starts = true;
    server->now_us = US_PER_S;
    server->disk.writes = raft_queue_of(sizeof(struct raft_persist));
    server->disk.hard_state = start->hard_state;
    server->disk.base = start->base;
    array_reserve(server->disk.entries, server->disk.cap, start->log_count);
    for (size_t i = 0; i < start->log_count; i++) {
        struct raft_entry_id id = {.term = start->log[i], .index = start->base.index + 1 + i};
        server->disk.entries[server->disk.count++] = cluster_entry(cluster, id, start->texts[i]);
    }
    for (size_t i = 0; i < cluster->count && !start->empty; i++) {
        const struct server *member = &cluster->servers[i];
        if (member->member) {
            server->disk.members.members[server->disk.members.count++] =
                (struct raft_member){.id = member->id, .voter = member->voter};
        }
    }
    server->disk.snapshot.index = start->snapshot;
    server->disk.snapshot.term =
        start->snapshot == start->base.index ? start->base.term : start->log[start->snapshot - start->base.index - 1];
    start_core(cluster, server);
}

void cluster_crash(struct cluster *cluster, struct server *server) {
    if (server->core == NULL) {
        cluster_fail(cluster, "%s does not run", server->id.text);
        return;
    }
    raft_free(server->core);
    server->core = NULL;
    for (struct raft_persist *write; (write = raft_queue_front(&server->disk.writes)) != NULL;) {
        trace_line(cluster, "%s loses w%llu", server->id.text, (unsigned long long)write->write);
        drop_entries(write->entries, write->count);
        raft_queue_pop(&server->disk.writes);
    }
    for (size_t i = 0; i < cluster->packet_count; i++) {
        struct packet *packet = cluster->packets[i];
        if (packet->place == PACKET_HELD && raft_id_equal(&packet->message.from, &server->id)) {
            cluster_drop(cluster, packet);
        }
    }
}

void cluster_restart(struct cluster *cluster, struct server *server) {
    if (!server->starts || server->core != NULL) {
        cluster_fail(cluster, "%s is not down", server->id.text);
        return;
    }
    start_core(cluster, server);
    trace_status(cluster, server);
}

void cluster_lose(struct cluster *cluster, struct server *server, raft_index first) {
    if (!server->starts || server->core != NULL || first <= server->disk.base.index) {
        cluster_fail(cluster, "%s must be down, and hold what it loses", server->id.text);
        return;
    }
    disk_cut(&server->disk, first - 1);
}

void cluster_compact(struct cluster *cluster, struct server *server, raft_index index) {
    cluster_event(cluster, server, (struct raft_event){.type = RAFT_EVENT_COMPACT, .compact_index = index});
    if (cluster_failed(cluster)) {
        return;
    }
    // The configuration of the snapshot is the last one of the log up to there, or the one of the snapshot before.
    struct raft_entry_id before = server->disk.base;
    for (size_t i = 0; i < server->disk.count && before.index + 1 + i <= server->applied; i++) {
        const struct raft_entry *entry = server->disk.entries[i];
        if (entry->type == RAFT_ENTRY_CONFIGURATION && entry->id.index > server->disk.members_index) {
            configuration_read(raft_entry_command(entry), &server->disk.members);
            server->disk.members_index = entry->id.index;
        }
    }
    const struct raft_entry *last = raft_entry_at(server->core, server->applied);
    server->disk.snapshot = last == NULL ? raft_base(server->core) : last->id;
    struct raft_entry_id base = raft_base(server->core);
    if (base.index == before.index) {
        trace_line(cluster, "%s drops nothing", server->id.text);
        return;
    }
    disk_compact(&server->disk, base);
    trace_line(cluster, "%s's log begins after %llu(t%llu)", server->id.text, (unsigned long long)base.index,
               (unsigned long long)base.term);
}

void cluster_install(struct cluster *cluster, struct server *server, struct raft_entry_id last,
                     const struct raft_configuration *members, raft_index members_index) {
    if (last.index > server->disk.snapshot.index) {
        server->disk.snapshot = last;
        server->disk.members = *members;
        server->disk.members_index = members_index;
    }
    struct raft_configuration copy = *members;
    prefer(server, &copy);
    struct raft_event event = {.type = RAFT_EVENT_SNAPSHOT_INSTALLED};
    event.snapshot.last = last;
    event.snapshot.configuration = &copy;
    event.snapshot.configuration_index = members_index;
    cluster_event(cluster, server, event);
}

void cluster_free(struct cluster *cluster) {
    for (size_t i = 0; i < cluster->count; i++) {
        struct server *server = &cluster->servers[i];
        if (server->core != NULL) {
            cluster_crash(cluster, server);
        }
        disk_cut(&server->disk, 0);
        free(server->shown_status);
        free(server->disk.entries);
        raft_queue_free(&server->disk.writes);
    }
    for (size_t i = 0; i < cluster->packet_count; i++) {
        struct raft_message *message = &cluster->packets[i]->message;
        if (message->type == RAFT_APPEND_ENTRIES) {
            drop_entries(message->append.entries, message->append.count);
        }
        free(cluster->packets[i]);
    }
    for (size_t i = 0; i < cluster->trace_count; i++) {
        free(cluster->trace[i]);
    }
    for (size_t i = 0; i < cluster->tag_count; i++) {
        free(cluster->tags[i]);
    }
    raft_queue_free(&cluster->leaders);
    free(cluster->packets);
    free(cluster->trace);
    free(cluster->tags);
    raft_slab_free(cluster->slab);  // asserts that no reference is left
}

// --- clocks ---

static void tick(struct cluster *cluster, struct server *server) {
    if (server->next_tick_us > server->now_us) {
        uint64_t after_us = server->next_tick_us - server->now_us;
        trace_line(cluster, "%s's timer fires after %llu.%03llu ms", server->id.text, (unsigned long long)(after_us / 1000),
                   (unsigned long long)(after_us % 1000));
        server->now_us = server->next_tick_us;
    } else {
        trace_line(cluster, "%s has more to send", server->id.text);
    }
    cluster_event(cluster, server, (struct raft_event){.type = RAFT_EVENT_TICK});
}

void cluster_time_out(struct cluster *cluster, struct server *server) {
    if (server->core == NULL) {
        cluster_fail(cluster, "%s does not run", server->id.text);
        return;
    }
    tick(cluster, server);
}

// Of the chosen servers the one whose timer fires next; `left_us` is how far each clock has to go.
static struct server *next_to_fire(struct cluster *cluster, const bool chosen[MEMBERS_MAX], const uint64_t *left_us) {
    struct server *next = NULL;
    uint64_t next_left_us = 0;
    for (size_t i = 0; i < cluster->count; i++) {
        struct server *server = &cluster->servers[i];
        if (!chosen[i] || server->core == NULL || server->next_tick_us > server->now_us + left_us[i]) {
            continue;
        }
        uint64_t ahead_us = server->next_tick_us > server->now_us ? server->next_tick_us - server->now_us : 0;
        if (next == NULL || left_us[i] - ahead_us > next_left_us) {
            next = server;
            next_left_us = left_us[i] - ahead_us;
        }
    }
    return next;
}

void cluster_wait(struct cluster *cluster, const bool chosen[MEMBERS_MAX], uint64_t duration_us) {
    uint64_t left_us[MEMBERS_MAX];
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        left_us[i] = duration_us;
    }
    size_t steps = 0;
    for (struct server *server; (server = next_to_fire(cluster, chosen, left_us)) != NULL && !cluster_failed(cluster);) {
        uint64_t before_us = server->now_us;
        tick(cluster, server);
        left_us[server - cluster->servers] -= server->now_us - before_us;
        if (++steps > LOOP_MAX) {
            cluster_fail(cluster, "%s always has more to send", server->id.text);
        }
    }
    for (size_t i = 0; i < cluster->count; i++) {
        cluster->servers[i].now_us += chosen[i] ? left_us[i] : 0;
    }
}

// --- messages ---

bool cluster_is_request(const struct raft_message *message) {
    return message->type == RAFT_REQUEST_VOTE || message->type == RAFT_APPEND_ENTRIES || message->type == RAFT_TIMEOUT_NOW ||
           message->type == RAFT_INSTALL_SNAPSHOT;
}

struct packet *cluster_packet(struct cluster *cluster, struct raft_message message, struct packet *request) {
    struct packet *packet = mem_zalloc(sizeof *packet);
    array_reserve(cluster->packets, cluster->packet_cap, cluster->packet_count + 1);
    cluster->packets[cluster->packet_count++] = packet;
    packet->number = cluster->packet_count;
    packet->message = message;
    packet->to = cluster_find(cluster, &message.to);
    packet->request = request;
    packet->place = PACKET_IN_FLIGHT;
    return packet;
}

void cluster_drop(struct cluster *cluster, struct packet *packet) {
    packet->place = PACKET_GONE;
    trace_lost(cluster, packet);
}

// Whether the message cannot get there, which loses it.
static bool is_lost(struct cluster *cluster, const struct packet *packet) {
    const struct server *from = cluster_find(cluster, &packet->message.from);
    const struct server *to = packet->to;
    bool cut = from != NULL && cluster->cut[from - cluster->servers][to - cluster->servers];
    // A reply is only for the process that sent the request.
    bool outlived = packet->request != NULL && packet->request->life != to->life;
    return cut || to->core == NULL || outlived;
}

void cluster_deliver(struct cluster *cluster, struct packet *packet) {
    struct server *to = packet->to;
    if (cluster_failed(cluster)) {
        return;
    }
    if (to == NULL || !to->starts) {
        cluster_fail(cluster, "m%zu is for a member that the script plays: reply to it", packet->number);
        return;
    }
    if (is_lost(cluster, packet)) {
        cluster_drop(cluster, packet);
        return;
    }
    packet->place = PACKET_GONE;
    trace_received(cluster, packet);
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE, .message = packet->message};
    bool request = packet->request == NULL;
    event.message.call = request ? packet->number : packet->request->message.call;
    event.message.after_write = 0;
    event.message.claims_entries = false;
    if (request && event.message.type == RAFT_APPEND_ENTRIES) {
        event.message.append.entries = copy_entries(packet->message.append.entries, packet->message.append.count);
    }
    packet->replies = 0;
    cluster_event(cluster, to, event);
    if (event.message.type == RAFT_APPEND_ENTRIES) {
        free(event.message.append.entries);  // the core has taken the references
    }
    bool may_wait = event.message.type == RAFT_REQUEST_VOTE && event.message.request_vote.pre_vote;
    if (request && packet->replies == 0 && !may_wait) {
        cluster_fail(cluster, "%s does not reply to m%zu", to->id.text, packet->number);
    }
}

void cluster_send_snapshot(struct cluster *cluster, struct server *server, struct server *to, struct raft_entry_id last) {
    struct raft_message message;
    if (server->core == NULL || !raft_snapshot_request(server->core, &to->id, last, &message)) {
        trace_line(cluster, "%s sends %s no snapshot", server->id.text, to->id.text);
        return;
    }
    struct packet *packet = cluster_packet(cluster, message, NULL);
    packet->life = server->life;
    trace_packet(cluster, packet);
}

void cluster_deliver_all(struct cluster *cluster) {
    for (size_t i = 0; i < cluster->packet_count && !cluster_failed(cluster); i++) {
        struct packet *packet = cluster->packets[i];
        if (packet->place == PACKET_IN_FLIGHT && packet->to != NULL && packet->to->starts) {
            cluster_deliver(cluster, packet);
            i = SIZE_MAX;  // messages that were held may have left: start again from the oldest
        }
        if (cluster->packet_count > LOOP_MAX) {
            cluster_fail(cluster, "the exchange of messages never ends");
        }
    }
}

void cluster_report_failed(struct cluster *cluster, struct packet *packet) {
    const struct packet *request = packet->request == NULL ? packet : packet->request;
    struct server *from = cluster_find(cluster, &request->message.from);
    if (packet->place != PACKET_GONE) {
        cluster_drop(cluster, packet);
    }
    struct raft_event event = {.type = RAFT_EVENT_SEND_FAILED};
    event.send_failed.peer = request->message.to;
    event.send_failed.call = request->message.call;
    trace_line(cluster, "%s is told that m%zu failed", from->id.text, request->number);
    cluster_event(cluster, from, event);
}
