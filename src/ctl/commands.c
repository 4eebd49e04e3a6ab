// The table of commands, and what they share.
#include "ctl/commands.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "base/write.h"
#include "ctl/fields.h"

enum ctl_exit ctl_run(struct ctl *ctl) {
    static enum ctl_exit (*const functions[CTL_COMMAND_COUNT])(struct ctl *) = {
#define X(constant, function) [CTL_##constant] = ctl_##function,
        CTL_COMMANDS(X)
#undef X
    };
    assert(ctl->options->command < CTL_COMMAND_COUNT);
    return functions[ctl->options->command](ctl);
}

enum ctl_exit ctl_ask(struct ctl *ctl, enum ctl_need need, const char *path, struct slice *answer) {
    arena_reset(&ctl->arena);
    enum ctl_exit status = ctl_call(ctl->client, need, path, buf_slice(&ctl->request), answer, &ctl->error);
    buf_clear(&ctl->request);
    return status;
}

// Of what is printed as JSON, only the fields that were asked for.
static void choose_fields(struct ctl *ctl) {
    struct buf lines = {0};
    fields_print(ctl->options->fields, buf_slice(&ctl->out), &lines);
    buf_free(&ctl->out);
    ctl->out = lines;
}

enum ctl_exit ctl_print(struct ctl *ctl) {
    if (ctl->options->fields != NULL) {
        choose_fields(ctl);
    }
    if (!write_whole(STDOUT_FILENO, buf_slice(&ctl->out))) {
        if (errno != EPIPE) {  // the reader, such as head, has gone: no message
            error_set(&ctl->error, ERR_IO, "cannot write to standard output: %s", strerror(errno));
        }
        return CTL_FAILED;
    }
    buf_clear(&ctl->out);
    return CTL_OK;
}

enum ctl_exit ctl_undecodable(struct ctl *ctl) {
    error_wrap(&ctl->error, "an answer that this batonctl (" BATON_VERSION ") does not understand");
    return CTL_FAILED;
}

enum ctl_exit ctl_print_revision(struct ctl *ctl, uint64_t revision) {
    if (ctl->options->json) {
        struct json json = {.out = &ctl->out};
        json_begin(&json, '{');
        json_u64(&json, "revision", revision);
        json_end(&json, '}');
        buf_append_str(&ctl->out, "\n");
    } else {
        buf_printf(&ctl->out, "revision %llu\n", (unsigned long long)revision);
    }
    return ctl_print(ctl);
}
