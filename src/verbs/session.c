// Sessions in requests and results: verbs/session.h.
#include "verbs/session.h"

#include <assert.h>

enum error_code session_check(bool has_session, const struct pb_session *session, struct error *error) {
    if (!has_session || session->acknowledged_below <= session->sequence) {
        return OK;
    }
    return error_set(error, ERR_INVALID, "session.acknowledged_below: %llu is above the sequence, %llu",
                     (unsigned long long)session->acknowledged_below, (unsigned long long)session->sequence);
}

void session_move(struct pb_command *command, bool *has_session, const struct pb_session *session) {
    if (*has_session) {
        command->client_id = session->client_id;
        command->sequence = session->sequence;
        command->acknowledged_below = session->acknowledged_below;
    }
    *has_session = false;
}

bool session_done(struct node *node, struct rpc_call call, const struct state_result *result) {
    struct outcome_facts facts = {.number = result->revision};
    switch (result->outcome) {
    case STATE_DONE:
        return true;
    case STATE_REVISION_MISMATCH:
        node_tell(node, call, result->revision == 0 ? OUTCOME_NO_SUCH_REVISION : OUTCOME_REVISION_MISMATCH, &facts);
        break;
    case STATE_SESSION_EXPIRED:
        node_tell(node, call, OUTCOME_SESSION_EXPIRED, NULL);
        break;
    case STATE_SEQUENCE_REUSED:
        node_tell(node, call, OUTCOME_SEQUENCE_REUSED, NULL);
        break;
    case STATE_TOO_MANY:
        assert(false);  // only of worker commands
    }
    return false;
}
