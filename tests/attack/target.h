// A directory to be damaged, file by file: the end of a chapter, and for each file what a start must make of damage there.
#ifndef BATON_TESTS_ATTACK_TARGET_H
#define BATON_TESTS_ATTACK_TARGET_H

#include "story.h"

enum kind {
    KIND_SKIPPED,       // a segment before what is read: the image covers its entries
    KIND_SEGMENT,       // one that others follow
    KIND_LAST_SEGMENT,  // with the last batch
    KIND_BLANK,         // prepared, without a batch
    KIND_IMAGE,         // the newest
    KIND_OLDER_IMAGE,
};

enum { TARGETS_MAX = 24, SEGMENT_BATCHES_MAX = 64 };

struct target {
    char path[64];
    enum kind kind;
    bool first;  // of the segments that are there
    uint64_t size;
    // Of a segment: where its batches end, with the moment of each; and the moment before it.
    uint64_t ends[SEGMENT_BATCHES_MAX];
    size_t moments[SEGMENT_BATCHES_MAX];
    size_t batches;
    size_t moment_before;
};

struct range {
    struct story story;
    struct disk base;     // whole
    struct disk scratch;  // damaged
    bool changed;         // the scratch disk is not the base any more
    struct victim victim;
    struct target targets[TARGETS_MAX];
    size_t count;
    bool older_image;  // there is one to fall back to
    bool has_blank;
};

// `filling`: bytes of it behind the last batch of the last segment; the rest is cut off, as votes on a full disk would use
// it up.
void range_init(struct range *range, enum chapter chapter, uint64_t filling);
void range_free(struct range *range);

// How a start ends with these bytes in the file's place; data NULL: it is gone. A start that is refused has changed nothing,
// and one that is not finds `moment` (or what an image says that came after it): else that is reported, under this name.
enum outcome range_start(struct range *range, const struct target *target, struct slice bytes, size_t moment,
                         const char *name);

// The moment that the first `bytes` of a segment hold, with a line that lacks only its newline.
size_t target_moment(const struct target *target, uint64_t bytes);

#endif
