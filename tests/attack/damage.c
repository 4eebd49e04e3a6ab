// One file of a directory is cut at each of its bytes, or gone; each of its bytes is another one, each bit flipped.
//
// What the format cannot tell from a crash is here and nowhere else: the end of the log is gone, to a byte, back to newlines
// or to the file's end. That is how a batch looks that was being written, and one that never was. Such a start must find
// exactly the batches before.
#include <stdio.h>

#include "target.h"

enum {
    FILLING = 1100,  // behind the last batch: two sectors at least
    NAME_MAX_LEN = 120,
};

static const enum chapter chapters[] = {CHAPTER_LOG, CHAPTER_IMAGES, CHAPTER_INSTALLED};

// The outcomes that are right, a bit for each.
#define ONLY(outcome) (1u << (outcome))

static void check(struct range *r, const struct target *target, enum attack attack, struct slice bytes, size_t moment,
                  unsigned right, const char *name) {
    enum outcome outcome = range_start(r, target, bytes, moment, name);
    if (outcome == OUTCOMES) {
        return;
    }
    report_case(attack, outcome);
    if ((right & ONLY(outcome)) == 0) {
        report_broken("%s: ended in outcome %d, wanted one of %#x: %s", name, outcome, right,
                      outcome >= OUTCOME_WAL_CORRUPT ? r->victim.error.message : "started");
    }
}

static unsigned image_lost(const struct range *r) {
    return r->older_image ? ONLY(OUTCOME_OLDER_IMAGE) : ONLY(OUTCOME_SNAP_CORRUPT);
}

// --- cuts ---

static uint64_t lines_end(const struct target *target) {
    return target->batches > 0 ? target->ends[target->batches - 1] : 0;
}

// The file's first `len` bytes are left, and perhaps newlines after them.
static unsigned expect_cut(const struct range *r, const struct target *target, uint64_t len, size_t *moment) {
    bool whole = len + 1 >= lines_end(target);
    switch (target->kind) {
    case KIND_SEGMENT:  // without its first batch it holds nothing, though others follow
        return whole ? ONLY(OUTCOME_WHOLE) : len + 1 < target->ends[0] ? ONLY(OUTCOME_WAL_GAP) : ONLY(OUTCOME_WAL_CORRUPT);
    case KIND_LAST_SEGMENT:
        *moment = target_moment(target, len);
        if ((r->has_blank || (target->first && r->story.victim.newest.index > 0)) && len + 1 < target->ends[0]) {
            return ONLY(OUTCOME_WAL_GAP);  // nothing is left of a log that once began here
        }
        return whole ? ONLY(OUTCOME_WHOLE) : ONLY(OUTCOME_TORN);
    case KIND_IMAGE:
        return image_lost(r);
    default:
        return ONLY(OUTCOME_WHOLE);
    }
}

static unsigned expect_gone(const struct range *r, const struct target *target, size_t *moment) {
    bool has_image = r->story.victim.newest.index > 0;
    switch (target->kind) {
    case KIND_SKIPPED:
    case KIND_SEGMENT:
        return target->first && has_image ? ONLY(OUTCOME_WHOLE) : ONLY(OUTCOME_WAL_GAP);
    case KIND_LAST_SEGMENT:
        *moment = target->moment_before;
        return r->has_blank || (target->first && has_image) ? ONLY(OUTCOME_WAL_GAP) : ONLY(OUTCOME_TORN);
    case KIND_IMAGE:
        return r->older_image ? ONLY(OUTCOME_OLDER_IMAGE) : ONLY(OUTCOME_WAL_GAP);
    default:
        return ONLY(OUTCOME_WHOLE);
    }
}

