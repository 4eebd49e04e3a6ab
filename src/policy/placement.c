// The rules of policy/placement.h.
#include "policy/placement.h"

#include <assert.h>
#include <stdio.h>

static const double UNKNOWN = -1;

void placement_init(struct placement *placement, bool on, const char *leader_cloud, const struct placement_member *members,
                    size_t count, size_t self) {
    assert(count <= PLACEMENT_MEMBERS_MAX && self < count);
    *placement = (struct placement){.on = on, .count = count, .self = self, .commit_before = UINT64_MAX};
    snprintf(placement->leader_cloud, sizeof placement->leader_cloud, "%s", leader_cloud);
    for (size_t i = 0; i < count; i++) {
        placement->states[i].member = members[i];
    }
    snprintf(placement->verdict, sizeof placement->verdict, "%s", on ? "the leader decides" : "placement is off");
}

static size_t index_of(const struct placement *placement, const struct raft_id *id) {
    size_t i = 0;
    while (i < placement->count && !raft_id_equal(&placement->states[i].member.id, id)) {
        i++;
    }
    return i;
}

void placement_follow(struct placement *placement, const struct placement_member *members, size_t count, size_t self) {
    assert(count <= PLACEMENT_MEMBERS_MAX && self < count);
    struct placement before = *placement;
    memset(placement->states, 0, sizeof placement->states);
    placement->count = count;
    placement->self = self;
    for (size_t i = 0; i < count; i++) {
        struct placement_member_state *state = &placement->states[i];
        size_t was = index_of(&before, &members[i].id);
        if (was < before.count) {
            *state = before.states[was];
            memset(state->report.links, 0, sizeof state->report.links);
        }
        for (size_t k = 0; was < before.count && k < count; k++) {
            size_t other = index_of(&before, &members[k].id);
            if (other < before.count) {
                state->report.links[k] = before.states[was].report.links[other];
            }
        }
        state->member = members[i];
    }
}

// --- observations ---

// A peer may send any bits, infinity and NaN among them.
static double checked_ms(double ms) {
    return ms > 0 && ms < 1e6 ? ms : 0;
}

static struct placement_suspension time_left(const struct placement_timer *timer, uint64_t now_us) {
    return (struct placement_suspension){.term = timer->term,
                                         .left_us = timer->deadline_us > now_us ? timer->deadline_us - now_us : 0};
}

static void adopt(struct placement_timer *timer, uint64_t now_us, const struct placement_suspension *told, uint64_t max_us) {
    uint64_t told_us = told->left_us < max_us ? told->left_us : max_us;
    if (told_us == 0 || told->term < timer->term ||
        (told->term == timer->term && now_us + told_us <= timer->deadline_us + PLACEMENT_RENEWAL_MIN_US)) {
        return;
    }
    *timer = (struct placement_timer){.term = told->term, .deadline_us = now_us + told_us};
}

void placement_heard(struct placement *placement, uint64_t now_us, size_t member, const struct placement_report *report) {
    assert(member < placement->count);
    struct placement_member_state *state = &placement->states[member];
    state->report = *report;
    state->report.disk_sync_ms = checked_ms(report->disk_sync_ms);
    for (size_t i = 0; i < placement->count; i++) {
        struct placement_link *link = &state->report.links[i];
        link->rtt_ms = checked_ms(link->rtt_ms);
        link->spread_ms = checked_ms(link->spread_ms);
        link->least_ms = link->least_ms > 0 && link->least_ms < link->rtt_ms ? link->least_ms : link->rtt_ms;
    }
    state->heard_us = now_us;
    adopt(&placement->pause, now_us, &report->pause, PLACEMENT_PAUSE_US);
    adopt(&placement->cooldown, now_us, &report->cooldown, PLACEMENT_COOLDOWN_US);
}

void placement_lead(struct placement *placement, raft_term term, bool leading) {
    if (leading == placement->leading && term == placement->term) {
        return;
    }
    assert(term >= placement->term);
    placement->leading = leading;
    placement->term = term;
    placement->commit_noted = UINT64_MAX;  // no member counts as caught up for a second, so every watch starts again
}

void placement_progress(struct placement *placement, uint64_t now_us, raft_index commit_index,
                        const raft_index match_index[PLACEMENT_MEMBERS_MAX]) {
    for (size_t i = 0; i < placement->count; i++) {
        placement->states[i].match_index = match_index[i];
    }
    if (placement->commit_noted != UINT64_MAX && now_us - placement->commit_noted_us < PLACEMENT_CAUGHT_UP_US) {
        return;
    }
    placement->commit_before = placement->commit_noted;
    placement->commit_noted = commit_index;
    placement->commit_noted_us = now_us;
}

void placement_pause(struct placement *placement, uint64_t now_us, raft_term term) {
    placement->pause = (struct placement_timer){.term = term, .deadline_us = now_us + PLACEMENT_PAUSE_US};
}

struct placement_suspension placement_pause_left(const struct placement *placement, uint64_t now_us) {
    return time_left(&placement->pause, now_us);
}

struct placement_suspension placement_cooldown_left(const struct placement *placement, uint64_t now_us) {
    return time_left(&placement->cooldown, now_us);
}

