// Grants: state/grants.h.
#include "state/grants.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/ids.h"
#include "base/mem.h"
#include "state/digest.h"

struct grant {
    struct trie_leaf leaf;
    uint64_t revision;
    uint64_t fingerprint;  // of all that it holds: its part of the digest
    uint32_t verbs;        // never 0
    uint16_t subject_len;
    uint8_t bytes[];  // the key: subject, a zero byte, prefix
};

static_assert(offsetof(struct grant, leaf) == 0, "a leaf is its grant");
static_assert((int)PB_ACCESS_GRANT_REQUEST_SUBJECT_MAX_BYTES == (int)GRANT_SUBJECT_MAX &&
                  (int)PB_ACCESS_REVOKE_REQUEST_SUBJECT_MAX_BYTES == (int)GRANT_SUBJECT_MAX,
              "the subject of a request fits");

static void destroy_grant(struct trie_leaf *leaf) {
    free((struct grant *)leaf);
}

void grants_init(struct grants *grants) {
    *grants = (struct grants){.by_subject = {.destroy = destroy_grant}};
}

bool grants_is_subject(struct slice subject) {
    static const char *const roles[] = {"operator/", "program/"};
    for (size_t i = 0; i < ARRAY_COUNT(roles); i++) {
        struct slice role = slice_of_str(roles[i]);
        if (slice_starts_with(subject, role)) {
            return id_check(slice_of(subject.data + role.len, subject.len - role.len), "name", NULL) == OK;
        }
    }
    return false;
}

struct slice grants_key(struct slice subject, struct slice prefix, uint8_t key[GRANT_KEY_MAX]) {
    if (subject.len > GRANT_SUBJECT_MAX || prefix.len > KEY_MAX) {
        return slice_of(NULL, 0);
    }
    if (subject.len > 0) {
        memcpy(key, subject.data, subject.len);
    }
    key[subject.len] = 0;
    if (prefix.len > 0) {
        memcpy(key + subject.len + 1, prefix.data, prefix.len);
    }
    return slice_of(key, subject.len + 1 + prefix.len);
}

static struct state_grant view_of(const struct trie_leaf *leaf) {
    const struct grant *grant = (const struct grant *)leaf;
    size_t skip = (size_t)grant->subject_len + 1;
    return (struct state_grant){
        .subject = slice_of(grant->bytes, grant->subject_len),
        .prefix = slice_of(grant->bytes + skip, leaf->key_len - skip),
        .verbs = grant->verbs,
        .revision = grant->revision,
    };
}

uint64_t grants_part_of_digest(const struct trie_leaf *leaf) {
    const struct grant *grant = (const struct grant *)leaf;
    return fingerprint_u64(fingerprint_u64(fingerprint_bytes(DIGEST_GRANT, trie_key(leaf)), grant->verbs), grant->revision);
}

static struct grant *new_grant(struct slice key, size_t subject_len, uint32_t verbs, uint64_t revision) {
    size_t size = offsetof(struct grant, bytes) + key.len;
    struct grant *grant = mem_alloc(size > sizeof *grant ? size : sizeof *grant);
    *grant = (struct grant){
        .leaf = {.key_offset = offsetof(struct grant, bytes), .key_len = (uint16_t)key.len},
        .revision = revision,
        .verbs = verbs,
        .subject_len = (uint16_t)subject_len,
    };
    memcpy(grant->bytes, key.data, key.len);
    grant->fingerprint = grants_part_of_digest(&grant->leaf);
    return grant;
}

// --- reading ---

struct visit {
    bool (*visit)(void *user, const struct state_grant *grant);
    void *user;
};

static bool visit_grant(void *user, struct trie_leaf *leaf) {
    const struct visit *visit = user;
    struct state_grant grant = view_of(leaf);
    return visit->visit(visit->user, &grant);
}

void grants_visit(const struct trie_tree *by_subject, struct slice subject,
                  bool (*visit)(void *user, const struct state_grant *grant), void *user) {
    uint8_t bytes[GRANT_KEY_MAX];
    struct visit each = {.visit = visit, .user = user};
    struct slice key = subject.len == 0 ? subject : grants_key(subject, slice_of(NULL, 0), bytes);
    if (subject.len == 0 || key.len > 0) {
        trie_visit(by_subject, key, slice_of(NULL, 0), visit_grant, &each);
    }
}

struct question {
    uint32_t verb;
    struct slice scope;
    bool permitted;
};