static void cut_target(struct range *r, const struct target *target, const struct share *share) {
    char name[NAME_MAX_LEN];
    struct slice file = disk_bytes(&r->base, target->path);
    struct buf blanked = {0};
    size_t all = r->story.truth.acknowledged;
    size_t moment = all;
    unsigned right = expect_gone(r, target, &moment);
    snprintf(name, sizeof name, "%s is gone", target->path);
    check(r, target, ATTACK_CUT, slice_of(NULL, 0), moment, right, name);
    buf_append_slice(&blanked, file);
    for (uint64_t len = file.len; len-- > 0;) {
        blanked.data[len] = '\n';
        if (!share_has(share, len)) {
            continue;
        }
        moment = all;
        right = expect_cut(r, target, len, &moment);
        snprintf(name, sizeof name, "%s cut at byte %llu", target->path, (unsigned long long)len);
        check(r, target, ATTACK_CUT, slice_of(file.data, len), moment, right, name);
        if (target->batches > 0 && len < lines_end(target)) {
            snprintf(name, sizeof name, "%s blank from byte %llu on", target->path, (unsigned long long)len);
            check(r, target, ATTACK_CUT, buf_slice(&blanked), moment, right, name);
        }
    }
    buf_free(&blanked);
}

void attack_cuts(const struct share *share) {
    for (size_t i = 0; i < sizeof chapters / sizeof chapters[0]; i++) {
        struct range r;
        range_init(&r, chapters[i], FILLING);
        for (size_t t = 0; t < r.count; t++) {
            cut_target(&r, &r.targets[t], share);
        }
        range_free(&r);
    }
}

// --- other bytes ---

// In filling a byte is lost at most, which says nothing; it is said, or blanked again.
static unsigned expect_byte(const struct range *r, const struct target *target, uint64_t at, uint8_t byte, size_t *moment) {
    uint64_t end = lines_end(target);
    switch (target->kind) {
    case KIND_SEGMENT:
        return ONLY(OUTCOME_WAL_CORRUPT);
    case KIND_LAST_SEGMENT:
        if (byte == '\n' && at + 2 == end) {  // the mark's last brace: as if the batch had been torn one byte before its end
            *moment = target_moment(target, at);
            return ONLY(OUTCOME_TORN);
        }
        if (at < end || (at == end && byte == '\0')) {  // a newline always follows the last mark
            return ONLY(OUTCOME_WAL_CORRUPT);
        }
        return ONLY(OUTCOME_WHOLE) | ONLY(OUTCOME_WAL_CORRUPT);
    case KIND_BLANK:
        return ONLY(OUTCOME_WHOLE) | ONLY(OUTCOME_WAL_CORRUPT);
    case KIND_IMAGE:
        return image_lost(r);
    default:
        return ONLY(OUTCOME_WHOLE);
    }
}

static void change_byte(struct range *r, const struct target *target, struct buf *bytes, uint64_t at, uint8_t byte,
                        enum attack attack) {
    char name[NAME_MAX_LEN];
    uint8_t is = bytes->data[at];
    size_t moment = r->story.truth.acknowledged;
    if (byte == is) {
        return;
    }
    unsigned right = expect_byte(r, target, at, byte, &moment);
    snprintf(name, sizeof name, "%s byte %llu, %02x for %02x", target->path, (unsigned long long)at, byte, is);
    bytes->data[at] = byte;
    check(r, target, attack, buf_slice(bytes), moment, right, name);
    bytes->data[at] = is;
}

// Each bit, and bytes that mean something in the format.
static void change_all(struct range *r, const struct target *target, const struct share *share) {
    static const uint8_t others[] = {'\0', '\n', ' ', '"', '0', 'a', '{', '}', 0xff};
    struct buf bytes = {0};
    buf_append_slice(&bytes, disk_bytes(&r->base, target->path));
    for (uint64_t at = 0; at < bytes.len; at++) {
        if (!share_has(share, at)) {
            continue;
        }
        for (unsigned bit = 0; bit < 8; bit++) {
            change_byte(r, target, &bytes, at, (uint8_t)(bytes.data[at] ^ 1u << bit), ATTACK_FLIP);
        }
        for (size_t i = 0; i < sizeof others; i++) {
            change_byte(r, target, &bytes, at, others[i], ATTACK_CHANGE);
        }
        change_byte(r, target, &bytes, at, (uint8_t)(bytes.data[at] + 1 + at % 255), ATTACK_CHANGE);
    }
    buf_free(&bytes);
}

void attack_bytes(const struct share *share) {
    for (size_t i = 0; i < sizeof chapters / sizeof chapters[0]; i++) {
        struct range r;
        range_init(&r, chapters[i], FILLING);
        for (size_t t = 0; t < r.count; t++) {
            change_all(&r, &r.targets[t], share);
        }
        range_free(&r);
    }
}
