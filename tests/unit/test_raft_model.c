// Traces of the models in tests/model, replayed by real cores: each event of the model happens to them, and then every node
// must be what the model says. The argument is the folder of traces. A line of a trace is an event, or what a node is after
// the events before it; see tests/model/README.md.
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../scenarios/script.h"
#include "base/array.h"
#include "unit.h"

enum { NODES = 3, LINE_SIZE = 256, NAME_SIZE = 64, TICKS_MAX = 100 };

struct replay {
    struct cluster cluster;
    uint64_t heard_us[NODES];  // when a node last heard its leader, by its own clock
    uint64_t lost_us[NODES];   // when it lost the connection to its leader
    char error[1024];
};

struct request_line {
    unsigned from, to, term, last_term, last_index;
    char kind[NAME_SIZE], age[NAME_SIZE], says[NAME_SIZE];
};

static void complain(struct replay *replay, const char *why) {
    if (replay->error[0] == '\0') {
        snprintf(replay->error, sizeof replay->error, "%s", cluster_failed(&replay->cluster) ? replay->cluster.error : why);
    }
}

static struct server *node_of(struct replay *replay, unsigned number) {
    assert_in_range(number, 1, NODES);
    return &replay->cluster.servers[number - 1];
}

static bool goes(const struct packet *packet, const struct server *from, const struct server *to,
                 enum raft_message_type type) {
    return packet->message.type == type && packet->to == to && raft_id_equal(&packet->message.from, &from->id);
}

// The sender has been restarted since, or is down.
static bool outlived(const struct packet *packet, const struct server *sender) {
    return packet->life != sender->life || sender->core == NULL;
}

// The latest vote request of this life of the sender.
static struct packet *latest_request(struct replay *replay, const struct server *from, const struct server *to) {
    for (size_t i = replay->cluster.packet_count; i > 0; i--) {
        struct packet *packet = replay->cluster.packets[i - 1];
        if (goes(packet, from, to, RAFT_REQUEST_VOTE)) {
            return outlived(packet, from) ? NULL : packet;
        }
    }
    return NULL;
}

static bool fits(const struct packet *packet, const struct request_line *line) {
    const struct raft_message *message = &packet->message;
    return packet->place == PACKET_IN_FLIGHT && message->term == line->term &&
           message->request_vote.pre_vote == (strcmp(line->kind, "PreVote") == 0) &&
           message->request_vote.last_log.term == line->last_term &&
           message->request_vote.last_log.index == line->last_index;
}

// Of those that the model may mean, the latest one if it means a current one, and else one that is not the latest if there
// is one.
static struct packet *find_request(struct replay *replay, const struct request_line *line) {
    const struct server *from = node_of(replay, line->from);
    const struct server *to = node_of(replay, line->to);
    const struct packet *latest = latest_request(replay, from, to);
    bool current = strcmp(line->age, "current") == 0;
    bool dead = strcmp(line->age, "dead") == 0;
    struct packet *found = NULL;
    for (size_t i = 0; i < replay->cluster.packet_count; i++) {
        struct packet *packet = replay->cluster.packets[i];
        if (goes(packet, from, to, RAFT_REQUEST_VOTE) && fits(packet, line) && outlived(packet, from) == dead &&
            (found == NULL || current || packet != latest)) {
            found = packet;
        }
    }
    return found;
}

static const char *answer_to(const struct replay *replay, const struct packet *request, size_t first) {
    for (size_t i = first; i < replay->cluster.packet_count; i++) {
        const struct packet *reply = replay->cluster.packets[i];
        if (reply->request == request) {
            return reply->message.vote_reply.granted ? "granted" : "refused";
        }
    }
    return "kept";
}

static void deliver_request(struct replay *replay, const struct request_line *line) {
    struct packet *packet = find_request(replay, line);
    if (packet == NULL) {
        complain(replay, "no core has sent this request");
        return;
    }
    size_t before = replay->cluster.packet_count;
    cluster_deliver(&replay->cluster, packet);
    if (strcmp(answer_to(replay, packet, before), line->says) != 0) {
        complain(replay, "the core answers otherwise");
    }
}

