// See raft_solo.h.
#include "raft_solo.h"

#include <stdio.h>

#include "base/array.h"
#include "raft_configuration.h"

struct raft_id solo_id(size_t node) {
    char name[8];
    snprintf(name, sizeof name, "n%zu", node % 1000);
    return node == 0 ? (struct raft_id){0} : raft_id_of(slice_of_str(name));
}

struct raft_entry *solo_entry(struct solo *solo, raft_term term, raft_index index, size_t len) {
    struct raft_entry *entry = raft_entry_new(solo->slab, RAFT_ENTRY_COMMAND, at(term, index), len);
    memset(entry->data, 'x', len);
    return entry;
}

static bool decode_configuration(void *user, struct slice command, struct raft_configuration *out) {
    (void)user;
    return configuration_read(command, out);
}

struct solo *solo_new(const struct solo_config *config) {
    struct solo *solo = mem_zalloc(sizeof *solo);
    solo->slab = raft_slab_new();
    solo->now_us = US_PER_S;
    solo->next_call = SOLO_CALL;
    solo->voters = config->voters;
    solo->learners = config->learners;
    solo->self = config->self == 0 ? 1 : config->self;
    struct raft_configuration configuration = {.count = config->voters + config->learners};
    size_t count = configuration.count;
    for (size_t i = 0; i < count; i++) {  // in descending order: the core sorts them
        configuration.members[i] = (struct raft_member){
            .id = solo_id(count - i),
            .voter = count - i <= config->voters,
            .preferred = count - i == config->preferred,
        };
    }
    struct raft_config raft = {
        .id = solo_id(solo->self),
        .configuration = configuration,
        .decode_configuration = decode_configuration,
        .seed = config->seed == 0 ? 1 : config->seed,
        .election_timeout_min_us = ELECTION_TIMEOUT_MIN_US,
        .election_timeout_max_us = ELECTION_TIMEOUT_MAX_US,
        .heartbeat_interval_us = HEARTBEAT_INTERVAL_US,
        .quorum_timeout_us = QUORUM_TIMEOUT_US,
    };
    static const raft_term only_configuration[] = {1};
    const raft_term *terms = config->log == NULL ? only_configuration : config->log;
    size_t log_count = config->log == NULL ? 1 : config->log_count;
    struct raft_entry *entries[64];
    assert_true(log_count <= ARRAY_COUNT(entries));
    for (size_t i = 0; i < log_count; i++) {
        entries[i] = solo_entry(solo, terms[i], i + 1, 8);
    }
    struct raft_restored restored = {
        .hard_state = {.current_term = config->term == 0 ? 1 : config->term, .voted_for = solo_id(config->voted_for)},
        .entries = entries,
        .count = log_count,
    };
    solo->node = raft_new(&raft, solo->slab, &restored, solo->now_us);
    return solo;
}

void solo_free(struct solo *solo) {
    raft_free(solo->node);
    raft_slab_free(solo->slab);  // asserts that no reference is left
    free(solo);
}

// --- steps ---

static bool is_request(const struct raft_message *message) {
    return message->type == RAFT_REQUEST_VOTE || message->type == RAFT_APPEND_ENTRIES || message->type == RAFT_TIMEOUT_NOW ||
           message->type == RAFT_INSTALL_SNAPSHOT;
}

static size_t replies_among(const struct raft_message *messages, size_t count) {
    size_t replies = 0;
    for (size_t i = 0; i < count; i++) {
        replies += !is_request(&messages[i]);
    }
    return replies;
}

void solo_step(struct solo *solo, struct raft_event *events, size_t count) {
    size_t requests = solo->deferred;
    size_t pre_votes = solo->deferred;
    for (size_t i = 0; i < count; i++) {
        bool is_message = events[i].type == RAFT_EVENT_MESSAGE;
        requests += is_message && is_request(&events[i].message);
        pre_votes += is_message && events[i].message.type == RAFT_REQUEST_VOTE && events[i].message.request_vote.pre_vote;
    }
    raft_step(solo->node, solo->now_us, events, count, &solo->update);
    const struct raft_update *update = &solo->update;
    size_t replies = replies_among(update->send_now, update->send_now_count) +
                     replies_among(update->send_after_persist, update->send_after_persist_count);
    assert_in_range(replies, requests - pre_votes, requests);
    solo->deferred = requests - replies;
    const char *broken = raft_check_invariants(solo->node);
    if (broken != NULL) {
        fail_msg("broken: %s", broken);
    }
    if (update->has_persist) {
        assert_int_equal(update->persist.write, solo->last_write + 1);
        solo->last_write++;
    }
}

