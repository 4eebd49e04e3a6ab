// The table of outcomes: node/outcome.h.
#include "node/outcome.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/limits.h"

static const struct {
    enum rpc_status status;
    const char *reason;  // of the trailer baton-reason; NULL: none
    bool in_doubt;       // trailer baton-outcome: unknown
    const char *text;    // {name}, {leader}, {address}, {number} and {limit} are replaced by the facts
} outcomes[] = {
    [OUTCOME_NOT_LEADER] = {RPC_FAILED_PRECONDITION, NULL, false,
                            "{name} does not lead; ask the leader {leader} at {address}"},
    [OUTCOME_NO_LEADER] = {RPC_UNAVAILABLE, NULL, false, "there is no leader at the moment; nothing was done, try again"},
    [OUTCOME_NOT_READY] = {RPC_UNAVAILABLE, NULL, false, "this node has just become leader and is not ready yet; try again"},
    [OUTCOME_NO_CLUSTER] =
        {RPC_FAILED_PRECONDITION, NULL, false,
         "this node started on an empty data directory without --bootstrap and belongs to no cluster until it is added"},

    [OUTCOME_UNCONFIRMED] =
        {RPC_UNAVAILABLE, NULL, false,
         "the leader {leader} at {address} did not confirm the read to this node; try again, or ask the leader"},

    [OUTCOME_QUARANTINED] = {RPC_UNAVAILABLE, "quarantined", false,
                             "this node is out of service, nothing was done; ask another node: {name}"},
    [OUTCOME_QUARANTINED_IN_DOUBT] = {RPC_UNAVAILABLE, "quarantined", true,
                                      "outcome unknown: this node went out of service; repeat the write on another node "
                                      "with the same client id and sequence, or read there: {name}"},

    [OUTCOME_UNKNOWN] = {RPC_UNAVAILABLE, NULL, true,
                         "outcome unknown: this node lost leadership before a majority confirmed the write; repeat it with "
                         "the same client id and sequence, or read"},
    [OUTCOME_OVERWRITTEN] = {RPC_UNAVAILABLE, NULL, false,
                             "leadership changed before the write was replicated; nothing was written, try again"},
    [OUTCOME_LEADERSHIP_CHANGED] = {RPC_UNAVAILABLE, NULL, false,
                                    "leadership changed meanwhile; nothing was done, try again"},
    [OUTCOME_TOO_MUCH_UNCOMMITTED] = {RPC_RESOURCE_EXHAUSTED, NULL, false,
                                      "too many writes wait for a majority; nothing was written, try again later"},
    [OUTCOME_TRANSFERRING] = {RPC_UNAVAILABLE, NULL, false,
                              "leadership is being transferred; nothing was written, try again"},
    [OUTCOME_TOO_MANY_PAUSED] = {RPC_RESOURCE_EXHAUSTED, NULL, false,
                                 "leadership is being transferred and too many writes wait for that; nothing was written, "
                                 "try again"},
    [OUTCOME_REVISION_MISMATCH] = {RPC_ABORTED, "revision-mismatch", false,
                                   "the key's revision is {number}; nothing was written"},
    [OUTCOME_NO_SUCH_REVISION] = {RPC_ABORTED, "revision-mismatch", false,
                                  "the key's revision is 0 (there is no such key); nothing was written"},
    [OUTCOME_SESSION_EXPIRED] = {RPC_ABORTED, "session-expired", true,
                                 "session expired, outcome unknown: the result of this sequence is no longer held; read "
                                 "before you repeat"},
    [OUTCOME_SEQUENCE_REUSED] = {RPC_INVALID_ARGUMENT, "sequence-reused", false,
                                 "this client id has used the sequence for another write; nothing was written"},

    [OUTCOME_NO_SUCH_KEY] = {RPC_NOT_FOUND, NULL, false, "there is no such key"},
    [OUTCOME_REVISION_AHEAD] = {RPC_OUT_OF_RANGE, "revision-ahead", false,
                                "revision {number} does not exist yet; this node is at {limit}"},
    [OUTCOME_REVISION_GONE] = {RPC_OUT_OF_RANGE, NULL, false,
                               "revision {number} is no longer held; the oldest is {limit}: list the keys, then watch from "
                               "there"},
    [OUTCOME_WATCH_BEHIND] =
        {RPC_OUT_OF_RANGE, NULL, false,
         "the watch fell behind: revision {number} is next, but the oldest held is {limit}; list the keys "
         "and watch again"},
    [OUTCOME_WATCH_LEADERLESS] = {RPC_UNAVAILABLE, NULL, false,
                                  "this node knows no leader; watch on another node from the next revision"},
    [OUTCOME_WATCH_LEAVING] = {RPC_UNAVAILABLE, NULL, false,
                               "this node is shutting down; watch on another node from the next revision"},
    [OUTCOME_WATCH_QUARANTINED] =
        {RPC_UNAVAILABLE, "quarantined", false,
         "this node is out of service, see its status; watch on another node from the next revision"},
    [OUTCOME_TOO_MANY_WATCHES] = {RPC_RESOURCE_EXHAUSTED, NULL, false, "too many watches on this node; use another"},
    [OUTCOME_ENTRY_GONE] = {RPC_OUT_OF_RANGE, NULL, false, "entry {number} is no longer held; the first is {limit}"},
    [OUTCOME_TOO_MANY_SLOW] = {RPC_RESOURCE_EXHAUSTED, NULL, false,
                               "too many large replies are queued on this node; try again later"},
    [OUTCOME_LIST_GONE] =
        {RPC_OUT_OF_RANGE, "list-gone", false,
         "{name} does not hold the list as of entry {number}: pages are asked of one node, soon after each "
         "other; list again from the beginning"},
    [OUTCOME_LIST_TOO_LONG] = {RPC_RESOURCE_EXHAUSTED, NULL, false, "not enough memory for so large a reply; ask for less"},
    [OUTCOME_TOO_MANY_WORKERS] = {RPC_RESOURCE_EXHAUSTED, NULL, false,
                                  "too many workers for one reply; list them in pages, by limit and start_after"},

    [OUTCOME_NO_SUCH_WORKER] = {RPC_NOT_FOUND, NULL, false, "no such worker is registered; register again"},
    [OUTCOME_REPLACED] = {RPC_ABORTED, NULL, false,
                          "another instance has registered as {name}; this one is replaced and must stop"},
    [OUTCOME_REGISTRATION_ENDED] = {RPC_NOT_FOUND, NULL, false, "this registration has ended; register again"},
    [OUTCOME_REGISTRATION_CHANGED] = {RPC_UNAVAILABLE, NULL, false,
                                      "the registration changed meanwhile; nothing was done, try again"},
    [OUTCOME_REGISTRY_FULL] = {RPC_RESOURCE_EXHAUSTED, NULL, false,
                               "the registry is full of online workers; stop some first"},

    [OUTCOME_GRANTS_UNKNOWN] = {RPC_FAILED_PRECONDITION, NULL, false,
                                "the cluster is at level {number}, and grants are known from level {limit} on; upgrade all "
                                "nodes, and see batonctl status"},
    [OUTCOME_TOO_MANY_GRANTS] = {RPC_RESOURCE_EXHAUSTED, NULL, false,
                                 "there are 1,024 grants, or 64 of this subject, which is all that a cluster keeps; revoke "
                                 "some, or grant a shorter prefix"},

    [OUTCOME_NO_SUCH_VOTER] = {RPC_FAILED_PRECONDITION, NULL, false, "there is no such voter; see batonctl member list"},
    [OUTCOME_TRANSFER_RUNNING] = {RPC_FAILED_PRECONDITION, "transfer-running", false,
                                  "a transfer is already under way; wait until it ends"},
    [OUTCOME_LEADS_NO_MORE] = {RPC_FAILED_PRECONDITION, NULL, false, "this node is no longer the leader"},
    [OUTCOME_TRANSFER_FAILED] = {RPC_ABORTED, NULL, false,
                                 "the target did not take over in time; see batonctl status for who leads"},

    [OUTCOME_NO_SNAPSHOT] = {RPC_FAILED_PRECONDITION, NULL, false, "no snapshot was taken: {name}"},
    [OUTCOME_TOO_MANY_SNAPSHOTS] = {RPC_RESOURCE_EXHAUSTED, NULL, false,
                                    "too many operators wait for a snapshot of this node; try again later"},
    [OUTCOME_BACKUP_UNREADABLE] = {RPC_DATA_LOSS, NULL, false,
                                   "the snapshot cannot be read, take the backup from another node and check this one's "
                                   "disk: {name}"},
    [OUTCOME_TOO_MANY_BACKUPS] = {RPC_RESOURCE_EXHAUSTED, NULL, false,
                                  "this node streams {limit} backups already; try again later, or another node"},
    [OUTCOME_BACKUP_STALLED] = {RPC_ABORTED, NULL, false,
                                "the client took nothing of the backup for a minute, so it was given up; try again"},
    [OUTCOME_BACKUP_LEAVING] = {RPC_UNAVAILABLE, NULL, false,
                                "this node is shutting down; take the backup from another one"},
    [OUTCOME_CHANGE_PENDING] = {RPC_FAILED_PRECONDITION, "change-pending", false,
                                "another change of members is under way; wait until it is committed, then try again"},
    [OUTCOME_UNKNOWN_CHANGE] = {RPC_UNAVAILABLE, NULL, true,
                                "outcome unknown: this node lost leadership before a majority confirmed the change of "
                                "members; see batonctl member list"},
    [OUTCOME_WAS_REMOVED] = {RPC_FAILED_PRECONDITION, NULL, false,
                             "{name} was removed once, and an id is never used again; choose another"},
    [OUTCOME_IS_MEMBER] = {RPC_FAILED_PRECONDITION, NULL, false, "{name} is a member already; see batonctl member list"},
    [OUTCOME_IS_VOTER] = {RPC_FAILED_PRECONDITION, NULL, false, "{name} is a voter already"},
    [OUTCOME_NO_SUCH_MEMBER] = {RPC_NOT_FOUND, NULL, false, "{name} is no member; see batonctl member list"},
    [OUTCOME_ADDRESS_TAKEN] = {RPC_FAILED_PRECONDITION, NULL, false,
                               "{name} has the address {address}; each member has its own"},
    [OUTCOME_TOO_MANY_MEMBERS] = {RPC_FAILED_PRECONDITION, NULL, false,
                                  "there are {limit} members, which is all that a cluster may have; remove one first"},
    [OUTCOME_TOO_MANY_REMOVED] =
        {RPC_FAILED_PRECONDITION, NULL, false,
         "{limit} members have been removed from this cluster, which is all that it remembers; found a new one"},
    [OUTCOME_LEARNER_BEHIND] = {RPC_FAILED_PRECONDITION, "learner-behind", false,
                                "{name} has not caught up: it has the log up to {number}, and {limit} is needed; try again "
                                "later, or see whether it runs"},
    [OUTCOME_LEARNER_TOO_OLD] = {RPC_FAILED_PRECONDITION, NULL, false,
                                 "{name} runs a version that reads level {number}, and the cluster is at level {limit}; "
                                 "upgrade it first"},
    [OUTCOME_NO_MAJORITY_LEFT] = {RPC_FAILED_PRECONDITION, NULL, false,
                                  "refused: only {number} of then {limit} voters can be reached, which is no majority, and "
                                  "nothing could be written; start those that are down first"},
    [OUTCOME_MEMBER_TOO_OLD] = {RPC_FAILED_PRECONDITION, NULL, false,
                                "{name} runs a version that cannot follow changes of members; upgrade all nodes first"},
};

