// How the trace is written: one fact a line, with every field of a message.
//
// An entry is INDEX(tTERM), such as 5(t4), with :TEXT if its command is not empty, or :no-op. Omitted are the control
// connection, a leader_id equal to the sender, and call numbers (the message's own number stands for it).
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "cluster.h"

enum { LINE_MAX_BYTES = 1024, TEXT_MAX_BYTES = 32 };

struct line {
    char text[LINE_MAX_BYTES];
    size_t len;
};

static void put(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct line *line, const char *format, ...) {
    size_t room = sizeof line->text - line->len;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line->text + line->len, room, format, args);
    va_end(args);
    if (len > 0) {
        line->len += (size_t)len < room ? (size_t)len : room - 1;
    }
}

void trace_line(struct cluster *cluster, const char *format, ...) {
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    array_reserve(cluster->trace, cluster->trace_cap, cluster->trace_count + 1);
    cluster->trace[cluster->trace_count++] = mem_strdup(text);
}

static void put_ms(struct line *line, uint64_t us) {
    put(line, "%" PRIu64, us / 1000);
    if (us % 1000 != 0) {
        put(line, ".%03" PRIu64, us % 1000);
    }
    put(line, " ms");
}

static void put_entry(struct line *line, const struct raft_entry *entry) {
    put(line, " %" PRIu64 "(t%" PRIu64, entry->id.index, entry->id.term);
    if (entry->type == RAFT_ENTRY_NOOP) {
        put(line, ":no-op");
    } else if (entry->len > TEXT_MAX_BYTES && entry->type != RAFT_ENTRY_CONFIGURATION) {
        put(line, ":%" PRIu32 "-bytes", entry->len);
    } else if (entry->len > 0) {
        put(line, ":%.*s", (int)entry->len, (const char *)entry->data);
    }
    put(line, ")");
}

static void put_entries(struct line *line, struct raft_entry *const *entries, size_t count) {
    for (size_t i = 0; i < count; i++) {
        put_entry(line, entries[i]);
    }
}

static const char *name_or_none(const struct raft_id *id) {
    return id->len == 0 ? "none" : id->text;
}

// --- messages ---

static const char *type_of(const struct packet *packet) {
    const struct raft_message *message = &packet->message;
    switch (message->type) {
    case RAFT_REQUEST_VOTE:
        return message->request_vote.pre_vote ? "PreVote" : "RequestVote";
    case RAFT_REQUEST_VOTE_REPLY:
        return message->vote_reply.pre_vote ? "PreVote reply" : "RequestVote reply";
    case RAFT_APPEND_ENTRIES:
        return "AppendEntries";
    case RAFT_APPEND_ENTRIES_REPLY:
        return "AppendEntries reply";
    case RAFT_TIMEOUT_NOW:
        return "TimeoutNow";
    case RAFT_INSTALL_SNAPSHOT:
        return "InstallSnapshot";
    case RAFT_INSTALL_SNAPSHOT_REPLY:
        return "InstallSnapshot reply";
    default:
        return "TimeoutNow reply";
    }
}

static void put_append(struct line *line, const struct raft_message *message) {
    put(line, ", prev %" PRIu64 "(t%" PRIu64 ")", message->append.prev_log.index, message->append.prev_log.term);
    if (message->append.count > 0) {
        put(line, ", entries");
        put_entries(line, message->append.entries, message->append.count);
    }
    put(line, ", commit %" PRIu64, message->append.leader_commit);
    if (!raft_id_equal(&message->append.leader_id, &message->from)) {
        put(line, ", leader %s", message->append.leader_id.text);
    }
}

static void put_append_reply(struct line *line, const struct raft_message *message) {
    if (message->append_reply.success) {
        put(line, ": success, match %" PRIu64, message->append_reply.match_index);
    } else if (message->append_reply.conflict_index == 0) {
        put(line, ": refused");
    } else {
        put(line, ": rejected, conflict %" PRIu64 "(t%" PRIu64 ")", message->append_reply.conflict_index,
            message->append_reply.conflict_term);
    }
    if (message->append_reply.promised_us > 0) {
        put(line, ", promises %" PRIu64 " us", message->append_reply.promised_us);
    }
}

