// ControlService's calls about the cluster: Status, ReadLog, ListWorkers and TransferLeadership (proto/control.proto).
#include "base/ids.h"
#include "wire/control.h"
#include "wire/fields.h"
#include "wire/protobuf_lite.h"

// --- Status ---

static void add_round_trip(const struct wire_round_trip *round_trip, struct buf *out) {
    size_t mark = pb_open(out, 12);
    pb_add_bytes(out, 1, round_trip->id);
    pb_add_double(out, 2, round_trip->rtt_ms);
    pb_close(out, mark);
}

static void add_member(const struct wire_member_status *member, struct buf *out) {
    size_t mark = pb_open(out, 12);
    pb_add_bytes(out, 1, member->id);
    pb_add_bytes(out, 2, member->address);
    pb_add_bytes(out, 3, member->http_address);
    pb_add_bytes(out, 4, member->cloud);
    pb_add_u64(out, 5, member->voter);
    pb_add_u64(out, 6, member->reachable);
    pb_add_double(out, 7, member->rtt_ms);
    pb_add_u64(out, 8, member->match_index);
    pb_add_double(out, 9, member->rtt_spread_ms);
    pb_add_u64(out, 10, member->losses);
    pb_add_double(out, 11, member->commit_ms);
    for (size_t i = 0; i < member->round_trip_count; i++) {
        add_round_trip(&member->round_trips[i], out);
    }
    pb_add_double(out, 13, member->disk_sync_ms);
    pb_add_u64(out, 14, member->disk_full);
    pb_close(out, mark);
}

static void add_placement(const struct wire_placement *placement, struct buf *out) {
    size_t mark = pb_open(out, 13);
    pb_add_u64(out, 1, placement->on);
    pb_add_bytes(out, 2, placement->leader_cloud);
    pb_add_u64(out, 3, placement->pause_ms);
    pb_add_u64(out, 4, placement->pause_term);
    pb_add_u64(out, 5, placement->cooldown_ms);
    pb_add_u64(out, 6, placement->cooldown_term);
    pb_add_bytes(out, 7, placement->decision);
    pb_add_bytes(out, 8, placement->moved_to);
    pb_add_bytes(out, 9, placement->moved_why);
    pb_add_u64(out, 10, placement->moved_ago_ms);
    pb_close(out, mark);
}

void wire_status_response_encode(const struct wire_status_response *response, struct buf *out) {
    pb_add_bytes(out, 1, response->node);
    pb_add_bytes(out, 2, response->cluster_id);
    pb_add_bytes(out, 3, response->role);
    pb_add_u64(out, 4, response->term);
    pb_add_bytes(out, 5, response->leader);
    pb_add_bytes(out, 6, response->leader_address);
    pb_add_u64(out, 7, response->commit_index);
    pb_add_u64(out, 8, response->last_applied);
    pb_add_u64(out, 9, response->last_log_index);
    pb_add_bytes(out, 10, response->version);
    pb_add_u64(out, 11, response->uptime_ms);
    for (size_t i = 0; i < response->member_count; i++) {
        add_member(&response->members[i], out);
    }
    add_placement(&response->placement, out);
}

static void read_round_trip(struct pb_reader *outer, const struct pb_field *message, struct wire_round_trip *round_trip) {
    struct pb_reader r = pb_enter(outer, message);
    struct pb_field f;
    *round_trip = (struct wire_round_trip){.rtt_ms = 0};
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            round_trip->id = pb_bytes(&r, &f);
            break;
        case 2:
            round_trip->rtt_ms = pb_double(&r, &f);
            break;
        }
    }
    pb_leave(outer, &r);
}

// What a member's fields from 9 on say.
static void read_member_quality(struct pb_reader *r, const struct pb_field *f, struct wire_member_status *member,
                                struct wire_round_trip *round_trips) {
    switch (f->number) {
    case 9:
        member->rtt_spread_ms = pb_double(r, f);
        break;
    case 10:
        member->losses = pb_u32(r, f);
        break;
    case 11:
        member->commit_ms = pb_double(r, f);
        break;
    case 12:
        read_round_trip(r, f, &round_trips[member->round_trip_count++]);
        break;
    case 13:
        member->disk_sync_ms = pb_double(r, f);
        break;
    case 14:
        member->disk_full = pb_bool(r, f);
        break;
    }
}

