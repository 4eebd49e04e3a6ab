// Each of the last batch's 512-byte sectors is there, lost (newlines, as before the write), or zeroed, in every combination.
//
// Lost sectors are a torn write, and zeros are damage: a disk that loses a write leaves what was there before. Only where
// nothing of the batch is left do zeros look like filling that never reached the disk (docs/wal-format.md).
#include <assert.h>
#include <stdio.h>

#include "target.h"

enum { SECTOR = 512, SECTORS_MAX = 8, LOST = 1, ZEROED = 2, STATES = 3, FILLING = 4 * KIB };

struct batch {
    const struct target *target;
    uint64_t begin;
    uint64_t end;
    size_t before;
};

// A zeroed sector loses what else is in it, too, or only its part of the batch.
static void damage(const struct batch *b, struct buf *bytes, unsigned combination, bool only_batch) {
    for (uint64_t at = b->begin / SECTOR * SECTOR; at < b->end; at += SECTOR, combination /= STATES) {
        uint64_t from = at < b->begin ? b->begin : at;
        uint64_t to = at + SECTOR < b->end ? at + SECTOR : b->end;
        if (combination % STATES == LOST) {
            memset(bytes->data + from, '\n', to - from);
        } else if (combination % STATES == ZEROED) {
            memset(bytes->data + (only_batch ? from : at), 0, only_batch ? to - from : SECTOR);
        }
    }
}

// What is left of the batch decides.
static enum outcome expect(const struct batch *b, struct slice whole, struct slice damaged) {
    bool left = false;
    bool zeros = memchr(damaged.data + b->begin / SECTOR * SECTOR, '\0', b->end - b->begin / SECTOR * SECTOR) != NULL;
    for (uint64_t at = b->begin; at < b->end; at++) {
        left |= damaged.data[at] != '\n' && damaged.data[at] != '\0';
    }
    if (slice_equal(whole, damaged)) {
        return OUTCOME_WHOLE;
    }
    return zeros && (left || damaged.data[b->begin] == '\0') ? OUTCOME_WAL_CORRUPT : OUTCOME_TORN;
}

static void attack_batch(struct range *r, const struct batch *b) {
    struct slice whole = disk_bytes(&r->base, b->target->path);
    uint64_t sectors = (b->end + SECTOR - 1) / SECTOR - b->begin / SECTOR;
    unsigned combinations = 1;
    assert(sectors <= SECTORS_MAX && whole.len >= b->end + SECTOR);
    for (uint64_t i = 0; i < sectors; i++) {
        combinations *= STATES;
    }
    struct buf bytes = {0};
    for (unsigned n = 0; n < 2 * combinations; n++) {
        unsigned c = n / 2;
        char name[120];
        buf_clear(&bytes);
        buf_append_slice(&bytes, whole);
        damage(b, &bytes, c, n % 2 == 0);
        enum outcome right = expect(b, whole, buf_slice(&bytes));
        size_t moment = right == OUTCOME_TORN ? b->before : r->story.truth.acknowledged;
        snprintf(name, sizeof name, "%s, sectors of %llu to %llu in combination %u%s", b->target->path,
                 (unsigned long long)b->begin, (unsigned long long)b->end, c, n % 2 == 0 ? "" : ", whole");
        enum outcome is = range_start(r, b->target, buf_slice(&bytes), moment, name);
        if (is != OUTCOMES) {
            report_case(ATTACK_SECTORS, is);
        }
        if (is != right) {
            report_broken("%s: ended in outcome %d, not %d", name, is, right);
        }
    }
    buf_free(&bytes);
}

void attack_sectors(void) {
    static const enum chapter chapters[] = {CHAPTER_LOG, CHAPTER_IMAGES, CHAPTER_INSTALLED};
    for (size_t i = 0; i < sizeof chapters / sizeof chapters[0]; i++) {
        struct range r;
        range_init(&r, chapters[i], FILLING);
        const struct target *target = r.targets;
        while (target->kind != KIND_LAST_SEGMENT) {
            target++;
        }
        size_t last = target->batches - 1;
        struct batch b = {.target = target,
                          .begin = last > 0 ? target->ends[last - 1] : 0,
                          .end = target->ends[last],
                          .before = last > 0 ? target->moments[last - 1] : target->moment_before};
        attack_batch(&r, &b);
        range_free(&r);
    }
}
