// The pages, by path.
#ifndef BATON_HTTP_PAGES_H
#define BATON_HTTP_PAGES_H

#include <jansson.h>

#include "http/exchange.h"

typedef void http_page(struct exchange *exchange);

// The page at exactly this path; NULL: none.
http_page *page_find(const char *path);

// A file of the dashboard; NULL: there is none at this path.
http_page *page_of_dashboard(const char *path);

// The JSON object of /status. Owned by the caller.
json_t *page_status_object(const struct node_status *status);

// The JSON object of /timeline. Owned by the caller.
json_t *page_timeline_object(const struct http_source *source, const struct node_status *status);

// Whether the node of this status leads.
bool page_leads(const struct node_status *status);

// How far a list of workers has been made; zero but for the time at the beginning.
struct workers_place {
    int64_t now_unix_ms;     // to which the ages in the list refer
    bool begun;              // the first worker is there
    char after[ID_MAX + 1];  // the last one
};

// Appends workers to a JSON array of all of them until `until_ns` (uv_hrtime). True: it is complete.
bool page_append_workers(const struct http_source *source, struct workers_place *place, uint64_t until_ns, struct buf *out);

void page_cluster_state(struct exchange *exchange);  // cluster_state.c
void page_workers(struct exchange *exchange);        // the same
void page_timeline(struct exchange *exchange);       // timeline.c
void page_nodes(struct exchange *exchange);          // gather.c: asks the other nodes
void page_timelines(struct exchange *exchange);      // the same

#endif
