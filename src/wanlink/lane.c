// One direction of an emulated link: a ring of waiting packets.
#include "wanlink/lane.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/mem.h"

void lane_init(struct lane *lane, const struct lane_settings *settings, uint64_t seed) {
    *lane = (struct lane){
        .settings = *settings,
        .waiting = mem_alloc(LANE_PACKETS_MAX * sizeof(struct lane_packet)),
        .rng = {.state = seed},
    };
}

void lane_free(struct lane *lane) {
    free(lane->waiting);
    *lane = (struct lane){0};
}

static uint64_t travel_us(struct lane *lane) {
    const struct lane_settings *s = &lane->settings;
    assert(s->jitter_us <= s->delay_us);
    if (s->jitter_us == 0) {
        return s->delay_us;
    }
    return s->delay_us - s->jitter_us + (uint64_t)(rng_unit(&lane->rng) * (2.0 * s->jitter_us + 1));
}

bool lane_arrive(struct lane *lane, uint32_t id, uint64_t now_us) {
    const struct lane_settings *s = &lane->settings;
    if (s->cut || (s->loss > 0 && rng_unit(&lane->rng) < s->loss) || lane->count == LANE_PACKETS_MAX) {
        lane->lost++;
        return false;
    }
    uint64_t due_us = now_us + travel_us(lane);
    if (due_us < lane->last_due_us) {
        due_us = lane->last_due_us;
    }
    lane->last_due_us = due_us;
    assert(lane->count < LANE_PACKETS_MAX);
    lane->waiting[(lane->first + lane->count++) % LANE_PACKETS_MAX] = (struct lane_packet){.due_us = due_us, .id = id};
    return true;
}

// Removes the oldest packet and returns its id.
static uint32_t take_first(struct lane *lane) {
    assert(lane->count > 0);
    uint32_t id = lane->waiting[lane->first].id;
    lane->first = (lane->first + 1) % LANE_PACKETS_MAX;
    lane->count--;
    return id;
}

bool lane_release(struct lane *lane, uint64_t now_us, uint32_t *last_id) {
    bool any = false;
    for (; lane_next_us(lane) <= now_us; any = true) {
        *last_id = take_first(lane);
        lane->passed++;
    }
    return any;
}

bool lane_drop_waiting(struct lane *lane, uint32_t *last_id) {
    bool any = lane->count > 0;
    while (lane->count > 0) {
        *last_id = take_first(lane);
        lane->lost++;
    }
    lane->last_due_us = 0;
    return any;
}

uint64_t lane_next_us(const struct lane *lane) {
    return lane->count == 0 ? UINT64_MAX : lane->waiting[lane->first].due_us;
}

static enum error_code parse_duration(const char *key, const char *value, uint32_t *us, struct error *error) {
    static const struct {
        const char *unit;
        double us;
    } units[] = {{"us", 1}, {"ms", 1e3}, {"s", 1e6}};
    char *unit;
    double number = strtod(value, &unit);
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        double result = number * units[i].us;
        if (unit != value && strcmp(unit, units[i].unit) == 0 && result >= 0 && result <= LANE_DELAY_MAX_US) {
            *us = (uint32_t)(result + 0.5);
            return OK;
        }
    }
    return error_set(error, ERR_INVALID, "%s is '%s': give a time from 0ms to 10s with its unit, such as 25ms, 1.5s, 300us",
                     key, value);
}

static enum error_code parse_share(const char *key, const char *value, double *share, struct error *error) {
    char *unit;
    double percent = strtod(value, &unit);
    if (unit == value || strcmp(unit, "%") != 0 || !(percent >= 0 && percent <= 100)) {
        return error_set(error, ERR_INVALID, "%s is '%s': give a share from 0%% to 100%%, such as 1%%", key, value);
    }
    *share = percent / 100;
    return OK;
}

enum error_code lane_settings_parse(struct lane_settings *settings, const char *key, const char *value,
                                    struct error *error) {
    if (strcmp(key, "delay") == 0) {
        return parse_duration(key, value, &settings->delay_us, error);
    }
    if (strcmp(key, "jitter") == 0) {
        return parse_duration(key, value, &settings->jitter_us, error);
    }
    if (strcmp(key, "loss") == 0) {
        return parse_share(key, value, &settings->loss, error);
    }
    return error_set(error, ERR_INVALID, "'%s' is not a setting: there are delay, jitter and loss", key);
}

enum error_code lane_settings_check(const struct lane_settings *settings, struct error *error) {
    if (settings->jitter_us > settings->delay_us) {
        return error_set(error, ERR_INVALID, "jitter is %u us, delay %u us: jitter is at most the delay",
                         settings->jitter_us, settings->delay_us);
    }
    return OK;
}
