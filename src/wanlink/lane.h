// One direction of an emulated link: which packet goes on when. Knows neither packets' bytes nor a clock nor a socket, so
// that a test cranks the time.
//
// Order is kept, as on one fibre: with jitter a packet may catch up with the one before it, never overtake it. What is lost
// is lost on arrival, so that the packets that wait leave in one run, from the oldest on.
#ifndef BATON_WANLINK_LANE_H
#define BATON_WANLINK_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/rng.h"

enum {
    LANE_PACKETS_MAX = 200000,            // waiting in one direction: 25 ms at eight million packets a second
    LANE_DELAY_MAX_US = 10 * 1000 * 1000  // beyond, TCP has long given up
};

struct lane_settings {
    uint32_t delay_us;   // one way
    uint32_t jitter_us;  // a packet takes delay - jitter to delay + jitter, evenly; at most delay_us
    double loss;         // 0 to 1: the share of packets that are lost
    bool cut;            // nothing passes
};

struct lane_packet {
    uint64_t due_us;  // when it goes on; never earlier than the packet before it
    uint32_t id;      // the kernel's; rises with each packet of the lane
};

struct lane {
    struct lane_settings settings;
    struct lane_packet *waiting;  // a ring of LANE_PACKETS_MAX, owned
    size_t first;
    size_t count;
    uint64_t last_due_us;
    struct rng rng;   // of loss and jitter
    uint64_t passed;  // packets, since the start
    uint64_t lost;
};

void lane_init(struct lane *lane, const struct lane_settings *settings, uint64_t seed);
void lane_free(struct lane *lane);

// A packet has come. True: it waits. False: it is lost, and the caller drops it.
bool lane_arrive(struct lane *lane, uint32_t id, uint64_t now_us);

// True: all that wait up to and with *last_id go on now, and the lane has forgotten them.
bool lane_release(struct lane *lane, uint64_t now_us, uint32_t *last_id);

// True: all that wait, up to and with *last_id, are lost (the lane has been cut).
bool lane_drop_waiting(struct lane *lane, uint32_t *last_id);

// When lane_release has something to do next; UINT64_MAX if nothing waits.
uint64_t lane_next_us(const struct lane *lane);

// Sets delay, jitter ("25ms", "1.5s", "300us") or loss ("1%") from text. ERR_INVALID says what is allowed.
enum error_code lane_settings_parse(struct lane_settings *settings, const char *key, const char *value, struct error *error);

// Checks what two settings say together.
enum error_code lane_settings_check(const struct lane_settings *settings, struct error *error);

#endif
