// Lists in pages: ctl/paging.h.
#include "ctl/paging.h"

#include <string.h>

enum { BEGUN_MAX = 3 };

enum ctl_need paging_need(const struct paging *paging, enum ctl_need first) {
    return paging->at == 0 ? first : CTL_ANY_NODE;
}

void paging_next(struct paging *paging, bool more, struct slice last, uint64_t read_index) {
    paging->more = more && last.len > 0;
    paging->at = read_index;
    if (paging->more) {
        buf_clear(&paging->after);
        buf_append_slice(&paging->after, last);
    }
}

static enum ctl_exit gather(struct ctl *ctl, struct paging *paging, const char *headings,
                            enum ctl_exit (*page)(struct ctl *ctl, struct paging *paging)) {
    enum ctl_exit status = CTL_OK;
    *paging = (struct paging){.more = true, .json = {.out = &ctl->out}};
    table_begin(&paging->table, headings);
    if (ctl->options->json) {
        json_begin(&paging->json, '[');
    }
    while (paging->more && status == CTL_OK) {
        status = page(ctl, paging);
    }
    buf_free(&paging->after);
    return status;
}

enum ctl_exit paging_print(struct ctl *ctl, const char *headings,
                           enum ctl_exit (*page)(struct ctl *ctl, struct paging *paging)) {
    struct paging paging;
    enum ctl_exit status;
    for (int begun = 1; (status = gather(ctl, &paging, headings, page)) != CTL_OK; begun++) {
        buf_free(&paging.table.text);
        buf_clear(&ctl->out);
        bool gone = paging.at > 0 && strcmp(ctl_ended(ctl->client).reason, "list-gone") == 0;
        if (!gone || begun == BEGUN_MAX) {
            return status;
        }
    }
    if (ctl->options->json) {
        buf_free(&paging.table.text);
        json_end(&paging.json, ']');
        buf_append_str(&ctl->out, "\n");
    } else {
        table_end(&paging.table, &ctl->out);
    }
    return ctl_print(ctl);
}
