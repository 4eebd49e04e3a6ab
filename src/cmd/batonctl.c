// batonctl: the operators' tool. Its commands are in src/ctl.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/env.h"
#include "base/slog.h"
#include "cmd/backup_file.h"
#include "cmd/divergent_file.h"
#include "ctl/commands.h"
#include "ctl/completion.h"

enum { WATCH_S = 2 };  // between two runs of --watch

// Programs read what goes wrong as they read what is printed.
static void print_error(enum ctl_exit status, const struct error *error, bool as_json) {
    static const char *const names[] = {[CTL_FAILED] = "failed",
                                        [CTL_USAGE] = "usage",
                                        [CTL_UNREACHABLE] = "unreachable",
                                        [CTL_NOT_FOUND] = "not-found",
                                        [CTL_UNKNOWN] = "unknown"};
    if (!as_json) {
        fprintf(stderr, "batonctl: %s\n", error->message);
        return;
    }
    struct buf out = {.len = 0};
    struct json json = {.out = &out};
    json_begin(&json, '{');
    json_text(&json, "error", slice_of_str(error->message));
    json_text(&json, "status", slice_of_str(names[status]));
    json_u64(&json, "exit_status", status);
    json_end(&json, '}');
    fprintf(stderr, "%.*s\n", (int)out.len, (const char *)out.data);
    buf_free(&out);
}

static int fail(enum ctl_exit status, const struct error *error, const struct ctl_options *options) {
    if (error->message[0] != '\0') {
        print_error(status, error, options->json);
    }
    return (int)status;
}

static int complete(char **words, int count) {
    struct buf out = {.len = 0};
    completion_candidates(words, count, &out);
    fwrite(out.data, 1, out.len, stdout);
    buf_free(&out);
    return CTL_OK;
}

// Takes from the environment what the command line does not set. *tls stays NULL if neither names files.
static enum error_code open_tls(const struct ctl_options *options, struct tls **tls, struct error *error) {
    const char *demand = env_get("BATON_TLS_REQUIRED");
    struct tls_files files = options->tls_files;
    files.cert = files.cert != NULL ? files.cert : env_get("BATON_TLS_CERT");
    files.key = files.key != NULL ? files.key : env_get("BATON_TLS_KEY");
    files.ca = files.ca != NULL ? files.ca : env_get("BATON_TLS_CA");
    bool required = options->tls_required || (demand != NULL && strcmp(demand, "0") != 0 && strcmp(demand, "false") != 0);
    bool given;
    enum error_code code = tls_files_check(&files, required, &given, error);
    return code == OK && given ? tls_new(&files, NULL, tls, error) : code;
}

// Once, or with --watch until the process is interrupted or its reader gone. What fails then is said, and may work the next
// time.
static enum ctl_exit run_command(struct ctl *ctl) {
    static const struct timespec pause = {.tv_sec = WATCH_S};
    static const char clear[] = "\033[H\033[J";  // to the upper left corner, and all below it
    const bool terminal = isatty(STDOUT_FILENO);
    enum ctl_exit status;
    for (bool first = true;; first = false) {
        if (ctl->options->watch && !ctl->options->json) {
            buf_append_str(&ctl->out, terminal ? clear : first ? "" : "\n");
        }
        ctl->error.message[0] = '\0';
        status = ctl_run(ctl);
        bool gone = status == CTL_FAILED && ctl->error.message[0] == '\0';
        if (status != CTL_OK) {
            fail(status, &ctl->error, ctl->options);
        }
        if (!ctl->options->watch || gone) {
            return status;
        }
        nanosleep(&pause, NULL);
    }
}

// `endpoints` NULL: without a cluster.
static int run(const struct ctl_options *options, const struct ctl_endpoints *endpoints, struct tls *tls) {
    struct ctl ctl = {
        .options = options, .endpoints = endpoints, .read_backup = backup_file_read, .read_log_file = divergent_file_read};
    if (endpoints != NULL) {
        ctl.client = ctl_client_new(endpoints, tls, options->timeout_ms);
    }
    enum ctl_exit status = run_command(&ctl);
    if (endpoints != NULL) {
        ctl_client_free(ctl.client);
    }
    arena_free(&ctl.arena);
    buf_free(&ctl.request);
    buf_free(&ctl.out);
    return (int)status;
}

int main(int argc, char **argv) {
    struct error error = {.code = OK};
    struct ctl_options options;
    struct ctl_endpoints endpoints;
    slog_setup(SLOG_ERROR, SLOG_LOGFMT, NULL);  // failures are reported once, at the end
    signal(SIGPIPE, SIG_IGN);                   // a closed pipe is reported by write, like any other error
    if (argc > 1 && strcmp(argv[1], COMPLETION_WORD) == 0) {
        return complete(argv + 2, argc - 2);
    }
    if (ctl_options_parse(argc, argv, &options, &error) != OK) {
        return fail(CTL_USAGE, &error, &options);
    }
    if (options.version) {
        puts("batonctl " BATON_VERSION);
        return CTL_OK;
    }
    if (options.help) {
        ctl_help(options.command);
        return CTL_OK;
    }
    if (ctl_is_offline(&options)) {
        return run(&options, NULL, NULL);
    }
    if (ctl_endpoints_find(options.endpoints, getenv("BATON_ENDPOINTS"), CTL_ENDPOINTS_FILE, &endpoints, &error) != OK) {
        return fail(CTL_USAGE, &error, &options);
    }
    struct tls *tls = NULL;
    if (open_tls(&options, &tls, &error) != OK) {
        return fail(CTL_USAGE, &error, &options);
    }
    int status = run(&options, &endpoints, tls);
    if (tls != NULL) {
        tls_free(tls);
    }
    return status;
}