static void put_snapshot_reply(struct line *line, const struct raft_message *message) {
    if (message->snapshot_reply.done) {
        put(line, ": done, match %" PRIu64, message->snapshot_reply.match_index);
    } else {
        put(line, ": %s", message->snapshot_reply.accepted ? "accepted" : "refused");
    }
}

static void put_message(struct line *line, const struct packet *packet) {
    const struct raft_message *message = &packet->message;
    put(line, "%s", type_of(packet));
    if (packet->request != NULL) {
        put(line, " to m%zu", packet->request->number);
    }
    put(line, ", term %" PRIu64, message->term);
    if (message->type == RAFT_REQUEST_VOTE) {
        put(line, ", last %" PRIu64 "(t%" PRIu64 ")", message->request_vote.last_log.index,
            message->request_vote.last_log.term);
        put(line, "%s", message->request_vote.leadership_transfer ? ", transfer" : "");
    } else if (message->type == RAFT_REQUEST_VOTE_REPLY) {
        put(line, ": %s", message->vote_reply.granted ? "granted" : "refused");
    } else if (message->type == RAFT_APPEND_ENTRIES) {
        put_append(line, message);
    } else if (message->type == RAFT_APPEND_ENTRIES_REPLY) {
        put_append_reply(line, message);
    } else if (message->type == RAFT_INSTALL_SNAPSHOT) {
        put(line, ", last %" PRIu64 "(t%" PRIu64 ")", message->snapshot.last.index, message->snapshot.last.term);
    } else if (message->type == RAFT_INSTALL_SNAPSHOT_REPLY) {
        put_snapshot_reply(line, message);
    }
    if (message->lane == RAFT_BULK) {
        put(line, ", bulk");
    }
}

void trace_packet(struct cluster *cluster, const struct packet *packet) {
    const struct raft_message *message = &packet->message;
    struct line line = {0};
    bool held = packet->place == PACKET_HELD;
    put(&line, "%s %s m%zu to %s: ", message->from.text, held ? "holds" : "sends", packet->number, message->to.text);
    put_message(&line, packet);
    if (held) {
        put(&line, "; until %s w%" PRIu64 " is durable", message->claims_entries ? "all of" : "the hard state of",
            message->after_write);
    }
    trace_line(cluster, "%s", line.text);
}

void trace_received(struct cluster *cluster, const struct packet *packet) {
    struct line line = {0};
    put(&line, "%s receives m%zu from %s: ", packet->to->id.text, packet->number, packet->message.from.text);
    if (packet->life > 0) {
        put(&line, "%s", type_of(packet));  // the trace has its fields from when it was sent
    } else {
        put_message(&line, packet);
    }
    if (!raft_id_equal(&packet->to->id, &packet->message.to)) {
        put(&line, ", to %s", packet->message.to.text);
    }
    trace_line(cluster, "%s", line.text);
}

void trace_lost(struct cluster *cluster, const struct packet *packet) {
    struct line line = {0};
    char *last = cluster->trace_count > cluster->command_trace ? cluster->trace[cluster->trace_count - 1] : NULL;
    bool follows = last != NULL && strncmp(last, "lost:", strlen("lost:")) == 0;
    put(&line, "%s m%zu", follows ? last : "lost:", packet->number);
    if (follows) {
        free(last);
        cluster->trace_count--;
    }
    trace_line(cluster, "%s", line.text);
}

// --- updates ---

static void trace_persist(struct cluster *cluster, const struct server *server, const struct raft_persist *persist) {
    struct line line = {0};
    put(&line, "%s writes w%" PRIu64 ":", server->id.text, persist->write);
    if (persist->reset.index > 0) {
        put(&line, " a new log after %" PRIu64 "(t%" PRIu64 "),", persist->reset.index, persist->reset.term);
    }
    if (persist->has_hard_state) {
        put(&line, " term %" PRIu64 " vote %s", persist->hard_state.current_term,
            name_or_none(&persist->hard_state.voted_for));
    }
    if (persist->count > 0) {
        put(&line, "%s entries", persist->has_hard_state ? "," : "");
        put_entries(&line, persist->entries, persist->count);
    }
    trace_line(cluster, "%s", line.text);
}

static void trace_members(struct cluster *cluster, const struct server *server) {
    char text[CONFIGURATION_TEXT_MAX];
    raft_index index;
    configuration_write(raft_configuration(server->core, &index), text);
    trace_line(cluster, "%s's members: %s, of entry %" PRIu64, server->id.text, text, index);
}

