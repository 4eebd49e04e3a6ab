// The commands about messages: which of those in flight are delivered or lost, and those that the script makes up.
#include "messages.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"

enum { CHOSEN_MAX = 256 };

// --- which messages ---

struct packets {
    struct packet *items[CHOSEN_MAX];
    size_t count;
};

static bool side_fits(const char *side, size_t len, const struct raft_id *id) {
    return (len == 1 && side[0] == '*') || (len == id->len && memcmp(side, id->text, len) == 0);
}

static bool kind_fits(const char *kind, const struct packet *packet) {
    bool append = packet->message.type == RAFT_APPEND_ENTRIES;
    if (strcmp(kind, "requests") == 0) {
        return packet->request == NULL;
    }
    if (strcmp(kind, "replies") == 0) {
        return packet->request != NULL;
    }
    if (strcmp(kind, "entries") == 0) {
        return append && packet->message.append.count > 0;
    }
    return strcmp(kind, "heartbeats") != 0 || (append && packet->message.append.count == 0);
}

// `kind`: what is meant if the command does not say.
static void next_packets(struct words *words, struct packets *packets, const char *kind) {
    struct cluster *cluster = words->cluster;
    packets->count = 0;
    const char *word = words_next(words, "a message");
    uint64_t number;
    if (words_scan_number(word, "m", &number)) {
        if (number < 1 || number > cluster->packet_count) {
            cluster_fail(cluster, "there is no message %s", word);
            return;
        }
        packets->items[packets->count++] = cluster->packets[number - 1];
        return;
    }
    const char *arrow = strstr(word, "->");
    if (arrow == NULL) {
        cluster_fail(cluster, "a message such as m3 or n1->n2 expected instead of '%s'", word);
        return;
    }
    static const char *const kinds[] = {"requests", "replies", "entries", "heartbeats"};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        kind = words_take(words, kinds[i]) ? kinds[i] : kind;
    }
    for (size_t i = 0; i < cluster->packet_count && packets->count < CHOSEN_MAX; i++) {
        struct packet *packet = cluster->packets[i];
        if (packet->place == PACKET_IN_FLIGHT && side_fits(word, (size_t)(arrow - word), &packet->message.from) &&
            side_fits(arrow + 2, strlen(arrow + 2), &packet->message.to) && kind_fits(kind, packet)) {
            packets->items[packets->count++] = packet;
        }
    }
    if (packets->count == 0) {
        cluster_fail(cluster, "no message is in flight: %s %s", word, kind);
    }
}

static void for_each_packet(struct words *words, void (*act)(struct cluster *cluster, struct packet *packet)) {
    struct packets packets;
    do {
        next_packets(words, &packets, "");
        for (size_t i = 0; i < packets.count && !cluster_failed(words->cluster); i++) {
            if (packets.items[i]->place != PACKET_IN_FLIGHT) {
                cluster_fail(words->cluster, "m%zu is not in flight", packets.items[i]->number);
                return;
            }
            act(words->cluster, packets.items[i]);
        }
    } while (words_more(words));
}

// --- the network ---

void messages_deliver(struct words *words) {
    if (words_take(words, "all")) {
        cluster_deliver_all(words->cluster);
        return;
    }
    for_each_packet(words, cluster_deliver);
}

void messages_drop(struct words *words) {
    for_each_packet(words, cluster_drop);
}

void messages_fail(struct words *words) {
    struct packets packets;
    next_packets(words, &packets, "");
    for (size_t i = 0; i < packets.count; i++) {
        cluster_report_failed(words->cluster, packets.items[i]);
    }
}

void messages_repeat(struct words *words) {
    struct packets packets;
    next_packets(words, &packets, "");
    for (size_t i = 0; i < packets.count; i++) {
        if (packets.items[i]->place == PACKET_HELD) {
            cluster_fail(words->cluster, "m%zu has not been sent yet", packets.items[i]->number);
            return;
        }
        cluster_deliver(words->cluster, packets.items[i]);
    }
}