static void deliver_vote_reply(struct replay *replay, const struct request_line *line) {
    const struct server *from = node_of(replay, line->from);
    const struct server *to = node_of(replay, line->to);
    const struct packet *latest = latest_request(replay, to, from);
    bool granted = strcmp(line->says, "granted") == 0;
    bool current = strcmp(line->age, "current") == 0;
    struct packet *found = NULL;
    for (size_t i = 0; i < replay->cluster.packet_count; i++) {
        struct packet *packet = replay->cluster.packets[i];
        if (goes(packet, from, to, RAFT_REQUEST_VOTE_REPLY) && packet->place == PACKET_IN_FLIGHT &&
            packet->message.term == line->term && packet->message.vote_reply.granted == granted &&
            packet->request->message.request_vote.pre_vote == (strcmp(line->kind, "PreVote") == 0) &&
            !outlived(packet->request, to) && (found == NULL || current || packet->request != latest)) {
            found = packet;
        }
    }
    if (found == NULL) {
        complain(replay, "no core has sent this reply");
        return;
    }
    cluster_deliver(&replay->cluster, found);
}

// A heartbeat is the same however often it is sent, so the latest one may be delivered again.
static void deliver_heartbeat(struct replay *replay, unsigned from_number, unsigned to_number, unsigned term, bool dead) {
    struct server *from = node_of(replay, from_number);
    struct server *to = node_of(replay, to_number);
    for (size_t i = replay->cluster.packet_count; i > 0; i--) {
        struct packet *packet = replay->cluster.packets[i - 1];
        if (goes(packet, from, to, RAFT_APPEND_ENTRIES) && packet->message.append.count == 0 &&
            packet->message.term == term && outlived(packet, from) == dead) {
            cluster_deliver(&replay->cluster, packet);
            replay->heard_us[to_number - 1] = to->now_us;
            return;
        }
    }
    complain(replay, "no core has sent this heartbeat");
}

static void deliver_refusal(struct replay *replay, unsigned from, unsigned to, unsigned term) {
    for (size_t i = 0; i < replay->cluster.packet_count; i++) {
        struct packet *packet = replay->cluster.packets[i];
        if (goes(packet, node_of(replay, from), node_of(replay, to), RAFT_APPEND_ENTRIES_REPLY) &&
            packet->place == PACKET_IN_FLIGHT && packet->message.term == term && !packet->message.append_reply.success &&
            !outlived(packet->request, node_of(replay, to))) {
            cluster_deliver(&replay->cluster, packet);
            return;
        }
    }
    complain(replay, "no core has sent this reply");
}

// --- what happens by itself ---

static size_t pre_votes_of(const struct replay *replay, const struct server *server) {
    size_t count = 0;
    for (size_t i = 0; i < replay->cluster.packet_count; i++) {
        const struct raft_message *message = &replay->cluster.packets[i]->message;
        count += message->type == RAFT_REQUEST_VOTE && message->request_vote.pre_vote &&
                 raft_id_equal(&message->from, &server->id);
    }
    return count;
}

static void time_out(struct replay *replay, struct server *server) {
    size_t before = pre_votes_of(replay, server);
    for (size_t i = 0; i < TICKS_MAX && pre_votes_of(replay, server) == before; i++) {
        cluster_time_out(&replay->cluster, server);
    }
    if (pre_votes_of(replay, server) == before) {
        complain(replay, "the core asks for no pre-votes");
    }
}

static void lose_quorum(struct replay *replay, struct server *server) {
    for (size_t i = 0; i < TICKS_MAX && server->core != NULL && raft_state(server->core) == RAFT_LEADER; i++) {
        cluster_time_out(&replay->cluster, server);
    }
}

static void wait_until(struct replay *replay, struct server *server, uint64_t us) {
    server->now_us = us > server->now_us ? us : server->now_us;
    cluster_event(&replay->cluster, server, (struct raft_event){.type = RAFT_EVENT_TICK});
}

static void lose_leader(struct replay *replay, struct server *server, size_t i) {
    struct raft_event event = {.type = RAFT_EVENT_LOST, .lost_peer = *raft_leader(server->core)};
    replay->lost_us[i] = server->now_us;
    cluster_event(&replay->cluster, server, event);
}

static void happen(struct replay *replay, const char *what, unsigned number) {
    struct server *server = node_of(replay, number);
    if (strcmp(what, "restart") == 0) {
        cluster_restart(&replay->cluster, server);
    } else if (server->core == NULL) {
        complain(replay, "the node is down");
    } else if (strcmp(what, "crash") == 0) {
        cluster_crash(&replay->cluster, server);
    } else if (strcmp(what, "timeout") == 0) {
        time_out(replay, server);
    } else if (strcmp(what, "silent") == 0) {
        wait_until(replay, server, replay->heard_us[number - 1] + ELECTION_TIMEOUT_MIN_US);
    } else if (strcmp(what, "lost") == 0) {
        lose_leader(replay, server, number - 1);
    } else if (strcmp(what, "late-over") == 0) {
        wait_until(replay, server, replay->lost_us[number - 1] + LOST_LEADER_LATE_US);
    } else if (strcmp(what, "quorum") == 0) {
        lose_quorum(replay, server);
    } else {
        complain(replay, "there is no such event");
    }
}

