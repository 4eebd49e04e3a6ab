// watch: changes as they happen. Each message has the revision up to which it is complete, so that after a lost connection
// the watch resumes from the next one, on any node, and neither misses nor repeats a change.
#include <stdio.h>

#include "ctl/nodes.h"
#include "wire/codec.h"

struct watching {
    struct ctl *ctl;
    bool begun;     // `next` is known
    uint64_t next;  // all revisions below it have been printed
    enum ctl_exit status;
};

static void print_change(struct ctl *ctl, const struct pb_watch_event *change) {
    bool is_delete = change->type != PB_WATCH_EVENT_TYPE_PUT;
    if (ctl->options->json) {
        struct json json = {.out = &ctl->out};
        json_begin(&json, '{');
        json_u64(&json, "revision", change->revision);
        json_text(&json, "type", slice_of_str(is_delete ? "delete" : "put"));
        json_bytes(&json, "key", change->key);
        if (!is_delete) {
            json_bytes(&json, "value", change->value);
        }
        json_end(&json, '}');
    } else {
        buf_printf(&ctl->out, "%llu %s ", (unsigned long long)change->revision, is_delete ? "delete" : "put");
        text_for_terminal(&ctl->out, change->key, KEY_MAX);
        if (!is_delete) {
            buf_append_str(&ctl->out, " ");
            text_for_terminal(&ctl->out, change->value, COMMAND_MAX);
        }
    }
    buf_append_str(&ctl->out, "\n");
}

static void on_message(void *user, struct slice message) {
    struct watching *watching = user;
    struct ctl *ctl = watching->ctl;
    struct pb_watch_response response;
    if (watching->status != CTL_OK) {
        return;
    }
    arena_reset(&ctl->arena);
    if (pb_decode(&ctl->arena, &pb_watch_response_type, message, &response, &ctl->error) != OK) {
        watching->status = ctl_undecodable(ctl);
        ctl_stop(ctl->client);
        return;
    }
    for (size_t i = 0; i < response.events_count; i++) {
        print_change(ctl, &response.events[i]);
    }
    watching->begun = true;
    watching->next = response.revision + 1;
    watching->status = ctl_print(ctl);
    if (watching->status != CTL_OK) {
        ctl_stop(ctl->client);
    }
}

// Whether the watch can resume on another node after its stream has ended.
static bool may_resume(struct watching *watching, struct ctl_end end) {
    switch (end.status) {
    case RPC_OK:
    case RPC_UNAVAILABLE:
    case RPC_CANCELLED:
    case RPC_INTERNAL:
    case RPC_UNKNOWN:
    case RPC_DEADLINE_EXCEEDED:
        return true;
    case RPC_RESOURCE_EXHAUSTED:  // this node has too many watches
        return watching->begun;
    case RPC_OUT_OF_RANGE:  // this node has not yet applied what another one has sent us
        return watching->begun && strcmp(end.reason, "revision-ahead") == 0;
    default:
        return false;
    }
}

enum ctl_exit ctl_watch(struct ctl *ctl) {
    const struct ctl_options *options = ctl->options;
    struct watching watching = {.ctl = ctl};
    struct pb_watch_request request = {
        .prefix = slice_of_str(options->arguments[0] == NULL ? "" : options->arguments[0]),
        .has_from_revision = options->has_from,
        .from_revision = options->from,
    };
    bool reported = false;
    for (;;) {
        enum ctl_exit learned = nodes_learn(ctl);
        if (learned != CTL_OK && !watching.begun) {
            return learned;
        }
        pb_encode(&pb_watch_request_type, &request, &ctl->request);
        uint64_t before = watching.next;
        if (!ctl_stream(ctl->client, pb_control_service_watch.path, buf_slice(&ctl->request), on_message, &watching)) {
            if (watching.begun) {
                continue;  // the cluster was reachable once: wait until it is again
            }
            return ctl_unreachable(ctl->client, &ctl->error);
        }
        if (watching.status != CTL_OK) {
            return watching.status;
        }
        struct ctl_end end = ctl_ended(ctl->client);
        if (!may_resume(&watching, end)) {
            error_set(&ctl->error, ERR_UNAVAILABLE, "%s (%s, from %s)", end.message, rpc_status_name(end.status),
                      end.address);
            return CTL_FAILED;
        }
        reported = reported && watching.next == before;
        if (watching.begun && !reported) {
            fprintf(stderr, "batonctl: %s ended the watch (%s); resuming from revision %llu\n", end.address, end.message,
                    (unsigned long long)watching.next);
        }
        reported = true;
        request.has_from_revision = request.has_from_revision || watching.begun;
        if (watching.begun) {
            request.from_revision = watching.next;
        }
        ctl_next_endpoint(ctl->client);
    }
}
