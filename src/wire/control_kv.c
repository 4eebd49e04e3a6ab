// ControlService's calls on the key-value store: Put, Get, Delete, List and Watch (proto/control.proto).
#include "base/ids.h"
#include "wire/control.h"
#include "wire/fields.h"
#include "wire/protobuf_lite.h"

// --- sessions ---

static void read_session(struct pb_reader *outer, const struct pb_field *message, struct state_command *command) {
    struct pb_reader r = pb_enter(outer, message);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            command->client_id = pb_bytes(&r, &f);
            break;
        case 2:
            command->sequence = pb_u64(&r, &f);
            break;
        case 3:
            command->acknowledged_below = pb_u64(&r, &f);
            break;
        }
    }
    pb_leave(outer, &r);
}

static enum error_code check_session(const struct state_command *command, struct error *error) {
    enum error_code code = id_check(command->client_id, "session.client_id", error);
    if (code != OK) {
        return code;
    }
    if (command->sequence == 0) {
        return error_set(error, ERR_INVALID, "session.sequence: is 0; 1 or more is allowed");
    }
    if (command->acknowledged_below > command->sequence) {
        return error_set(error, ERR_INVALID, "session.acknowledged_below: %llu is above the sequence, %llu",
                         (unsigned long long)command->acknowledged_below, (unsigned long long)command->sequence);
    }
    return OK;
}

static enum error_code check_write(const struct state_command *command, struct slice key, bool has_session,
                                   struct error *error) {
    enum error_code code = wire_key_check(key, "key", error);
    if (code == OK && has_session) {
        code = check_session(command, error);
    }
    if (code == OK) {
        code = wire_command_check(command, error);
    }
    return code;
}

static void add_session(uint32_t number, const struct state_command *command, struct buf *out) {
    if (command->client_id.len == 0) {
        return;
    }
    size_t mark = pb_open(out, number);
    pb_add_bytes(out, 1, command->client_id);
    pb_add_u64(out, 2, command->sequence);
    pb_add_u64(out, 3, command->acknowledged_below);
    pb_close(out, mark);
}

// --- Put and Delete ---

enum error_code wire_put_request_decode(struct slice bytes, struct state_command *command, struct error *error) {
    *command = (struct state_command){.operation = STATE_PUT};
    bool has_session = false;
    struct pb_reader r = pb_reader_of(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            command->put.key = pb_bytes(&r, &f);
            break;
        case 2:
            command->put.value = pb_bytes(&r, &f);
            break;
        case 3:
            command->put.expected_revision = pb_u64(&r, &f);
            command->put.has_expected = true;
            break;
        case 4:
            read_session(&r, &f, command);
            has_session = true;
            break;
        }
    }
    enum error_code code = pb_finish(&r, "PutRequest", error);
    return code == OK ? check_write(command, command->put.key, has_session, error) : code;
}

enum error_code wire_delete_request_decode(struct slice bytes, struct state_command *command, struct error *error) {
    *command = (struct state_command){.operation = STATE_DELETE};
    bool has_session = false;
    struct pb_reader r = pb_reader_of(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            command->delete.key = pb_bytes(&r, &f);
            break;
        case 2:
            command->delete.expected_revision = pb_u64(&r, &f);
            command->delete.has_expected = true;
            break;
        case 3:
            read_session(&r, &f, command);
            has_session = true;
            break;
        }
    }
    enum error_code code = pb_finish(&r, "DeleteRequest", error);
    return code == OK ? check_write(command, command->delete.key, has_session, error) : code;
}

void wire_put_request_encode(const struct state_command *command, struct buf *out) {
    pb_add_bytes(out, 1, command->put.key);
    pb_add_bytes(out, 2, command->put.value);
    if (command->put.has_expected) {
        pb_add_present(out, 3, command->put.expected_revision);
    }
    add_session(4, command, out);
}

void wire_delete_request_encode(const struct state_command *command, struct buf *out) {
    pb_add_bytes(out, 1, command->delete.key);
    if (command->delete.has_expected) {
        pb_add_present(out, 2, command->delete.expected_revision);
    }
    add_session(3, command, out);
}

