// What goes into the journal: node/causes.h.
#include "node/causes.h"

#include <stdlib.h>

#include "base/journal.h"
#include "node/internal.h"

// Slower than this is a cause: ten times what a disk, or five times what a commit between the clouds takes.
#define SLOW_SYNC_S   0.1
#define SLOW_WRITE_US (250 * US_PER_MS)
#define STUCK_SYNC_US (1 * US_PER_S)

enum { JOURNAL_RECORDS = 256 };  // of a group

// What floods at once is in one group.
enum group { LEADERSHIP, CONNECTIONS, STORAGE, WORKERS, GROUPS };

static const struct {
    const char *event;
    enum group group;
} kinds[] = {
    {"configuration-changed", LEADERSHIP},
    {"configuration-taken-back", LEADERSHIP},
    {"digests-undecided", LEADERSHIP},
    {"directory-unknown", LEADERSHIP},
    {"disk-full", STORAGE},
    {"disk-not-full", STORAGE},
    {"disk-slow", STORAGE},
    {"disk-stuck", STORAGE},
    {"election-timeout", LEADERSHIP},
    {"generation-changed", LEADERSHIP},
    {"leader-followed", LEADERSHIP},
    {"leader-lost", LEADERSHIP},
    {"leadership-handed-over", LEADERSHIP},
    {"level-raised", LEADERSHIP},
    {"log-recovered", STORAGE},
    {"loop-paused", STORAGE},
    {"loop-stalled", STORAGE},
    {"member-lost-entries", LEADERSHIP},
    {"peer-connected", CONNECTIONS},
    {"peer-founded-otherwise", CONNECTIONS},
    {"peer-is-another", CONNECTIONS},
    {"peer-lost", CONNECTIONS},
    {"peer-moved", CONNECTIONS},
    {"peer-removed", CONNECTIONS},
    {"peer-unreachable", CONNECTIONS},
    {"placement-moves", LEADERSHIP},
    {"quarantined", LEADERSHIP},
    {"removed", LEADERSHIP},
    {"role-changed", LEADERSHIP},
    {"shutting-down", LEADERSHIP},
    {"snapshot-failed", STORAGE},
    {"snapshot-installed", STORAGE},
    {"snapshot-sent", STORAGE},
    {"up", LEADERSHIP},
    {"vote-answered", LEADERSHIP},
    {"vote-deferred", LEADERSHIP},
    {"vote-received", LEADERSHIP},
    {"votes-asked", LEADERSHIP},
    {"voter-unheard", LEADERSHIP},
    {"worker-offline", WORKERS},
    {"worker-online", WORKERS},
    {"worker-silent", WORKERS},
    {"write-slow", STORAGE},
};

struct causes {
    struct node *node;
    struct journal *journal;
    // Since the last sample.
    uint64_t slow_writes;
    uint64_t slowest_write_us;
    raft_index slowest_index;
    struct buf slowest_peers;  // how far each was when the slowest was committed
    uint64_t slow_syncs;
    double slowest_sync_s;
    uint64_t stuck_since_us;  // of the write to the log that was last told to be stuck; 0: none
};

static void observe(void *user, const char *event, const char *message, const struct slog_field *fields, size_t count) {
    struct causes *causes = user;
    const struct raft_node *raft = causes->node->raft;
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (strcmp(kinds[i].event, event) == 0) {
            journal_add(causes->journal, kinds[i].group, node_wall_ms(), raft == NULL ? 0 : raft_current_term(raft), event,
                        message, fields, count);
            return;
        }
    }
}

struct causes *causes_new(struct node *node) {
    struct causes *causes = mem_zalloc(sizeof *causes);
    causes->node = node;
    causes->journal = journal_new(GROUPS, JOURNAL_RECORDS);
    slog_observe(observe, causes);
    return causes;
}

void causes_free(struct causes *causes) {
    slog_observe(NULL, NULL);
    journal_free(causes->journal);
    buf_free(&causes->slowest_peers);
    free(causes);
}

const struct journal *node_journal(const struct node *node) {
    return node->causes->journal;
}

// --- elections ---

static double ms_of(uint64_t us) {
    return (double)us / (double)US_PER_MS;
}