void messages_cut(struct words *words) {
    struct cluster *cluster = words->cluster;
    bool left[MEMBERS_MAX] = {false};
    bool right[MEMBERS_MAX] = {false};
    bool *side = left;
    while (words_more(words)) {
        if (words_take(words, "|")) {
            side = right;
            continue;
        }
        struct server *server = words_server(words);
        if (server != NULL) {
            side[server - cluster->servers] = true;
        }
    }
    for (size_t i = 0; i < MEMBERS_MAX * MEMBERS_MAX; i++) {
        size_t a = i / MEMBERS_MAX;
        size_t b = i % MEMBERS_MAX;
        cluster->cut[a][b] |= (left[a] && right[b]) || (right[a] && left[b]);
    }
}

void messages_heal(struct words *words) {
    memset(words->cluster->cut, 0, sizeof words->cluster->cut);
}

void messages_disconnect(struct words *words) {
    struct server *server = words_server(words);
    struct server *peer = words_server(words);
    if (server != NULL && peer != NULL) {
        cluster_event(words->cluster, server, (struct raft_event){.type = RAFT_EVENT_LOST, .lost_peer = peer->id});
    }
}

void messages_meet(struct words *words) {
    struct server *server = words_server(words);
    if (server != NULL) {
        cluster_event(words->cluster, server, (struct raft_event){.type = RAFT_EVENT_MET});
    }
}

// --- messages that the script makes up ---

static bool next_type(struct words *words, struct raft_message *message) {
    const char *type = words_next(words, "a type of message");
    message->lane = RAFT_CONTROL;
    if (strcmp(type, "RequestVote") == 0 || strcmp(type, "PreVote") == 0) {
        message->type = RAFT_REQUEST_VOTE;
        message->request_vote.pre_vote = type[0] == 'P';
    } else if (strcmp(type, "AppendEntries") == 0) {
        message->type = RAFT_APPEND_ENTRIES;
        message->append.leader_id = message->from;
    } else if (strcmp(type, "TimeoutNow") == 0) {
        message->type = RAFT_TIMEOUT_NOW;
    } else if (strcmp(type, "InstallSnapshot") == 0) {
        message->type = RAFT_INSTALL_SNAPSHOT;
        message->lane = RAFT_BULK;
        message->snapshot.leader_id = message->from;
    } else {
        cluster_fail(words->cluster,
                     "RequestVote, PreVote, AppendEntries, TimeoutNow or InstallSnapshot expected instead of '%s'", type);
        return false;
    }
    return true;
}

static void next_entries(struct words *words, struct raft_message *message) {
    size_t cap = 0;
    struct raft_entry_id id;
    char text[64];
    while (words_more(words) && words_scan_entry(words->words[words->at], &id, text)) {
        array_reserve(message->append.entries, cap, message->append.count + 1);
        message->append.entries[message->append.count++] = cluster_entry(words->cluster, id, text);
        words->at++;
    }
    message->lane = RAFT_BULK;
}

static void next_field(struct words *words, struct raft_message *message) {
    bool vote = message->type == RAFT_REQUEST_VOTE;
    bool append = message->type == RAFT_APPEND_ENTRIES;
    if (words_take(words, "term")) {
        message->term = words_number(words, "", "a term");
    } else if (words_take(words, "to")) {
        message->to = cluster_id(words_number(words, "n", "a member"));
    } else if (vote && words_take(words, "last")) {
        message->request_vote.last_log = words_entry_id(words);
    } else if (vote && words_take(words, "transfer")) {
        message->request_vote.leadership_transfer = true;
    } else if (append && words_take(words, "prev")) {
        message->append.prev_log = words_entry_id(words);
    } else if (append && words_take(words, "entries")) {
        next_entries(words, message);
    } else if (append && words_take(words, "commit")) {
        message->append.leader_commit = words_number(words, "", "an index");
    } else if (message->type == RAFT_INSTALL_SNAPSHOT && words_take(words, "last")) {
        message->snapshot.last = words_entry_id(words);
    } else {
        words_unexpected(words);
    }
}