void wire_put_response_encode(uint64_t revision, struct buf *out) {
    pb_add_u64(out, 1, revision);
}

void wire_delete_response_encode(uint64_t revision, bool existed, struct buf *out) {
    pb_add_u64(out, 1, revision);
    pb_add_u64(out, 2, existed);
}

enum error_code wire_put_response_decode(struct slice bytes, uint64_t *revision, struct error *error) {
    *revision = 0;
    struct pb_reader r = pb_reader_of(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1) {
            *revision = pb_u64(&r, &f);
        }
    }
    return pb_finish(&r, "PutResponse", error);
}

enum error_code wire_delete_response_decode(struct slice bytes, uint64_t *revision, bool *existed, struct error *error) {
    *revision = 0;
    *existed = false;
    struct pb_reader r = pb_reader_of(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1) {
            *revision = pb_u64(&r, &f);
        } else if (f.number == 2) {
            *existed = pb_bool(&r, &f);
        }
    }
    return pb_finish(&r, "DeleteResponse", error);
}

// --- Get ---

enum error_code wire_get_request_decode(struct slice bytes, struct wire_get_request *request, struct error *error) {
    *request = (struct wire_get_request){.stale = false};
    struct pb_reader r = pb_reader_of(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1) {
            request->key = pb_bytes(&r, &f);
        } else if (f.number == 2) {
            request->stale = pb_bool(&r, &f);
        }
    }
    enum error_code code = pb_finish(&r, "GetRequest", error);
    return code == OK ? wire_key_check(request->key, "key", error) : code;
}

void wire_get_request_encode(const struct wire_get_request *request, struct buf *out) {
    pb_add_bytes(out, 1, request->key);
    pb_add_u64(out, 2, request->stale);
}

void wire_get_response_encode(const struct wire_get_response *response, struct buf *out) {
    pb_add_bytes(out, 1, response->value);
    pb_add_u64(out, 2, response->revision);
    pb_add_u64(out, 3, response->read_index);
}

enum error_code wire_get_response_decode(struct slice bytes, struct wire_get_response *response, struct error *error) {
    *response = (struct wire_get_response){.revision = 0};
    struct pb_reader r = pb_reader_of(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            response->value = pb_bytes(&r, &f);
            break;
        case 2:
            response->revision = pb_u64(&r, &f);
            break;
        case 3:
            response->read_index = pb_u64(&r, &f);
            break;
        }
    }
    return pb_finish(&r, "GetResponse", error);
}

// --- List ---

enum error_code wire_list_request_decode(struct slice bytes, struct wire_list_request *request, struct error *error) {
    *request = (struct wire_list_request){.limit = 0};
    struct pb_reader r = pb_reader_of(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            request->prefix = pb_bytes(&r, &f);
            break;
        case 2:
            request->start_after = pb_bytes(&r, &f);
            break;
        case 3:
            request->limit = pb_u32(&r, &f);
            break;
        case 4:
            request->stale = pb_bool(&r, &f);
            break;
        }
    }
    enum error_code code = pb_finish(&r, "ListRequest", error);
    if (code == OK) {
        code = wire_length_check(request->prefix, PREFIX_MAX, "prefix", error);
    }
    if (code == OK) {
        code = wire_length_check(request->start_after, KEY_MAX, "start_after", error);
    }
    return code;
}

void wire_list_request_encode(const struct wire_list_request *request, struct buf *out) {
    pb_add_bytes(out, 1, request->prefix);
    pb_add_bytes(out, 2, request->start_after);
    pb_add_u64(out, 3, request->limit);
    pb_add_u64(out, 4, request->stale);
}

void wire_list_response_encode(const struct wire_list_response *response, struct buf *out) {
    for (size_t i = 0; i < response->count; i++) {
        const struct state_item *item = &response->items[i];
        size_t mark = pb_open(out, 1);
        pb_add_bytes(out, 1, item->key);
        pb_add_bytes(out, 2, item->value);
        pb_add_u64(out, 3, item->revision);
        pb_close(out, mark);
    }
    pb_add_u64(out, 2, response->more);
    pb_add_u64(out, 3, response->read_index);
}

