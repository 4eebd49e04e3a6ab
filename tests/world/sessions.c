// The model of sessions: sessions.h.
#include "sessions.h"

#include <string.h>

// As docs/design.md has it: a formula that is the same on every node, and for ever.
enum { SESSION_BYTES = 160, RESULT_BYTES = 64 };

static size_t bytes_of(const struct sessions_model *model) {
    size_t bytes = 0;
    for (size_t i = 0; i < model->count; i++) {
        const struct session_model *session = &model->sessions[i];
        bytes += SESSION_BYTES + strnlen((const char *)&session->client, sizeof session->client);
        bytes += session->count * RESULT_BYTES;
    }
    return bytes;
}

static void take_out(struct sessions_model *model, size_t at) {
    struct session_model *session = &model->sessions[at];
    memmove(session, session + 1, (--model->count - at) * sizeof *session);
}

static void evict(struct sessions_model *model) {
    take_out(model, 0);
    model->evicted++;
}

static void bound(struct sessions_model *model) {
    while (model->by_bytes && bytes_of(model) > SESSIONS_BYTES_MAX) {
        evict(model);
    }
}

static void forget_below(struct session_model *session, uint64_t sequence) {
    size_t gone = 0;
    while (gone < session->count && session->results[gone] < sequence) {
        gone++;
    }
    session->count -= gone;
    memmove(session->results, session->results + gone, session->count * sizeof session->results[0]);
    session->held_from = sequence > session->held_from ? sequence : session->held_from;
}

// The client's session, as the one that was used last; NULL: it is gone, and this command begins none.
static struct session_model *touch(struct sessions_model *model, uint64_t client, uint64_t sequence) {
    struct session_model session = {.client = client, .held_from = 1};
    size_t at = 0;
    while (at < model->count && model->sessions[at].client != client) {
        at++;
    }
    if (at < model->count) {
        session = model->sessions[at];
        take_out(model, at);
    } else if (sequence > 1) {
        return NULL;
    } else if (model->count == SESSIONS_MAX) {
        evict(model);
    }
    struct session_model *newest = &model->sessions[model->count++];
    *newest = session;
    return newest;
}

static void keep_result(struct session_model *session, uint64_t sequence) {
    if (session->count == SESSION_RESULTS_MAX) {
        uint64_t oldest = session->results[0];
        forget_below(session, (sequence < oldest ? sequence : oldest) + 1);
        if (sequence < oldest) {
            return;
        }
    }
    size_t at = session->count++;
    for (; at > 0 && session->results[at - 1] > sequence; at--) {
        session->results[at] = session->results[at - 1];
    }
    session->results[at] = sequence;
}

enum session_use sessions_use(struct sessions_model *model, uint64_t client, uint64_t sequence,
                              uint64_t acknowledged_below) {
    struct session_model *session = touch(model, client, sequence);
    if (session == NULL) {
        return SESSION_EXPIRED;
    }
    forget_below(session, acknowledged_below);
    enum session_use use = sequence < session->held_from ? SESSION_EXPIRED : SESSION_NEW;
    for (size_t i = 0; i < session->count; i++) {
        use = session->results[i] == sequence ? SESSION_REPEATED : use;
    }
    if (use == SESSION_NEW) {
        keep_result(session, sequence);
    }
    bound(model);
    return use;
}

void sessions_bound_bytes(struct sessions_model *model) {
    model->by_bytes = true;
    bound(model);
}
