// Limits on rates: policy/token_bucket.h.
#include "policy/token_bucket.h"

#include <assert.h>

#define NS_PER_S UINT64_C(1000000000)

bool token_bucket_take(uint64_t *used_ns, uint64_t rate, uint64_t burst_ns, uint64_t amount, uint64_t now_ns,
                       uint64_t *wait_ns) {
    assert(rate > 0);
    uint64_t cost_ns = amount > UINT64_MAX / NS_PER_S ? burst_ns : amount * NS_PER_S / rate;
    uint64_t from_ns = *used_ns > now_ns ? *used_ns : now_ns;
    uint64_t until_ns = from_ns + (cost_ns < burst_ns ? cost_ns : burst_ns);
    if (until_ns - now_ns <= burst_ns) {
        *used_ns = until_ns;
        return true;
    }
    *wait_ns = until_ns - now_ns - burst_ns;
    return false;
}