enum { TEXT_MAX = 512, NUMBER_MAX = 21 };

// A fact's text; false: there is none of that name.
static bool find_fact(const char *name, size_t len, const struct outcome_facts *facts, char number[NUMBER_MAX],
                      struct slice *fact) {
    const struct {
        const char *name;
        const struct slice *text;
        const uint64_t *number;
    } known[] = {
        {"name", &facts->name, NULL},     {"leader", &facts->leader, NULL}, {"address", &facts->address, NULL},
        {"number", NULL, &facts->number}, {"limit", NULL, &facts->limit},
    };
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        if (strlen(known[i].name) != len || memcmp(known[i].name, name, len) != 0) {
            continue;
        }
        if (known[i].text != NULL) {
            *fact = *known[i].text;
        } else {
            snprintf(number, NUMBER_MAX, "%llu", (unsigned long long)*known[i].number);
            *fact = slice_of_str(number);
        }
        return true;
    }
    return false;
}

void outcome_text(enum outcome outcome, const struct outcome_facts *facts, char *text, size_t size) {
    static const struct outcome_facts none;
    size_t len = 0;
    for (const char *at = outcomes[outcome].text; *at != '\0';) {
        char number[NUMBER_MAX];
        struct slice piece = slice_of(at, strcspn(at, "{"));
        if (piece.len == 0) {
            size_t name = strcspn(++at, "}");
            bool known = find_fact(at, name, facts == NULL ? &none : facts, number, &piece);
            assert(known);
            at += name + 1;
        } else {
            at += piece.len;
        }
        for (size_t i = 0; i < piece.len && len + 1 < size; i++) {
            text[len++] = (char)piece.data[i];
        }
    }
    text[len] = '\0';
}

