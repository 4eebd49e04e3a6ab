// Fuzzes ControlService's and WorkerService's messages: the first byte chooses the decoder, the rest is the message. What
// comes out of a request's checks must keep their promises.
#include "base/ids.h"
#include "fuzz.h"
#include "wire/command.h"
#include "wire/control.h"
#include "wire/worker.h"

static void check_write(const struct state_command *command, struct slice key, struct raft_slab *slab) {
    assert(key.len >= 1 && key.len <= KEY_MAX);
    assert(command->client_id.len == 0 || (id_check(command->client_id, "", NULL) == OK && command->sequence > 0));
    struct raft_entry *entry = wire_command_encode(slab, command);
    raft_entry_unref(entry);
}

static void check_registration(const struct state_command *command) {
    assert(id_check(command->register_worker.worker_id, "", NULL) == OK);
    for (size_t i = 1; i < command->register_worker.label_count; i++) {
        assert(slice_compare(command->register_worker.labels[i - 1].key, command->register_worker.labels[i].key) < 0);
    }
}

static void decode_request(unsigned which, struct slice bytes, struct fuzz *fuzz) {
    struct error error;
    struct state_command command;
    struct wire_get_request get;
    struct wire_list_request list;
    struct wire_watch_request watch;
    struct wire_read_log_request log;
    struct wire_list_workers_request workers;
    struct wire_worker_ref ref;
    struct raft_id target;
    switch (which) {
    case 0:
        if (wire_put_request_decode(bytes, &command, &error) == OK) {
            check_write(&command, command.put.key, fuzz->slab);
        }
        break;
    case 1:
        if (wire_delete_request_decode(bytes, &command, &error) == OK) {
            check_write(&command, command.delete.key, fuzz->slab);
        }
        break;
    case 2:
        if (wire_register_worker_request_decode(&fuzz->arena, bytes, &command, &error) == OK) {
            check_registration(&command);
        }
        break;
    case 3:
        (void)wire_heartbeat_request_decode(bytes, &ref, &error);
        break;
    case 4:
        (void)wire_get_request_decode(bytes, &get, &error);
        break;
    case 5:
        (void)wire_list_request_decode(bytes, &list, &error);
        break;
    case 6:
        (void)wire_watch_request_decode(bytes, &watch, &error);
        break;
    case 7:
        (void)wire_read_log_request_decode(bytes, &log, &error);
        break;
    case 8:
        (void)wire_transfer_request_decode(bytes, &target, &error);
        break;
    case 18:
        if (wire_list_workers_request_decode(bytes, &workers, &error) == OK) {
            assert(workers.start_after.len <= ID_MAX);
        }
        break;
    }
}

static void decode_response(unsigned which, struct slice bytes, struct fuzz *fuzz) {
    struct error error;
    struct wire_get_response get;
    struct wire_list_response list;
    struct wire_watch_response watch;
    struct wire_status_response status;
    struct wire_read_log_response log;
    struct wire_list_workers_response workers;
    struct raft_id leader;
    uint64_t number;
    bool existed;
    switch (which) {
    case 9:
        (void)wire_put_response_decode(bytes, &number, &error);
        break;
    case 10:
        (void)wire_delete_response_decode(bytes, &number, &existed, &error);
        break;
    case 11:
        (void)wire_get_response_decode(bytes, &get, &error);
        break;
    case 12:
        (void)wire_list_response_decode(&fuzz->arena, bytes, &list, &error);
        break;
    case 13:
        (void)wire_watch_response_decode(&fuzz->arena, bytes, &watch, &error);
        break;
    case 14:
        (void)wire_status_response_decode(&fuzz->arena, bytes, &status, &error);
        break;
    case 15:
        (void)wire_read_log_response_decode(&fuzz->arena, bytes, &log, &error);
        break;
    case 16:
        (void)wire_list_workers_response_decode(&fuzz->arena, bytes, &workers, &error);
        break;
    case 17:
        (void)wire_transfer_response_decode(bytes, &leader, &number, &error);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    struct fuzz fuzz = fuzz_begin();
    decode_request(data[0] % 19, slice_of(data + 1, size - 1), &fuzz);
    decode_response(data[0] % 19, slice_of(data + 1, size - 1), &fuzz);
    fuzz_end(&fuzz);
    return 0;
}