// --- the estimate ---

static bool is_fresh(const struct placement_member_state *state, uint64_t now_us) {
    return now_us - state->heard_us <= PLACEMENT_FRESH_US;
}

static bool is_steady(const struct placement_link *link) {
    return link->rtt_ms > 0 && link->losses < PLACEMENT_LOSSES_MAX;
}

// Which of a link's times to take: the median, a slow one, or the part spent while the measuring process was idle.
enum pace { USUAL, SLOW, LEAST };

static double time_ms(const struct placement_link *link, enum pace pace) {
    return pace == LEAST ? link->least_ms : pace == SLOW ? link->rtt_ms + link->spread_ms : link->rtt_ms;
}

static double commit_ms(const struct placement *placement, uint64_t now_us, size_t member, enum pace pace) {
    const struct placement_member_state *state = &placement->states[member];
    double rising[PLACEMENT_MEMBERS_MAX];  // to the voters it reaches, in rising order
    size_t reached = 0;
    size_t voters = 0;
    for (size_t i = 0; i < placement->count; i++) {
        const struct placement_link *link = &state->report.links[i];
        voters += placement->states[i].member.voter;
        if (!placement->states[i].member.voter || !is_steady(link)) {
            continue;
        }
        double ms = time_ms(link, pace);
        size_t at = reached++;
        for (; at > 0 && rising[at - 1] > ms; at--) {
            rising[at] = rising[at - 1];
        }
        rising[at] = ms;
    }
    size_t others_needed = voters / 2;  // besides the leader itself
    if (!is_fresh(state, now_us) || !state->member.voter || reached < others_needed) {
        return UNKNOWN;
    }
    return others_needed == 0 ? 0 : rising[others_needed - 1];
}

double placement_commit_ms(const struct placement *placement, uint64_t now_us, size_t member) {
    return commit_ms(placement, now_us, member, USUAL);
}

// --- fit and better members ---

static bool disk_is_slow(const struct placement *placement, const struct placement_member_state *state) {
    double sync_ms = state->report.disk_sync_ms;
    return sync_ms > PLACEMENT_SLOW_SYNC_MS && sync_ms > 2 * placement->states[placement->self].report.disk_sync_ms;
}

static bool is_fit(const struct placement *placement, uint64_t now_us, size_t member) {
    const struct placement_member_state *state = &placement->states[member];
    const struct placement_link *link = &placement->states[placement->self].report.links[member];
    return state->member.voter && is_fresh(state, now_us) && is_steady(link) &&
           state->match_index >= placement->commit_before && !state->report.disk_full && !state->report.quarantined &&
           !disk_is_slow(placement, state);
}

static bool in_cloud(const struct placement *placement, size_t member, const char *cloud) {
    return strcmp(placement->states[member].member.cloud, cloud) == 0;
}

// Whether this leader is outside the preferred cloud and a fit voter is inside.
static bool must_enter_cloud(const struct placement *placement, uint64_t now_us) {
    if (in_cloud(placement, placement->self, placement->leader_cloud)) {
        return false;
    }
    for (size_t i = 0; i < placement->count; i++) {
        if (in_cloud(placement, i, placement->leader_cloud) && is_fit(placement, now_us, i) &&
            commit_ms(placement, now_us, i, SLOW) >= 0) {
            return true;
        }
    }
    return false;
}

static bool is_better(const struct placement *placement, uint64_t now_us, size_t member, bool entering) {
    double own_ms = commit_ms(placement, now_us, placement->self, LEAST);
    double ms = commit_ms(placement, now_us, member, SLOW);
    const char *preferred = placement->leader_cloud;
    if (ms < 0 || !is_fit(placement, now_us, member)) {
        return false;
    }
    if (entering) {
        return in_cloud(placement, member, preferred);
    }
    bool leaves = in_cloud(placement, placement->self, preferred) && !in_cloud(placement, member, preferred);
    return !leaves && ms * 2 <= own_ms && own_ms - ms >= PLACEMENT_GAIN_MIN_MS;
}

// Of the members that have been better for at least `watched_us`, the one that would commit fastest; NULL: none.
static struct placement_member_state *best_candidate(struct placement *placement, uint64_t now_us, uint64_t watched_us) {
    struct placement_member_state *best = NULL;
    double best_ms = 0;
    for (size_t i = 0; i < placement->count; i++) {
        struct placement_member_state *state = &placement->states[i];
        if (state->better_since_us == 0 || now_us - state->better_since_us < watched_us) {
            continue;
        }
        double ms = commit_ms(placement, now_us, i, SLOW);
        if (best != NULL && ms >= best_ms) {
            continue;
        }
        best = state;
        best_ms = ms;
    }
    return best;
}

// --- the decision ---

static void watch(struct placement *placement, uint64_t now_us) {
    bool entering = must_enter_cloud(placement, now_us);
    for (size_t i = 0; i < placement->count; i++) {
        struct placement_member_state *state = &placement->states[i];
        if (!is_better(placement, now_us, i, entering)) {
            state->better_since_us = 0;
        } else if (state->better_since_us == 0) {
            state->better_since_us = now_us;
        }
    }
}

