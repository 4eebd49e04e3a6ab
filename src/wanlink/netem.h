// One direction of an emulated link, as tc-netem would do it: delay, jitter, loss and cuts. Decides which packet is released
// when. Has neither packets' bytes nor a clock nor a socket, so that a test controls the time.
//
// Packets are never reordered, as on one fibre: with jitter a packet may catch up with the one before it, not overtake it.
// Losses happen on arrival, so that waiting packets are always released from the oldest on, without gaps.
#ifndef BATON_WANLINK_NETEM_H
#define BATON_WANLINK_NETEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/rng.h"

enum {
    NETEM_PACKETS_MAX = 200000,            // waiting in one direction: 25 ms at eight million packets a second
    NETEM_DELAY_MAX_US = 10 * 1000 * 1000  // longer ones are of no use: connections time out
};

struct netem_settings {
    uint32_t delay_us;   // one way
    uint32_t jitter_us;  // a packet takes delay - jitter to delay + jitter, evenly; at most delay_us
    double loss;         // 0 to 1: the share of packets that are lost
    bool cut;            // every packet is lost
};

struct netem_packet {
    uint64_t due_us;  // when to release it; not before the packet ahead of it
    uint32_t id;      // the kernel's; ascending within one direction
};

struct netem {
    struct netem_settings settings;
    struct netem_packet *waiting;  // a ring of NETEM_PACKETS_MAX, owned
    size_t first;
    size_t count;
    uint64_t last_due_us;
    struct rng rng;   // of loss and jitter
    uint64_t passed;  // packets, since the start
    uint64_t lost;
};

void netem_init(struct netem *netem, const struct netem_settings *settings, uint64_t seed);
void netem_free(struct netem *netem);

// Adds a packet. False: it is lost, and the caller drops it.
bool netem_arrive(struct netem *netem, uint32_t id, uint64_t now_us);

// Removes the packets that are due. True: there were some, and the caller releases all up to and including *last_id.
bool netem_release(struct netem *netem, uint64_t now_us, uint32_t *last_id);

// Removes all packets, as lost. True: there were some, and the caller drops all up to and including *last_id.
bool netem_drop_waiting(struct netem *netem, uint32_t *last_id);

// When the next packet is due; UINT64_MAX: none waits.
uint64_t netem_next_us(const struct netem *netem);

// Parses delay, jitter ("25ms", "1.5s", "300us") or loss ("1%") from text. ERR_INVALID says what is allowed.
enum error_code netem_settings_parse(struct netem_settings *settings, const char *key, const char *value,
                                     struct error *error);

// Checks settings against each other. ERR_INVALID: jitter exceeds delay.
enum error_code netem_settings_check(const struct netem_settings *settings, struct error *error);

#endif