void outcome_tell(struct rpc_server *server, struct rpc_call call, enum outcome outcome, const struct outcome_facts *facts) {
    assert((size_t)outcome < ARRAY_COUNT(outcomes) && outcomes[outcome].text != NULL);
    char text[TEXT_MAX];
    outcome_text(outcome, facts, text, sizeof text);
    if (outcomes[outcome].in_doubt) {
        rpc_call_trailer(server, call, "baton-outcome", slice_of_str("unknown"));
    }
    if (outcomes[outcome].reason != NULL) {
        rpc_call_trailer(server, call, "baton-reason", slice_of_str(outcomes[outcome].reason));
    }
    if (outcome == OUTCOME_NOT_LEADER) {
        rpc_call_trailer(server, call, "baton-leader-id", facts->leader);
        rpc_call_trailer(server, call, "baton-leader-address", facts->address);
    }
    if (outcome == OUTCOME_REVISION_MISMATCH || outcome == OUTCOME_NO_SUCH_REVISION) {
        char revision[NUMBER_MAX];
        snprintf(revision, sizeof revision, "%llu", (unsigned long long)facts->number);
        rpc_call_trailer(server, call, "baton-revision", slice_of_str(revision));
    }
    rpc_finish(server, call, outcomes[outcome].status, text);
}

static bool is_forbidden(enum error_code code) {
    return code == ERR_FOREIGN || code == ERR_OLD_GENERATION || code == ERR_SUPERSEDED || code == ERR_FORBIDDEN;
}

const char *outcome_word(enum outcome outcome) {
    return outcomes[outcome].in_doubt ? "unknown" : rpc_status_name(outcomes[outcome].status);
}

enum rpc_status outcome_refusal(const struct error *error) {
    if (error->code == ERR_NO_MEMORY || error->code == ERR_TOO_LARGE) {
        return RPC_RESOURCE_EXHAUSTED;
    }
    return is_forbidden(error->code) ? RPC_PERMISSION_DENIED : RPC_INVALID_ARGUMENT;
}

void outcome_refuse(struct rpc_server *server, struct rpc_call call, const struct error *error) {
    rpc_finish(server, call, outcome_refusal(error), error->message);
}