static bool permits(void *user, const struct state_grant *grant) {
    struct question *question = user;
    question->permitted = (grant->verbs & question->verb) != 0 && slice_starts_with(question->scope, grant->prefix);
    return !question->permitted;
}

bool grants_permit(const struct grants *grants, struct slice subject, uint32_t verb, struct slice scope) {
    struct question question = {.verb = verb, .scope = scope};
    if (grants->by_subject.tree.count > 0) {
        grants_visit(&grants->by_subject.tree, subject, permits, &question);
    }
    return question.permitted;
}

static bool count_grant(void *user, const struct state_grant *grant) {
    (void)grant;
    return ++*(size_t *)user < GRANTS_SUBJECT_MAX;
}

// GRANTS_SUBJECT_MAX at most.
static size_t count_of(const struct grants *grants, struct slice subject) {
    size_t count = 0;
    grants_visit(&grants->by_subject.tree, subject, count_grant, &count);
    return count;
}

bool grants_has(const struct grants *grants, struct slice subject) {
    return grants->by_subject.tree.count > 0 && count_of(grants, subject) > 0;
}

// --- change ---

static bool is_full(const struct grants *grants, struct slice subject) {
    return grants->by_subject.tree.count >= GRANTS_MAX || count_of(grants, subject) == GRANTS_SUBJECT_MAX;
}

static void replace(struct grants *grants, struct trie_leaf **place, struct grant *grant) {
    grants->digest += grant->fingerprint - ((const struct grant *)*place)->fingerprint;
    trie_replace(&grants->by_subject, place, &grant->leaf);
}

void grants_add(struct grants *grants, raft_index index, const struct pb_command *command, struct state_result *result) {
    const struct pb_access_grant_request *request = &command->access_grant;
    uint8_t bytes[GRANT_KEY_MAX];
    struct slice key = grants_key(request->subject, request->prefix, bytes);
    result->revision = index;
    if (key.len == 0 || request->verbs == 0 || !grants_is_subject(request->subject)) {
        return;  // no leader proposes such
    }
    struct trie_leaf **place = trie_place(&grants->by_subject, key);
    if (place != NULL) {
        uint32_t verbs = ((const struct grant *)*place)->verbs | request->verbs;
        replace(grants, place, new_grant(key, request->subject.len, verbs, index));
    } else if (is_full(grants, request->subject)) {
        result->outcome = STATE_TOO_MANY;
    } else {
        struct grant *grant = new_grant(key, request->subject.len, request->verbs, index);
        grants->digest += grant->fingerprint;
        trie_insert(&grants->by_subject, &grant->leaf);
    }
}

void grants_take(struct grants *grants, raft_index index, const struct pb_command *command, struct state_result *result) {
    const struct pb_access_revoke_request *request = &command->access_revoke;
    uint8_t bytes[GRANT_KEY_MAX];
    struct slice key = grants_key(request->subject, request->prefix, bytes);
    struct trie_leaf **place = key.len == 0 ? NULL : trie_place(&grants->by_subject, key);
    result->revision = index;
    if (place == NULL || (((const struct grant *)*place)->verbs & request->verbs) == 0) {
        return;
    }
    const struct grant *old = (const struct grant *)*place;
    uint32_t left = old->verbs & ~request->verbs;
    result->existed = true;
    if (left != 0) {
        replace(grants, place, new_grant(key, request->subject.len, left, index));
    } else {
        grants->digest -= old->fingerprint;
        trie_remove(&grants->by_subject, key);
    }
}

// --- images ---

void grants_save(const struct trie_leaf *leaf, struct pb_image_grant *record) {
    struct state_grant grant = view_of(leaf);
    *record = (struct pb_image_grant){
        .subject = grant.subject, .prefix = grant.prefix, .verbs = grant.verbs, .revision = grant.revision};
}

bool grants_load(struct grants *grants, const struct pb_image_grant *record) {
    uint8_t bytes[GRANT_KEY_MAX];
    struct slice key = grants_key(record->subject, record->prefix, bytes);
    if (key.len == 0 || !grants_is_subject(record->subject) || record->verbs == 0 || is_full(grants, record->subject)) {
        return false;
    }
    struct grant *grant = new_grant(key, record->subject.len, record->verbs, record->revision);
    grants->digest += grant->fingerprint;
    trie_insert(&grants->by_subject, &grant->leaf);
    return true;
}
