// Gathering and merging journals: ctl/journal.h.
#include "ctl/journal.h"

#include <stdlib.h>

#include "base/rfc3339.h"
#include "wire/codec.h"

enum { WHAT_MAX = 512 };  // bytes of a line that are shown

static_assert((int)JOURNAL_NODES_MAX >= (int)NODES_MAX, "all nodes have a place");

// --- asking ---

static bool is_known(const struct causes *causes, struct slice node) {
    for (size_t i = 0; i < causes->node_count; i++) {
        if (slice_equal(causes->nodes[i].node, node)) {
            return true;
        }
    }
    return false;
}

// Those that answer first: another address of one of them is not a node that is missing.
static size_t choose(const struct node_status *nodes, size_t count, struct ctl_probe *asked, struct causes *causes) {
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].reachable && !is_known(causes, nodes[i].status.node)) {
            asked[causes->node_count] = (struct ctl_probe){.answered = false};
            memcpy(asked[causes->node_count].address, nodes[i].probe->address, sizeof asked[0].address);
            causes->nodes[causes->node_count++] = (struct journal_node){.node = nodes[i].status.node};
            causes->leader = nodes[i].status.leader.len > 0 ? nodes[i].status.leader : causes->leader;
        }
    }
    size_t reachable = causes->node_count;
    for (size_t i = 0; i < count; i++) {
        struct slice name = nodes[i].status.node.len > 0 ? nodes[i].status.node : slice_of_str(nodes[i].probe->address);
        if (!nodes[i].reachable && !is_known(causes, name)) {
            causes->nodes[causes->node_count++] = (struct journal_node){.node = name, .why_not = nodes[i].why};
        }
    }
    return reachable;
}

// What a node tells before it has read its log has no term yet.
static void give_terms(struct cause *list, size_t count) {
    uint64_t next = 0;
    for (size_t i = count; i > 0; i--) {
        next = list[i - 1].term > 0 ? list[i - 1].term : next;
        list[i - 1].term = next;
    }
}

static void add_records(struct causes *causes, struct journal_node *node, const struct pb_journal_response *response) {
    int64_t ahead_ms = response->now_unix_ms - unix_ms_now();
    node->ahead_ms = llabs(ahead_ms) > JOURNAL_CLOCK_MS ? ahead_ms : 0;
    struct cause *first = &causes->list[causes->count];
    for (size_t i = 0; i < response->records_count; i++) {
        const struct pb_journal_record *record = &response->records[i];
        causes->list[causes->count++] = (struct cause){
            .node = node->node,
            .record = record,
            .term = record->term,
            .first_ms = record->first_unix_ms - node->ahead_ms,
            .last_ms = record->last_unix_ms - node->ahead_ms,
        };
    }
    give_terms(first, response->records_count);
}

static enum ctl_exit read_answers(struct ctl *ctl, struct ctl_probe *asked, size_t count, struct causes *causes) {
    struct pb_journal_response *responses = arena_alloc(&ctl->arena, (count + 1) * sizeof *responses);
    size_t total = 0;
    for (size_t i = 0; responses != NULL && i < count; i++) {
        struct slice bytes = arena_copy(&ctl->arena, buf_slice(&asked[i].answer));
        struct journal_node *node = &causes->nodes[i];
        responses[i] = (struct pb_journal_response){.records_count = 0};
        const char *why = (const char *)(asked[i].message.len > 1 ? asked[i].message.data : asked[i].why.data);
        if (!asked[i].answered) {
            node->why_not = arena_copy(&ctl->arena, slice_of_str(why));
        } else if (pb_decode(&ctl->arena, &pb_journal_response_type, bytes, &responses[i], &ctl->error) != OK) {
            return ctl_undecodable(ctl);
        } else {
            node->answered = true;
            total += responses[i].records_count;
        }
    }
    causes->list = arena_alloc(&ctl->arena, (total + 1) * sizeof *causes->list);
    if (responses == NULL || causes->list == NULL) {
        error_set(&ctl->error, ERR_NO_MEMORY, "the journals are too long for this machine's memory");
        return CTL_FAILED;
    }
    for (size_t i = 0; i < count; i++) {
        if (causes->nodes[i].answered) {
            add_records(causes, &causes->nodes[i], &responses[i]);
        }
    }
    return CTL_OK;
}