static void trace_forgot(struct cluster *cluster, const struct server *server) {
    struct raft_progress all[MEMBERS_MAX];
    size_t count = raft_progress(server->core, all);
    for (size_t i = 0; i < count; i++) {
        if (all[i].forgot.index > 0) {
            trace_line(cluster, "%s finds that %s forgot %" PRIu64 "(t%" PRIu64 ")", server->id.text, all[i].id.text,
                       all[i].forgot.index, all[i].forgot.term);
        }
    }
}

void trace_update(struct cluster *cluster, struct server *server, const struct raft_update *update) {
    for (size_t i = 0; i < update->transition_count; i++) {
        const struct raft_transition *t = &update->transitions[i];
        trace_line(cluster, "%s: %s -> %s, term %" PRIu64 " (%s)", server->id.text, raft_state_name(t->from),
                   raft_state_name(t->to), t->term, t->reason);
    }
    if (update->elections_started > 0) {
        trace_line(cluster, "%s starts %s", server->id.text,
                   update->elections_started == 1 ? "an election" : "several elections");
    }
    const struct raft_id *leader = raft_leader(server->core);
    if (update->leader_changed != !raft_id_equal(leader, &server->shown_leader)) {
        cluster_fail(cluster, "%s: leader_changed is wrong", server->id.text);
    }
    if (update->leader_changed) {
        trace_line(cluster, "%s's leader: %s", server->id.text, name_or_none(leader));
        server->shown_leader = *leader;
    }
    if (update->configuration_changed) {
        trace_members(cluster, server);
    }
    if (update->removed != server->shown_removed) {
        trace_line(cluster, "%s is %s", server->id.text, update->removed ? "removed" : "a member again");
        server->shown_removed = update->removed;
    }
    if (update->peer_forgot) {
        trace_forgot(cluster, server);
    }
    if (update->installed.index > 0) {
        trace_line(cluster, "%s's state is the snapshot of %" PRIu64 "(t%" PRIu64 ")", server->id.text,
                   update->installed.index, update->installed.term);
    }
    if (update->has_persist) {
        trace_persist(cluster, server, &update->persist);
    }
}

static const char *refusal_name(enum raft_refusal refusal) {
    static const char *const names[] = {
        [RAFT_ACCEPTED] = "accepted",
        [RAFT_NOT_LEADER] = "not leader",
        [RAFT_TRANSFERRING] = "transferring",
        [RAFT_TOO_MUCH] = "too much",
        [RAFT_NO_SUCH_NODE] = "no such node",
        [RAFT_BUSY] = "busy",
        [RAFT_BEHIND] = "behind",
        [RAFT_NOT_ESTABLISHED] = "not established",
        [RAFT_CHANGE_PENDING] = "change pending",
        [RAFT_UNSAFE_CHANGE] = "unsafe change",
    };
    return names[refusal];
}

static const char *tag_name(const struct cluster *cluster, uint64_t tag) {
    return tag > 0 && tag <= cluster->tag_count ? cluster->tags[tag - 1] : "unknown";
}

void trace_results(struct cluster *cluster, struct server *server, const struct raft_update *update) {
    static const char *const outcomes[] = {[RAFT_TRANSFER_DONE] = "is done", [RAFT_TRANSFER_FAILED] = "has failed"};
    for (size_t i = 0; i < update->proposed_count; i++) {
        const struct raft_proposed *p = &update->proposed[i];
        if (p->refusal == RAFT_ACCEPTED) {
            trace_line(cluster, "%s accepts proposal %s at %" PRIu64 "(t%" PRIu64 ")", server->id.text,
                       tag_name(cluster, p->tag), p->first.index, p->first.term);
        } else {
            trace_line(cluster, "%s refuses proposal %s: %s", server->id.text, tag_name(cluster, p->tag),
                       refusal_name(p->refusal));
        }
    }
    for (size_t i = 0; i < update->read_count; i++) {
        const struct raft_read *read = &update->reads[i];
        if (read->refusal == RAFT_ACCEPTED) {
            trace_line(cluster, "%s releases read %s at %" PRIu64, server->id.text, tag_name(cluster, read->tag),
                       read->index);
        } else {
            trace_line(cluster, "%s refuses read %s: %s", server->id.text, tag_name(cluster, read->tag),
                       refusal_name(read->refusal));
        }
    }
    if (update->transfer == RAFT_TRANSFER_REFUSED) {
        trace_line(cluster, "%s's transfer is refused: %s", server->id.text, refusal_name(update->transfer_refusal));
    } else if (update->transfer != RAFT_TRANSFER_NONE) {
        trace_line(cluster, "%s's transfer %s", server->id.text, outcomes[update->transfer]);
    }
}

