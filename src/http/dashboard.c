// The dashboard: its files, as they are compiled in.
#include <string.h>

#include "base/array.h"
#include "http/assets.h"
#include "http/pages.h"

// X(name, path, kind of text)
#define FILES(X)                                                                                                            \
    X(dashboard_html, "/", "html")                                                                                          \
    X(dashboard_css, "/dashboard.css", "css")                                                                               \
    X(charts_css, "/charts.css", "css")                                                                                     \
    X(narrow_css, "/narrow.css", "css")                                                                                     \
    X(dashboard_js, "/dashboard.js", "javascript")                                                                          \
    X(charts_js, "/charts.js", "javascript")                                                                                \
    X(members_js, "/members.js", "javascript")                                                                              \
    X(plot_js, "/plot.js", "javascript")                                                                                    \
    X(table_js, "/table.js", "javascript")                                                                                  \
    X(words_js, "/words.js", "javascript")                                                                                  \
    X(workers_js, "/workers.js", "javascript")

#define X(name, path, kind)                                                                                                 \
    static void page_##name(struct exchange *exchange) {                                                                    \
        exchange_reply_static(exchange, "text/" kind "; charset=utf-8", slice_of(asset_##name, asset_##name##_len));        \
    }
FILES(X)
#undef X

http_page *page_of_dashboard(const char *path) {
    static const struct {
        const char *path;
        http_page *page;
    } pages[] = {
#define X(name, path, kind) {path, page_##name},
        FILES(X)
#undef X
    };
    for (size_t i = 0; i < ARRAY_COUNT(pages); i++) {
        if (strcmp(path, pages[i].path) == 0) {
            return pages[i].page;
        }
    }
    return NULL;
}
