// The loader, which makes a state of an image's records: state/image.h. Its input comes from a disk or a peer, so everything
// that the state machine relies on is checked; that no value is another is told by the digest.
#include <stdlib.h>

#include "base/mem.h"
#include "state/image.h"
#include "state/machine.h"
#include "wire/command.h"

static_assert((int)PB_IMAGE_META_WITHOUT_EFFECT_MAX_BYTES == (int)EFFECTS_BYTES, "the field has room for all bits");
static_assert((int)PB_IMAGE_SESSION_RESULTS_MAX_ITEMS == (int)SESSION_RESULTS_MAX, "the field has room for all results");

struct state_loader {
    struct state *state;
    uint32_t kind;  // of the last record, enum pb_image_record_record; 0: there was none
    // As many as the meta record states.
    uint64_t sessions;
    uint64_t workers;
    uint64_t items;
    uint64_t grants;
    uint8_t last_key[GRANT_KEY_MAX];  // of the last record, unless it was the meta record
    size_t last_key_len;
};

static_assert((int)PB_IMAGE_RECORD_RECORD_META < (int)PB_IMAGE_RECORD_RECORD_SESSION &&
                  (int)PB_IMAGE_RECORD_RECORD_SESSION < (int)PB_IMAGE_RECORD_RECORD_WORKER &&
                  (int)PB_IMAGE_RECORD_RECORD_WORKER < (int)PB_IMAGE_RECORD_RECORD_ITEM &&
                  (int)PB_IMAGE_RECORD_RECORD_ITEM < (int)PB_IMAGE_RECORD_RECORD_GRANT,
              "kinds are numbered in their order");

struct state_loader *state_loader_new(void) {
    struct state_loader *loader = mem_zalloc(sizeof *loader);
    loader->state = state_new();
    return loader;
}

void state_loader_free(struct state_loader *loader) {
    if (loader != NULL) {
        state_free(loader->state);
        free(loader);
    }
}

static enum error_code corrupt(struct error *error, const char *problem) {
    return error_set(error, ERR_SNAP_CORRUPT, "%s", problem);
}

static enum error_code load_meta(struct state_loader *loader, const struct pb_image_meta *meta, struct error *error) {
    struct state *state = loader->state;
    if (meta->level > COMMAND_LEVEL) {
        return error_set(error, ERR_UNKNOWN_COMMAND, "an image of level %u; this version knows level %d: upgrade this node",
                         meta->level, COMMAND_LEVEL);
    }
    if (meta->sessions > SESSIONS_MAX || meta->workers > WORKERS_MAX) {
        return error_set(error, ERR_SNAP_CORRUPT, "%llu sessions and %llu workers; at most %d and %d are possible",
                         (unsigned long long)meta->sessions, (unsigned long long)meta->workers, SESSIONS_MAX, WORKERS_MAX);
    }
    if (meta->grants > GRANTS_MAX) {
        return error_set(error, ERR_SNAP_CORRUPT, "%llu grants; at most %d are possible", (unsigned long long)meta->grants,
                         GRANTS_MAX);
    }
    if (!effects_load(&state->effects, meta->last_applied, meta->without_effect)) {
        return corrupt(error, "a list of writes without effect that is not of this index");
    }
    state->last_applied = meta->last_applied;
    state->time_unix_ms = meta->time_unix_ms;
    state->level = meta->level;
    state->registry.departures = meta->departures;
    state->command_bytes = meta->command_bytes;
    state->history.from = meta->last_applied + 1;
    loader->sessions = meta->sessions;
    loader->workers = meta->workers;
    loader->items = meta->items;
    loader->grants = meta->grants;
    return OK;
}

static enum error_code load_session(struct state_loader *loader, const struct pb_image_session *session,
                                    struct error *error) {
    const char *problem = "more sessions than the image states";
    if (loader->state->sessions.by_client.tree.count == loader->sessions ||
        !session_load(&loader->state->sessions, session, &problem)) {
        return corrupt(error, problem);
    }
    return session->last_used <= loader->state->last_applied ? OK : corrupt(error, "a session used after the image's index");
}

static enum error_code load_worker(struct state_loader *loader, const struct pb_image_worker *worker, struct error *error) {
    const char *problem = "more workers than the image states";
    if (loader->state->registry.by_id.tree.count == loader->workers ||
        !registry_load(&loader->state->registry, worker, &problem)) {
        return corrupt(error, problem);
    }
    return OK;
}

static enum error_code load_item(struct state_loader *loader, const struct pb_image_item *item, struct error *error) {
    if (loader->state->store.items.tree.count == loader->items) {
        return corrupt(error, "more items than the image states");
    }
    if (item->key.len == 0 || item->key.len > KEY_MAX || item->value.len > COMMAND_MAX) {
        return corrupt(error, "an item whose key is empty, or whose key or value is too long");
    }
    if (item->revision == 0 || item->revision > loader->state->last_applied) {
        return corrupt(error, "an item whose revision is not that of an entry up to the image's");
    }
    store_load(&loader->state->store, item);
    return OK;
}