enum ctl_exit journal_gather(struct ctl *ctl, const struct node_status *nodes, size_t count, struct causes *causes) {
    struct ctl_probe asked[NODES_MAX];
    *causes = (struct causes){.count = 0};
    size_t reachable = choose(nodes, count, asked, causes);
    ctl_ask_all(ctl->client, pb_control_service_journal.path, asked, reachable, ctl->options->timeout_ms);
    enum ctl_exit status =
        reachable == 0 ? ctl_unreachable(ctl->client, &ctl->error) : read_answers(ctl, asked, reachable, causes);
    ctl_probes_free(asked, reachable);
    causes_sort(causes);
    return status;
}

static int by_term_and_time(const void *a, const void *b) {
    const struct cause *x = a, *y = b;
    if (x->term != y->term) {
        return x->term < y->term ? -1 : 1;
    }
    if (x->first_ms != y->first_ms) {
        return x->first_ms < y->first_ms ? -1 : 1;
    }
    int node = slice_compare(x->node, y->node);
    return node != 0 ? node : (x->record->number > y->record->number) - (x->record->number < y->record->number);
}

void causes_sort(struct causes *causes) {
    if (causes->count > 0) {
        qsort(causes->list, causes->count, sizeof *causes->list, by_term_and_time);
    }
}

// --- looking into records ---

struct slice cause_value(const struct cause *cause, const char *key) {
    for (size_t i = 0; i < cause->record->fields_count; i++) {
        if (slice_equal(cause->record->fields[i].key, slice_of_str(key))) {
            return cause->record->fields[i].value;
        }
    }
    return slice_of(NULL, 0);
}

bool cause_is(const struct cause *cause, const char *event, const char *key, struct slice value) {
    return slice_equal(cause->record->event, slice_of_str(event)) &&
           (key == NULL || slice_equal(cause_value(cause, key), value));
}

// --- printing ---

void journal_time(struct buf *out, int64_t unix_ms) {
    char text[RFC3339_SIZE];
    rfc3339_format(text, unix_ms);
    buf_printf(out, "%.10s %.12s", text, text + sizeof "2026-11-28T" - 1);
}

// "lost the connection to peer: peer=n2 reason=reset (3 times, until 16:05:02.000)"
static void describe(struct buf *out, const struct cause *cause) {
    const struct pb_journal_record *record = cause->record;
    text_for_terminal(out, record->message, WHAT_MAX);
    const char *separator = ": ";
    for (size_t i = 0; i < record->fields_count; i++) {
        if (record->fields[i].value.len > 0) {
            buf_append_str(out, separator);
            text_for_terminal(out, record->fields[i].key, WHAT_MAX);
            buf_append_str(out, "=");
            text_for_terminal(out, record->fields[i].value, WHAT_MAX);
            separator = ", ";
        }
    }
    if (record->count > 1) {
        char text[RFC3339_SIZE];
        rfc3339_format(text, cause->last_ms);
        buf_printf(out, " (%llu times, until %.12s)", (unsigned long long)record->count, text + sizeof "2026-11-28T" - 1);
    }
}

void journal_show_all(struct causes *causes) {
    for (size_t i = 0; i < causes->count; i++) {
        causes->list[i].shown = true;
    }
}

void journal_table(struct buf *out, const struct causes *causes) {
    struct table table;
    table_begin(&table, "TIME|NODE|TERM|WHAT");
    struct buf text = {0};
    for (size_t i = 0; i < causes->count; i++) {
        const struct cause *cause = &causes->list[i];
        if (!cause->shown) {
            continue;
        }
        buf_clear(&text);
        journal_time(&text, cause->first_ms);
        table_text(&table, buf_slice(&text));
        table_text(&table, cause->node);
        table_u64(&table, cause->term);
        buf_clear(&text);
        describe(&text, cause);
        table_text(&table, buf_slice(&text));
    }
    buf_free(&text);
    table_end(&table, out);
}

void journal_json(struct json *json, const struct causes *causes) {
    for (size_t i = 0; i < causes->count; i++) {
        const struct cause *cause = &causes->list[i];
        if (!cause->shown) {
            continue;
        }
        char time[RFC3339_SIZE];
        json_begin(json, '{');
        rfc3339_format(time, cause->first_ms);
        json_text(json, "time", slice_of_str(time));
        rfc3339_format(time, cause->last_ms);
        json_text(json, "last_time", slice_of_str(time));
        json_u64(json, "count", cause->record->count);
        json_text(json, "node", cause->node);
        json_u64(json, "term", cause->term);
        json_text(json, "event", cause->record->event);
        json_text(json, "message", cause->record->message);
        json_open(json, "fields", '{');
        for (size_t k = 0; k < cause->record->fields_count; k++) {
            json_pair(json, cause->record->fields[k].key, cause->record->fields[k].value);
        }
        json_end(json, '}');
        json_end(json, '}');
    }
}
