// batond --rebuild: a stopped node whose state is not to be trusted fetches it from another node, as an image, and drops its
// own images. Its log, its vote and its data directory's incarnation stay, since others rely on what it has acknowledged.
#ifndef BATON_CMD_REBUILD_H
#define BATON_CMD_REBUILD_H

#include "cmd/batond_options.h"

// From the first that gives a good one of --peers and the members that the directory knows; says on standard output what was
// fetched. `tls` NULL: plaintext. After a crash at any point the node has its own images, or the new one, or both, and the
// same command completes it. ERR_INVALID: there is nobody to ask, or no
// log; ERR_UNAVAILABLE: nobody gave one, and why; ERR_NO_SPACE; others as stopped_open.
enum error_code rebuild(const struct node_config *config, struct tls *tls, struct error *error);

#endif
