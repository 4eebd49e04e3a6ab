// Grants as requests: verbs/access.h.
#include "verbs/access.h"

#include "base/array.h"
#include "verbs/summary.h"
#include "wire/command.h"

static const struct {
    uint32_t verb;
    const char *name;
} verbs_known[] = {
    {PB_ACCESS_VERB_GET, "get"},     {PB_ACCESS_VERB_PUT, "put"},     {PB_ACCESS_VERB_DELETE, "delete"},
    {PB_ACCESS_VERB_LIST, "list"},   {PB_ACCESS_VERB_WATCH, "watch"}, {PB_ACCESS_VERB_WORKERS, "workers"},
    {PB_ACCESS_VERB_ADMIN, "admin"},
};

enum error_code access_check_subject(struct slice subject, struct error *error) {
    if (!state_is_subject(subject)) {
        return error_set(error, ERR_INVALID,
                         "subject: is not operator/NAME or program/NAME, with a name of 1 to %d of [A-Za-z0-9._-]", ID_MAX);
    }
    return OK;
}

enum error_code access_check(struct slice subject, uint32_t verbs, struct slice prefix, struct error *error) {
    uint32_t all = 0;
    for (size_t i = 0; i < ARRAY_COUNT(verbs_known); i++) {
        all |= verbs_known[i].verb;
    }
    if (access_check_subject(subject, error) != OK) {
        return error->code;
    }
    if ((verbs & ~all) != 0) {
        return error_set(error, ERR_INVALID, "verbs: %u has bits that this version does not know", verbs);
    }
    if ((verbs & PB_ACCESS_VERB_ADMIN) != 0 && slice_starts_with(subject, slice_of_str("program/"))) {
        return error_set(error, ERR_INVALID, "verbs: admin is for operators alone");
    }
    if ((verbs & (PB_ACCESS_VERB_ADMIN | PB_ACCESS_VERB_WORKERS)) != 0 && prefix.len > 0) {
        return error_set(error, ERR_INVALID, "prefix: admin and workers are not of keys; grant them with an empty prefix");
    }
    return OK;
}

bool access_level(struct node *node, struct rpc_call call, struct pb_command *command) {
    command->level = node_command_level(node, COMMAND_LEVEL_GRANTS);
    if (command->level == 0) {
        node_tell(node, call, OUTCOME_GRANTS_UNKNOWN,
                  &(struct outcome_facts){.number = state_level(node_state(node)), .limit = COMMAND_LEVEL_GRANTS});
    }
    return command->level != 0;
}

void access_summary(struct buf *out, uint32_t verbs, struct slice subject, struct slice prefix) {
    const char *between = "";
    for (size_t i = 0; i < ARRAY_COUNT(verbs_known); i++) {
        if ((verbs & verbs_known[i].verb) != 0) {
            buf_printf(out, "%s%s", between, verbs_known[i].name);
            between = ",";
        }
    }
    buf_append_str(out, " ");
    summary_text(out, subject);
    summary_key(out, "", prefix);
}
