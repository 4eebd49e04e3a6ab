// Why writes took long: ctl/explain.h.
#include "base/array.h"
#include "ctl/explain.h"

// What happened on any node at that time can have delayed a write. What is first in this table is told first.
static const struct {
    const char *event;
    const char *words;
    const char *detail;  // the field that says more; NULL: none
} delays[] = {
    {"disk-stuck", "its disk did not answer", "waits_ms"},
    {"disk-slow", "its disk was slow", "slowest_ms"},
    {"disk-full", "its disk was full", NULL},
    {"loop-stalled", "its process stood still", NULL},
    {"loop-paused", "its process stood still for a moment", NULL},
    {"peer-lost", "it lost the connection to ", "peer"},
    {"role-changed", "its role changed to ", "to"},
    {"snapshot-sent", "it sent a snapshot to ", "follower"},
};

static bool overlaps(const struct cause *cause, int64_t from_ms, int64_t to_ms) {
    return cause->first_ms <= to_ms && cause->last_ms >= from_ms;
}

// Slow writes and syncs are told once a second, so what belongs together may be a second apart.
static size_t list_delays(struct causes *causes, const struct cause *slow, struct buf *out) {
    int64_t from_ms = slow->first_ms - (int64_t)explain_number(cause_value(slow, "slowest_ms")) - 2000;
    int64_t to_ms = slow->last_ms + 1000;
    size_t told = 0;
    for (size_t k = 0; k < ARRAY_COUNT(delays); k++) {
        for (size_t i = 0; i < causes->count; i++) {
            struct cause *cause = &causes->list[i];
            if (!cause_is(cause, delays[k].event, NULL, slice_of(NULL, 0)) || !overlaps(cause, from_ms, to_ms)) {
                continue;
            }
            cause->shown = true;
            told++;
            buf_append_str(out, "  ");
            explain_text(out, cause->node);
            buf_append_str(out, ": ");
            buf_append_str(out, delays[k].words);
            struct slice detail = delays[k].detail == NULL ? slice_of(NULL, 0) : cause_value(cause, delays[k].detail);
            if (k < 2) {
                buf_append_str(out, ", ");
                explain_ms(out, detail);
            } else {
                explain_text(out, detail);
            }
            buf_append_str(out, "\n");
        }
    }
    return told;
}

static void explain_slow(struct causes *causes, struct cause *slow, struct buf *out) {
    slow->shown = true;
    journal_time(out, slow->first_ms);
    buf_append_str(out, ": ");
    explain_text(out, cause_value(slow, "writes"));
    buf_append_str(out, " writes of ");
    explain_text(out, slow->node);
    buf_append_str(out, ", the leader, took long, the slowest ");
    explain_ms(out, cause_value(slow, "slowest_ms"));
    buf_append_str(out, ". When it was committed, ");
    explain_text(out, cause_value(slow, "voters"));
    buf_append_str(out, ". At that time:\n");
    if (list_delays(causes, slow, out) == 0) {
        buf_append_str(out,
                       "  nothing that a journal knows of: then it is load, or the link to those that lacked entries\n");
    }
}

bool explain_writes(struct causes *causes, bool all, struct buf *out) {
    struct cause *last = NULL;
    for (size_t i = 0; i < causes->count; i++) {
        struct cause *cause = &causes->list[i];
        if (!cause_is(cause, "write-slow", NULL, slice_of(NULL, 0))) {
            continue;
        }
        if (all) {
            explain_slow(causes, cause, out);
        }
        last = last == NULL || cause->first_ms > last->first_ms ? cause : last;
    }
    if (last != NULL && !all) {
        explain_slow(causes, last, out);
    }
    return last != NULL;
}