static void tell(const struct raft_note *note) {
    const char *peer = note->peer.text;
    switch (note->kind) {
    case RAFT_NOTE_TIMEOUT:
        slog(SLOG_DEBUG, "election-timeout", "heard no leader within the timeout that was drawn", F_STR("leader", peer),
             F_DOUBLE("timeout_ms", ms_of(note->us)));
        return;
    case RAFT_NOTE_LEADER_LOST:
        slog(SLOG_DEBUG, "leader-lost", "the leader's connection broke", F_STR("leader", peer));
        return;
    case RAFT_NOTE_ASKED:
        slog(SLOG_DEBUG, "votes-asked", note->pre_vote ? "asks whether it would be elected" : "asks for votes",
             F_BOOL("pre_vote", note->pre_vote), F_U64("term", note->term + note->pre_vote));
        return;
    case RAFT_NOTE_DEFERRED:
        slog(SLOG_DEBUG, "vote-deferred", "does not answer a pre-vote yet", F_STR("peer", peer),
             F_STR("reason", note->reason));
        return;
    case RAFT_NOTE_ANSWERED:
        slog(SLOG_DEBUG, "vote-answered", note->granted ? "grants a vote" : "refuses a vote", F_STR("peer", peer),
             F_BOOL("pre_vote", note->pre_vote), F_BOOL("granted", note->granted), F_STR("reason", note->reason));
        return;
    case RAFT_NOTE_GRANTED:
    case RAFT_NOTE_REFUSED:
        slog(SLOG_DEBUG, "vote-received", note->kind == RAFT_NOTE_GRANTED ? "got a vote" : "was refused a vote",
             F_STR("peer", peer), F_BOOL("pre_vote", note->pre_vote), F_BOOL("granted", note->kind == RAFT_NOTE_GRANTED));
        return;
    case RAFT_NOTE_UNHEARD:
        slog(SLOG_INFO, "voter-unheard", "a voter did not answer this leader", F_STR("peer", peer),
             F_DOUBLE("silent_ms", ms_of(note->us)));
        return;
    }
}

void causes_noted(const struct raft_update *update) {
    for (size_t i = 0; i < update->note_count; i++) {
        tell(&update->notes[i]);
    }
}

// --- slow writes ---

// "n2 had it, n3 lacked 12 entries": who was waited for.
static void describe_peers(const struct node *node, raft_index index, struct buf *out) {
    struct raft_progress progress[MEMBERS_MAX];
    size_t count = raft_progress(node->raft, progress);
    buf_clear(out);
    for (size_t i = 0; i < count; i++) {
        if (!progress[i].voter) {
            continue;
        }
        const char *comma = out->len > 0 ? ", " : "";
        if (progress[i].match_index >= index) {
            buf_printf(out, "%s%s had it", comma, progress[i].id.text);
        } else {
            buf_printf(out, "%s%s lacked %llu entries", comma, progress[i].id.text,
                       (unsigned long long)(index - progress[i].match_index));
        }
    }
    buf_append(out, "", 1);
}

void causes_wrote(struct node *node, const struct waiting_write *write) {
    uint64_t took_us = node->now_us - write->appended_us;
    if (took_us < SLOW_WRITE_US) {
        return;
    }
    struct causes *causes = node->causes;
    causes->slow_writes++;
    if (took_us > causes->slowest_write_us) {
        causes->slowest_write_us = took_us;
        causes->slowest_index = write->id.index;
        describe_peers(node, write->id.index, &causes->slowest_peers);
    }
}

void causes_synced(struct causes *causes, double seconds) {
    if (seconds < SLOW_SYNC_S) {
        return;
    }
    causes->slow_syncs++;
    causes->slowest_sync_s = seconds > causes->slowest_sync_s ? seconds : causes->slowest_sync_s;
}

static void tell_stuck(struct node *node) {
    uint64_t since_us = node->wal_status.oldest_pending_us;
    uint64_t now_us = node_clock_us();
    if (since_us != 0 && now_us > since_us + STUCK_SYNC_US && since_us != node->causes->stuck_since_us) {
        node->causes->stuck_since_us = since_us;
        slog(SLOG_DEBUG, "disk-stuck", "a write of the log waits for the disk",
             F_DOUBLE("waits_ms", ms_of(now_us - since_us)));
    }
}

void causes_sample(struct node *node) {
    struct causes *causes = node->causes;
    tell_stuck(node);
    if (causes->slow_syncs > 0) {
        slog(SLOG_DEBUG, "disk-slow", "the disk took long to sync the log", F_U64("syncs", causes->slow_syncs),
             F_DOUBLE("slowest_ms", causes->slowest_sync_s * 1000));
        causes->slow_syncs = 0;
        causes->slowest_sync_s = 0;
    }
    if (causes->slow_writes > 0) {
        slog(SLOG_INFO, "write-slow", "writes took long to reach a majority", F_U64("writes", causes->slow_writes),
             F_DOUBLE("slowest_ms", ms_of(causes->slowest_write_us)), F_U64("index", causes->slowest_index),
             F_STR("voters", (const char *)causes->slowest_peers.data));
        causes->slow_writes = 0;
        causes->slowest_write_us = 0;
    }
}
