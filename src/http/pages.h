// What is behind each path.
#ifndef BATON_HTTP_PAGES_H
#define BATON_HTTP_PAGES_H

#include <jansson.h>

#include "http/exchange.h"

typedef void http_page(struct exchange *exchange);

// The page of a path, taken literally; NULL if there is none.
http_page *page_find(const char *path);

// The object of /status.
json_t *page_status_object(const struct view_status *status);

// Appends all workers as a JSON list.
void page_append_workers(const struct http_source *source, struct buf *out);

// A JSON document and a newline; frees `document`.
void page_reply_json(struct exchange *exchange, unsigned status, json_t *document);

// Pages that ask other nodes (gather.c).
void page_cluster_state(struct exchange *exchange);
void page_nodes(struct exchange *exchange);

#endif
