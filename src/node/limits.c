// Limits of a client: node/limits.h.
#include "node/limits.h"

#include "base/files.h"
#include "node/internal.h"
#include "policy/token_bucket.h"

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

// A call is one call and its bytes. memory[0] is of calls, memory[1] of bytes.
static bool admit(void *user, uint64_t memory[2], size_t bytes, uint64_t *wait_ms) {
    const struct node_config *config = ((const struct node *)user)->config;
    uint64_t now_ns = uv_hrtime();
    uint64_t wait_ns = 0;
    uint64_t calls = memory[0];
    bool fits = config->client_calls == 0 || token_bucket_take(&calls, config->client_calls, NS_PER_S, 1, now_ns, &wait_ns);
    fits = fits && (config->client_bytes == 0 ||
                    token_bucket_take(&memory[1], config->client_bytes, NS_PER_S, bytes, now_ns, &wait_ns));
    if (fits) {
        memory[0] = calls;  // what does not fit takes nothing of either
    }
    *wait_ms = wait_ns / NS_PER_MS + 1;
    return fits;
}

void limits_start(struct node *node) {
    // The members: what they send is not what a client asks for.
    static const char *const unlimited[] = {"node", NULL};
    const struct node_config *config = node->config;
    bool named = config->tls != NULL && !config->tls_migrate;  // an address may be that of many clients, and of nodes
    uint64_t connections = named ? files_share(CONNECTIONS_SHARE, CONNECTIONS_MAX) / 2 : 0;
    uint64_t watches = named ? WATCHES_MAX / 2 : 0;
    node->limits = (struct rpc_limits){
        .connections = config->client_connections != 0 ? config->client_connections : connections,
        .streams = config->client_watches != 0 ? config->client_watches : watches,
        .unlimited = unlimited,
        .admit = config->client_calls != 0 || config->client_bytes != 0 ? admit : NULL,
        .user = node,
    };
    rpc_server_set_limits(node->server, &node->limits);
}
