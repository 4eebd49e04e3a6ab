// member replace: adds the new node as a learner, waits until it has caught up, promotes it, and removes the old one. Each
// round looks at the members as they are, and does what is due then: so the command may be stopped at any point, by ^C, a
// failure or a change of leader, and the same command goes on from there.
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/ids.h"
#include "ctl/members.h"
#include "ctl/nodes.h"
#include "ctl/progress.h"
#include "policy/membership.h"

enum { LOOK_MS = 200 };

enum step { STEP_ADD, STEP_PROMOTE, STEP_REMOVE, STEP_DONE };

struct replacement {
    struct ctl *ctl;
    struct slice old;
    struct place new;
    struct progress progress;
    enum step refused;  // by the leader, with this error; STEP_DONE: none
    struct error refusal;
    uint64_t began_ms;
};

// What one look at the members shows of it. Owns its texts: the next call takes the status.
struct sight {
    enum step due;
    char cluster[ID_MAX + 1];
    bool reachable;  // the new node, from the leader
    raft_index match_index;
    raft_index commit_index;
    uint64_t snapshot_sent;
    uint64_t snapshot_size;  // 0: it is sent none
    struct change_world world;
    char addresses[MEMBERS_MAX][ADDRESS_MAX + 1];
};

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

// --- the members as they are ---

static const struct pb_member_status *find(const struct pb_status_response *status, struct slice id) {
    for (size_t i = 0; i < status->members_count; i++) {
        if (slice_equal(status->members[i].id, id)) {
            return &status->members[i];
        }
    }
    return NULL;
}

// What policy/membership.h knows of the cluster, for what a change leads to; whether it is allowed the leader says.
static bool describe_world(const struct pb_status_response *status, struct sight *sight) {
    struct change_world *world = &sight->world;
    *world = (struct change_world){.established = true};
    for (size_t i = 0; i < status->members_count && i < MEMBERS_MAX; i++) {
        const struct pb_member_status *member = &status->members[i];
        struct change_member *out = &world->members[world->count++];
        if (id_check(member->id, "id", NULL) != OK || cloud_check(member->cloud, "cloud", NULL) != OK ||
            member->address.len > ADDRESS_MAX) {
            return false;
        }
        memcpy(sight->addresses[i], member->address.data, member->address.len);
        *out = (struct change_member){.id = raft_id_of(member->id),
                                      .address = slice_of(sight->addresses[i], member->address.len),
                                      .voter = member->voter,
                                      .reachable = member->reachable};
        memcpy(out->cloud, member->cloud.data, member->cloud.len);
    }
    return true;
}

static enum ctl_exit fail(struct replacement *r, const char *text, struct slice id) {
    error_set(&r->ctl->error, ERR_INVALID, text, (int)id.len, (const char *)id.data);
    return CTL_FAILED;
}

static enum ctl_exit find_due(struct replacement *r, const struct pb_status_response *status, enum step *due) {
    const struct pb_member_status *old = find(status, r->old);
    const struct pb_member_status *new = find(status, r->new.id);
    if (new != NULL && (!slice_equal(new->address, r->new.address) || !slice_equal(new->cloud, r->new.cloud))) {
        return fail(r, "%.*s is a member already, at another address or in another cloud; see batonctl member list",
                    new->id);
    }
    if (new == NULL && old == NULL) {
        return fail(r, "%.*s is no member; see batonctl member list", r->old);
    }
    *due = new == NULL ? STEP_ADD : !new->voter ? STEP_PROMOTE : old != NULL ? STEP_REMOVE : STEP_DONE;
    return CTL_OK;
}

