// Founding a cluster's next generation on the one node that is left of it.
#ifndef BATON_CMD_PROMOTE_H
#define BATON_CMD_PROMOTE_H

#include "base/error.h"
#include "node/config.h"

// Says on stdout what the stopped node knows and what may be lost, asks on a terminal unless `yes`, and appends to its log a
// configuration of the next generation with itself as the only voter. After a crash the directory has it, or is as before.
// ERR_INVALID: there is no log, nobody confirmed, or this node is no member or the only voter already; else as stopped_open
// and found_generation.
enum error_code promote_survivor(const struct node_config *config, bool yes, struct error *error);

#endif
