// explain: gathers the journals, and prints an answer with what it is drawn from.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/explain.h"

// What the answer cannot know of.
static void print_caveats(struct buf *out, const struct causes *causes) {
    for (size_t i = 0; i < causes->node_count; i++) {
        const struct journal_node *node = &causes->nodes[i];
        if (!node->answered) {
            buf_append_str(out, "without the journal of ");
            explain_text(out, node->node);
            buf_append_str(out, ": ");
            explain_text(out, node->why_not);
            buf_append_str(out, "\n");
        } else if (node->ahead_ms != 0) {
            buf_append_str(out, "the clock of ");
            explain_text(out, node->node);
            buf_printf(out, " is %.1f s %s this machine's, and its times are shown by this one's\n",
                       (double)llabs(node->ahead_ms) / 1000, node->ahead_ms > 0 ? "ahead of" : "behind");
        }
    }
}

static void print_json(struct ctl *ctl, const struct causes *causes, const struct buf *answer) {
    struct json json = {.out = &ctl->out};
    json_begin(&json, '{');
    json_open(&json, "answer", '[');
    struct slice left = buf_slice(answer);
    while (left.len > 0) {
        const uint8_t *text = left.data;
        size_t len = (size_t)((const uint8_t *)memchr(text, '\n', left.len) - text);  // each line ends with one
        json_element(&json, slice_of(text, len));
        left = slice_of(text + len + 1, left.len - len - 1);
    }
    json_end(&json, ']');
    json_open(&json, "causes", '[');
    journal_json(&json, causes);
    json_end(&json, ']');
    json_open(&json, "missing", '[');
    for (size_t i = 0; i < causes->node_count; i++) {
        if (!causes->nodes[i].answered) {
            json_element(&json, causes->nodes[i].node);
        }
    }
    json_end(&json, ']');
    json_end(&json, '}');
    buf_append_str(&ctl->out, "\n");
}

static size_t shown(const struct causes *causes) {
    size_t count = 0;
    for (size_t i = 0; i < causes->count; i++) {
        count += causes->list[i].shown;
    }
    return count;
}

static enum ctl_exit print_answer(struct ctl *ctl, const struct causes *causes, const struct buf *answer) {
    if (ctl->options->json) {
        print_json(ctl, causes, answer);
    } else {
        buf_append_slice(&ctl->out, buf_slice(answer));
        print_caveats(&ctl->out, causes);
        if (shown(causes) > 0) {
            buf_append_str(&ctl->out, answer->len > 0 ? "\n" : "");
            journal_table(&ctl->out, causes);
        }
    }
    return ctl_print(ctl);
}

static const char not_far_enough[] =
    "the journals are in memory, reach back to a node's start, and hold some hundred events "
    "of a kind";

// Asks all nodes, has `answer` draw the answer, and prints it. `answer` returns CTL_OK, or another status with an error.
static enum ctl_exit explain(struct ctl *ctl,
                             enum ctl_exit (*answer)(struct ctl *ctl, struct causes *causes, struct buf *out)) {
    struct ctl_probe probes[NODES_MAX];
    struct node_status nodes[NODES_MAX];
    struct causes causes;
    struct buf text = {0};
    size_t count = nodes_ask(ctl, probes, nodes);
    enum ctl_exit status = journal_gather(ctl, nodes, count, &causes);
    if (status == CTL_OK) {
        status = answer(ctl, &causes, &text);
    }
    if (status == CTL_OK) {
        status = print_answer(ctl, &causes, &text);
    }
    buf_free(&text);
    ctl_probes_free(probes, count);
    return status;
}

static enum ctl_exit answer_latest(struct ctl *ctl, struct causes *causes, struct buf *out) {
    explain_latest(causes, out);
    for (size_t i = 0; !ctl->options->json && i < causes->count; i++) {
        causes->list[i].shown = false;  // each question by itself shows them
    }
    return CTL_OK;
}

// The term that was given; 0: the latest.
static uint64_t asked_term(const struct ctl *ctl) {
    return ctl->options->arguments[0] == NULL ? 0 : strtoull(ctl->options->arguments[0], NULL, 10);
}

static enum ctl_exit answer_election(struct ctl *ctl, struct causes *causes, struct buf *out) {
    const char *text = ctl->options->arguments[0];
    if (explain_election(causes, asked_term(ctl), out)) {
        return CTL_OK;
    }
    error_set(&ctl->error, ERR_INVALID, "no node that answers has a record of an election in term %s: %s",
              text == NULL ? "any" : text, not_far_enough);
    return CTL_NOT_FOUND;
}

static enum ctl_exit answer_worker(struct ctl *ctl, struct causes *causes, struct buf *out) {
    const char *id = ctl->options->arguments[0];
    if (explain_worker(causes, slice_of_str(id), out)) {
        return CTL_OK;
    }
    error_set(&ctl->error, ERR_INVALID, "no record of a worker %s: %s; batonctl worker show %s tells how it is now", id,
              not_far_enough, id);
    return CTL_NOT_FOUND;
}

static enum ctl_exit answer_writes(struct ctl *ctl, struct causes *causes, struct buf *out) {
    (void)ctl;
    if (!explain_writes(causes, true, out)) {
        buf_append_str(out, "No write took long, as far as the journals go back.\n");
    }
    return CTL_OK;
}

static enum ctl_exit answer_all(struct ctl *ctl, struct causes *causes, struct buf *out) {
    (void)ctl;
    (void)out;
    journal_show_all(causes);
    return CTL_OK;
}

enum ctl_exit ctl_explain(struct ctl *ctl) {
    return explain(ctl, answer_latest);
}

enum ctl_exit ctl_explain_election(struct ctl *ctl) {
    const char *text = ctl->options->arguments[0];
    if (text != NULL && (text[0] == '0' || text[0] == '\0' || text[strspn(text, "0123456789")] != '\0')) {
        error_set(&ctl->error, ERR_INVALID, "the term is \"%s\"; allowed is a number from 1 on", text);
        return CTL_USAGE;
    }
    return explain(ctl, answer_election);
}

enum ctl_exit ctl_explain_worker(struct ctl *ctl) {
    return explain(ctl, answer_worker);
}

enum ctl_exit ctl_explain_writes(struct ctl *ctl) {
    return explain(ctl, answer_writes);
}

enum ctl_exit ctl_explain_all(struct ctl *ctl) {
    return explain(ctl, answer_all);
}
