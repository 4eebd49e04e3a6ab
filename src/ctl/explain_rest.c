// Why a worker was lost, and why writes took long: ctl/explain.h.
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "ctl/explain.h"

enum { TEXT_MAX = 512, NUMBER_MAX = 32 };

void explain_text(struct buf *out, struct slice text) {
    text_for_terminal(out, text, TEXT_MAX);
}

double explain_number(struct slice text) {
    char copy[NUMBER_MAX + 1];
    snprintf(copy, sizeof copy, "%.*s", (int)(text.len < NUMBER_MAX ? text.len : NUMBER_MAX), (const char *)text.data);
    return text.len == 0 ? 0 : strtod(copy, NULL);
}

void explain_ms(struct buf *out, struct slice ms) {
    double number = explain_number(ms);
    if (!isfinite(number)) {
        explain_text(out, ms);
    } else if (number < 1000) {
        buf_printf(out, "%.0f ms", number);
    } else {
        buf_printf(out, "%.1f s", number / 1000);
    }
}

// --- workers ---

// Others that were lost within this time of a worker's loss were lost with it.
enum { TOGETHER_MS = 3 * 1000 };

// When the change of a worker was decided. A node that starts, or catches up, learns of old ones.
static int64_t changed_ms(const struct cause *cause) {
    struct slice since = cause_value(cause, "since_unix_ms");
    return since.len > 0 ? (int64_t)explain_number(since) : cause->first_ms;
}

static struct cause *last_of_worker(struct causes *causes, const char *event, struct slice id) {
    struct cause *last = NULL;
    for (size_t i = 0; i < causes->count; i++) {
        struct cause *cause = &causes->list[i];
        if (cause_is(cause, event, "worker", id) && (last == NULL || changed_ms(cause) >= changed_ms(last))) {
            last = cause;
        }
    }
    return last;
}

static bool was_lost(const struct cause *cause) {
    return cause_is(cause, "worker-offline", "reason", slice_of_str("missed-heartbeats"));
}

// Each node tells of each worker, so they are counted on one: the one that the loss was taken from.
static void tell_of_others(struct causes *causes, const struct cause *offline, struct buf *out) {
    struct slice cloud = cause_value(offline, "cloud");
    size_t here = 0, elsewhere = 0;
    for (size_t i = 0; i < causes->count; i++) {
        const struct cause *cause = &causes->list[i];
        bool together = llabs(changed_ms(cause) - changed_ms(offline)) <= TOGETHER_MS && cause != offline;
        if (together && slice_equal(cause->node, offline->node) && was_lost(cause)) {
            *(slice_equal(cause_value(cause, "cloud"), cloud) ? &here : &elsewhere) += 1;
        }
    }
    if (here + elsewhere == 0) {
        buf_append_str(out, "No other worker was lost with it, so look at this one: its process, its machine, its link.\n");
    } else if (elsewhere == 0) {
        buf_printf(out, "%zu more in ", here);
        explain_text(out, cloud);
        buf_append_str(out, " were lost with it, and none elsewhere, so look at that cloud and the link to it.\n");
    } else {
        buf_printf(out,
                   "%zu more in its cloud and %zu elsewhere were lost with it, so look at the leader and what is near it.\n",
                   here, elsewhere);
    }
}

// A leader that has just been elected cannot have heard it before.
static void tell_of_leader(struct causes *causes, const struct cause *silent, struct buf *out) {
    double silent_ms = explain_number(cause_value(silent, "silent_ms"));
    double limit_ms = explain_number(cause_value(silent, "limit_ms"));
    explain_text(out, silent->node);
    if (silent_ms > 0) {
        buf_append_str(out, ", which leads, had not heard it for ");
        explain_ms(out, cause_value(silent, "silent_ms"));
    } else {
        buf_append_str(out, " never heard it since it was elected");
    }
    buf_printf(out, "; a worker may be silent for %.1f s.\n", limit_ms / 1000);
    for (size_t i = 0; i < causes->count; i++) {
        struct cause *cause = &causes->list[i];
        if (slice_equal(cause->node, silent->node) && cause_is(cause, "role-changed", "to", slice_of_str("Leader")) &&
            cause->first_ms <= silent->first_ms && (double)(silent->first_ms - cause->first_ms) < 2 * limit_ms) {
            cause->shown = true;
            buf_printf(out,
                       "It had led for %.1f s only: could the worker find the new leader? It needs the addresses of all "
                       "nodes, or one that answers.\n",
                       (double)(silent->first_ms - cause->first_ms) / 1000);
        }
    }
}

bool explain_worker(struct causes *causes, struct slice id, struct buf *out) {
    struct cause *offline = last_of_worker(causes, "worker-offline", id);
    struct cause *online = last_of_worker(causes, "worker-online", id);
    struct cause *last = offline == NULL || (online != NULL && changed_ms(online) > changed_ms(offline)) ? online : offline;
    if (last == NULL) {
        return false;
    }
    last->shown = true;
    explain_text(out, id);
    buf_append_str(out, last == online ? " is online since " : " is offline since ");
    journal_time(out, changed_ms(last));
    buf_append_str(out, ".\n");
    if (offline == NULL) {
        return true;
    }
    offline->shown = true;
    if (last == online) {
        buf_append_str(out, "Before, it was offline from ");
        journal_time(out, changed_ms(offline));
        buf_append_str(out, " on.\n");
    }
    if (!was_lost(offline)) {
        buf_append_str(out, "It had left by itself (");
        explain_text(out, cause_value(offline, "reason"));
        buf_append_str(out, ").\n");
        return true;
    }
    struct cause *silent = last_of_worker(causes, "worker-silent", id);
    if (silent != NULL && llabs(silent->first_ms - changed_ms(offline)) <= TOGETHER_MS) {
        silent->shown = true;
        tell_of_leader(causes, silent, out);
    } else {
        buf_append_str(out, "Its heartbeats stopped; the journal of who led then does not answer.\n");
    }
    tell_of_others(causes, offline, out);
    return true;
}

bool explain_workers(struct causes *causes, struct buf *out) {
    const struct cause *last = NULL;
    for (size_t i = 0; i < causes->count; i++) {
        const struct cause *cause = &causes->list[i];
        if (was_lost(cause) && (last == NULL || changed_ms(cause) > changed_ms(last))) {
            last = cause;
        }
    }
    if (last == NULL) {
        return false;
    }
    size_t lost = 0;
    for (size_t i = 0; i < causes->count; i++) {
        lost += was_lost(&causes->list[i]) && slice_equal(causes->list[i].node, last->node);
    }
    struct slice id = cause_value(last, "worker");
    buf_printf(out, "%zu %s lost, as far as the journals go back. The last:\n", lost,
               lost == 1 ? "worker was" : "workers were");
    return explain_worker(causes, id, out);
}

// --- writes ---

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

void explain_latest(struct causes *causes, struct buf *out) {
    if (!explain_election(causes, 0, out)) {
        buf_append_str(out, "No election is in the journals.\n");
    }
    if (causes->leader.len == 0) {
        buf_append_str(out, "No node that answers knows a leader now; see batonctl status.\n");
    }
    if (!explain_workers(causes, out)) {
        buf_append_str(out, "No worker was lost.\n");
    }
    if (!explain_writes(causes, false, out)) {
        buf_append_str(out, "No write took long.\n");
    }
}
