// Which of the last writes had no effect: state/effects.h.
#include "state/effects.h"

static_assert(HISTORY_IMAGE % 8 == 0, "the bits fill their bytes");

void effects_note(struct effects *effects, raft_index index, bool without_effect) {
    size_t at = index % HISTORY_IMAGE;
    unsigned mask = 1u << at % 8;
    effects->bits[at / 8] = (uint8_t)((effects->bits[at / 8] & ~mask) | (without_effect ? mask : 0));
}

bool effects_lacks(const struct effects *effects, raft_index index) {
    size_t at = index % HISTORY_IMAGE;
    return (effects->bits[at / 8] >> at % 8 & 1) != 0;
}

// The number of entries that have a bit.
static size_t window(raft_index last) {
    return last < HISTORY_IMAGE ? last : HISTORY_IMAGE;
}

size_t effects_save(const struct effects *effects, raft_index last, uint8_t bits[EFFECTS_BYTES]) {
    size_t bytes = 0;
    memset(bits, 0, EFFECTS_BYTES);
    for (size_t i = 0, count = window(last); i < count; i++) {
        if (effects_lacks(effects, last - i)) {
            bits[i / 8] |= (uint8_t)(1u << i % 8);
            bytes = i / 8 + 1;
        }
    }
    return bytes;
}

bool effects_load(struct effects *effects, raft_index last, struct slice bits) {
    *effects = (struct effects){{0}};
    if (bits.len > EFFECTS_BYTES || (bits.len > 0 && bits.data[bits.len - 1] == 0)) {
        return false;
    }
    for (size_t i = 0; i < 8 * bits.len; i++) {
        if ((bits.data[i / 8] >> i % 8 & 1) == 0) {
            continue;
        }
        if (i >= window(last)) {
            return false;
        }
        effects_note(effects, last - i, true);
    }
    return true;
}