void solo_event(struct solo *solo, struct raft_event event) {
    solo_step(solo, &event, 1);
}

void solo_message(struct solo *solo, struct raft_message message) {
    solo_event(solo, (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = message});
}

void solo_tick(struct solo *solo, uint64_t after_us) {
    solo->now_us += after_us;
    solo_event(solo, (struct raft_event){.type = RAFT_EVENT_TICK});
}

void solo_persist(struct solo *solo) {
    solo_event(solo, (struct raft_event){.type = RAFT_EVENT_PERSISTED, .persisted_write = solo->last_write});
}

// --- messages to the core ---

static struct raft_message message_to(struct solo *solo, size_t from, enum raft_message_type type, raft_term term) {
    return (struct raft_message){
        .type = type,
        .lane = RAFT_CONTROL,
        .from = solo_id(from),
        .to = solo_id(solo->self),
        .term = term,
        .call = solo->next_call++,
    };
}

struct raft_message solo_vote(struct solo *solo, size_t from, raft_term term, struct raft_entry_id last_log) {
    struct raft_message message = message_to(solo, from, RAFT_REQUEST_VOTE, term);
    message.request_vote.last_log = last_log;
    return message;
}

struct raft_message solo_pre_vote(struct solo *solo, size_t from, raft_term term, struct raft_entry_id last_log) {
    struct raft_message message = solo_vote(solo, from, term, last_log);
    message.request_vote.pre_vote = true;
    return message;
}

void solo_append(struct solo *solo, size_t from, raft_term term, struct raft_entry_id prev, const raft_term *terms,
                 size_t count, raft_index commit) {
    struct raft_message message = message_to(solo, from, RAFT_APPEND_ENTRIES, term);
    struct raft_entry *entries[64];
    assert_true(count <= ARRAY_COUNT(entries));
    for (size_t i = 0; i < count; i++) {
        entries[i] = solo_entry(solo, terms[i], prev.index + 1 + i, 8);
    }
    message.lane = count > 0 ? RAFT_BULK : RAFT_CONTROL;
    message.append.leader_id = message.from;
    message.append.prev_log = prev;
    message.append.entries = entries;
    message.append.count = count;
    message.append.leader_commit = commit;
    solo_message(solo, message);
}

void solo_heartbeat(struct solo *solo, size_t from, raft_term term, struct raft_entry_id prev, raft_index commit) {
    solo_append(solo, from, term, prev, NULL, 0, commit);
}

struct raft_message solo_answer(const struct raft_message *request, enum raft_message_type type, raft_term term) {
    return (struct raft_message){
        .type = type,
        .lane = request->lane,
        .from = request->to,
        .to = request->from,
        .term = term,
        .call = request->call,
    };
}

void solo_answer_vote(struct solo *solo, const struct raft_message *request, raft_term term, bool granted) {
    struct raft_message answer = solo_answer(request, RAFT_REQUEST_VOTE_REPLY, term);
    answer.vote_reply.granted = granted;
    answer.vote_reply.pre_vote = request->request_vote.pre_vote;
    solo_message(solo, answer);
}

void solo_accept(struct solo *solo, const struct raft_message *request, raft_index match_index) {
    struct raft_message answer = solo_answer(request, RAFT_APPEND_ENTRIES_REPLY, request->term);
    answer.append_reply.success = true;
    answer.append_reply.match_index = match_index;
    solo_message(solo, answer);
}

void solo_reject(struct solo *solo, const struct raft_message *request, raft_term conflict_term, raft_index conflict_index) {
    struct raft_message answer = solo_answer(request, RAFT_APPEND_ENTRIES_REPLY, request->term);
    answer.append_reply.conflict_term = conflict_term;
    answer.append_reply.conflict_index = conflict_index;
    solo_message(solo, answer);
}

// --- the last update ---

const struct raft_message *solo_reply(const struct solo *solo, bool *waits) {
    const struct raft_update *update = &solo->update;
    const struct raft_message *reply = NULL;
    for (size_t i = 0; i < update->send_now_count + update->send_after_persist_count; i++) {
        bool now = i < update->send_now_count;
        const struct raft_message *message =
            now ? &update->send_now[i] : &update->send_after_persist[i - update->send_now_count];
        if (is_request(message)) {
            continue;
        }
        assert_null(reply);
        assert_true(message->call >= SOLO_CALL);
        if (!now) {
            assert_true(message->after_write > 0 && message->after_write <= solo->last_write);
        }
        reply = message;
        if (waits != NULL) {
            *waits = !now;
        }
    }
    assert_non_null(reply);
    return reply;
}

