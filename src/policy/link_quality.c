// The samples behind policy/link_quality.h.
#include "policy/link_quality.h"

void link_quality_measured(struct link_quality *link, double ms, double idle_ms) {
    link->samples_ms[link->measured % LINK_SAMPLES] = ms;
    link->idle_ms[link->measured % LINK_SAMPLES] = idle_ms;
    link->measured++;
}

void link_quality_lost(struct link_quality *link, uint64_t now_us) {
    link->lost_us[link->lost++ % LINK_LOSSES_MAX] = now_us;
}

// The samples of a ring in rising order; returns how many there are.
static size_t sort(const struct link_quality *link, const double ring[LINK_SAMPLES], double sorted[LINK_SAMPLES]) {
    size_t count = link->measured < LINK_SAMPLES ? link->measured : LINK_SAMPLES;
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at > 0 && sorted[at - 1] > ring[i]; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = ring[i];
    }
    return count;
}

static double median(const struct link_quality *link, const double ring[LINK_SAMPLES]) {
    double sorted[LINK_SAMPLES];
    size_t count = sort(link, ring, sorted);
    return count == 0 ? 0 : sorted[(count - 1) / 2];
}

double link_quality_rtt_ms(const struct link_quality *link) {
    return median(link, link->samples_ms);
}

double link_quality_least_ms(const struct link_quality *link) {
    return median(link, link->idle_ms);
}

double link_quality_spread_ms(const struct link_quality *link) {
    double sorted[LINK_SAMPLES];
    size_t count = sort(link, link->samples_ms, sorted);
    return count < 2 ? 0 : sorted[count - 2] - sorted[(count - 1) / 2];
}

uint32_t link_quality_losses(const struct link_quality *link, uint64_t now_us) {
    uint32_t recent = 0;
    for (size_t i = 0; i < link->lost && i < LINK_LOSSES_MAX; i++) {
        recent += now_us - link->lost_us[i] < LINK_LOSSES_WINDOW_US;
    }
    return recent;
}