static void read_member(struct pb_reader *outer, const struct pb_field *message, struct wire_member_status *member,
                        struct arena *arena) {
    struct pb_reader r = pb_enter(outer, message);
    struct pb_field f;
    struct wire_round_trip *round_trips = pb_list(arena, r, 12, sizeof *round_trips);
    *member = (struct wire_member_status){.round_trips = round_trips};
    if (round_trips == NULL) {
        pb_fail(&r, "more round trips than there is memory for");
    }
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            member->id = pb_bytes(&r, &f);
            break;
        case 2:
            member->address = pb_bytes(&r, &f);
            break;
        case 3:
            member->http_address = pb_bytes(&r, &f);
            break;
        case 4:
            member->cloud = pb_bytes(&r, &f);
            break;
        case 5:
            member->voter = pb_bool(&r, &f);
            break;
        case 6:
            member->reachable = pb_bool(&r, &f);
            break;
        case 7:
            member->rtt_ms = pb_double(&r, &f);
            break;
        case 8:
            member->match_index = pb_u64(&r, &f);
            break;
        default:
            read_member_quality(&r, &f, member, round_trips);
        }
    }
    pb_leave(outer, &r);
}

static void read_placement(struct pb_reader *outer, const struct pb_field *message, struct wire_placement *placement) {
    struct pb_reader r = pb_enter(outer, message);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            placement->on = pb_bool(&r, &f);
            break;
        case 2:
            placement->leader_cloud = pb_bytes(&r, &f);
            break;
        case 3:
            placement->pause_ms = pb_u64(&r, &f);
            break;
        case 4:
            placement->pause_term = pb_u64(&r, &f);
            break;
        case 5:
            placement->cooldown_ms = pb_u64(&r, &f);
            break;
        case 6:
            placement->cooldown_term = pb_u64(&r, &f);
            break;
        case 7:
            placement->decision = pb_bytes(&r, &f);
            break;
        case 8:
            placement->moved_to = pb_bytes(&r, &f);
            break;
        case 9:
            placement->moved_why = pb_bytes(&r, &f);
            break;
        case 10:
            placement->moved_ago_ms = pb_u64(&r, &f);
            break;
        }
    }
    pb_leave(outer, &r);
}

static void read_status(struct pb_reader *r, struct wire_status_response *response, struct wire_member_status *members,
                        struct arena *arena) {
    struct pb_field f;
    while (pb_next(r, &f)) {
        switch (f.number) {
        case 1:
            response->node = pb_bytes(r, &f);
            break;
        case 2:
            response->cluster_id = pb_bytes(r, &f);
            break;
        case 3:
            response->role = pb_bytes(r, &f);
            break;
        case 4:
            response->term = pb_u64(r, &f);
            break;
        case 5:
            response->leader = pb_bytes(r, &f);
            break;
        case 6:
            response->leader_address = pb_bytes(r, &f);
            break;
        case 7:
            response->commit_index = pb_u64(r, &f);
            break;
        case 8:
            response->last_applied = pb_u64(r, &f);
            break;
        case 9:
            response->last_log_index = pb_u64(r, &f);
            break;
        case 10:
            response->version = pb_bytes(r, &f);
            break;
        case 11:
            response->uptime_ms = pb_u64(r, &f);
            break;
        case 12:
            read_member(r, &f, &members[response->member_count++], arena);
            break;
        case 13:
            read_placement(r, &f, &response->placement);
            break;
        }
    }
}

enum error_code wire_status_response_decode(struct arena *arena, struct slice bytes, struct wire_status_response *response,
                                            struct error *error) {
    *response = (struct wire_status_response){.term = 0};
    struct pb_reader r = pb_reader_of(bytes);
    struct wire_member_status *members = pb_list(arena, r, 12, sizeof *members);
    if (members == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for the members of a StatusResponse");
    }
    response->members = members;
    read_status(&r, response, members, arena);
    return pb_finish(&r, "StatusResponse", error);
}

// --- ReadLog ---

enum error_code wire_read_log_request_decode(struct slice bytes, struct wire_read_log_request *request,
                                             struct error *error) {
    *request = (struct wire_read_log_request){.from = 0};
    struct pb_reader r = pb_reader_of(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1) {
            request->from = pb_u64(&r, &f);
        } else if (f.number == 2) {
            request->to = pb_u64(&r, &f);
        }
    }
    enum error_code code = pb_finish(&r, "ReadLogRequest", error);
    if (code == OK && request->to != 0 && request->from > request->to) {
        code = error_set(error, ERR_INVALID, "from: %llu is behind to, %llu", (unsigned long long)request->from,
                         (unsigned long long)request->to);
    }
    return code;
}

void wire_read_log_request_encode(const struct wire_read_log_request *request, struct buf *out) {
    pb_add_u64(out, 1, request->from);
    pb_add_u64(out, 2, request->to);
}