static enum ctl_exit look(struct replacement *r, struct sight *sight) {
    struct pb_status_response status;
    *sight = (struct sight){.reachable = false};
    enum ctl_exit code = nodes_ask_leader(r->ctl, &status);
    if (code == CTL_OK) {
        code = find_due(r, &status, &sight->due);
    }
    if (code != CTL_OK) {
        return code;
    }
    if (id_check(status.cluster_id, "cluster_id", &r->ctl->error) != OK || !describe_world(&status, sight)) {
        return ctl_undecodable(r->ctl);
    }
    memcpy(sight->cluster, status.cluster_id.data, status.cluster_id.len);
    sight->commit_index = status.commit_index;
    const struct pb_member_status *new = find(&status, r->new.id);
    if (new != NULL) {
        sight->reachable = new->reachable;
        sight->match_index = new->match_index;
        sight->snapshot_sent = new->snapshot_sent;
        sight->snapshot_size = new->snapshot_size;
    }
    return CTL_OK;
}

// --- one step ---

static enum ctl_exit take(struct replacement *r, enum step step, bool dry_run, struct pb_member_effect *effect) {
    if (step == STEP_ADD) {
        struct pb_member_add_request request = {
            .id = r->new.id, .address = r->new.address, .cloud = r->new.cloud, .dry_run = dry_run};
        return member_call(r->ctl, &pb_control_service_member_add, &request, effect);
    }
    if (step == STEP_PROMOTE) {
        struct pb_member_promote_request request = {.id = r->new.id, .dry_run = dry_run};
        return member_call(r->ctl, &pb_control_service_member_promote, &request, effect);
    }
    struct pb_member_remove_request request = {.id = r->old, .dry_run = dry_run};
    return member_call(r->ctl, &pb_control_service_member_remove, &request, effect);
}

// A refusal that ends by itself: the node catches up, another change or transfer ends. So does not knowing the outcome,
// which the next look shows.
static bool is_passing(const struct replacement *r, enum ctl_exit code) {
    static const char *const passing[] = {"learner-behind", "change-pending", "transfer-running"};
    for (size_t i = 0; code == CTL_FAILED && i < ARRAY_COUNT(passing); i++) {
        if (strcmp(ctl_ended(r->ctl->client).reason, passing[i]) == 0) {
            return true;
        }
    }
    return code == CTL_UNKNOWN;
}

static void name_step(const struct replacement *r, enum step step, struct buf *out) {
    struct slice id = step == STEP_REMOVE ? r->old : r->new.id;
    const char *verb = step == STEP_ADD ? "add" : step == STEP_PROMOTE ? "promote" : "remove";
    buf_printf(out, "%s %.*s", verb, (int)id.len, (const char *)id.data);
}

// What was done, at once: the next step may take long.
static enum ctl_exit tell_step(struct replacement *r, enum step step, const struct sight *sight) {
    struct buf *out = &r->ctl->out;
    struct slice id = step == STEP_REMOVE ? r->old : r->new.id;
    progress_clear(&r->progress);
    if (r->ctl->options->json) {
        return CTL_OK;
    }
    buf_printf(out, "%.*s is %s\n", (int)id.len, (const char *)id.data,
               step == STEP_ADD       ? "a learner now"
               : step == STEP_PROMOTE ? "a voter now"
                                      : "no member any more");
    if (step == STEP_ADD) {
        buf_append_str(out, "start it on its machine, with an empty data directory, unless it runs already:\n  ");
        start_command(r->ctl, &r->new, slice_of_str(sight->cluster), out);
        buf_append_str(out, "\n");
    }
    return ctl_print(r->ctl);
}

// --- catching up ---

static void show_progress(struct replacement *r, const struct sight *sight) {
    char what[PROGRESS_TEXT_MAX];
    char detail[PROGRESS_TEXT_MAX] = "";
    double fraction = -1;
    const char *id = (const char *)r->new.id.data;
    int len = (int)r->new.id.len;
    if (sight->snapshot_size > 0) {
        snprintf(what, sizeof what, "%.*s gets a snapshot:", len, id);
        fraction = (double)sight->snapshot_sent / (double)sight->snapshot_size;
        snprintf(detail, sizeof detail, "of %.1f MB", (double)sight->snapshot_size / 1e6);
    } else if (!sight->reachable) {
        snprintf(what, sizeof what, "%.*s is not reached yet by the leader", len, id);
    } else {
        snprintf(what, sizeof what, "%.*s gets entries:", len, id);
        fraction = sight->commit_index == 0 ? -1 : (double)sight->match_index / (double)sight->commit_index;
        snprintf(detail, sizeof detail, "%llu of %llu", (unsigned long long)sight->match_index,
                 (unsigned long long)sight->commit_index);
    }
    progress_show(&r->progress, what, fraction, detail);
}