// The message is written down as received, so the script's own line of it is checked, too.
void messages_send(struct words *words) {
    struct cluster *cluster = words->cluster;
    const char *word = words_next(words, "n2->n1");
    uint64_t from = 0;
    uint64_t to = 0;
    int end = 0;
    if (sscanf(word, "n%" SCNu64 "->n%" SCNu64 "%n", &from, &to, &end) != 2 || word[end] != '\0' || to < 1 ||
        to > cluster->count) {
        cluster_fail(cluster, "n2->n1 expected instead of '%s'", word);
        return;
    }
    struct raft_message message = {.from = cluster_id(from), .to = cluster_id(to)};
    if (!next_type(words, &message)) {
        return;
    }
    while (words_more(words)) {
        next_field(words, &message);
    }
    struct packet *packet = cluster_packet(cluster, message, NULL);
    packet->to = &cluster->servers[to - 1];  // whatever address it bears
    cluster_deliver(cluster, packet);
}

static struct raft_message answer_to(const struct packet *request) {
    static const enum raft_message_type types[] = {
        [RAFT_REQUEST_VOTE] = RAFT_REQUEST_VOTE_REPLY,
        [RAFT_APPEND_ENTRIES] = RAFT_APPEND_ENTRIES_REPLY,
        [RAFT_TIMEOUT_NOW] = RAFT_TIMEOUT_NOW_REPLY,
        [RAFT_INSTALL_SNAPSHOT] = RAFT_INSTALL_SNAPSHOT_REPLY,
    };
    struct raft_message answer = {
        .type = types[request->message.type],
        .lane = request->message.lane,
        .from = request->message.to,
        .to = request->message.from,
        .term = request->message.term,
    };
    answer.vote_reply.pre_vote = request->message.type == RAFT_REQUEST_VOTE && request->message.request_vote.pre_vote;
    return answer;
}

static void next_snapshot_verdict(struct words *words, struct raft_message *answer) {
    if (words_take(words, "accepted")) {
        answer->snapshot_reply.accepted = true;
    } else if (words_take(words, "done")) {
        answer->snapshot_reply.accepted = answer->snapshot_reply.done = true;
    } else if (words_take(words, "match")) {
        answer->snapshot_reply.match_index = words_number(words, "", "an index");
    } else if (!words_take(words, "refused")) {
        words_unexpected(words);
    }
}

static void next_verdict(struct words *words, struct raft_message *answer) {
    bool append = answer->type == RAFT_APPEND_ENTRIES_REPLY;
    if (words_take(words, "term")) {
        answer->term = words_number(words, "", "a term");
    } else if (words_take(words, "from")) {
        answer->from = cluster_id(words_number(words, "n", "a member"));
    } else if (answer->type == RAFT_INSTALL_SNAPSHOT_REPLY) {
        next_snapshot_verdict(words, answer);
    } else if (!append && words_take(words, "granted")) {
        answer->vote_reply.granted = true;
    } else if (!append && words_take(words, "as-vote")) {
        answer->vote_reply.pre_vote = false;
    } else if (append && words_take(words, "success")) {
        answer->append_reply.success = true;
    } else if (append && words_take(words, "match")) {
        answer->append_reply.match_index = words_number(words, "", "an index");
    } else if (append && words_take(words, "conflict")) {
        struct raft_entry_id conflict = words_entry_id(words);
        answer->append_reply.conflict_term = conflict.term;
        answer->append_reply.conflict_index = conflict.index;
    } else if (append && words_take(words, "promises")) {
        answer->append_reply.promised_us = words_duration(words);
    } else if (!words_take(words, "refused") && !words_take(words, "rejected")) {
        words_unexpected(words);
    }
}

void messages_reply(struct words *words) {
    struct packets packets;
    next_packets(words, &packets, "requests");
    size_t verdict = words->at;
    for (size_t i = 0; i < packets.count && !cluster_failed(words->cluster); i++) {
        struct packet *request = packets.items[i];
        if (request->request != NULL) {
            cluster_fail(words->cluster, "m%zu is a reply", request->number);
            return;
        }
        struct raft_message answer = answer_to(request);
        for (words->at = verdict; words_more(words);) {
            next_verdict(words, &answer);
        }
        if (request->place == PACKET_IN_FLIGHT) {
            request->place = PACKET_GONE;
        }
        if (!cluster_failed(words->cluster)) {
            cluster_deliver(words->cluster, cluster_packet(words->cluster, answer, request));
        }
    }
}
