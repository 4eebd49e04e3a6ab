// Why there was an election: ctl/explain.h.
//
// The records of one election are scattered: the old leader tells that it stepped down or handed over, its followers that
// they lost it, the new leader whom it asked. A leader may leave in several of these ways at once (its connection breaks,
// and much later it finds that it has no majority); the one that comes first in find_reason is the cause, the others follow
// from it.
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/limits.h"
#include "ctl/explain.h"

// An election takes seconds; with no majority to be had, longer: what came before does not belong to it.
enum { BEFORE_MS = 30 * 1000 };

struct election {
    struct causes *causes;
    uint64_t term;
    struct slice winner;
    int64_t won_ms;
    uint64_t old_term;  // 0: no leader before is known
    struct slice old;
    int64_t lost_ms;  // when the old leader was first known to be gone; 0: not known
};

static bool is_from(const struct cause *cause, struct slice node) {
    return slice_equal(cause->node, node);
}

static bool led_from_then(const struct cause *cause) {
    return cause_is(cause, "role-changed", "to", slice_of_str("Leader"));
}

// By its own record, or by those of who follow it.
static bool find_winner(struct election *e, uint64_t term) {
    for (size_t i = 0; i < e->causes->count; i++) {
        struct cause *cause = &e->causes->list[i];
        bool follows = cause_is(cause, "leader-followed", NULL, slice_of(NULL, 0));
        if ((!led_from_then(cause) && !follows) || cause->term < e->term || (term > 0 && cause->term != term)) {
            continue;
        }
        bool first = cause->term > e->term;
        if (first || led_from_then(cause)) {
            e->winner = follows ? cause_value(cause, "leader") : cause->node;
            e->won_ms = cause->first_ms;
            e->term = cause->term;
        }
    }
    return e->term > 0;
}

static void find_old(struct election *e) {
    for (size_t i = 0; i < e->causes->count; i++) {
        const struct cause *cause = &e->causes->list[i];
        if (cause->term >= e->term || cause->term < e->old_term) {
            continue;
        }
        if (led_from_then(cause)) {
            e->old_term = cause->term;
            e->old = cause->node;
        } else if (cause_is(cause, "leader-followed", NULL, slice_of(NULL, 0))) {
            e->old_term = cause->term;
            e->old = cause_value(cause, "leader");
        }
    }
}

static bool belongs(const struct election *e, const struct cause *cause) {
    return cause->term <= e->term && cause->term >= e->old_term && cause->first_ms <= e->won_ms &&
           cause->last_ms >= e->won_ms - BEFORE_MS;
}

// The first record of the election with this event; `node` of len 0: of any node.
static struct cause *find(const struct election *e, struct slice node, const char *event, const char *key,
                          struct slice value) {
    for (size_t i = 0; i < e->causes->count; i++) {
        struct cause *cause = &e->causes->list[i];
        if (belongs(e, cause) && (node.len == 0 || is_from(cause, node)) && cause_is(cause, event, key, value)) {
            return cause;
        }
    }
    return NULL;
}

static void take(struct election *e, struct cause *cause) {
    cause->shown = true;
    if (e->lost_ms == 0 || cause->first_ms < e->lost_ms) {
        e->lost_ms = cause->first_ms;
    }
}

// --- how the old leader went ---

static bool handed_over(struct election *e, struct buf *out) {
    struct cause *cause = find(e, e->old, "leadership-handed-over", NULL, slice_of(NULL, 0));
    if (cause == NULL) {
        return false;
    }
    take(e, cause);
    explain_text(out, e->old);
    buf_append_str(out, " handed leadership over: ");
    struct cause *moved = find(e, e->old, "placement-moves", NULL, slice_of(NULL, 0));
    if (moved != NULL) {
        moved->shown = true;
        buf_append_str(out, "placement, ");
        explain_text(out, cause_value(moved, "reason"));
    } else {
        explain_text(out, cause_value(cause, "reason"));
    }
    buf_append_str(out, ".\n");
    return true;
}

static bool left(struct election *e, struct buf *out) {
    static const struct {
        const char *event, *words;
    } ways[] = {{"quarantined", " stopped serving: "},
                {"removed", " was removed from the cluster"},
                {"shutting-down", " was told to end"},
                {"disk-full", " had no space left for the log"}};
    for (size_t i = 0; i < ARRAY_COUNT(ways); i++) {
        struct cause *cause = find(e, e->old, ways[i].event, NULL, slice_of(NULL, 0));
        if (cause != NULL) {
            take(e, cause);
            explain_text(out, e->old);
            buf_append_str(out, ways[i].words);
            explain_text(out, i == 0 ? cause_value(cause, "reason") : slice_of(NULL, 0));
            buf_append_str(out, ".\n");
            return true;
        }
    }
    return false;
}

