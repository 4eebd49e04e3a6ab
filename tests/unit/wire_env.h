// What the tests of wire share: an arena, a slab, an error, and messages with random contents as protobuf-c makes them,
// which is what ours are measured by.
#ifndef BATON_TESTS_WIRE_ENV_H
#define BATON_TESTS_WIRE_ENV_H

#include "base/array.h"
#include "base/mem.h"
#include "baton/v1/command.pb-c.h"
#include "baton/v1/command.pb.h"
#include "baton/v1/control.pb-c.h"
#include "baton/v1/control.pb.h"
#include "baton/v1/image.pb-c.h"
#include "baton/v1/image.pb.h"
#include "baton/v1/raft.pb-c.h"
#include "baton/v1/raft.pb.h"
#include "baton/v1/worker.pb-c.h"
#include "baton/v1/worker.pb.h"
#include "random.h"
#include "unit.h"
#include "wire/codec.h"
#include "wire/command.h"
#include "wire/configuration.h"
#include "wire/message.h"
#include "wire/raft_messages.h"

// A literal with its length, NULs included: two initialisers or arguments.
#define BYTES(s) s, sizeof(s) - 1

// Set up anew for each test.
struct wire_env {
    uint64_t seed;
    struct arena arena;
    struct raft_slab *slab;
    struct buf out;
    struct error error;
};

extern struct wire_env t;

int wire_setup(void **state);
int wire_teardown(void **state);  // asserts that no entry is still held

#define WIRE_TEST(name) cmocka_unit_test_setup_teardown(name, wire_setup, wire_teardown)

struct slice text(const char *s);
void *grab(size_t size);  // of the arena; never NULL

void assert_slice(struct slice actual, const char *expected);
void assert_ok(enum error_code code);
// With t.error's message saying `names`.
void assert_refused(enum error_code code, enum error_code expected, const char *names);
void assert_same_bytes(struct slice actual, struct slice expected);

// --- messages of protobuf-c ---

ProtobufCBinaryData data_of(const char *s);
ProtobufCBinaryData long_text(size_t len);

// A message with random contents. Ids, addresses and clouds are valid; a command has an operation.
void *random_message(const ProtobufCMessageDescriptor *descriptor);

// What one value of the field takes.
size_t value_size(const ProtobufCFieldDescriptor *field);

struct slice pack(const ProtobufCMessage *message);

// --- ours ---

// NULL-terminated lists of every type there is, one for each .proto file.
extern const struct pb_type *const *const type_lists[];
extern const size_t type_list_count;

// A type of any list.
const struct pb_type *random_type(void);

// The description of the type that protobuf-c has: by its name, so that a new message is found by itself.
const ProtobufCMessageDescriptor *yardstick_of(const struct pb_type *type);

// Decoded, in the arena.
void *decode_ok(const struct pb_type *type, struct slice bytes);

// As a server reads a request: decoded, then checked.
enum error_code read_request(const struct pb_type *type, struct slice bytes, void *message);

// --- entries and the core's messages ---

struct raft_entry *entry_of(struct slice bytes, enum raft_entry_type type);
enum error_code decode_command(struct slice bytes, struct pb_command *command);

struct wire_identity identity_of(const char *node);

struct raft_kind {
    enum raft_message_type type;
    const ProtobufCMessageDescriptor *descriptor;
};

enum { RAFT_KINDS = 6 };
extern const struct raft_kind raft_kinds[RAFT_KINDS];

// Makes a message one from n2 to n1 that passes all checks.
void address_message(ProtobufCMessage *base);
void make_plausible(enum raft_message_type type, ProtobufCMessage *base);

// As node n1.
enum error_code decode_raft(enum raft_message_type type, struct slice bytes, struct raft_message *message);
void release_entries(const struct raft_message *message);

// A valid AppendEntries with two entries, for one thing at a time to be wrong with it.
struct append_parts {
    Baton__V1__Envelope envelope;
    Baton__V1__Entry entry[2];
    Baton__V1__Entry *entries[2];
    Baton__V1__AppendEntriesRequest append;
};

struct append_parts *good_append(void);

#endif
