// Making a node of an old generation an empty one of the new, which keeps what only it has in a file.
#ifndef BATON_CMD_REJOIN_H
#define BATON_CMD_REJOIN_H

#include "base/error.h"
#include "node/config.h"

struct tls;

// Finds the last entry that the stopped node shares with the new generation, by asking the nodes of --peers, writes its own
// entries behind that to a file (cmd/divergent.h), puts log and snapshots aside (cmd/aside.h), and leaves an empty directory
// of the new generation, which waits to be added. Says on stdout what it did. `tls` NULL: plaintext. After an end at any
// point the same command completes it. ERR_INVALID: no log, no --peers, or the node is of no old generation;
// ERR_UNAVAILABLE: no node of a newer one answers; else as stopped_open.
enum error_code rejoin(const struct node_config *config, struct tls *tls, struct error *error);

#endif
