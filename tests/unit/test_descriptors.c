// The index behind server reflection: every name found in its file, and no malformed set accepted or read out of bounds.
#include "base/array.h"
#include "base/mem.h"
#include "rpc/descriptors.h"
#include "unit.h"
#include "wire/descriptor.h"

static struct slice text(const char *s) {
    return slice_of_str(s);
}

static void TestDescriptorsFindSymbols(void **state) {
    (void)state;
    static const struct {
        const char *symbol;
        const char *file;  // NULL: defined nowhere
    } cases[] = {
        {"baton.v1.RaftService", "baton/v1/raft.proto"},
        {"baton.v1.RaftService.AppendEntries", "baton/v1/raft.proto"},
        {"baton.v1.ControlService.Put", "baton/v1/control.proto"},
        {"baton.v1.PutRequest.session", "baton/v1/control.proto"},
        {"baton.v1.PutRequest.expected", "baton/v1/control.proto"},     // a oneof
        {"baton.v1.WorkerInfo.LabelsEntry", "baton/v1/control.proto"},  // a message within one
        {"baton.v1.WorkerInfo.LabelsEntry.key", "baton/v1/control.proto"},
        {"baton.v1.Command.put", "baton/v1/command.proto"},
        {"baton.v1.WorkerService.Heartbeat", "baton/v1/worker.proto"},
        {"baton.v1.FieldRules", "baton/v1/options.proto"},
        {"baton.v1.field", "baton/v1/options.proto"},  // an extension
        {"google.protobuf.FieldOptions", "google/protobuf/descriptor.proto"},
        {"baton.v1.EntryType", "baton/v1/raft.proto"},
        {"baton.v1.ENTRY_TYPE_NOOP", "baton/v1/raft.proto"},  // an enum's value is its sibling
        {"grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto"},
        {"grpc.reflection.v1alpha.ServerReflection", "grpc/reflection/v1alpha/reflection.proto"},
        {"baton.v1.EntryType.ENTRY_TYPE_NOOP", NULL},
        {"baton.v1", NULL},
        {".baton.v1.RaftService", NULL},
        {"baton.v1.RaftServic", NULL},
        {"", NULL},
    };
    struct descriptors *d = descriptors_new(wire_descriptor_set());
    assert_non_null(d);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const int want = cases[i].file == NULL ? -1 : descriptors_file_by_name(d, text(cases[i].file));
        assert_true(cases[i].file == NULL || want >= 0);
        if (descriptors_file_by_symbol(d, text(cases[i].symbol)) != want) {
            fail_msg("%s is not found in %s", cases[i].symbol, cases[i].file);
        }
    }
    assert_true(descriptors_is_message(d, text("baton.v1.Entry")));
    assert_false(descriptors_is_message(d, text("baton.v1.EntryType")));
    assert_false(descriptors_is_message(d, text("nothing")));
    assert_int_equal(descriptors_file_by_name(d, text("grpc/health/v1/nothing.proto")), -1);
    descriptors_free(d);
}

// Three files, of which the first imports the two others, and the second the third.
static const uint8_t importing[] = {
    0x0a, 9, 0x0a, 1, 'a', 0x1a, 1, 'b', 0x1a, 1, 'c',  // name a, dependency b, c
    0x0a, 6, 0x0a, 1, 'b', 0x1a, 1, 'c',                // name b, dependency c
    0x0a, 3, 0x0a, 1, 'c',                              // name c
};

static void TestDescriptorsClosure(void **state) {
    (void)state;
    struct descriptors *d = descriptors_new(slice_of(importing, sizeof importing));
    assert_non_null(d);
    struct slice files[3];
    assert_int_equal(descriptors_file_count(d), 3);
    assert_int_equal(descriptors_closure(d, descriptors_file_by_name(d, text("a")), files), 3);
    assert_int_equal(files[0].data[2], 'a');
    assert_int_equal(files[1].data[2], 'b');
    assert_int_equal(files[2].data[2], 'c');
    assert_int_equal(descriptors_closure(d, descriptors_file_by_name(d, text("b")), files), 2);
    assert_int_equal(descriptors_closure(d, descriptors_file_by_name(d, text("c")), files), 1);
    descriptors_free(d);

    // Without the last file, what the others import is missing.
    assert_null(descriptors_new(slice_of(importing, sizeof importing - 5)));
}

