// The decision behind policy/placement.h.
#include "policy/placement.h"

#include <assert.h>
#include <stdio.h>

static const double UNKNOWN = -1;

void placement_init(struct placement *placement, bool on, const char *leader_cloud, const struct placement_member *members,
                    size_t count, size_t self) {
    assert(count <= MEMBERS_MAX && self < count);
    *placement = (struct placement){.on = on, .count = count, .self = self, .commit_before = UINT64_MAX};
    snprintf(placement->leader_cloud, sizeof placement->leader_cloud, "%s", leader_cloud);
    for (size_t i = 0; i < count; i++) {
        placement->seats[i].member = members[i];
    }
    snprintf(placement->verdict, sizeof placement->verdict, "%s", on ? "the leader decides" : "placement is off");
}

// --- observations ---

// A peer may send any number, an infinite one or none at all too.
static double checked_ms(double ms) {
    return ms > 0 && ms < 1e6 ? ms : 0;
}

static struct placement_hold hold_of(const struct placement_until *until, uint64_t now_us) {
    return (struct placement_hold){.term = until->term, .left_us = until->us > now_us ? until->us - now_us : 0};
}

static void take_hold(struct placement_until *until, uint64_t now_us, const struct placement_hold *told, uint64_t max_us) {
    uint64_t told_us = told->left_us < max_us ? told->left_us : max_us;
    if (told_us == 0 || told->term < until->term ||
        (told->term == until->term && now_us + told_us <= until->us + PLACEMENT_HOLD_SLACK_US)) {
        return;
    }
    *until = (struct placement_until){.term = told->term, .us = now_us + told_us};
}

void placement_heard(struct placement *placement, uint64_t now_us, size_t member, const struct placement_report *report) {
    assert(member < placement->count);
    struct placement_seat *seat = &placement->seats[member];
    seat->report = *report;
    seat->report.disk_sync_ms = checked_ms(report->disk_sync_ms);
    for (size_t i = 0; i < placement->count; i++) {
        struct placement_link *link = &seat->report.links[i];
        link->rtt_ms = checked_ms(link->rtt_ms);
        link->spread_ms = checked_ms(link->spread_ms);
        link->least_ms = link->least_ms > 0 && link->least_ms < link->rtt_ms ? link->least_ms : link->rtt_ms;
    }
    seat->heard_us = now_us;
    take_hold(&placement->pause, now_us, &report->pause, PLACEMENT_PAUSE_US);
    take_hold(&placement->cooldown, now_us, &report->cooldown, PLACEMENT_COOLDOWN_US);
}

void placement_lead(struct placement *placement, raft_term term, bool leading) {
    if (leading == placement->leading && term == placement->term) {
        return;
    }
    placement->leading = leading;
    placement->term = term;
    placement->commit_noted = UINT64_MAX;  // so nobody has the log for a second, and no watch goes on
}

void placement_progress(struct placement *placement, uint64_t now_us, raft_index commit_index,
                        const raft_index match_index[MEMBERS_MAX]) {
    for (size_t i = 0; i < placement->count; i++) {
        placement->seats[i].match_index = match_index[i];
    }
    if (placement->commit_noted != UINT64_MAX && now_us - placement->commit_noted_us < PLACEMENT_BEHIND_US) {
        return;
    }
    placement->commit_before = placement->commit_noted;
    placement->commit_noted = commit_index;
    placement->commit_noted_us = now_us;
}

void placement_pause(struct placement *placement, uint64_t now_us, raft_term term) {
    placement->pause = (struct placement_until){.term = term, .us = now_us + PLACEMENT_PAUSE_US};
}

struct placement_hold placement_pause_left(const struct placement *placement, uint64_t now_us) {
    return hold_of(&placement->pause, now_us);
}

struct placement_hold placement_cooldown_left(const struct placement *placement, uint64_t now_us) {
    return hold_of(&placement->cooldown, now_us);
}

// --- the estimate ---

static bool is_fresh(const struct placement_seat *seat, uint64_t now_us) {
    return now_us - seat->heard_us <= PLACEMENT_FRESH_US;
}

static bool is_steady(const struct placement_link *link) {
    return link->rtt_ms > 0 && link->losses < PLACEMENT_LOSSES_MAX;
}

// As links are as a rule, at their slower times, or at the least.
enum pace { USUAL, SLOW, LEAST };

static double time_ms(const struct placement_link *link, enum pace pace) {
    return pace == LEAST ? link->least_ms : pace == SLOW ? link->rtt_ms + link->spread_ms : link->rtt_ms;
}