bool solo_granted(const struct solo *solo) {
    const struct raft_message *reply = solo_reply(solo, NULL);
    assert_int_equal(reply->type, RAFT_REQUEST_VOTE_REPLY);
    return reply->vote_reply.granted;
}

static struct raft_message find(const struct solo *solo, size_t to, enum raft_message_type type, int with_entries) {
    const struct raft_update *update = &solo->update;
    struct raft_id id = solo_id(to);
    for (size_t i = 0; i < update->send_now_count + update->send_after_persist_count; i++) {
        const struct raft_message *message =
            i < update->send_now_count ? &update->send_now[i] : &update->send_after_persist[i - update->send_now_count];
        if (message->type != type || !raft_id_equal(&message->to, &id)) {
            continue;
        }
        if (with_entries < 0 || (message->append.count > 0) == (with_entries == 1)) {
            return *message;
        }
    }
    return (struct raft_message){0};
}

struct raft_message solo_sent(const struct solo *solo, size_t to, enum raft_message_type type) {
    return find(solo, to, type, -1);
}

struct raft_message solo_sent_append(const struct solo *solo, size_t to) {
    return find(solo, to, RAFT_APPEND_ENTRIES, 1);
}

struct raft_message solo_sent_heartbeat(const struct solo *solo, size_t to) {
    return find(solo, to, RAFT_APPEND_ENTRIES, 0);
}

size_t solo_sent_count(const struct solo *solo) {
    return solo->update.send_now_count + solo->update.send_after_persist_count;
}

// --- whole exchanges ---

static void answer_votes(struct solo *solo, bool pre_vote) {
    struct raft_message asked[MEMBERS_MAX];
    for (size_t i = 2; i <= solo->voters; i++) {
        asked[i - 1] = solo_sent(solo, i, RAFT_REQUEST_VOTE);
        assert_true(asked[i - 1].call != 0 && asked[i - 1].request_vote.pre_vote == pre_vote);
    }
    if (!pre_vote) {
        solo_persist(solo);
    }
    for (size_t i = 2; i <= solo->voters / 2 + 1; i++) {
        solo_answer_vote(solo, &asked[i - 1], asked[i - 1].term, true);
    }
}

void solo_elect(struct solo *solo) {
    assert_int_equal(solo->self, 1);
    solo_tick(solo, ELECTION_TIMEOUT_MAX_US);
    if (solo->voters > 1) {
        answer_votes(solo, true);
    }
    assert_int_equal(raft_state(solo->node), RAFT_CANDIDATE);
    if (solo->voters > 1) {
        answer_votes(solo, false);
    } else {
        solo_persist(solo);
    }
    assert_int_equal(raft_state(solo->node), RAFT_LEADER);
}

void solo_establish(struct solo *solo) {
    solo_elect(solo);
    struct raft_message sent[MEMBERS_MAX];
    size_t members = solo->voters + solo->learners;
    for (size_t i = 2; i <= members; i++) {
        sent[i - 1] = solo_sent_append(solo, i);
    }
    raft_index last = raft_last_log(solo->node).index;
    solo_persist(solo);
    for (size_t i = 2; i <= members; i++) {
        solo_accept(solo, &sent[i - 1], last);
    }
    assert_true(raft_leader_is_established(solo->node));
}

raft_index solo_propose(struct solo *solo, size_t len) {
    struct raft_entry *entry = solo_entry(solo, 0, 0, len);
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE, .propose = {.entries = &entry, .count = 1, .tag = 7}};
    solo_event(solo, event);
    assert_int_equal(solo->update.proposed_count, 1);
    assert_int_equal(solo->update.proposed[0].tag, 7);
    return solo->update.proposed[0].refusal == RAFT_ACCEPTED ? solo->update.proposed[0].first.index : 0;
}

struct raft_progress solo_progress(const struct solo *solo, size_t node) {
    struct raft_progress all[MEMBERS_MAX];
    size_t count = raft_progress(solo->node, all);
    struct raft_id id = solo_id(node);
    for (size_t i = 0; i < count; i++) {
        if (raft_id_equal(&all[i].id, &id)) {
            return all[i];
        }
    }
    fail_msg("n%zu is no member", node);
    return (struct raft_progress){0};
}
