// snapshot: has nodes take snapshots of their states, and waits until they are durable.
#include "ctl/nodes.h"
#include "wire/codec.h"

enum { SNAPSHOT_MS = 600 * 1000, WHY_MAX = 512 };

// One node's part.
struct taken {
    struct slice node;
    struct slice error;  // empty: it has taken it
    struct pb_snapshot_response snapshot;
};

// It is another address of a node that is asked anyway.
static bool is_asked_elsewhere(const struct node_status *nodes, size_t count, size_t at) {
    for (size_t i = 0; i < count; i++) {
        bool counts = nodes[i].reachable && (i < at || !nodes[at].reachable);
        if (i != at && counts && slice_equal(nodes[i].status.node, nodes[at].status.node)) {
            return true;
        }
    }
    return false;
}

// The nodes that are meant. Those that are not reachable have failed already; returns the number of the others, which are
// to be asked: places[k] is the row of asked[k].
static size_t choose(const struct ctl *ctl, const struct node_status *nodes, size_t count, struct taken *rows,
                     size_t *row_count, struct ctl_probe *asked, size_t *places) {
    size_t asked_count = 0;
    *row_count = 0;
    for (size_t i = 0; i < count; i++) {
        const char *address = nodes[i].probe->address;
        struct slice name = nodes[i].status.node.len > 0 ? nodes[i].status.node : slice_of_str(address);
        bool meant = ctl->options->node == NULL || slice_equal(name, slice_of_str(ctl->options->node));
        if (!meant || is_asked_elsewhere(nodes, count, i)) {
            continue;
        }
        rows[*row_count] = (struct taken){.node = name, .error = nodes[i].why};
        if (nodes[i].reachable) {
            asked[asked_count] = (struct ctl_probe){.answered = false};
            memcpy(asked[asked_count].address, address, sizeof asked[asked_count].address);
            places[asked_count++] = *row_count;
        }
        ++*row_count;
    }
    return asked_count;
}

static void read_answer(struct ctl *ctl, const struct ctl_probe *probe, struct taken *row) {
    const char *message = (const char *)probe->message.data;
    if (!probe->answered) {
        row->error = slice_of_str(probe->message.len > 1 ? message : (const char *)probe->why.data);
    } else if (pb_decode(&ctl->arena, &pb_snapshot_response_type, buf_slice(&probe->answer), &row->snapshot, &ctl->error) !=
               OK) {
        row->error = slice_of_str("its answer is not a snapshot's");
    } else {
        row->error = slice_of(NULL, 0);
    }
}

static void print_json(struct ctl *ctl, const struct taken *rows, size_t count) {
    struct json json = {.out = &ctl->out};
    json_begin(&json, '[');
    for (size_t i = 0; i < count; i++) {
        json_begin(&json, '{');
        json_text(&json, "node", rows[i].node);
        if (rows[i].error.len > 0) {
            json_text(&json, "error", rows[i].error);
        } else {
            json_u64(&json, "index", rows[i].snapshot.index);
            json_u64(&json, "bytes", rows[i].snapshot.bytes);
            json_number(&json, "seconds", rows[i].snapshot.seconds);
        }
        json_end(&json, '}');
    }
    json_end(&json, ']');
    buf_append_str(&ctl->out, "\n");
}

static void print_table(struct ctl *ctl, const struct taken *rows, size_t count) {
    struct table table;
    table_begin(&table, "NODE|INDEX|BYTES|SECONDS");
    for (size_t i = 0; i < count; i++) {
        table_text(&table, rows[i].node);
        if (rows[i].error.len > 0) {
            for (int column = 1; column < 4; column++) {
                table_text(&table, slice_of(NULL, 0));
            }
            continue;
        }
        table_u64(&table, rows[i].snapshot.index);
        table_u64(&table, rows[i].snapshot.bytes);
        table_printf(&table, "%.3f", rows[i].snapshot.seconds);
    }
    table_end(&table, &ctl->out);
    for (size_t i = 0; i < count; i++) {
        if (rows[i].error.len > 0) {
            text_for_terminal(&ctl->out, rows[i].node, ADDRESS_MAX);
            buf_append_str(&ctl->out, ": ");
            text_for_terminal(&ctl->out, rows[i].error, WHY_MAX);
            buf_append_str(&ctl->out, "\n");
        }
    }
}

static enum ctl_exit conclude(struct ctl *ctl, const struct taken *rows, size_t count) {
    size_t failed = 0;
    for (size_t i = 0; i < count; i++) {
        failed += rows[i].error.len > 0;
    }
    enum ctl_exit printed = ctl_print(ctl);
    if (printed != CTL_OK || failed == 0) {
        return printed;
    }
    error_set(&ctl->error, ERR_UNAVAILABLE, "%zu of %zu nodes took no snapshot", failed, count);
    return CTL_FAILED;
}

enum ctl_exit ctl_snapshot(struct ctl *ctl) {
    struct ctl_probe probes[NODES_MAX];
    struct ctl_probe asked[NODES_MAX];
    struct node_status nodes[NODES_MAX];
    struct taken rows[NODES_MAX];
    size_t places[NODES_MAX];
    size_t count = nodes_ask(ctl, probes, nodes);
    size_t reached = 0;
    for (size_t i = 0; i < count; i++) {
        reached += nodes[i].reachable;
    }
    size_t row_count;
    size_t asked_count = choose(ctl, nodes, count, rows, &row_count, asked, places);
    ctl_ask_all(ctl->client, pb_control_service_snapshot.path, asked, asked_count,
                ctl->options->has_timeout ? ctl->options->timeout_ms : SNAPSHOT_MS);
    for (size_t i = 0; i < asked_count; i++) {
        read_answer(ctl, &asked[i], &rows[places[i]]);
    }
    enum ctl_exit status;
    if (reached == 0) {
        status = ctl_unreachable(ctl->client, &ctl->error);
    } else if (row_count == 0) {
        error_set(&ctl->error, ERR_INVALID, "there is no node %s; see batonctl member list", ctl->options->node);
        status = CTL_FAILED;
    } else {
        (ctl->options->json ? print_json : print_table)(ctl, rows, row_count);
        status = conclude(ctl, rows, row_count);
    }
    ctl_probes_free(probes, count);
    ctl_probes_free(asked, asked_count);
    return status;
}
