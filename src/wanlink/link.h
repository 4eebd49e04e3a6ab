// A running emulated link: two kernel queues, one a direction, each emptied into a lane and let go by its clock.
//
// A packet stays in the kernel until its verdict; we see its number only (NFQNL_COPY_META), and large segments stay whole
// (NFQA_CFG_F_GSO), so that a bulk transfer costs a few thousand small messages a second.
#ifndef BATON_WANLINK_LINK_H
#define BATON_WANLINK_LINK_H

#include "wanlink/lane.h"

struct link_options {
    const char *from;
    const char *to;
    const char *socket_path;  // NULL: no control socket
    struct lane_settings settings;
    uint64_t seed;
};

// Runs until SIGTERM or SIGINT, then takes its rules and its socket away. OK, or *error.
enum error_code link_run(const struct link_options *options, struct error *error);

#endif
