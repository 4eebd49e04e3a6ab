// The node as the debug pages see it.
#ifndef BATON_NODE_HTTP_VIEW_H
#define BATON_NODE_HTTP_VIEW_H

#include "node/view.h"

struct node;

// Valid as long as the node.
struct http_source http_view_source(struct node *node);

// Once a second: takes a sample for the charts if one is due.
void http_view_sample(struct node *node);

#endif