static enum error_code load_grant(struct state_loader *loader, const struct pb_image_grant *grant, struct error *error) {
    if (loader->state->grants.by_subject.tree.count == loader->grants) {
        return corrupt(error, "more grants than the image states");
    }
    if (grant->revision == 0 || grant->revision > loader->state->last_applied) {
        return corrupt(error, "a grant whose revision is not that of an entry up to the image's");
    }
    return grants_load(&loader->state->grants, grant) ? OK
                                                      : corrupt(error, "a grant of nobody or of nothing, or one too many");
}

// `room`: for a key that the record does not have as one.
static struct slice key_of(const struct pb_image_record *record, uint8_t room[GRANT_KEY_MAX]) {
    switch (record->record) {
    case PB_IMAGE_RECORD_RECORD_SESSION:
        return record->session.client_id;
    case PB_IMAGE_RECORD_RECORD_WORKER:
        return record->worker.registration.worker_id;
    case PB_IMAGE_RECORD_RECORD_ITEM:
        return record->item.key;
    case PB_IMAGE_RECORD_RECORD_GRANT:
        return grants_key(record->grant.subject, record->grant.prefix, room);
    case PB_IMAGE_RECORD_RECORD_META:
    case PB_IMAGE_RECORD_RECORD_NONE:
        break;
    }
    return slice_of(NULL, 0);
}

// The meta record first and once, then the kinds one after another, each with rising keys.
static enum error_code check_order(struct state_loader *loader, const struct pb_image_record *record, struct error *error) {
    uint32_t last = loader->kind;
    uint32_t kind = record->record;
    if (last == 0 ? kind != PB_IMAGE_RECORD_RECORD_META : kind < last || kind == PB_IMAGE_RECORD_RECORD_META) {
        return corrupt(error, last == 0 ? "the first record is not the meta record" : "records of a kind out of order");
    }
    uint8_t room[GRANT_KEY_MAX];
    struct slice key = key_of(record, room);
    if (kind == last && slice_compare(key, slice_of(loader->last_key, loader->last_key_len)) <= 0) {
        return corrupt(error, "a key that is not behind the one before it");
    }
    loader->kind = kind;
    loader->last_key_len = key.len <= GRANT_KEY_MAX ? key.len : 0;  // one that is too long is refused anyway
    if (loader->last_key_len > 0) {
        memcpy(loader->last_key, key.data, loader->last_key_len);
    }
    return OK;
}

enum error_code state_loader_add(struct state_loader *loader, const struct pb_image_record *record, struct error *error) {
    enum error_code code = check_order(loader, record, error);
    if (code != OK) {
        return code;
    }
    switch (record->record) {
    case PB_IMAGE_RECORD_RECORD_META:
        return load_meta(loader, &record->meta, error);
    case PB_IMAGE_RECORD_RECORD_SESSION:
        return load_session(loader, &record->session, error);
    case PB_IMAGE_RECORD_RECORD_WORKER:
        return load_worker(loader, &record->worker, error);
    case PB_IMAGE_RECORD_RECORD_ITEM:
        return load_item(loader, &record->item, error);
    case PB_IMAGE_RECORD_RECORD_GRANT:
        return load_grant(loader, &record->grant, error);
    case PB_IMAGE_RECORD_RECORD_NONE:
        break;
    }
    return corrupt(error, "a record of no kind");
}

// The counts of the meta record, which cannot be exceeded.
static bool is_complete(const struct state_loader *loader) {
    const struct state *state = loader->state;
    return loader->kind != 0 && state->sessions.by_client.tree.count == loader->sessions &&
           state->registry.by_id.tree.count == loader->workers && state->store.items.tree.count == loader->items &&
           state->grants.by_subject.tree.count == loader->grants;
}

enum error_code state_loader_finish(struct state_loader *loader, uint64_t digest, struct state **state,
                                    struct error *error) {
    if (!is_complete(loader)) {
        return corrupt(error, "fewer records than the image states");
    }
    if (!sessions_loaded(&loader->state->sessions)) {
        return corrupt(error, "two sessions were used last by one entry");
    }
    if (!registry_loaded(&loader->state->registry)) {
        return corrupt(error, "departures of workers that cannot be");
    }
    if (state_digest(loader->state) != digest) {
        return error_set(error, ERR_SNAP_CORRUPT, "the digest is %016llx; the records give %016llx",
                         (unsigned long long)digest, (unsigned long long)state_digest(loader->state));
    }
    *state = loader->state;
    loader->state = NULL;
    return OK;
}