static bool is_late(const struct replacement *r) {
    return r->ctl->options->has_timeout && now_ms() - r->began_ms > r->ctl->options->timeout_ms;
}

// --- all steps ---

// One round. *due: the step that is due next, as far as it is known.
static enum ctl_exit advance(struct replacement *r, enum step *due) {
    struct sight sight;
    struct pb_member_effect effect;
    enum ctl_exit code = look(r, &sight);
    if (code != CTL_OK || sight.due == STEP_DONE) {
        *due = STEP_DONE;
        return code;
    }
    *due = sight.due;
    if (sight.due == r->refused) {
        r->ctl->error = r->refusal;
        return CTL_FAILED;
    }
    r->refused = STEP_DONE;
    if (sight.due == STEP_PROMOTE) {
        show_progress(r, &sight);
        if (is_late(r)) {
            return fail(r, "%.*s has not caught up in time; the same command goes on from here", r->new.id);
        }
    }
    code = take(r, sight.due, false, &effect);
    if (code == CTL_OK) {
        return tell_step(r, sight.due, &sight);
    }
    if (code == CTL_USAGE || code == CTL_UNREACHABLE) {
        return code;
    }
    // Another may have done it meanwhile: the next look shows it, or the refusal stands.
    if (!is_passing(r, code)) {
        r->refused = sight.due;
        r->refusal = r->ctl->error;
    }
    ctl_pause(r->ctl->client, LOOK_MS);
    return CTL_OK;
}

static enum ctl_exit finish(struct replacement *r) {
    // Of a change that changes nothing: what is so now.
    struct pb_member_update_request request = {.id = r->new.id, .address = r->new.address, .dry_run = true};
    struct pb_member_effect effect;
    enum ctl_exit code = member_call(r->ctl, &pb_control_service_member_update, &request, &effect);
    struct ctl *ctl = r->ctl;
    progress_clear(&r->progress);
    if (code != CTL_OK) {
        return code;
    }
    if (ctl->options->json) {
        struct json json = {.out = &ctl->out};
        json_begin(&json, '{');
        json_text(&json, "member", r->new.id);
        json_text(&json, "replaced", r->old);
        effect_json(&json, &effect);
        json_end(&json, '}');
        buf_append_str(&ctl->out, "\n");
    } else {
        buf_printf(&ctl->out, "%.*s has replaced %.*s\n", (int)r->new.id.len, (const char *)r->new.id.data, (int)r->old.len,
                   (const char *)r->old.data);
        effect_print(&ctl->out, &effect, "");
    }
    return ctl_print(ctl);
}

// --- ^C ---

static void interrupted(int signal_number) {
    static const char text[] = "\nstopped half way; the same command goes on from here\n";
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)written;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static enum ctl_exit replace(struct replacement *r) {
    enum step due = STEP_ADD;
    enum ctl_exit code = CTL_OK;
    r->began_ms = now_ms();
    progress_begin(&r->progress);
    signal(SIGINT, interrupted);
    signal(SIGTERM, interrupted);
    while (code == CTL_OK && due != STEP_DONE) {
        code = advance(r, &due);
    }
    progress_clear(&r->progress);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    return code == CTL_OK ? finish(r) : code;
}

// --- dry run ---

