// The ring behind node/timeline.h.
#include "node/timeline.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

struct timeline {
    struct view_sample samples[TIMELINE_SAMPLES];  // a ring
    size_t taken;                                  // in all
    // Which peer a column of the samples' round trips belongs to; "": none. A peer that has left keeps its column, and so
    // its past, until another one needs it.
    char peers[MEMBERS_MAX][ID_MAX + 1];
    // As of the last sample, for differences.
    uint64_t last_us;
    double writes;
    uint64_t commits[HISTOGRAM_BUCKETS_MAX + 1];
};

struct timeline *timeline_new(uint64_t now_us) {
    struct timeline *timeline = mem_zalloc(sizeof *timeline);
    timeline->last_us = now_us;
    return timeline;
}

void timeline_free(struct timeline *timeline) {
    free(timeline);
}

// --- commit latency ---

// The value below which a part `q` of the counted ones is, assuming that those of one bucket are spread evenly in it; what
// exceeds the last bound counts as that bound. 0: none was counted.
static double quantile(const struct histogram *histogram, const uint64_t counts[], uint64_t total, double q) {
    double rank = q * (double)total;
    double below = 0;
    for (size_t i = 0; total > 0 && i < histogram->bound_count; i++) {
        double count = (double)counts[i];
        if (count > 0 && below + count >= rank) {
            double low = i == 0 ? 0 : histogram->bounds[i - 1];
            return low + (histogram->bounds[i] - low) * (rank - below) / count;
        }
        below += count;
    }
    return total == 0 ? 0 : histogram->bounds[histogram->bound_count - 1];
}

static void take_commits(struct timeline *timeline, const struct histogram *histogram, struct view_sample *sample) {
    uint64_t counts[HISTOGRAM_BUCKETS_MAX + 1];
    uint64_t total = 0;
    for (size_t i = 0; i <= histogram->bound_count; i++) {
        counts[i] = histogram->counts[i] - timeline->commits[i];
        timeline->commits[i] = histogram->counts[i];
        total += counts[i];
    }
    sample->commit_p50_ms = (float)quantile(histogram, counts, total, 0.5);
    sample->commit_p99_ms = (float)quantile(histogram, counts, total, 0.99);
}

// --- peers ---

static size_t column_of(const struct timeline *timeline, struct slice id) {
    size_t at = 0;
    while (at < MEMBERS_MAX && !slice_equal(slice_of_str(timeline->peers[at]), id)) {
        at++;
    }
    return at;
}

static bool is_peer_now(const struct timeline_now *now, const char *id) {
    for (size_t i = 0; i < now->peers_count; i++) {
        if (slice_equal(now->peers[i].id, slice_of_str(id))) {
            return true;
        }
    }
    return false;
}

// A column for a new peer: a free one, else that of a peer that has left. There is one, since a node has at most
// MEMBERS_MAX.
static size_t column_for(struct timeline *timeline, const struct timeline_now *now, struct slice id) {
    size_t at = column_of(timeline, (struct slice){0});
    for (size_t i = 0; at == MEMBERS_MAX && i < MEMBERS_MAX; i++) {
        at = is_peer_now(now, timeline->peers[i]) ? MEMBERS_MAX : i;
    }
    assert(at < MEMBERS_MAX && id.len <= ID_MAX);
    snprintf(timeline->peers[at], sizeof timeline->peers[at], "%.*s", (int)id.len, (const char *)id.data);
    for (size_t i = 0; i < TIMELINE_SAMPLES; i++) {
        timeline->samples[i].rtt_ms[at] = 0;
        if (timeline->samples[i].leader == at) {
            timeline->samples[i].leader = MEMBERS_MAX;
        }
    }
    return at;
}

static void take_peers(struct timeline *timeline, const struct timeline_now *now, struct view_sample *sample) {
    assert(now->peers_count <= MEMBERS_MAX);
    for (size_t i = 0; i < now->peers_count; i++) {
        size_t at = column_of(timeline, now->peers[i].id);
        if (at == MEMBERS_MAX) {
            at = column_for(timeline, now, now->peers[i].id);
        }
        sample->rtt_ms[at] = (float)now->peers[i].rtt_ms;
    }
    sample->leader = now->leader.len == 0 ? MEMBERS_MAX : (uint8_t)column_of(timeline, now->leader);
}

// --- samples ---

void timeline_take(struct timeline *timeline, const struct timeline_now *now) {
    // Half a second early: two ticks of a second may take a little less than two seconds.
    uint64_t interval_us = now->now_us - timeline->last_us;
    if (interval_us < (TIMELINE_PERIOD_MS - 500) * US_PER_MS) {
        return;
    }
    struct view_sample sample = {
        .at_us = now->now_us,
        .term = now->term,
        .leads = now->leads,
        .writes_per_s = (float)((now->writes - timeline->writes) / ((double)interval_us / (double)US_PER_S)),
    };
    take_commits(timeline, now->commit_ms, &sample);
    take_peers(timeline, now, &sample);
    timeline->samples[timeline->taken++ % TIMELINE_SAMPLES] = sample;
    timeline->last_us = now->now_us;
    timeline->writes = now->writes;
}

void timeline_read(const struct timeline *timeline, uint64_t now_us, struct view_timeline *out) {
    out->now_us = now_us;
    out->count = 0;
    size_t kept = timeline->taken < TIMELINE_SAMPLES ? timeline->taken : TIMELINE_SAMPLES;
    for (size_t i = timeline->taken - kept; i < timeline->taken; i++) {
        const struct view_sample *sample = &timeline->samples[i % TIMELINE_SAMPLES];
        if (now_us - sample->at_us <= TIMELINE_SPAN_US) {
            out->samples[out->count++] = *sample;
        }
    }
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        out->peers[i] = slice_of_str(timeline->peers[i]);
    }
}
