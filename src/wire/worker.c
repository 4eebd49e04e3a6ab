// WorkerService's messages (proto/raft.proto).
#include "wire/worker.h"

#include <stdlib.h>

#include "base/ids.h"
#include "wire/fields.h"
#include "wire/protobuf_lite.h"

// --- requests ---

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

static void read_register_worker(struct pb_reader *r, struct state_command *command, struct state_label *labels) {
    struct pb_field f;
    while (pb_next(r, &f)) {
        switch (f.number) {
        case 1:
            command->register_worker.worker_id = pb_bytes(r, &f);
            break;
        case 2:
            command->register_worker.instance_id = pb_bytes(r, &f);
            break;
        case 3:
            command->register_worker.address = pb_bytes(r, &f);
            break;
        case 4:
            command->register_worker.cloud = pb_bytes(r, &f);
            break;
        case 5:
            command->register_worker.slots = pb_u32(r, &f);
            break;
        case 6:
            read_label(r, &f, &labels[command->register_worker.label_count++]);
            break;
        }
    }
}

static int label_order(const void *a, const void *b) {
    return slice_compare(((const struct state_label *)a)->key, ((const struct state_label *)b)->key);
}

// Sorts them too.
static enum error_code check_labels(struct state_label *labels, size_t count, struct error *error) {
    for (size_t i = 0; i < count; i++) {
        struct slice key = labels[i].key;
        struct slice value = labels[i].value;
        if (key.len == 0 || key.len > LABEL_MAX || !utf8_valid(key)) {
            return error_set(error, ERR_INVALID, "labels: a key of %zu bytes; 1 to %d bytes of UTF-8 are allowed", key.len,
                             LABEL_MAX);
        }
        if (value.len > LABEL_MAX || !utf8_valid(value)) {
            return error_set(error, ERR_INVALID, "labels: %.*s has %zu bytes; at most %d bytes of UTF-8 are allowed",
                             (int)key.len, (const char *)key.data, value.len, LABEL_MAX);
        }
    }
    if (count > 1) {
        qsort(labels, count, sizeof *labels, label_order);
    }
    for (size_t i = 1; i < count; i++) {
        if (slice_equal(labels[i - 1].key, labels[i].key)) {
            return error_set(error, ERR_INVALID, "labels: %.*s is there twice", (int)labels[i].key.len,
                             (const char *)labels[i].key.data);
        }
    }
    return OK;
}

enum error_code wire_register_worker_request_decode(struct arena *arena, struct slice bytes, struct state_command *command,
                                                    struct error *error) {
    *command = (struct state_command){.operation = STATE_REGISTER_WORKER};
    struct pb_reader r = pb_reader_of(bytes);
    size_t count = pb_count(r, 6);
    if (count > LABELS_MAX) {
        return error_set(error, ERR_INVALID, "labels: %zu are too many; at most %d are allowed", count, LABELS_MAX);
    }
    struct state_label *labels = arena_alloc(arena, (count + 1) * sizeof *labels);
    if (labels == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for %zu labels", count);
    }
    command->register_worker.labels = labels;
    read_register_worker(&r, command, labels);

    enum error_code code = pb_finish(&r, "RegisterWorkerRequest", error);
    if (code == OK) {
        code = id_check(command->register_worker.worker_id, "worker_id", error);
    }
    if (code == OK) {
        code = id_check(command->register_worker.instance_id, "instance_id", error);
    }
    if (code == OK) {
        code = address_check(command->register_worker.address, "address", error);
    }
    if (code == OK) {
        code = cloud_check(command->register_worker.cloud, "cloud", error);
    }
    if (code == OK) {
        code = check_labels(labels, count, error);
    }
    return code;
}

static enum error_code worker_ref_decode(const char *message, struct slice bytes, struct wire_worker_ref *ref,
                                         struct error *error) {
    *ref = (struct wire_worker_ref){.epoch = 0};
    struct pb_reader r = pb_reader_of(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            ref->worker_id = pb_bytes(&r, &f);
            break;
        case 2:
            ref->instance_id = pb_bytes(&r, &f);
            break;
        case 3:
            ref->epoch = pb_u64(&r, &f);
            break;
        }
    }
    enum error_code code = pb_finish(&r, message, error);
    if (code == OK) {
        code = id_check(ref->worker_id, "worker_id", error);
    }
    if (code == OK) {
        code = id_check(ref->instance_id, "instance_id", error);
    }
    return code;
}

enum error_code wire_heartbeat_request_decode(struct slice bytes, struct wire_worker_ref *ref, struct error *error) {
    return worker_ref_decode("HeartbeatRequest", bytes, ref, error);
}

enum error_code wire_deregister_worker_request_decode(struct slice bytes, struct wire_worker_ref *ref, struct error *error) {
    return worker_ref_decode("DeregisterWorkerRequest", bytes, ref, error);
}

// --- responses ---

static void add_redirect(uint32_t number, const struct wire_redirect *redirect, struct buf *out) {
    size_t mark = pb_open(out, number);
    pb_add_bytes(out, 1, redirect->leader_id);
    pb_add_bytes(out, 2, redirect->leader_address);
    for (size_t i = 0; i < redirect->member_count; i++) {
        pb_add_item(out, 3, redirect->member_addresses[i]);
    }
    pb_close(out, mark);
}

void wire_register_worker_response_encode(const struct wire_worker_response *response, struct buf *out) {
    pb_add_u64(out, 1, response->accepted);
    pb_add_u64(out, 2, response->epoch);
    pb_add_u64(out, 3, response->heartbeat_interval_ms);
    add_redirect(4, &response->redirect, out);
}

void wire_heartbeat_response_encode(const struct wire_worker_response *response, struct buf *out) {
    pb_add_u64(out, 1, response->accepted);
    pb_add_u64(out, 2, response->heartbeat_interval_ms);
    add_redirect(3, &response->redirect, out);
}

void wire_deregister_worker_response_encode(const struct wire_worker_response *response, struct buf *out) {
    pb_add_u64(out, 1, response->accepted);
    add_redirect(2, &response->redirect, out);
}