static void list_unheard(struct election *e, struct buf *out) {
    const char *separator = " did not get an answer of ";
    for (size_t i = 0; i < e->causes->count; i++) {
        struct cause *cause = &e->causes->list[i];
        if (belongs(e, cause) && is_from(cause, e->old) && cause_is(cause, "voter-unheard", NULL, slice_of(NULL, 0))) {
            cause->shown = true;
            buf_append_str(out, separator);
            explain_text(out, cause_value(cause, "peer"));
            buf_append_str(out, " for ");
            explain_ms(out, cause_value(cause, "silent_ms"));
            separator = ", nor of ";
        }
    }
}

// It is told once it is over, perhaps long after the election.
static struct cause *find_stall(const struct election *e) {
    for (size_t i = 0; i < e->causes->count; i++) {
        struct cause *cause = &e->causes->list[i];
        int64_t from_ms = cause->first_ms - (int64_t)(explain_number(cause_value(cause, "seconds")) * 1000);
        bool stalled = cause_is(cause, "loop-stalled", NULL, slice_of(NULL, 0)) ||
                       cause_is(cause, "loop-paused", NULL, slice_of(NULL, 0));
        if (is_from(cause, e->old) && stalled && from_ms <= e->won_ms &&
            cause->first_ms >= (e->lost_ms > 0 ? e->lost_ms : e->won_ms - BEFORE_MS)) {
            return cause;
        }
    }
    return NULL;
}

static void tell_of_stall(struct cause *stall, struct buf *out) {
    stall->shown = true;
    buf_append_str(out, "Its process stood still for ");
    explain_text(out, cause_value(stall, "seconds"));
    buf_append_str(out, " s: was it stopped, or its machine suspended or overloaded?");
}

// By its own decision: not because it heard of a later term, which only says that others were elected already.
static bool stepped_down(struct election *e, struct buf *out) {
    struct cause *cause = find(e, e->old, "role-changed", "reason", slice_of_str("no answer from a majority"));
    struct cause *stood = find(e, e->old, "role-changed", "reason", slice_of_str("the process stood still"));
    cause = cause != NULL ? cause : stood;
    if (cause == NULL) {
        return false;
    }
    take(e, cause);
    explain_text(out, e->old);
    buf_append_str(out, " stepped down: ");
    explain_text(out, cause_value(cause, "reason"));
    buf_append_str(out, ".");
    struct cause *stall = find_stall(e);
    if (stall != NULL) {
        buf_append_str(out, " ");
        tell_of_stall(stall, out);
    } else if (cause != stood) {
        buf_append_str(out, " It");
        size_t before = out->len;
        list_unheard(e, out);
        buf_append_str(out, out->len > before ? "." : " heard too few.");
    }
    buf_append_str(out, "\n");
    return true;
}

// What the old leader tells now of the time after.
static void tell_of_its_end(const struct election *e, struct buf *out) {
    for (size_t i = 0; i < e->causes->count; i++) {
        struct cause *cause = &e->causes->list[i];
        if (is_from(cause, e->old) && cause_is(cause, "up", NULL, slice_of(NULL, 0)) && cause->first_ms >= e->lost_ms) {
            cause->shown = true;
            buf_append_str(out, "Its process had ended: it was started again at ");
            journal_time(out, cause->first_ms);
            buf_append_str(out, ".\n");
            return;
        }
    }
    for (size_t i = 0; i < e->causes->node_count; i++) {
        const struct journal_node *node = &e->causes->nodes[i];
        if (slice_equal(node->node, e->old) && !node->answered) {
            buf_append_str(out, "It does not answer now either (");
            explain_text(out, node->why_not);
            buf_append_str(out, "), so its journal is not in this.\n");
        }
    }
}

static bool was_lost(struct election *e, struct buf *out) {
    struct cause *broke = find(e, e->winner, "leader-lost", "leader", e->old);
    broke = broke != NULL ? broke : find(e, slice_of(NULL, 0), "leader-lost", "leader", e->old);
    if (broke == NULL) {
        return false;
    }
    take(e, broke);
    struct cause *link = find(e, broke->node, "peer-lost", "peer", e->old);
    buf_append_str(out, "The connection from ");
    explain_text(out, broke->node);
    buf_append_str(out, " to ");
    explain_text(out, e->old);
    buf_append_str(out, " broke");
    if (link != NULL) {
        link->shown = true;
        buf_append_str(out, " (");
        explain_text(out, cause_value(link, "reason"));
        buf_append_str(out, ")");
    }
    buf_append_str(out, ", as it does when a process ends, or a network refuses.\n");
    tell_of_its_end(e, out);
    return true;
}