static void read_item(struct pb_reader *outer, const struct pb_field *message, struct state_item *item) {
    struct pb_reader r = pb_enter(outer, message);
    struct pb_field f;
    *item = (struct state_item){.revision = 0};
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            item->key = pb_bytes(&r, &f);
            break;
        case 2:
            item->value = pb_bytes(&r, &f);
            break;
        case 3:
            item->revision = pb_u64(&r, &f);
            break;
        }
    }
    pb_leave(outer, &r);
}

enum error_code wire_list_response_decode(struct arena *arena, struct slice bytes, struct wire_list_response *response,
                                          struct error *error) {
    *response = (struct wire_list_response){.count = 0};
    struct pb_reader r = pb_reader_of(bytes);
    struct state_item *items = pb_list(arena, r, 1, sizeof *items);
    if (items == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for the items of a ListResponse");
    }
    response->items = items;
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            read_item(&r, &f, &items[response->count++]);
            break;
        case 2:
            response->more = pb_bool(&r, &f);
            break;
        case 3:
            response->read_index = pb_u64(&r, &f);
            break;
        }
    }
    return pb_finish(&r, "ListResponse", error);
}

// --- Watch ---

enum error_code wire_watch_request_decode(struct slice bytes, struct wire_watch_request *request, struct error *error) {
    *request = (struct wire_watch_request){.has_from = false};
    struct pb_reader r = pb_reader_of(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1) {
            request->prefix = pb_bytes(&r, &f);
        } else if (f.number == 2) {
            request->from_revision = pb_u64(&r, &f);
            request->has_from = true;
        }
    }
    enum error_code code = pb_finish(&r, "WatchRequest", error);
    return code == OK ? wire_length_check(request->prefix, PREFIX_MAX, "prefix", error) : code;
}

void wire_watch_request_encode(const struct wire_watch_request *request, struct buf *out) {
    pb_add_bytes(out, 1, request->prefix);
    if (request->has_from) {
        pb_add_present(out, 2, request->from_revision);
    }
}

void wire_watch_response_encode(const struct wire_watch_response *response, struct buf *out) {
    for (size_t i = 0; i < response->count; i++) {
        const struct state_change *change = &response->events[i];
        size_t mark = pb_open(out, 1);
        pb_add_u64(out, 1, change->is_delete);  // the enum: PUT is 0, DELETE is 1
        pb_add_bytes(out, 2, change->key);
        pb_add_bytes(out, 3, change->value);
        pb_add_u64(out, 4, change->revision);
        pb_close(out, mark);
    }
    pb_add_u64(out, 2, response->revision);
}

static void read_change(struct pb_reader *outer, const struct pb_field *message, struct state_change *change) {
    struct pb_reader r = pb_enter(outer, message);
    struct pb_field f;
    *change = (struct state_change){.revision = 0};
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            change->is_delete = pb_bool(&r, &f);
            break;
        case 2:
            change->key = pb_bytes(&r, &f);
            break;
        case 3:
            change->value = pb_bytes(&r, &f);
            break;
        case 4:
            change->revision = pb_u64(&r, &f);
            break;
        }
    }
    pb_leave(outer, &r);
}

enum error_code wire_watch_response_decode(struct arena *arena, struct slice bytes, struct wire_watch_response *response,
                                           struct error *error) {
    *response = (struct wire_watch_response){.count = 0};
    struct pb_reader r = pb_reader_of(bytes);
    struct state_change *events = pb_list(arena, r, 1, sizeof *events);
    if (events == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for the events of a WatchResponse");
    }
    response->events = events;
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1) {
            read_change(&r, &f, &events[response->count++]);
        } else if (f.number == 2) {
            response->revision = pb_u64(&r, &f);
        }
    }
    return pb_finish(&r, "WatchResponse", error);
}
