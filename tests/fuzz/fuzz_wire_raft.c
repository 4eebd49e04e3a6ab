// Fuzzes RaftService's messages: the first byte chooses the type and whether a valid envelope and term stand in front, the
// rest is the message. What decodes is encoded and decoded again, and must be the same.
#include "fuzz.h"
#include "wire/raft_messages.h"

// Envelope {c, 1, b, a, 1}, term 9, candidate or leader b.
static const uint8_t valid_front[] = {0x0a, 13, 0x0a, 1, 'c', 0x10, 1, 0x1a, 1, 'b', 0x22, 1, 'a', 0x28, 1, 0x10, 9};
static const uint8_t speaker[] = {0x1a, 1, 'b'};

static void release(const struct raft_message *message) {
    if (message->type == RAFT_APPEND_ENTRIES) {
        for (size_t i = 0; i < message->append.count; i++) {
            raft_entry_unref(message->append.entries[i]);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    struct fuzz fuzz = fuzz_begin();
    struct wire_identity us = {
        .cluster_id = raft_id_of(slice_of_str("c")), .generation = 1, .node_id = raft_id_of(slice_of_str("a"))};
    enum raft_message_type type = data[0] % (RAFT_TIMEOUT_NOW_REPLY + 1);
    struct buf in = {.len = 0};
    if (data[0] >= 0x80) {
        buf_append(&in, valid_front, sizeof valid_front);
    }
    if (data[0] >= 0x80 && (type == RAFT_REQUEST_VOTE || type == RAFT_APPEND_ENTRIES)) {
        buf_append(&in, speaker, sizeof speaker);
    }
    buf_append(&in, data + 1, size - 1);
    struct raft_message message;
    struct raft_message again;
    struct error error;
    if (wire_raft_decode(&us, type, buf_slice(&in), fuzz.slab, &fuzz.arena, &message, &error) == OK) {
        struct wire_identity sender = us;
        struct buf out = {.len = 0};
        struct arena unlimited = {.limit = 0};
        sender.node_id = message.from;
        wire_raft_encode(&sender, &message, &out);
        enum error_code code = wire_raft_decode(&us, type, buf_slice(&out), fuzz.slab, &fuzz.arena, &again, &error);
        assert(code == OK && again.term == message.term);
        assert(type != RAFT_APPEND_ENTRIES || again.append.count == message.append.count);
        release(&again);
        buf_free(&out);
        arena_free(&unlimited);
    }
    release(&message);
    buf_free(&in);
    fuzz_end(&fuzz);
    return 0;
}
