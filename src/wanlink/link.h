// A running emulated link: two kernel queues, one per direction, whose packets netem.h delays.
//
// Packets stay in the kernel until their verdict; we see only their ids (NFQNL_COPY_META), and large segments are not split
// (NFQA_CFG_F_GSO), so that a bulk transfer costs a few thousand small messages a second.
#ifndef BATON_WANLINK_LINK_H
#define BATON_WANLINK_LINK_H

#include "wanlink/netem.h"

struct link_options {
    const char *from;
    const char *to;
    const char *socket_path;  // NULL: no control socket
    struct netem_settings settings;
    uint64_t seed;
};

// Runs until SIGTERM or SIGINT, then removes its rules and socket. ERR_INVALID, ERR_IO, ERR_BUSY (another wanlink has the
// queues).
enum error_code link_run(const struct link_options *options, struct error *error);

#endif
