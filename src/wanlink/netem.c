// One direction of an emulated link: a ring of waiting packets.
#include "wanlink/netem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/mem.h"

void netem_init(struct netem *netem, const struct netem_settings *settings, uint64_t seed) {
    *netem = (struct netem){
        .settings = *settings,
        .waiting = mem_alloc(NETEM_PACKETS_MAX * sizeof(struct netem_packet)),
        .rng = {.state = seed},
    };
}

void netem_free(struct netem *netem) {
    free(netem->waiting);
    *netem = (struct netem){0};
}

static uint64_t travel_us(struct netem *netem) {
    const struct netem_settings *s = &netem->settings;
    assert(s->jitter_us <= s->delay_us);
    if (s->jitter_us == 0) {
        return s->delay_us;
    }
    return s->delay_us - s->jitter_us + (uint64_t)(rng_unit(&netem->rng) * (2.0 * s->jitter_us + 1));
}

bool netem_arrive(struct netem *netem, uint32_t id, uint64_t now_us) {
    const struct netem_settings *s = &netem->settings;
    if (s->cut || (s->loss > 0 && rng_unit(&netem->rng) < s->loss) || netem->count == NETEM_PACKETS_MAX) {
        netem->lost++;
        return false;
    }
    uint64_t due_us = now_us + travel_us(netem);
    if (due_us < netem->last_due_us) {
        due_us = netem->last_due_us;
    }
    netem->last_due_us = due_us;
    assert(netem->count < NETEM_PACKETS_MAX);
    netem->waiting[(netem->first + netem->count++) % NETEM_PACKETS_MAX] = (struct netem_packet){.due_us = due_us, .id = id};
    return true;
}

// Removes the oldest packet and returns its id.
static uint32_t take_first(struct netem *netem) {
    assert(netem->count > 0);
    uint32_t id = netem->waiting[netem->first].id;
    netem->first = (netem->first + 1) % NETEM_PACKETS_MAX;
    netem->count--;
    return id;
}

bool netem_release(struct netem *netem, uint64_t now_us, uint32_t *last_id) {
    bool any = false;
    for (; netem_next_us(netem) <= now_us; any = true) {
        *last_id = take_first(netem);
        netem->passed++;
    }
    return any;
}

bool netem_drop_waiting(struct netem *netem, uint32_t *last_id) {
    bool any = netem->count > 0;
    while (netem->count > 0) {
        *last_id = take_first(netem);
        netem->lost++;
    }
    netem->last_due_us = 0;
    return any;
}

uint64_t netem_next_us(const struct netem *netem) {
    return netem->count == 0 ? UINT64_MAX : netem->waiting[netem->first].due_us;
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
        if (unit != value && strcmp(unit, units[i].unit) == 0 && result >= 0 && result <= NETEM_DELAY_MAX_US) {
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

enum error_code netem_settings_parse(struct netem_settings *settings, const char *key, const char *value,
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

enum error_code netem_settings_check(const struct netem_settings *settings, struct error *error) {
    if (settings->jitter_us > settings->delay_us) {
        return error_set(error, ERR_INVALID, "jitter is %u us, delay %u us: jitter is at most the delay",
                         settings->jitter_us, settings->delay_us);
    }
    return OK;
}
