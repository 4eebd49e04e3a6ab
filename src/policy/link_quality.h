// The quality of the link to a peer: its recent round trips, and how often its connection was lost. Pure, with the time as
// an argument.
//
// A round trip is measured once a second. One that either process delayed says nothing about the link, so the median of the
// last five is reported, which tolerates two outliers.
#ifndef BATON_POLICY_LINK_QUALITY_H
#define BATON_POLICY_LINK_QUALITY_H

#include <stddef.h>

#include "base/limits.h"

enum { LINK_SAMPLES = 5, LINK_LOSSES_MAX = 8 };

#define LINK_LOSSES_WINDOW_US (60 * US_PER_S)

// All zero: nothing is known.
struct link_quality {
    double samples_ms[LINK_SAMPLES];    // a ring
    double idle_ms[LINK_SAMPLES];       // of the same round trips
    size_t measured;                    // in all
    uint64_t lost_us[LINK_LOSSES_MAX];  // a ring
    size_t lost;                        // in all
};

// Records a round trip, and for how much of it this process was idle. An answer that has arrived waits only while this
// process is busy, so the idle part is certainly due to the link and the peer.
void link_quality_measured(struct link_quality *link, double ms, double idle_ms);

// Records that an established connection was lost, other than by the peer's GOAWAY.
void link_quality_lost(struct link_quality *link, uint64_t now_us);

// The median of the last round trips; 0: unknown.
double link_quality_rtt_ms(const struct link_quality *link);

// The same of the idle parts; 0: unknown.
double link_quality_least_ms(const struct link_quality *link);

// How far the second longest of the last five round trips exceeds their median: the slow times that are not rare.
double link_quality_spread_ms(const struct link_quality *link);

// Losses within the last minute, at most LINK_LOSSES_MAX.
uint32_t link_quality_losses(const struct link_quality *link, uint64_t now_us);

#endif
