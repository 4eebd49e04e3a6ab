// Comparing digests: policy/divergence.h.
#include "policy/divergence.h"

#include <assert.h>
#include <string.h>

void digests_note(struct digests *digests, raft_index index, uint64_t digest) {
    while (digests->count > 0 && digests->list[digests->count - 1].index >= index) {
        digests->count--;
    }
    if (digests->count == DIGESTS_KEPT) {
        digests->count--;
        memmove(digests->list, digests->list + 1, digests->count * sizeof digests->list[0]);
    }
    digests->list[digests->count++] = (struct index_digest){.index = index, .digest = digest};
}

static const struct index_digest *find(const struct digests *digests, raft_index index) {
    for (size_t i = 0; i < digests->count; i++) {
        if (digests->list[i].index == index) {
            return &digests->list[i];
        }
    }
    return NULL;
}

// The voters that tell this digest.
static size_t count_votes(const struct divergence_member *members, size_t count, const struct index_digest *digest) {
    size_t votes = 0;
    for (size_t i = 0; i < count; i++) {
        const struct index_digest *told = members[i].voter ? find(members[i].digests, digest->index) : NULL;
        votes += told != NULL && told->digest == digest->digest;
    }
    return votes;
}

static struct divergence compare(const struct divergence_member *members, size_t count, const struct index_digest *own) {
    struct divergence found = {.verdict = DIVERGENCE_NONE, .index = own->index, .own = own->digest};
    size_t voters = 0;
    for (size_t i = 0; i < count; i++) {
        voters += members[i].voter;
    }
    if (count_votes(members, count, own) > voters / 2) {
        return found;
    }
    for (size_t i = 0; i < count; i++) {
        const struct index_digest *told = members[i].voter ? find(members[i].digests, own->index) : NULL;
        if (told == NULL || told->digest == own->digest) {
            continue;
        }
        found.other = told->digest;
        found.verdict = DIVERGENCE_UNDECIDED;
        if (count_votes(members, count, told) > voters / 2) {
            found.verdict = DIVERGENCE_OWN;
            return found;
        }
    }
    return found;
}

struct divergence divergence_find(const struct divergence_member *members, size_t count, size_t self) {
    assert(self < count);
    const struct digests *own = members[self].digests;
    struct divergence worst = {.verdict = DIVERGENCE_NONE};
    for (size_t i = 0; i < own->count; i++) {
        struct divergence found = compare(members, count, &own->list[i]);
        if (found.verdict == DIVERGENCE_OWN) {
            return found;
        }
        if (worst.verdict == DIVERGENCE_NONE) {
            worst = found;
        }
    }
    return worst;
}
