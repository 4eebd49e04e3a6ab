// Why a worker was lost: ctl/explain.h.
#include <stdlib.h>

#include "ctl/explain.h"

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
