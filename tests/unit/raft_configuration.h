// Configurations as tests write them: "[n1,n2/n3]", voters before the slash, learners behind it.
#ifndef BATON_TESTS_RAFT_CONFIGURATION_H
#define BATON_TESTS_RAFT_CONFIGURATION_H

#include <stdio.h>
#include <string.h>

#include "raft/raft.h"

enum { CONFIGURATION_TEXT_MAX = 128 };

// False: it is not of this form.
static inline bool configuration_read(struct slice text, struct raft_configuration *out) {
    *out = (struct raft_configuration){.count = 0};
    if (text.len < 2 || text.data[0] != '[' || text.data[text.len - 1] != ']') {
        return false;
    }
    bool voter = true;
    size_t start = 1;
    for (size_t at = 1; at < text.len; at++) {
        char c = (char)text.data[at];
        if (c != ',' && c != '/' && c != ']') {
            continue;
        }
        if (at > start) {
            if (out->count == MEMBERS_MAX || at - start > ID_MAX) {
                return false;
            }
            struct raft_member *member = &out->members[out->count++];
            *member = (struct raft_member){.id = raft_id_of(slice_of(text.data + start, at - start)), .voter = voter};
        }
        voter = voter && c != '/';
        start = at + 1;
    }
    return true;
}

static inline void configuration_write(const struct raft_configuration *configuration, char text[CONFIGURATION_TEXT_MAX]) {
    size_t len = (size_t)snprintf(text, CONFIGURATION_TEXT_MAX, "[");
    for (int learners = 0; learners <= 1; learners++) {
        const char *before = learners ? "/" : "";
        for (size_t i = 0; i < configuration->count; i++) {
            const struct raft_member *member = &configuration->members[i];
            if (member->voter == (learners == 0)) {
                len += (size_t)snprintf(text + len, CONFIGURATION_TEXT_MAX - len, "%s%.8s", before, member->id.text);
                before = ",";
            }
        }
    }
    snprintf(text + len, CONFIGURATION_TEXT_MAX - len, "]");
}

#endif
