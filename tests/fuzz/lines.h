// Gives the lines of segments and images the checksums that their contents need: no fuzzer guesses them, and what comes
// after their checks is to be reached, too.
#ifndef BATON_TESTS_FUZZ_LINES_H
#define BATON_TESTS_FUZZ_LINES_H

#include "base/buf.h"

// The chain of marks through the segments of a log.
struct lines_chain {
    uint64_t batch;
    uint32_t crc;
};

// Appends the segment's lines to `out`, with right checksums; with `counts` also with the right numbers in their marks.
void lines_mend_segment(struct slice text, bool counts, struct lines_chain *chain, struct buf *out);

// The same of an image; `digest` (16 digits) takes the place of its mark's, unless it is NULL.
void lines_mend_image(struct slice text, const char *digest, struct buf *out);

#endif
