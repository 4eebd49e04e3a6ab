// How good the link to a peer is: its last round trips, and how often its connection was lost. Pure, with the time as an
// argument.
//
// A round trip is measured once a second, and one in which either process was kept waiting says nothing about the link: so
// what is told is the median of the last five, and one bad measurement in five changes nothing.
#ifndef BATON_POLICY_LINK_QUALITY_H
#define BATON_POLICY_LINK_QUALITY_H

#include <stddef.h>

#include "base/limits.h"

enum { LINK_SAMPLES = 5, LINK_LOSSES_KEPT = 8 };

#define LINK_LOSSES_WINDOW_US (60 * US_PER_S)

// All zero: nothing is known.
struct link_quality {
    double samples_ms[LINK_SAMPLES];     // a ring
    double idle_ms[LINK_SAMPLES];        // beside it
    size_t measured;                     // in all
    uint64_t lost_us[LINK_LOSSES_KEPT];  // a ring
    size_t lost;                         // in all
};

// A round trip, and for how much of it this process had nothing to do. An answer that has come in waits only while we are
// busy: so that much of it is surely the link's, and the peer's.
void link_quality_measured(struct link_quality *link, double ms, double idle_ms);

// The connection stood and was lost, other than by the peer's own goodbye.
void link_quality_lost(struct link_quality *link, uint64_t now_us);

// The median of the last round trips; 0: none was measured.
double link_quality_rtt_ms(const struct link_quality *link);

// The same of the idle parts.
double link_quality_least_ms(const struct link_quality *link);

// How much longer than that the round trips take that are not rare: the second longest of the last five tells.
double link_quality_spread_ms(const struct link_quality *link);

// Losses within the last minute, counted up to LINK_LOSSES_KEPT.
uint32_t link_quality_losses(const struct link_quality *link, uint64_t now_us);

#endif
