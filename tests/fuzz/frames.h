// The peer of rpc's fuzz targets: an input is a script of frames, right and wrong ones, of raw bytes, and of time that
// passes.
#ifndef BATON_TESTS_FUZZ_FRAMES_H
#define BATON_TESTS_FUZZ_FRAMES_H

#include "fuzz.h"
#include "rpc_loop.h"

struct peer {
    struct buf out;  // frames that have not been given to the connection yet
    size_t piece;    // in which they are given; 0: at once
};

// The connection's beginning: a client's preface, and SETTINGS.
void peer_greet(struct peer *peer, bool is_client);

// The fields of a header block, and a frame of them.
void peer_field(struct buf *block, struct slice name, struct slice value);
void peer_headers(struct peer *peer, struct slice *script, struct slice block);

enum peer_step {
    PEER_RAW,      // bytes as they are
    PEER_DATA,     // a DATA frame
    PEER_MESSAGE,  // a DATA frame with a message and its prefix
    PEER_CONTROL,  // any other frame
    PEER_TIME,     // time passes
    PEER_CUT,      // what follows is given in pieces, and taken in pieces; or the peer hangs up
    PEER_STEPS,    // the steps from here on are the target's own
};

// Takes one of the steps above from the script.
void peer_step(struct peer *peer, enum peer_step step, struct slice *script);

// Gives the connection what has gathered.
void peer_flush(struct peer *peer);

#endif