// "n1 would commit in 0.4 ms instead of 50.3 ms", and the preferred cloud where that is the reason.
static void say_gain(const struct placement *placement, uint64_t now_us, const struct placement_member_state *state,
                     char *text, size_t size) {
    double ms = placement_commit_ms(placement, now_us, (size_t)(state - placement->states));
    double own_ms = placement_commit_ms(placement, now_us, placement->self);
    bool inside = placement->leader_cloud[0] != '\0' && !in_cloud(placement, placement->self, placement->leader_cloud) &&
                  strcmp(state->member.cloud, placement->leader_cloud) == 0;
    char own[32] = "a time that is not known";
    if (own_ms >= 0) {
        snprintf(own, sizeof own, "%.1f ms", own_ms);
    }
    snprintf(text, size, "%s would commit in %.1f ms instead of %s%s", state->member.id.text, ms, own,
             inside ? ", and is in the preferred cloud" : "");
}

static void say_stay(struct placement *placement, uint64_t now_us, const struct placement_member_state *candidate) {
    char gain[PLACEMENT_GAIN_TEXT_MAX];
    char *text = placement->verdict;
    size_t size = sizeof placement->verdict;
    double own_ms = placement_commit_ms(placement, now_us, placement->self);
    if (candidate == NULL) {
        if (own_ms < 0) {
            snprintf(text, size, "stay: the round trips are not known yet");
        } else {
            snprintf(text, size, "stay: no fit voter would commit markedly faster than in %.1f ms", own_ms);
        }
        return;
    }
    say_gain(placement, now_us, candidate, gain, sizeof gain);
    if (placement->pause.deadline_us > now_us) {
        snprintf(text, size, "stay: paused by an operator's transfer for another %llu s; %s",
                 (unsigned long long)((placement->pause.deadline_us - now_us) / US_PER_S), gain);
    } else if (now_us - candidate->better_since_us < PLACEMENT_WATCH_US) {
        snprintf(text, size, "stay: watching; %s", gain);
    } else {
        snprintf(text, size, "stay: the last move is too recent, for another %llu s; %s",
                 (unsigned long long)((placement->cooldown.deadline_us - now_us) / US_PER_S), gain);
    }
}

const struct raft_id *placement_decide(struct placement *placement, uint64_t now_us) {
    if (!placement->on) {
        return NULL;
    }
    if (!placement->leading) {
        snprintf(placement->verdict, sizeof placement->verdict, "the leader decides");
        return NULL;
    }
    watch(placement, now_us);
    struct placement_member_state *chosen = best_candidate(placement, now_us, PLACEMENT_WATCH_US);
    if (chosen == NULL || placement->pause.deadline_us > now_us || placement->cooldown.deadline_us > now_us) {
        say_stay(placement, now_us, chosen != NULL ? chosen : best_candidate(placement, now_us, 0));
        return NULL;
    }
    say_gain(placement, now_us, chosen, placement->moved_why, sizeof placement->moved_why);
    snprintf(placement->verdict, sizeof placement->verdict, "move: %s", placement->moved_why);
    placement->moved_us = now_us;
    placement->moved_to = chosen->member.id;
    placement->cooldown = (struct placement_timer){.term = placement->term, .deadline_us = now_us + PLACEMENT_COOLDOWN_US};
    return &placement->moved_to;
}

const struct raft_id *placement_successor(const struct placement *placement, uint64_t now_us) {
    const char *cloud =
        placement->leader_cloud[0] != '\0' ? placement->leader_cloud : placement->states[placement->self].member.cloud;
    const struct raft_id *best = NULL;
    bool best_inside = false;
    double best_ms = UNKNOWN;
    for (size_t i = 0; i < placement->count; i++) {
        if (!is_fit(placement, now_us, i)) {
            continue;
        }
        bool inside = in_cloud(placement, i, cloud);
        double ms = commit_ms(placement, now_us, i, SLOW);
        bool faster = ms >= 0 && (best_ms < 0 || ms < best_ms);
        if (best != NULL && (inside < best_inside || (inside == best_inside && !faster))) {
            continue;
        }
        best = &placement->states[i].member.id;
        best_inside = inside;
        best_ms = ms;
    }
    return best;
}

double placement_commit_ms_with(const struct placement *placement, uint64_t now_us,
                                const bool votes[PLACEMENT_MEMBERS_MAX]) {
    struct placement after = *placement;
    for (size_t i = 0; i < after.count; i++) {
        after.states[i].member.voter = votes[i];
    }
    if (!votes[after.self]) {
        const struct raft_id *successor = placement_successor(&after, now_us);
        if (successor == NULL) {
            return UNKNOWN;
        }
        after.self = index_of(&after, successor);
    }
    size_t leader = after.self;
    if (after.on && after.pause.deadline_us <= now_us) {
        watch(&after, now_us);
        const struct placement_member_state *better = best_candidate(&after, now_us, 0);
        leader = better == NULL ? leader : (size_t)(better - after.states);
    }
    return placement_commit_ms(&after, now_us, leader);
}