void wire_read_log_response_encode(const struct wire_read_log_response *response, struct buf *out) {
    for (size_t i = 0; i < response->count; i++) {
        const struct wire_log_entry *entry = &response->entries[i];
        size_t mark = pb_open(out, 1);
        pb_add_u64(out, 1, entry->id.index);
        pb_add_u64(out, 2, entry->id.term);
        pb_add_u64(out, 3, entry->type);
        pb_add_bytes(out, 4, entry->command);
        pb_add_bytes(out, 5, entry->summary);
        pb_close(out, mark);
    }
    pb_add_u64(out, 2, response->next);
    pb_add_u64(out, 3, response->commit_index);
}

static void read_entry(struct pb_reader *outer, const struct pb_field *message, struct wire_log_entry *entry) {
    struct pb_reader r = pb_enter(outer, message);
    struct pb_field f;
    *entry = (struct wire_log_entry){.id = {0, 0}};
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            entry->id.index = pb_u64(&r, &f);
            break;
        case 2:
            entry->id.term = pb_u64(&r, &f);
            break;
        case 3:
            entry->type = (enum raft_entry_type)pb_u32(&r, &f);
            break;
        case 4:
            entry->command = pb_bytes(&r, &f);
            break;
        case 5:
            entry->summary = pb_bytes(&r, &f);
            break;
        }
    }
    if (entry->type < RAFT_ENTRY_COMMAND || entry->type > RAFT_ENTRY_CONFIGURATION) {
        pb_fail(&r, "an entry of an unknown type");
    }
    pb_leave(outer, &r);
}

enum error_code wire_read_log_response_decode(struct arena *arena, struct slice bytes,
                                              struct wire_read_log_response *response, struct error *error) {
    *response = (struct wire_read_log_response){.count = 0};
    struct pb_reader r = pb_reader_of(bytes);
    struct wire_log_entry *entries = pb_list(arena, r, 1, sizeof *entries);
    if (entries == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for the entries of a ReadLogResponse");
    }
    response->entries = entries;
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            read_entry(&r, &f, &entries[response->count++]);
            break;
        case 2:
            response->next = pb_u64(&r, &f);
            break;
        case 3:
            response->commit_index = pb_u64(&r, &f);
            break;
        }
    }
    return pb_finish(&r, "ReadLogResponse", error);
}

// --- ListWorkers ---

enum error_code wire_list_workers_request_decode(struct slice bytes, struct wire_list_workers_request *request,
                                                 struct error *error) {
    *request = (struct wire_list_workers_request){.limit = 0};
    struct pb_reader r = pb_reader_of(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1) {
            request->start_after = pb_bytes(&r, &f);
        } else if (f.number == 2) {
            request->limit = pb_u32(&r, &f);
        }
    }
    enum error_code code = pb_finish(&r, "ListWorkersRequest", error);
    return code == OK ? wire_length_check(request->start_after, ID_MAX, "start_after", error) : code;
}

void wire_list_workers_request_encode(const struct wire_list_workers_request *request, struct buf *out) {
    pb_add_bytes(out, 1, request->start_after);
    pb_add_u64(out, 2, request->limit);
}

static void add_worker(const struct wire_worker_info *info, struct buf *out) {
    const struct state_worker *worker = &info->worker;
    size_t mark = pb_open(out, 1);
    pb_add_bytes(out, 1, worker->id);
    pb_add_bytes(out, 2, worker->address);
    pb_add_bytes(out, 3, worker->cloud);
    pb_add_bytes(out, 4, slice_of_str(worker->online ? "online" : "offline"));
    pb_add_bytes(out, 5, worker->reason);
    if (info->has_last_seen) {
        pb_add_present(out, 6, (uint64_t)info->last_seen_unix_ms);
    }
    pb_add_u64(out, 7, worker->epoch);
    pb_add_bytes(out, 8, worker->instance_id);
    pb_add_u64(out, 9, worker->slots);
    for (size_t i = 0; i < worker->label_count; i++) {
        size_t label = pb_open(out, 10);
        pb_add_bytes(out, 1, worker->labels[i].key);
        pb_add_bytes(out, 2, worker->labels[i].value);
        pb_close(out, label);
    }
    pb_add_u64(out, 11, worker->since_index);
    pb_close(out, mark);
}

void wire_list_workers_response_encode(const struct wire_list_workers_response *response, struct buf *out) {
    for (size_t i = 0; i < response->count; i++) {
        add_worker(&response->workers[i], out);
    }
    pb_add_u64(out, 2, response->read_index);
    pb_add_u64(out, 3, response->more);
}

