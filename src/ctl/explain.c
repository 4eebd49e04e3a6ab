// What the answers of explain share, and the latest of each: ctl/explain.h.
#include "ctl/explain.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX = 512, NUMBER_MAX = 32 };

void explain_text(struct buf *out, struct slice text) {
    text_for_terminal(out, text, TEXT_MAX);
}

double explain_number(struct slice text) {
    char copy[NUMBER_MAX + 1];
    snprintf(copy, sizeof copy, "%.*s", (int)(text.len < NUMBER_MAX ? text.len : NUMBER_MAX), (const char *)text.data);
    return text.len == 0 ? 0 : strtod(copy, NULL);
}

void explain_ms(struct buf *out, struct slice ms) {
    double number = explain_number(ms);
    if (!isfinite(number)) {
        explain_text(out, ms);
    } else if (number < 1000) {
        buf_printf(out, "%.0f ms", number);
    } else {
        buf_printf(out, "%.1f s", number / 1000);
    }
}

void explain_latest(struct causes *causes, struct buf *out) {
    if (!explain_election(causes, 0, out)) {
        buf_append_str(out, "No election is in the journals.\n");
    }
    if (causes->leader.len == 0) {
        buf_append_str(out, "No node that answers knows a leader now; see batonctl status.\n");
    }
    if (!explain_workers(causes, out)) {
        buf_append_str(out, "No worker was lost.\n");
    }
    if (!explain_writes(causes, false, out)) {
        buf_append_str(out, "No write took long.\n");
    }
}