// What could have kept it silent, from its own journal.
static void tell_of_silence(struct election *e, struct buf *out) {
    struct cause *stall = find_stall(e);
    struct cause *stuck = find(e, e->old, "disk-stuck", NULL, slice_of(NULL, 0));
    if (stall != NULL) {
        tell_of_stall(stall, out);
        buf_append_str(out, "\n");
        return;
    }
    if (stuck != NULL) {
        stuck->shown = true;
        buf_append_str(out, "Its disk did not answer.\n");
        return;
    }
    buf_append_str(out,
                   "Nothing says why it was silent: its process or machine may have stood still, or the network between "
                   "them lost packets.\n");
    tell_of_its_end(e, out);
}

static bool was_silent(struct election *e, struct buf *out) {
    struct cause *timeout = find(e, e->winner, "election-timeout", "leader", e->old);
    timeout = timeout != NULL ? timeout : find(e, slice_of(NULL, 0), "election-timeout", "leader", e->old);
    if (timeout == NULL) {
        return false;
    }
    take(e, timeout);
    explain_text(out, timeout->node);
    buf_append_str(out, " heard nothing of ");
    explain_text(out, e->old);
    buf_append_str(out, " for ");
    explain_ms(out, cause_value(timeout, "timeout_ms"));
    buf_append_str(out, ", the timeout that it had drawn.\n");
    tell_of_silence(e, out);
    return true;
}

static void explain_loss(struct election *e, struct buf *out) {
    if (e->old.len == 0) {
        buf_append_str(out, "No leader before it is in the journals: the nodes had just started.\n");
        return;
    }
    if (!handed_over(e, out) && !left(e, out) && !stepped_down(e, out) && !was_lost(e, out) && !was_silent(e, out)) {
        buf_append_str(out, "The journals do not say how ");
        explain_text(out, e->old);
        buf_append_str(out, " went.\n");
        tell_of_its_end(e, out);
    }
}

// --- how the new one won ---

static void list_answers(const struct election *e, struct buf *out) {
    for (size_t i = 0; i < e->causes->count; i++) {
        struct cause *cause = &e->causes->list[i];
        bool answers =
            cause_is(cause, "vote-answered", "peer", e->winner) || cause_is(cause, "vote-deferred", "peer", e->winner);
        if (!belongs(e, cause) || !answers || (e->lost_ms > 0 && cause->last_ms < e->lost_ms - BEFORE_MS / 10)) {
            continue;
        }
        cause->shown = true;
        bool granted = cause_is(cause, "vote-answered", "granted", slice_of_str("true"));
        bool pre_vote = !cause_is(cause, "vote-answered", "pre_vote", slice_of_str("false"));
        bool waits = cause_is(cause, "vote-deferred", NULL, slice_of(NULL, 0));
        explain_text(out, cause->node);
        buf_append_str(out, waits ? " kept its pre-vote back" : granted ? " granted its " : " refused its ");
        buf_append_str(out, waits ? "" : pre_vote ? "pre-vote" : "vote");
        if (!granted) {
            buf_append_str(out, ": ");
            explain_text(out, cause_value(cause, "reason"));
        }
        buf_append_str(out, ".\n");
    }
}

static void explain_gap(const struct election *e, struct buf *out) {
    if (e->lost_ms > 0 && e->won_ms >= e->lost_ms) {
        buf_printf(out, "From the first sign of that to the new leader: %" PRId64 " ms.\n", e->won_ms - e->lost_ms);
    }
}

// The elections that the records of this term belong to, in order of time.
static void show_roles(const struct election *e) {
    for (size_t i = 0; i < e->causes->count; i++) {
        struct cause *cause = &e->causes->list[i];
        bool role = cause_is(cause, "role-changed", NULL, slice_of(NULL, 0)) ||
                    cause_is(cause, "votes-asked", NULL, slice_of(NULL, 0));
        cause->shown |= role && belongs(e, cause) && cause->last_ms >= e->lost_ms;
    }
}

bool explain_election(struct causes *causes, uint64_t term, struct buf *out) {
    struct election e = {.causes = causes};
    if (!find_winner(&e, term)) {
        return false;
    }
    find_old(&e);
    explain_text(out, e.winner);
    buf_printf(out, " leads term %" PRIu64 " since ", e.term);
    journal_time(out, e.won_ms);
    if (e.old.len > 0) {
        buf_append_str(out, "; before, ");
        explain_text(out, e.old);
        buf_printf(out, " led term %" PRIu64, e.old_term);
    }
    buf_append_str(out, ".\n");
    explain_loss(&e, out);
    list_answers(&e, out);
    explain_gap(&e, out);
    show_roles(&e);
    return true;
}