static void read_label(struct pb_reader *outer, const struct pb_field *message, struct state_label *label) {
    struct pb_reader r = pb_enter(outer, message);
    struct pb_field f;
    *label = (struct state_label){.key = {NULL, 0}};
    while (pb_next(&r, &f)) {
        if (f.number == 1) {
            label->key = pb_bytes(&r, &f);
        } else if (f.number == 2) {
            label->value = pb_bytes(&r, &f);
        }
    }
    pb_leave(outer, &r);
}

static void read_worker_fields(struct pb_reader *r, struct wire_worker_info *info, struct state_label *labels) {
    struct state_worker *worker = &info->worker;
    struct pb_field f;
    while (pb_next(r, &f)) {
        switch (f.number) {
        case 1:
            worker->id = pb_bytes(r, &f);
            break;
        case 2:
            worker->address = pb_bytes(r, &f);
            break;
        case 3:
            worker->cloud = pb_bytes(r, &f);
            break;
        case 4:
            worker->online = slice_equal(pb_bytes(r, &f), slice_of_str("online"));
            break;
        case 5:
            worker->reason = pb_bytes(r, &f);
            break;
        case 6:
            info->last_seen_unix_ms = (int64_t)pb_u64(r, &f);
            info->has_last_seen = true;
            break;
        case 7:
            worker->epoch = pb_u64(r, &f);
            break;
        case 8:
            worker->instance_id = pb_bytes(r, &f);
            break;
        case 9:
            worker->slots = pb_u32(r, &f);
            break;
        case 10:
            read_label(r, &f, &labels[worker->label_count++]);
            break;
        case 11:
            worker->since_index = pb_u64(r, &f);
            break;
        }
    }
}

static void read_worker(struct arena *arena, struct pb_reader *outer, const struct pb_field *message,
                        struct wire_worker_info *info) {
    struct pb_reader r = pb_enter(outer, message);
    *info = (struct wire_worker_info){.has_last_seen = false};
    struct state_label *labels = pb_list(arena, r, 10, sizeof *labels);
    info->worker.labels = labels;
    if (labels == NULL) {
        pb_fail(&r, "more labels than there is memory for");
    }
    read_worker_fields(&r, info, labels);
    pb_leave(outer, &r);
}

enum error_code wire_list_workers_response_decode(struct arena *arena, struct slice bytes,
                                                  struct wire_list_workers_response *response, struct error *error) {
    *response = (struct wire_list_workers_response){.count = 0};
    struct pb_reader r = pb_reader_of(bytes);
    struct wire_worker_info *workers = pb_list(arena, r, 1, sizeof *workers);
    if (workers == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for the workers of a ListWorkersResponse");
    }
    response->workers = workers;
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1) {
            read_worker(arena, &r, &f, &workers[response->count++]);
        } else if (f.number == 2) {
            response->read_index = pb_u64(&r, &f);
        } else if (f.number == 3) {
            response->more = pb_bool(&r, &f);
        }
    }
    return pb_finish(&r, "ListWorkersResponse", error);
}

// --- TransferLeadership ---

enum error_code wire_transfer_request_decode(struct slice bytes, struct raft_id *target, struct error *error) {
    *target = (struct raft_id){.len = 0};
    struct slice id = {NULL, 0};
    struct pb_reader r = pb_reader_of(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1) {
            id = pb_bytes(&r, &f);
        }
    }
    enum error_code code = pb_finish(&r, "TransferLeadershipRequest", error);
    if (code != OK || id.len == 0) {
        return code;
    }
    code = id_check(id, "target", error);
    if (code == OK) {
        *target = raft_id_of(id);
    }
    return code;
}

void wire_transfer_request_encode(const struct raft_id *target, struct buf *out) {
    pb_add_bytes(out, 1, raft_id_slice(target));
}

void wire_transfer_response_encode(const struct raft_id *leader, raft_term term, struct buf *out) {
    pb_add_bytes(out, 1, raft_id_slice(leader));
    pb_add_u64(out, 2, term);
}

enum error_code wire_transfer_response_decode(struct slice bytes, struct raft_id *leader, raft_term *term,
                                              struct error *error) {
    *leader = (struct raft_id){.len = 0};
    *term = 0;
    struct slice id = {NULL, 0};
    struct pb_reader r = pb_reader_of(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1) {
            id = pb_bytes(&r, &f);
        } else if (f.number == 2) {
            *term = pb_u64(&r, &f);
        }
    }
    enum error_code code = pb_finish(&r, "TransferLeadershipResponse", error);
    if (code == OK) {
        code = wire_length_check(id, ID_MAX, "leader", error);
    }
    if (code == OK) {
        *leader = raft_id_of(id);
    }
    return code;
}
