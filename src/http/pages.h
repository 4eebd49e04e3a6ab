// The pages, by path.
#ifndef BATON_HTTP_PAGES_H
#define BATON_HTTP_PAGES_H

#include <jansson.h>

#include "http/exchange.h"

typedef void http_page(struct exchange *exchange);

// The page at exactly this path; NULL: none.
http_page *page_find(const char *path);

// The JSON object of /status. Owned by the caller.
json_t *page_status_object(const struct node_status *status);

// Whether the node of this status leads.
bool page_leads(const struct node_status *status);

// Appends all workers as a JSON array.
void page_append_workers(const struct http_source *source, struct buf *out);

// Pages that ask other nodes (gather.c).
void page_cluster_state(struct exchange *exchange);
void page_nodes(struct exchange *exchange);

#endif
