// Pages of lists: verbs/page.h.
#include "verbs/page.h"

#include "base/limits.h"

void page_is_gone(struct node *node, struct rpc_call call, raft_index at) {
    struct outcome_facts facts = {.number = at, .name = raft_id_slice(node_id(node))};
    node_tell(node, call, OUTCOME_LIST_GONE, &facts);
}

size_t page_limit(uint32_t asked) {
    return asked == 0 || asked > LIST_DEFAULT * 10 ? LIST_DEFAULT : asked;
}

bool page_takes(struct page *page, size_t bytes) {
    page->bytes += bytes;
    page->more = page->count == page->limit || (page->count > 0 && page->bytes > page->bytes_max);
    return !page->more;
}
