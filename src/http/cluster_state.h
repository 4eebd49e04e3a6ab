// /cluster-state and /workers: the list of all workers, the leader's or this node's own. It may have tens of megabytes, and
// a hundred clients may read it slowly. So it is made once for all who ask at the same time: on the leader from the
// registry, a part in each turn of the loop; on a follower by one request to the leader. Its readers share its bytes, and
// all lists together are limited (HTTP_LISTS_BYTES_MAX).
#ifndef BATON_HTTP_CLUSTER_STATE_H
#define BATON_HTTP_CLUSTER_STATE_H

#include "http/exchange.h"

struct cluster_state;

// What is given is borrowed; `wake` makes the server call cluster_state_turn soon. `own`: for /workers. `bytes` counts what
// all lists hold.
struct cluster_state *cluster_state_new(struct http_server *server, void (*wake)(struct http_server *server),
                                        uv_loop_t *loop, struct tls *tls, const struct http_source *source, bool own,
                                        size_t *bytes);

// Once no exchange is left.
void cluster_state_free(struct cluster_state *state);

// Goes on with the list that is being made from the registry, for HTTP_LIST_TURN_MS.
void cluster_state_turn(struct cluster_state *state);

// Whether there is such a list.
bool cluster_state_has_work(const struct cluster_state *state);

// The reader has it, or is gone.
void cluster_state_release(struct worker_list *list);

#endif
