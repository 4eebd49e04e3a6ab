// Fuzzes what an image's lines hold: each line of the input is read as the JSON of a record, which must be the one form of
// what it says, and given to a loader. The image of a state that comes of it is loaded again.
#include <stdio.h>

#include "fuzz.h"
#include "state/image.h"
#include "wire/json.h"

// NULL: refused, for the reason in *error.
static struct state *load(struct fuzz *fuzz, struct slice lines, uint64_t digest, struct error *error) {
    struct state_loader *loader = state_loader_new();
    struct state *state = NULL;
    enum error_code code = OK;
    struct buf again = {.len = 0};
    while (code == OK && lines.len > 0) {
        const uint8_t *end = memchr(lines.data, '\n', lines.len);
        size_t len = end == NULL ? lines.len : (size_t)(end - lines.data);
        struct pb_image_record record;
        arena_reset(&fuzz->arena);
        code = pb_json_read(&fuzz->arena, &pb_image_record_type, slice_of(lines.data, len), &record, error);
        if (code == OK) {
            buf_clear(&again);
            pb_json_write(&pb_image_record_type, &record, &again);
            assert(slice_equal(buf_slice(&again), slice_of(lines.data, len)));
            code = state_loader_add(loader, &record, error);
        }
        len += end != NULL;
        lines = slice_of(lines.data + len, lines.len - len);
    }
    if (code == OK) {
        code = state_loader_finish(loader, digest, &state, error);
    }
    state_loader_free(loader);
    buf_free(&again);
    return state;
}

static void save(struct state *state, struct buf *lines, uint64_t *digest) {
    struct state_version *version = state_version_new(state);
    struct state_records *records = state_records_new(version);
    struct pb_image_record record;
    while (state_records_next(records, &record)) {
        pb_json_write(&pb_image_record_type, &record, lines);
        buf_append_str(lines, "\n");
    }
    *digest = state_version_digest(version);
    state_records_free(records);
    state_version_release(state, version);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz fuzz = fuzz_begin();
    struct error error = {.code = OK};
    struct state *state = load(&fuzz, slice_of(data, size), 0, &error);
    // The fuzzer cannot find a digest, so it is taken from the refusal.
    unsigned long long is;
    const char *given = strstr(error.message, "the records give ");
    if (given != NULL && sscanf(given, "the records give %llx", &is) == 1) {
        state = load(&fuzz, slice_of(data, size), is, &error);
        assert(state != NULL);
    }
    if (state != NULL) {
        struct buf lines = {.len = 0};
        uint64_t digest;
        save(state, &lines, &digest);
        struct state *again = load(&fuzz, buf_slice(&lines), digest, &error);
        assert(again != NULL && state_digest(again) == digest);
        state_free(again);
        state_free(state);
        buf_free(&lines);
    }
    fuzz_end(&fuzz);
    return 0;
}
