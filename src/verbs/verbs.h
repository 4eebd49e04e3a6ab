// All calls of clients, one file each. To add one: its messages and rpc in proto/baton/v1, a file here, and a row in VERBS,
// which meson.build reads too (docs/extending.md).
#ifndef BATON_VERBS_VERBS_H
#define BATON_VERBS_VERBS_H

#include "node/verb.h"

#define VERBS(X)                                                                                                            \
    X(put)                                                                                                                  \
    X(get)                                                                                                                  \
    X(delete)                                                                                                               \
    X(list)                                                                                                                 \
    X(watch)                                                                                                                \
    X(status)                                                                                                               \
    X(snapshot)                                                                                                             \
    X(backup)                                                                                                               \
    X(journal)                                                                                                              \
    X(report)                                                                                                               \
    X(member_add)                                                                                                           \
    X(member_promote)                                                                                                       \
    X(member_remove)                                                                                                        \
    X(member_update)                                                                                                        \
    X(read_log)                                                                                                             \
    X(list_workers)                                                                                                         \
    X(transfer_leadership)                                                                                                  \
    X(access_grant)                                                                                                         \
    X(access_revoke)                                                                                                        \
    X(access_list)                                                                                                          \
    X(register_worker)                                                                                                      \
    X(heartbeat)                                                                                                            \
    X(deregister_worker)

#define X(name) extern const struct verb verb_##name;
VERBS(X)
#undef X

// NULL-terminated, for node_config.verbs.
extern const struct verb *const all_verbs[];

#endif