static double commit_ms(const struct placement *placement, uint64_t now_us, size_t member, enum pace pace) {
    const struct placement_seat *seat = &placement->seats[member];
    double rising[MEMBERS_MAX];  // to the voters that can be reached
    size_t reached = 0;
    size_t voters = 0;
    for (size_t i = 0; i < placement->count; i++) {
        const struct placement_link *link = &seat->report.links[i];
        voters += placement->seats[i].member.voter;
        if (!placement->seats[i].member.voter || !is_steady(link)) {
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
    if (!is_fresh(seat, now_us) || !seat->member.voter || reached < others_needed) {
        return UNKNOWN;
    }
    return others_needed == 0 ? 0 : rising[others_needed - 1];
}

double placement_commit_ms(const struct placement *placement, uint64_t now_us, size_t member) {
    return commit_ms(placement, now_us, member, USUAL);
}

// --- who is fit, who is better ---

static bool disk_is_slow(const struct placement *placement, const struct placement_seat *seat) {
    double sync_ms = seat->report.disk_sync_ms;
    return sync_ms > PLACEMENT_SLOW_SYNC_MS && sync_ms > 2 * placement->seats[placement->self].report.disk_sync_ms;
}

static bool is_fit(const struct placement *placement, uint64_t now_us, size_t member) {
    const struct placement_seat *seat = &placement->seats[member];
    const struct placement_link *link = &placement->seats[placement->self].report.links[member];
    return seat->member.voter && is_fresh(seat, now_us) && is_steady(link) &&
           seat->match_index >= placement->commit_before && !seat->report.disk_full && !disk_is_slow(placement, seat);
}

static bool in_cloud(const struct placement *placement, size_t member, const char *cloud) {
    return strcmp(placement->seats[member].member.cloud, cloud) == 0;
}

// A leader outside the preferred cloud has somebody to hand over to inside.
static bool must_go_inside(const struct placement *placement, uint64_t now_us) {
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

static bool is_better(const struct placement *placement, uint64_t now_us, size_t member, bool going_inside) {
    double own_ms = commit_ms(placement, now_us, placement->self, LEAST);
    double ms = commit_ms(placement, now_us, member, SLOW);
    const char *preferred = placement->leader_cloud;
    if (ms < 0 || !is_fit(placement, now_us, member)) {
        return false;
    }
    if (going_inside) {
        return in_cloud(placement, member, preferred);
    }
    bool leaves = in_cloud(placement, placement->self, preferred) && !in_cloud(placement, member, preferred);
    return !leaves && ms * 2 <= own_ms && own_ms - ms >= PLACEMENT_GAIN_MIN_MS;
}

// The candidate that would commit fastest among those that are the better leaders for `watched_us` or longer; NULL: none.
static struct placement_seat *best_seat(struct placement *placement, uint64_t now_us, uint64_t watched_us) {
    struct placement_seat *best = NULL;
    double best_ms = 0;
    for (size_t i = 0; i < placement->count; i++) {
        struct placement_seat *seat = &placement->seats[i];
        if (seat->better_since_us == 0 || now_us - seat->better_since_us < watched_us) {
            continue;
        }
        double ms = commit_ms(placement, now_us, i, SLOW);
        if (best != NULL && ms >= best_ms) {
            continue;
        }
        best = seat;
        best_ms = ms;
    }
    return best;
}

// --- the decision ---

static void watch(struct placement *placement, uint64_t now_us) {
    bool going_inside = must_go_inside(placement, now_us);
    for (size_t i = 0; i < placement->count; i++) {
        struct placement_seat *seat = &placement->seats[i];
        if (!is_better(placement, now_us, i, going_inside)) {
            seat->better_since_us = 0;
        } else if (seat->better_since_us == 0) {
            seat->better_since_us = now_us;
        }
    }
}

// "n1 would commit in 0.4 ms instead of 50.3 ms", and the preferred cloud if that is why.
static void say_gain(const struct placement *placement, uint64_t now_us, const struct placement_seat *seat, char *text,
                     size_t size) {
    double ms = placement_commit_ms(placement, now_us, (size_t)(seat - placement->seats));
    double own_ms = placement_commit_ms(placement, now_us, placement->self);
    bool inside = placement->leader_cloud[0] != '\0' && !in_cloud(placement, placement->self, placement->leader_cloud) &&
                  strcmp(seat->member.cloud, placement->leader_cloud) == 0;
    char own[32] = "a time that is not known";
    if (own_ms >= 0) {
        snprintf(own, sizeof own, "%.1f ms", own_ms);
    }
    snprintf(text, size, "%s would commit in %.1f ms instead of %s%s", seat->member.id.text, ms, own,
             inside ? ", and is in the preferred cloud" : "");
}

static void say_stay(struct placement *placement, uint64_t now_us, const struct placement_seat *candidate) {
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
    if (placement->pause.us > now_us) {
        snprintf(text, size, "stay: paused by an operator's transfer for another %llu s; %s",
                 (unsigned long long)((placement->pause.us - now_us) / US_PER_S), gain);
    } else if (now_us - candidate->better_since_us < PLACEMENT_WATCH_US) {
        snprintf(text, size, "stay: watching; %s", gain);
    } else {
        snprintf(text, size, "stay: the last move is too recent, for another %llu s; %s",
                 (unsigned long long)((placement->cooldown.us - now_us) / US_PER_S), gain);
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
    struct placement_seat *chosen = best_seat(placement, now_us, PLACEMENT_WATCH_US);
    if (chosen == NULL || placement->pause.us > now_us || placement->cooldown.us > now_us) {
        say_stay(placement, now_us, chosen != NULL ? chosen : best_seat(placement, now_us, 0));
        return NULL;
    }
    say_gain(placement, now_us, chosen, placement->moved_why, sizeof placement->moved_why);
    snprintf(placement->verdict, sizeof placement->verdict, "move: %s", placement->moved_why);
    placement->moved_us = now_us;
    placement->moved_to = chosen->member.id;
    placement->cooldown = (struct placement_until){.term = placement->term, .us = now_us + PLACEMENT_COOLDOWN_US};
    return &placement->moved_to;
}

const struct raft_id *placement_successor(const struct placement *placement, uint64_t now_us) {
    const char *cloud =
        placement->leader_cloud[0] != '\0' ? placement->leader_cloud : placement->seats[placement->self].member.cloud;
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
        best = &placement->seats[i].member.id;
        best_inside = inside;
        best_ms = ms;
    }
    return best;
}
