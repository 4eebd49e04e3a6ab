// Runs a fuzz target once over each file of some folders, as one test: what `make test` does with the corpora and the inputs
// that once crashed. No fuzzer is needed for it.
//
//   fuzz-TARGET TestFuzzTarget FOLDER...
#include <dirent.h>
#include <stdio.h>

#include "../unit/unit.h"
#include "base/buf.h"
#include "base/mem.h"
#include "fuzz.h"

static char **folders;  // ends in NULL

static struct buf read_file(const char *path) {
    struct buf bytes = {.len = 0};
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("cannot read %s", path);
    }
    size_t got;
    while ((got = fread(buf_reserve(&bytes, 4096), 1, 4096, file)) > 0) {
        bytes.len += got;
    }
    fclose(file);
    return bytes;
}

// The input is in memory of its exact size, so that a sanitizer sees a byte read past its end.
static void run_file(const char *path) {
    struct buf bytes = read_file(path);
    uint8_t *input = mem_alloc(bytes.len);
    if (bytes.len > 0) {
        memcpy(input, bytes.data, bytes.len);
    }
    printf("%s\n", path);  // the last one said is the one that crashed
    fflush(stdout);
    assert_int_equal(LLVMFuzzerTestOneInput(input, bytes.len), 0);
    free(input);
    buf_free(&bytes);
}

static int is_visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static size_t run_folder(const char *folder) {
    struct dirent **entries;
    int count = scandir(folder, &entries, is_visible, alphasort);
    for (int i = 0; i < count; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        run_file(path);
        free(entries[i]);
    }
    if (count >= 0) {
        free(entries);
    }
    return count > 0 ? (size_t)count : 0;
}

static void run_folders(void **state) {
    (void)state;
    size_t files = 0;
    for (char **folder = folders; *folder != NULL; folder++) {
        files += run_folder(*folder);
    }
    assert_true(files > 0);  // a corpus that is not found proves nothing
}

int main(int argc, char **argv) {
    const char *filter = getenv("BATON_TEST_FILTER");
    if (argc < 3) {
        fprintf(stderr, "usage: %s NAME FOLDER...\n", argv[0]);
        return 2;
    }
    if (filter != NULL) {
        cmocka_set_test_filter(filter);
    }
    folders = argv + 2;
    const struct CMUnitTest tests[] = {{.name = argv[1], .test_func = run_folders}};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
