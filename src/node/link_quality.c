// The record behind node/link_quality.h.
#include "node/link_quality.h"

void link_quality_measured(struct link_quality *link, double ms) {
    link->samples_ms[link->measured++ % LINK_SAMPLES] = ms;
}

void link_quality_lost(struct link_quality *link, uint64_t now_us) {
    link->lost_us[link->lost++ % LINK_LOSSES_KEPT] = now_us;
}

// The last round trips, rising; returns how many.
static size_t sorted_samples(const struct link_quality *link, double sorted[LINK_SAMPLES]) {
    size_t count = link->measured < LINK_SAMPLES ? link->measured : LINK_SAMPLES;
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at > 0 && sorted[at - 1] > link->samples_ms[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = link->samples_ms[i];
    }
    return count;
}

double link_quality_rtt_ms(const struct link_quality *link) {
    double sorted[LINK_SAMPLES];
    size_t count = sorted_samples(link, sorted);
    return count == 0 ? 0 : sorted[(count - 1) / 2];
}

double link_quality_spread_ms(const struct link_quality *link) {
    double sorted[LINK_SAMPLES];
    size_t count = sorted_samples(link, sorted);
    return count < 2 ? 0 : sorted[count - 2] - sorted[(count - 1) / 2];
}

uint32_t link_quality_losses(const struct link_quality *link, uint64_t now_us) {
    uint32_t recent = 0;
    for (size_t i = 0; i < link->lost && i < LINK_LOSSES_KEPT; i++)
        recent += now_us - link->lost_us[i] < LINK_LOSSES_WINDOW_US;
    return recent;
}
