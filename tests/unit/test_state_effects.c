// The bits that tell which of the last writes had no effect: what they say is no other's, whatever was in their memory
// before.
#include <string.h>

#include "state/effects.h"
#include "unit.h"

enum { LAST = 20, LACKS = 9 };  // entries

static void TestEffectsIntoUsedMemory(void **state) {
    (void)state;
    struct effects noted = {{0}};
    for (raft_index index = 1; index <= LAST; index++) {
        effects_note(&noted, index, index == LACKS);
    }
    uint8_t bits[EFFECTS_BYTES];
    memset(bits, 0xff, sizeof bits);
    static const uint8_t expected[EFFECTS_BYTES] = {[(LAST - LACKS) / 8] = 1 << (LAST - LACKS) % 8};
    size_t len = effects_save(&noted, LAST, bits);
    assert_int_equal(len, (LAST - LACKS) / 8 + 1);
    assert_memory_equal(bits, expected, sizeof bits);
    struct effects loaded;
    memset(&loaded, 0xff, sizeof loaded);
    assert_true(effects_load(&loaded, LAST, slice_of(bits, len)));
    assert_memory_equal(&loaded, &noted, sizeof loaded);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestEffectsIntoUsedMemory),
};

UNIT_MAIN(tests)