// Whether it is accepted; from a copy, so that a byte read past its end is seen by the address sanitizer.
static bool index_copy(struct slice set, size_t len) {
    uint8_t *copy = mem_alloc(len == 0 ? 1 : len);
    memcpy(copy, set.data, len);
    struct descriptors *d = descriptors_new(slice_of(copy, len));
    if (d != NULL) {
        struct slice *files = mem_alloc((descriptors_file_count(d) + 1) * sizeof *files);
        for (size_t i = 0; i < descriptors_file_count(d); i++) {
            assert_true(descriptors_closure(d, (int)i, files) <= descriptors_file_count(d));
        }
        (void)descriptors_file_by_symbol(d, text("baton.v1.Entry"));
        free(files);
    }
    const bool accepted = d != NULL;
    descriptors_free(d);
    free(copy);
    return accepted;
}

static void TestDescriptorsMalformed(void **state) {
    (void)state;
    const struct slice set = wire_descriptor_set();
    size_t accepted = 0;
    for (size_t len = 0; len < set.len; len += 7) {
        accepted += index_copy(set, len);
    }
    // Cut between two files it is a smaller set, and nowhere else.
    struct descriptors *d = descriptors_new(set);
    assert_true(accepted <= descriptors_file_count(d));
    descriptors_free(d);

    uint8_t *damaged = mem_alloc(set.len);
    for (size_t at = 0; at < set.len; at += 3) {
        memcpy(damaged, set.data, set.len);
        damaged[at] ^= (uint8_t)(1 << at % 8);
        (void)index_copy(slice_of(damaged, set.len), set.len);
    }
    free(damaged);

    static const uint8_t endless[] = {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    assert_null(descriptors_new(slice_of(endless, sizeof endless)));
    static const uint8_t too_long[] = {0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f};
    assert_null(descriptors_new(slice_of(too_long, sizeof too_long)));
    static const uint8_t group[] = {0x0b, 0x0c};
    assert_null(descriptors_new(slice_of(group, sizeof group)));
    static const uint8_t nameless[] = {0x0a, 2, 0x22, 0};  // a message without a name
    assert_null(descriptors_new(slice_of(nameless, sizeof nameless)));
}

// A set of one file with messages so many levels deep, each called m.
static bool nested_is_accepted(size_t levels) {
    const size_t size = 8 * (levels + 2);
    uint8_t *bytes = mem_alloc(size);
    size_t at = size;
    for (size_t level = 0; level <= levels; level++) {
        static const uint8_t name[] = {0x0a, 1, 'm'};
        if (level < levels) {
            memcpy(bytes + (at -= sizeof name), name, sizeof name);
        }
        const size_t len = size - at;
        bytes[--at] = (uint8_t)(len >> 14);
        bytes[--at] = (uint8_t)(len >> 7 | 0x80);
        bytes[--at] = (uint8_t)(len | 0x80);
        // A message in a message, in the end in a file (message_type), and the file in the set.
        bytes[--at] = level < levels - 1 ? 0x1a : level == levels - 1 ? 0x22 : 0x0a;
    }
    struct descriptors *d = descriptors_new(slice_of(bytes + at, size - at));
    const bool accepted = d != NULL;
    descriptors_free(d);
    free(bytes);
    return accepted;
}

// Messages within messages without end must not exhaust the stack.
static void TestDescriptorsNesting(void **state) {
    (void)state;
    assert_true(nested_is_accepted(32));
    assert_false(nested_is_accepted(1000));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestDescriptorsFindSymbols),
    cmocka_unit_test(TestDescriptorsClosure),
    cmocka_unit_test(TestDescriptorsMalformed),
    cmocka_unit_test(TestDescriptorsNesting),
};

UNIT_MAIN(tests)