void trace_applied(struct cluster *cluster, struct server *server, raft_index from, raft_index to) {
    struct line line = {0};
    put(&line, "%s commits %" PRIu64 ", applies", server->id.text, to);
    for (raft_index index = from; index <= to; index++) {
        put_entry(&line, raft_entry_at(server->core, index));
    }
    trace_line(cluster, "%s", line.text);
}

void trace_timers(struct cluster *cluster) {
    for (size_t i = 0; i < cluster->count; i++) {
        struct server *server = &cluster->servers[i];
        if (server->core == NULL || server->next_tick_us == server->shown_tick_us) {
            continue;
        }
        server->shown_tick_us = server->next_tick_us;
        struct line line = {0};
        put(&line, "%s's timer: ", server->id.text);
        if (server->next_tick_us > server->now_us) {
            put_ms(&line, server->next_tick_us - server->now_us);
        } else {
            put(&line, "at once");
        }
        trace_line(cluster, "%s", line.text);
    }
}

// --- status ---

static void put_log(struct line *line, const struct raft_node *core) {
    struct raft_entry_id base = raft_base(core);
    raft_index last = raft_last_log(core).index;
    if (base.index > 0) {
        put(line, " ...%" PRIu64 "(t%" PRIu64 ")", base.index, base.term);
    }
    for (raft_index index = base.index + 1; index <= last; index++) {
        put(line, " %" PRIu64, raft_entry_at(core, index)->id.term);
    }
}

static void put_status(struct line *line, const struct server *server) {
    const struct raft_node *core = server->core;
    if (core == NULL) {
        put(line, "%s is down", server->id.text);
        return;
    }
    bool established = raft_leader_is_established(core);
    put(line, "%s is %s%s, term %" PRIu64 ", leader %s, commit %" PRIu64 ", log", server->id.text,
        raft_state_name(raft_state(core)), established ? " (established)" : "", raft_current_term(core),
        name_or_none(raft_leader(core)), raft_commit_index(core));
    put_log(line, core);
}

static void show_status(struct cluster *cluster, struct server *server, const struct line *line) {
    trace_line(cluster, "%s", line->text);
    free(server->shown_status);
    server->shown_status = mem_strdup(line->text);
}

void trace_status(struct cluster *cluster, struct server *server) {
    struct line line = {0};
    put_status(&line, server);
    show_status(cluster, server, &line);
}

void trace_changed_status(struct cluster *cluster, struct server *server) {
    struct line line = {0};
    put_status(&line, server);
    if (server->shown_status == NULL || strcmp(server->shown_status, line.text) != 0) {
        show_status(cluster, server, &line);
    }
}

void trace_progress(struct cluster *cluster, struct server *server) {
    struct raft_progress all[MEMBERS_MAX];
    size_t count = server->core == NULL ? 0 : raft_progress(server->core, all);
    for (size_t i = 0; i < count; i++) {
        struct line line = {0};
        put(&line, "%s about %s (%s): match %" PRIu64 ", next %" PRIu64 ", in flight %" PRIu64, server->id.text,
            all[i].id.text, all[i].voter ? "voter" : "learner", all[i].match_index, all[i].next_index, all[i].inflight);
        put(&line, "%s", all[i].needs_snapshot ? ", needs a snapshot" : "");
        put(&line, "%s", all[i].forgot.index > 0 ? ", forgot" : "");
        if (all[i].last_heard_us > 0) {
            put(&line, ", heard ");
            put_ms(&line, server->now_us - all[i].last_heard_us);
            put(&line, " ago");
        }
        trace_line(cluster, "%s", line.text);
    }
}

void trace_logs(struct cluster *cluster) {
    for (size_t i = 0; i < cluster->count; i++) {
        const struct server *server = &cluster->servers[i];
        if (server->core == NULL) {
            continue;
        }
        struct line line = {0};
        put(&line, "%s |", server->id.text);
        put_log(&line, server->core);
        trace_line(cluster, "%s", line.text);
    }
}