// --- the log: replication.pml tells it in larger steps, and has neither pre-votes nor stickiness ---

static void command(struct replay *replay, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void command(struct replay *replay, const char *format, ...) {
    char text[LINE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    script_run(&replay->cluster, text);
}

// Its pre-votes are granted, whatever the others would say.
static void campaign(struct replay *replay, struct server *server) {
    lose_quorum(replay, server);
    size_t first = replay->cluster.packet_count;
    time_out(replay, server);
    size_t count = replay->cluster.packet_count;
    for (size_t i = first; i < count && raft_state(server->core) == RAFT_FOLLOWER; i++) {
        const struct raft_message *message = &replay->cluster.packets[i]->message;
        if (message->type == RAFT_REQUEST_VOTE && raft_id_equal(&message->from, &server->id)) {
            command(replay, "reply m%zu granted", i + 1);
        }
    }
}

static void vote(struct replay *replay, unsigned from, unsigned to, const char *says) {
    struct server *voter = node_of(replay, from);
    struct server *candidate = node_of(replay, to);
    struct packet *request = latest_request(replay, candidate, voter);
    if (request == NULL || request->message.request_vote.pre_vote || request->place != PACKET_IN_FLIGHT) {
        complain(replay, "no core has sent this request");
        return;
    }
    if (!request->message.request_vote.leadership_transfer) {
        lose_quorum(replay, voter);
        wait_until(replay, voter, voter->now_us + ELECTION_TIMEOUT_MIN_US);
    }
    size_t first = replay->cluster.packet_count;
    cluster_deliver(&replay->cluster, request);
    if (strcmp(answer_to(replay, request, first), says) != 0) {
        complain(replay, "the core answers otherwise");
        return;
    }
    for (size_t i = first; i < replay->cluster.packet_count; i++) {
        if (replay->cluster.packets[i]->request == request) {
            cluster_deliver(&replay->cluster, replay->cluster.packets[i]);
            return;
        }
    }
}

static bool has_all(const struct server *leader, const struct server *follower) {
    struct raft_entry_id last = raft_last_log(leader->core);
    struct raft_entry_id theirs = raft_last_log(follower->core);
    struct raft_progress progress[MEMBERS_MAX];
    size_t count = raft_progress(leader->core, progress);
    for (size_t i = 0; i < count; i++) {
        if (raft_id_equal(&progress[i].id, &follower->id) && progress[i].match_index != last.index) {
            return false;
        }
    }
    return theirs.index == last.index && theirs.term == last.term;
}

static void exchange(struct replay *replay, struct server *leader, struct server *follower) {
    raft_term term = raft_current_term(leader->core);
    for (size_t i = 0; i < replay->cluster.packet_count; i++) {  // more are sent meanwhile
        struct packet *packet = replay->cluster.packets[i];
        bool there = goes(packet, leader, follower, RAFT_APPEND_ENTRIES);
        bool back = goes(packet, follower, leader, RAFT_APPEND_ENTRIES_REPLY) && !outlived(packet->request, leader);
        if (packet->place == PACKET_IN_FLIGHT && packet->message.term == term && (there || back) &&
            !outlived(packet, there ? leader : follower)) {
            cluster_deliver(&replay->cluster, packet);
        }
    }
}

// The follower gets all that the leader has; those who know this leader are in touch with it meanwhile.
static void replicate(struct replay *replay, struct server *leader, struct server *follower) {
    for (size_t round = 0; round < TICKS_MAX && !has_all(leader, follower); round++) {
        if (round > 0) {
            cluster_time_out(&replay->cluster, leader);
        }
        exchange(replay, leader, follower);
        if (raft_state(leader->core) != RAFT_LEADER) {
            return;
        }
    }
}

static void transfer(struct replay *replay, unsigned from, unsigned to) {
    command(replay, "transfer n%u n%u", from, to);
    for (size_t i = replay->cluster.packet_count; i > 0; i--) {
        struct packet *packet = replay->cluster.packets[i - 1];
        if (goes(packet, node_of(replay, from), node_of(replay, to), RAFT_TIMEOUT_NOW) &&
            packet->place == PACKET_IN_FLIGHT) {
            cluster_deliver(&replay->cluster, packet);
            cluster_report_failed(&replay->cluster, packet);  // its reply is lost: the leader goes on if it still is one
            return;
        }
    }
    complain(replay, "the core tells nobody to take over");
}

// The others are learners.
static void change(struct replay *replay, unsigned number, unsigned voters) {
    struct raft_configuration members = {.count = NODES};
    for (unsigned i = 0; i < NODES; i++) {
        members.members[i] = (struct raft_member){.id = cluster_id(i + 1), .voter = (voters >> i & 1) != 0};
    }
    char text[CONFIGURATION_TEXT_MAX];
    configuration_write(&members, text);
    command(replay, "propose n%u %s", number, text);
}

// False: it is none of these.
static bool run_log_line(struct replay *replay, const char *line) {
    unsigned from, to, voters;
    char word[NAME_SIZE];
    if (sscanf(line, "campaign n%u", &from) == 1) {
        campaign(replay, node_of(replay, from));
    } else if (sscanf(line, "vote n%u->n%u %63s", &from, &to, word) == 3) {
        vote(replay, from, to, word);
    } else if (sscanf(line, "entries n%u->n%u", &from, &to) == 2) {
        replicate(replay, node_of(replay, from), node_of(replay, to));
    } else if (sscanf(line, "transfer n%u->n%u", &from, &to) == 2) {
        transfer(replay, from, to);
    } else if (sscanf(line, "propose n%u", &from) == 1) {
        command(replay, "propose n%u x", from);
    } else if (sscanf(line, "change n%u voters %u", &from, &voters) == 2) {
        change(replay, from, voters);
    } else {
        return false;
    }
    return true;
}

// --- what nodes are ---

static unsigned number_of(const struct raft_id *id) {
    return id->len == 0 ? 0 : (unsigned)(id->text[1] - '0');
}

static const char *role_of(const struct server *server) {
    static const char *const roles[] = {
        [RAFT_FOLLOWER] = "follower", [RAFT_CANDIDATE] = "candidate", [RAFT_LEADER] = "leader"};
    return roles[raft_state(server->core)];
}

static void describe(const struct server *server, unsigned number, char text[LINE_SIZE]) {
    const struct disk *disk = &server->disk;
    struct raft_entry_id last = disk->count > 0 ? disk->entries[disk->count - 1]->id : disk->base;
    unsigned long long term = disk->hard_state.current_term;
    unsigned vote = number_of(&disk->hard_state.voted_for);
    if (server->core == NULL) {
        snprintf(text, LINE_SIZE, "n%u down term %llu vote %u log %llu(t%llu)", number, term, vote,
                 (unsigned long long)last.index, (unsigned long long)last.term);
        return;
    }
    assert_int_equal(term, raft_current_term(server->core));
    last = raft_last_log(server->core);
    snprintf(text, LINE_SIZE, "n%u %s term %llu vote %u leader %u log %llu(t%llu) commit %llu", number, role_of(server),
             term, vote, number_of(raft_leader(server->core)), (unsigned long long)last.index, (unsigned long long)last.term,
             (unsigned long long)raft_commit_index(server->core));
}

// What replication.pml knows of a node. `commits`: it leads, and is known to have committed something in its term.
static void describe_log(const struct server *server, unsigned number, bool commits, char text[LINE_SIZE]) {
    raft_index index;
    const struct raft_configuration *members = raft_configuration(server->core, &index);
    struct raft_entry_id last = raft_last_log(server->core);
    unsigned voters = 0;
    for (size_t i = 0; i < members->count; i++) {
        voters |= members->members[i].voter ? 1U << (number_of(&members->members[i].id) - 1) : 0;
    }
    size_t len =
        (size_t)snprintf(text, LINE_SIZE, "n%u %s term %llu vote %u log %llu(t%llu) voters %u", number, role_of(server),
                         (unsigned long long)raft_current_term(server->core), number_of(&server->disk.hard_state.voted_for),
                         (unsigned long long)last.index, (unsigned long long)last.term, voters);
    if (commits) {
        snprintf(text + len, LINE_SIZE - len, " committed %llu", (unsigned long long)raft_commit_index(server->core));
    }
}

static void compare(struct replay *replay, unsigned number, const char *line) {
    char text[LINE_SIZE];
    if (strstr(line, " voters ") != NULL) {
        describe_log(node_of(replay, number), number, strstr(line, " committed ") != NULL, text);
    } else {
        describe(node_of(replay, number), number, text);
    }
    if (strcmp(text, line) != 0) {
        char why[2 * LINE_SIZE + 32];
        snprintf(why, sizeof why, "the core is: %s", text);
        complain(replay, why);
    }
}

// --- traces ---

static void answered(struct replay *replay, unsigned from, unsigned to, const char *says) {
    size_t count = replay->cluster.packet_count;
    for (size_t i = count; i > 0; i--) {
        const struct packet *packet = replay->cluster.packets[i - 1];
        if (goes(packet, node_of(replay, from), node_of(replay, to), RAFT_REQUEST_VOTE_REPLY)) {
            if (packet->message.vote_reply.granted != (strcmp(says, "granted") == 0)) {
                complain(replay, "the core answers otherwise");
            }
            return;
        }
    }
    complain(replay, "the core does not answer");
}

static void run_event(struct replay *replay, const char *line) {
    unsigned number;
    char word[NAME_SIZE];
    if (sscanf(line, "%63s n%u", word, &number) == 2) {
        happen(replay, word, number);
    } else {
        complain(replay, "this is no line of a trace");
    }
}

static void run_line(struct replay *replay, const char *line) {
    struct request_line request;
    unsigned from, to, term;
    char word[NAME_SIZE];
    if (strncmp(line, "script ", 7) == 0) {
        script_run(&replay->cluster, line + 7);
    } else if (sscanf(line, "deliver n%u->n%u heartbeat term %u %63s", &from, &to, &term, word) == 4) {
        deliver_heartbeat(replay, from, to, term, strcmp(word, "dead") == 0);
    } else if (sscanf(line, "deliver n%u->n%u refused heartbeat term %u", &from, &to, &term) == 3) {
        deliver_refusal(replay, from, to, term);
    } else if (sscanf(line, "deliver n%u->n%u reply to %63s term %u %63[a-z]: %63s", &request.from, &request.to,
                      request.kind, &request.term, request.age, request.says) == 6) {
        deliver_vote_reply(replay, &request);
    } else if (sscanf(line, "deliver n%u->n%u %63s term %u log %u(t%u) %63[a-z]: %63s", &request.from, &request.to,
                      request.kind, &request.term, &request.last_index, &request.last_term, request.age,
                      request.says) == 8) {
        deliver_request(replay, &request);
    } else if (sscanf(line, "answer n%u->n%u %63s", &from, &to, word) == 3) {
        answered(replay, from, to, word);
    } else if (sscanf(line, "n%u ", &from) == 1) {
        compare(replay, from, line);
    } else if (!run_log_line(replay, line)) {
        run_event(replay, line);
    }
    if (cluster_failed(&replay->cluster)) {
        complain(replay, replay->cluster.error);
    }
}

static void TestModelTrace(void **state) {
    const char *path = *state;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    struct replay replay = {.error = ""};
    cluster_init(&replay.cluster);
    char line[LINE_SIZE];
    size_t number = 0;
    while (replay.error[0] == '\0' && fgets(line, sizeof line, file) != NULL) {
        number++;
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '#' && line[0] != '\0') {
            run_line(&replay, line);
        }
    }
    fclose(file);
    cluster_free(&replay.cluster);
    if (replay.error[0] != '\0') {
        fail_msg("%s:%zu: %s\n%s", path, number, line, replay.error);
    }
    assert_true(number > 0);
}

int main(int argc, char **argv) {
    assert_int_equal(argc, 2);
    struct dirent **found;
    int count = scandir(argv[1], &found, NULL, alphasort);
    struct CMUnitTest *tests = NULL;
    size_t test_count = 0, test_cap = 0;
    for (int i = 0; i < count; i++) {
        char *name = found[i]->d_name;
        size_t len = strlen(name);
        if (len > 4 && strcmp(name + len - 4, ".txt") == 0) {
            size_t size = strlen(argv[1]) + len + 2;
            char *path = mem_alloc(size);
            char *title = mem_alloc(len + 16);
            snprintf(path, size, "%s/%s", argv[1], name);
            snprintf(title, len + 16, "TestModelTrace.%.*s", (int)len - 4, name);
            array_reserve(tests, test_cap, test_count + 1);
            tests[test_count++] = (struct CMUnitTest){.name = title, .test_func = TestModelTrace, .initial_state = path};
        }
        free(found[i]);
    }
    free((void *)found);
    if (getenv("BATON_TEST_FILTER") != NULL) {
        cmocka_set_test_filter(getenv("BATON_TEST_FILTER"));
    }
    int failed = test_count == 0 ? 1 : _cmocka_run_group_tests("model traces", tests, test_count, NULL, NULL);
    for (size_t i = 0; i < test_count; i++) {
        free((void *)tests[i].name);
        free(tests[i].initial_state);
    }
    free(tests);
    return failed;
}
