// Who may do what: the verbs that subjects are granted, for the keys with a prefix. What subjects without grants may do is
// not decided here, but by the node that asks (node/access.h).
#ifndef BATON_STATE_GRANTS_H
#define BATON_STATE_GRANTS_H

#include "base/limits.h"
#include "baton/v1/image.pb.h"
#include "state/trie.h"
#include "state/types.h"

enum {
    GRANT_SUBJECT_MAX = 73,  // bytes of ROLE/NAME
    GRANT_KEY_MAX = GRANT_SUBJECT_MAX + 1 + KEY_MAX,
};

// Zero-initialised but for grants_init's part.
struct grants {
    struct trie by_subject;  // struct grant, in grants.c, by subject, a zero byte, and prefix
    uint64_t digest;         // the sum of all grants' fingerprints
};

void grants_init(struct grants *grants);

// The commands of the same names, from the entry `index`.
void grants_add(struct grants *grants, raft_index index, const struct pb_command *command, struct state_result *result);
void grants_take(struct grants *grants, raft_index index, const struct pb_command *command, struct state_result *result);

// See state_is_subject, state_is_granted, state_has_grant and state_grants.
bool grants_is_subject(struct slice subject);
bool grants_permit(const struct grants *grants, struct slice subject, uint32_t verb, struct slice scope);
bool grants_has(const struct grants *grants, struct slice subject);
void grants_visit(const struct trie_tree *by_subject, struct slice subject,
                  bool (*visit)(void *user, const struct state_grant *grant), void *user);

// --- images ---

// A grant's part of the digest, made anew of all that it holds now. On any thread.
uint64_t grants_part_of_digest(const struct trie_leaf *leaf);

// The record of a grant in an image, which borrows from the leaf. On any thread.
void grants_save(const struct trie_leaf *leaf, struct pb_image_grant *record);

// What orders the grants of an image: the record's key, written to `key`. Empty: subject or prefix is too long.
struct slice grants_key(struct slice subject, struct slice prefix, uint8_t key[GRANT_KEY_MAX]);

// Adds the grant of a record, whose key must be above all others. False: what it says is impossible.
bool grants_load(struct grants *grants, const struct pb_image_grant *record);

#endif
