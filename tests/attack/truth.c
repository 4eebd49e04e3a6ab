// What must be there: truth.h.
#include "truth.h"

#include <assert.h>
#include <stdio.h>

#include "base/arena.h"
#include "state/image.h"
#include "wire/command.h"

struct moment *truth_next(struct truth *t) {
    assert(t->made + 1 < MOMENTS_MAX);
    t->moments[t->made + 1] = t->moments[t->made];
    return &t->moments[++t->made];
}

void moment_take(struct moment *m, raft_index first, struct raft_entry *const *entries, size_t count) {
    assert(first > m->base.index && first <= m->count + 1 && first + count - 1 <= ENTRIES_MAX);
    m->count = (size_t)first - 1;
    for (size_t i = 0; i < count; i++) {
        m->entries[m->count++] = entries[i];
    }
}

void truth_commit(struct truth *t, raft_index index) {
    const struct moment *m = &t->moments[t->made];
    for (; t->committed_count < index; t->committed_count++) {
        assert(m->entries[t->committed_count] != NULL);
        t->committed[t->committed_count] = m->entries[t->committed_count];
    }
}

struct state *truth_state(const struct truth *t, raft_index index) {
    struct victim machine = {.state = state_new()};
    assert(index <= t->committed_count);
    for (size_t i = 0; i < index; i++) {
        victim_apply(&machine, t->committed[i]);
    }
    return machine.state;
}

// --- images ---

void truth_begin_picture(struct truth *t, struct raft_entry_id last, uint64_t digest) {
    assert(t->picture_count < PICTURES_MAX);
    t->pictures[t->picture_count++] = (struct picture){.last = last, .digest = digest};
}

void truth_keep_picture(struct truth *t) {
    t->pictures[t->picture_count - 1].durable = true;
}

static bool same(struct raft_entry_id a, struct raft_entry_id b) {
    return a.index == b.index && a.term == b.term;
}

// The image that the victim has started from is one that was made, and not older than the newest durable one.
static bool picture_holds(const struct truth *t, bool older_image, const struct victim *v, char why[WHY_MAX]) {
    raft_index newest = 0;
    const struct picture *is = NULL;
    for (size_t i = 0; i < t->picture_count; i++) {
        newest = t->pictures[i].durable && t->pictures[i].last.index > newest ? t->pictures[i].last.index : newest;
        is = same(t->pictures[i].last, v->newest) ? &t->pictures[i] : is;
    }
    if (v->newest.index == 0 ? newest > 0 && !older_image : is == NULL || (is->last.index < newest && !older_image)) {
        snprintf(why, WHY_MAX, "the image is that of entry %llu, the newest durable one that of %llu",
                 (unsigned long long)v->newest.index, (unsigned long long)newest);
        return false;
    }
    if (is != NULL && (state_digest(v->state) != is->digest || state_last_applied(v->state) != is->last.index)) {
        snprintf(why, WHY_MAX, "the image of entry %llu holds another state", (unsigned long long)v->newest.index);
        return false;
    }
    return true;
}

// --- the log ---

static bool has(const struct moment *m, struct raft_entry_id id) {
    if (id.index <= m->base.index) {
        return same(id, m->base);
    }
    return id.index <= m->count && m->entries[id.index - 1]->id.term == id.term;
}

static bool equal(const struct raft_entry *a, const struct raft_entry *b) {
    return same(a->id, b->id) && a->type == b->type && slice_equal(raft_entry_command(a), raft_entry_command(b));
}

static bool begins_in_time(const struct truth *t, const struct moment *m, const struct victim *v) {
    const struct raft_restored *log = &v->recovered.log;
    raft_index from = v->newest.index > v->retained ? v->newest.index - v->retained : 0;
    raft_index latest = from > t->compacted ? from : t->compacted;
    latest = latest > m->base.index ? latest : m->base.index;
    bool joins = log->base.index <= v->newest.index && log->base.index <= latest;
    return joins && (log->base.index == 0 || has(m, log->base));
}

bool moment_holds(const struct truth *t, const struct moment *m, const struct victim *v, char why[WHY_MAX]) {
    const struct raft_restored *log = &v->recovered.log;
    if (log->hard_state.current_term != m->term || strcmp(log->hard_state.voted_for.text, m->vote) != 0) {
        snprintf(why, WHY_MAX, "term %llu and vote '%s', not %llu and '%s'",
                 (unsigned long long)log->hard_state.current_term, log->hard_state.voted_for.text,
                 (unsigned long long)m->term, m->vote);
        return false;
    }
    if (v->newest.index > 0 && !has(m, v->newest)) {  // an image from another node, before the log began anew
        snprintf(why, WHY_MAX, "%zu entries after entry %llu, which the image's takes the place of", log->count,
                 (unsigned long long)log->base.index);
        return log->count == 0 && same(log->base, v->newest);
    }
    if (log->base.index + log->count != m->count || !begins_in_time(t, m, v)) {
        snprintf(why, WHY_MAX, "entries %llu to %llu, not to %zu", (unsigned long long)log->base.index + 1,
                 (unsigned long long)(log->base.index + log->count), m->count);
        return false;
    }
    for (size_t i = 0; i < log->count; i++) {
        if (!equal(log->entries[i], m->entries[log->base.index + i])) {
            snprintf(why, WHY_MAX, "another entry %llu", (unsigned long long)(log->base.index + i + 1));
            return false;
        }
    }
    return true;
}

size_t truth_find(const struct truth *t, size_t from, size_t to, bool older_image, const struct victim *v,
                  char why[WHY_MAX]) {
    if (!picture_holds(t, older_image, v, why)) {
        return MOMENTS_MAX;
    }
    for (size_t k = to + 1; k-- > from;) {
        if (moment_holds(t, &t->moments[k], v, why)) {
            return k;
        }
    }
    return MOMENTS_MAX;
}