// False: the leader would refuse it.
static bool change_here(struct change_world *world, const struct replacement *r, enum step step,
                        struct change_effect *effect) {
    struct change change = {
        .kind = step == STEP_ADD       ? CHANGE_ADD
                : step == STEP_PROMOTE ? CHANGE_PROMOTE
                                       : CHANGE_REMOVE,
        .id = raft_id_of(step == STEP_REMOVE ? r->old : r->new.id),
        .address = r->new.address,
    };
    bool allowed = change_check(world, &change, effect) == CHANGE_ALLOWED;
    if (allowed && step == STEP_ADD) {
        struct change_member *member = &world->members[world->count++];
        *member = (struct change_member){.id = change.id, .address = change.address};
        memcpy(member->cloud, r->new.cloud.data, r->new.cloud.len);
    }
    for (size_t i = 0; i < world->count; i++) {
        struct change_member *member = &world->members[i];
        if (raft_id_equal(&member->id, &change.id)) {
            member->voter = step == STEP_PROMOTE;
        }
    }
    return allowed;
}

static void print_step(struct replacement *r, struct json *json, enum step step, const struct change_effect *effect) {
    struct buf name = {.len = 0};
    struct slice lost[MEMBERS_MAX];
    for (size_t i = 0; i < effect->lost_count; i++) {
        lost[i] = slice_of_str(effect->lost[i]);
    }
    struct pb_member_effect told = {.voters = (uint32_t)effect->voters,
                                    .reachable = (uint32_t)effect->reachable,
                                    .may_fail = (uint32_t)effect->may_fail,
                                    .clouds_that_may_be_lost = lost,
                                    .clouds_that_may_be_lost_count = effect->lost_count};
    name_step(r, step, &name);
    if (r->ctl->options->json) {
        json_begin(json, '{');
        json_text(json, "step", buf_slice(&name));
        effect_json(json, &told);
        json_end(json, '}');
    } else {
        buf_append_slice(&r->ctl->out, buf_slice(&name));
        buf_append_str(&r->ctl->out, step == STEP_PROMOTE ? ", once it has caught up\n" : "\n");
        effect_print(&r->ctl->out, &told, "  ");
    }
    buf_free(&name);
}

// Asks the leader about the step that is due; what follows it is reckoned here, with a new node that works.
static enum ctl_exit plan(struct replacement *r) {
    struct sight sight;
    struct pb_member_effect unused;
    struct json json = {.out = &r->ctl->out};
    bool allowed = true;
    enum ctl_exit code = look(r, &sight);
    if (code == CTL_OK && sight.due != STEP_DONE) {
        code = take(r, sight.due, true, &unused);
        code = is_passing(r, code) ? CTL_OK : code;
    }
    if (code != CTL_OK) {
        return code;
    }
    if (r->ctl->options->json) {
        json_begin(&json, '[');
    } else if (sight.due == STEP_DONE) {
        buf_append_str(&r->ctl->out, "nothing is left to do\n");
    }
    for (enum step step = sight.due; allowed && step < STEP_DONE; step++) {
        struct change_effect effect;
        for (size_t i = 0; i < sight.world.count; i++) {
            struct change_member *member = &sight.world.members[i];
            member->reachable = member->reachable || slice_equal(raft_id_slice(&member->id), r->new.id);
        }
        allowed = change_here(&sight.world, r, step, &effect);
        print_step(r, &json, step, &effect);
    }
    if (r->ctl->options->json) {
        json_end(&json, ']');
        buf_append_str(&r->ctl->out, "\n");
    }
    code = ctl_print(r->ctl);
    return code != CTL_OK || allowed ? code : fail(r, "%.*s cannot be replaced now: too few voters can be reached", r->old);
}

enum ctl_exit ctl_member_replace(struct ctl *ctl) {
    struct replacement r = {.ctl = ctl, .old = slice_of_str(ctl->options->arguments[0]), .refused = STEP_DONE};
    if (id_check(r.old, "OLD", &ctl->error) != OK) {
        return CTL_USAGE;
    }
    enum ctl_exit code = place_parse(ctl, ctl->options->arguments[1], true, &r.new);
    if (code != CTL_OK) {
        return code;
    }
    if (slice_equal(r.old, r.new.id)) {
        error_set(&ctl->error, ERR_INVALID, "the new node needs an id of its own: an id is never used again");
        return CTL_USAGE;
    }
    return ctl->options->dry_run ? plan(&r) : replace(&r);
}
