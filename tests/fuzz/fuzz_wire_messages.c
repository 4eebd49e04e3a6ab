// Fuzzes every message there is, by the tables: the first two bytes choose the type, the rest is the message. What decodes
// is encoded, decoded again, copied and compared, and must be the same; what passes the checks keeps their promises; what is
// persisted reads like a message from outside.
#include <stdlib.h>

#include "base/buf.h"
#include "base/ids.h"
#include "baton/v1/command.pb.h"
#include "fuzz.h"
#include "wire/codec.h"
#include "wire/fields.h"
#include "wire/message.h"

static const struct pb_type *const *const lists[] = {pb_raft_types, pb_worker_types, pb_control_types, pb_command_types};

static const struct pb_type *choose(uint8_t list, uint8_t which) {
    const struct pb_type *const *types = lists[list % (sizeof lists / sizeof *lists)];
    size_t count = 0;
    while (types[count] != NULL) {
        count++;
    }
    return types[which % count];
}

// The rules of a message's own texts and lists.
static void assert_checked(const struct pb_type *type, const void *message) {
    for (size_t i = 0; i < type->field_count; i++) {
        const struct pb_field_type *field = &type->fields[i];
        size_t count = field->presence == PB_REPEATED ? field_count(field, message) : 0;
        assert(field->max_items == 0 || count <= field->max_items);
        if (field->kind == PB_KIND_MESSAGE && field->message->is_map_entry) {
            const struct slice_pair *items = (const struct slice_pair *)field_items(field, message);
            for (size_t k = 1; k < count; k++) {
                assert(slice_compare(items[k - 1].key, items[k].key) < 0);
            }
        } else if (field->kind == PB_KIND_BYTES && field->presence == PB_IMPLICIT) {
            struct slice text = *(const struct slice *)field_value(field, message, 0);
            assert(field->max_bytes == 0 || text.len <= field->max_bytes);
            assert(text.len >= field->min_bytes || field->optional);
            assert(field->form != PB_FORM_ID || (field->optional && text.len == 0) || id_check(text, "", NULL) == OK);
        }
    }
}

static void encode_again(struct fuzz *fuzz, const struct pb_type *type, const void *message) {
    struct buf out = {.len = 0};
    struct error error;
    void *again = arena_alloc(&fuzz->arena, type->size);
    assert(again != NULL);
    pb_encode(type, message, &out);
    assert(out.len == pb_size(type, message));
    enum error_code code = pb_decode(&fuzz->arena, type, buf_slice(&out), again, &error);
    assert(code == OK || code == ERR_NO_MEMORY);
    void *clone = pb_clone(type, message);
    assert(code != OK || pb_equal(type, again, clone));
    assert(pb_fingerprint(type, message, 1) == pb_fingerprint(type, clone, 1));
    free(clone);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    struct fuzz fuzz = fuzz_begin();
    const struct pb_type *type = choose(data[0], data[1]);
    struct slice bytes = slice_of(data + 2, size - 2);
    void *message = arena_alloc(&fuzz.arena, type->size);
    void *persisted = arena_alloc(&fuzz.arena, type->size);
    struct error error;
    bool is_persisted = pb_decode_persisted(&fuzz.arena, type, bytes, persisted, &error) == OK;
    if (pb_decode(&fuzz.arena, type, bytes, message, &error) == OK) {
        assert(!is_persisted || pb_equal(type, message, persisted));
        encode_again(&fuzz, type, message);
        if (pb_check(type, message, &error) == OK) {
            assert_checked(type, message);
        }
        encode_again(&fuzz, type, message);
    }
    fuzz_end(&fuzz);
    return 0;
}
