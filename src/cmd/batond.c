// batond: one control-plane node. Options, the loop, signals and exit statuses; the rest is in src/node and src/http.
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/address.h"
#include "base/files.h"
#include "base/mem.h"
#include "cmd/batond_options.h"
#include "http/http.h"
#include "verbs/verbs.h"
#include "wal/wal.h"

enum { SIGNALS = 3 };

struct daemon {
    uv_loop_t loop;
    uv_signal_t signals[SIGNALS];
    uv_timer_t watch;  // polls the certificate files for changes
    struct tls *tls;   // NULL: plaintext
    char identity[TLS_IDENTITY_MAX + 1];
    struct batond_options options;
    struct metrics *metrics;
    struct node *node;
    struct http_server *http;
    bool leaving;
    enum error_code failure;
};

static int exit_status(enum error_code code) {
    switch (code) {
    case OK:
        return EXIT_SUCCESS;
    case ERR_INVALID:
    case ERR_FOREIGN:
        return EXIT_USAGE;
    case ERR_WAL_CORRUPT:
    case ERR_WAL_GAP:
    case ERR_WAL_VERSION:
        return EXIT_WAL_DAMAGED;
    case ERR_IO:
    case ERR_NO_SPACE:
    case ERR_BUSY:
        return EXIT_DISK_FAILED;
    case ERR_NO_MEMORY:
        return EXIT_NO_MEMORY;
    case ERR_UNAVAILABLE:
        return EXIT_LISTEN_FAILED;
    case ERR_UNKNOWN_COMMAND:
        return EXIT_UNKNOWN_COMMAND;
    default:
        return EXIT_FAILURE;
    }
}

static int fail(const struct error *error) {
    fprintf(stderr, "batond: %s\n", error->message);
    return exit_status(error->code);
}

// --- certificates ---

enum { WATCH_MS = 1000 };

static enum error_code open_tls(struct daemon *daemon, struct error *error) {
    const struct batond_options *options = &daemon->options;
    if (!options->tls) {
        return OK;
    }
    snprintf(daemon->identity, sizeof daemon->identity, "node/%s", options->node.node_id.text);
    return tls_new(&options->tls_files, daemon->identity, &daemon->tls, error);
}

static void describe_tls(const struct daemon *daemon, const char *event) {
    bool expired = tls_expired(daemon->tls);
    slog(expired ? SLOG_WARN : SLOG_INFO, expired ? "the certificate has expired: peers will refuse it" : event,
         F_STR("identity", tls_identity(daemon->tls)), F_STR("good_until", tls_expiry(daemon->tls)));
}

static void reload_tls(struct daemon *daemon) {
    struct error error = {0};
    if (daemon->tls == NULL) {
        return;
    }
    if (tls_reload(daemon->tls, &error) == OK) {
        describe_tls(daemon, "read the certificates again");
    } else {
        slog(SLOG_ERROR, "the new certificates cannot be used; going on with the old", F_STR("reason", error.message));
    }
}

static void on_watch(uv_timer_t *timer) {
    struct daemon *daemon = timer->data;
    if (tls_files_changed(daemon->tls)) {
        reload_tls(daemon);
    }
}

// Caught without certificates, too: SIGHUP must not end the process.
static void on_hangup(uv_signal_t *handle, int number) {
    (void)number;
    reload_tls(handle->data);
}

static void watch_certificates(struct daemon *daemon) {
    uv_timer_init(&daemon->loop, &daemon->watch);
    daemon->watch.data = daemon;
    if (daemon->tls != NULL) {
        describe_tls(daemon, "connections are encrypted");
        uv_timer_start(&daemon->watch, on_watch, WATCH_MS, WATCH_MS);
    }
}

// --- actions other than running ---

static int check_config(struct daemon *daemon) {
    const struct batond_options *options = &daemon->options;
    const struct node_config *node = &options->node;
    struct error error = {0};
    if (open_tls(daemon, &error) != OK) {
        return fail(&error);
    }
    if (daemon->tls != NULL) {
        tls_free(daemon->tls);
    }
    printf("configuration is valid: node %s of cluster %s in %s, gRPC on %s, HTTP on %s, data in %s\n", node->node_id.text,
           node->cluster_id.text, node->cloud, node->listen, options->http, node->data_dir);
    return EXIT_SUCCESS;
}

static int check_wal(const char *dir) {
    struct error error = {0};
    struct wal_recovered recovered = {0};
    struct raft_slab *slab = raft_slab_new();
    enum error_code code = wal_check(dir, NULL, slab, &recovered, &error);
    if (code == OK) {
        printf("%s is sound: %zu entries up to index %llu in %llu segments, term %llu", dir, recovered.log.count,
               (unsigned long long)(recovered.log.base.index + recovered.log.count), (unsigned long long)recovered.segments,
               (unsigned long long)recovered.log.hard_state.current_term);
        if (recovered.torn_bytes > 0) {
            printf(
                "; a torn last batch of %llu bytes at %s was never acknowledged and will be overwritten at the next start",
                (unsigned long long)recovered.torn_bytes, recovered.torn_where);
        }
        printf("\n");
    }
    wal_recovered_free(&recovered);
    raft_slab_free(slab);
    return code == OK ? EXIT_SUCCESS : fail(&error);
}

static int dump_wal(const struct batond_options *options) {
    struct error error = {0};
    if (wal_dump(options->wal_dir, NULL, options->dump_to, STDOUT_FILENO, &error) != OK) {
        return fail(&error);
    }
    return EXIT_SUCCESS;
}

// --- running ---

static void on_stopped(void *user, enum error_code failure) {
    struct daemon *daemon = user;
    daemon->failure = failure;
    uv_stop(&daemon->loop);
}

static void on_signal(uv_signal_t *handle, int number) {
    struct daemon *daemon = handle->data;
    if (daemon->leaving) {
        slog(SLOG_WARN, "second signal: exiting at once", F_STR("signal", strsignal(number)));
        uv_stop(&daemon->loop);
        return;
    }
    assert(daemon->node != NULL);
    daemon->leaving = true;
    node_stop(daemon->node);
}

static void watch_signals(struct daemon *daemon) {
    static const struct {
        int number;
        uv_signal_cb handle;
    } signals[SIGNALS] = {{SIGTERM, on_signal}, {SIGINT, on_signal}, {SIGHUP, on_hangup}};
    for (size_t i = 0; i < SIGNALS; i++) {
        uv_signal_init(&daemon->loop, &daemon->signals[i]);
        daemon->signals[i].data = daemon;
        uv_signal_start(&daemon->signals[i], signals[i].handle, signals[i].number);
    }
    signal(SIGPIPE, SIG_IGN);
}

static void close_signals(struct daemon *daemon) {
    for (size_t i = 0; i < SIGNALS; i++) {
        uv_close((uv_handle_t *)&daemon->signals[i], NULL);
    }
}

static void warn_exposed(const struct daemon *daemon, const char *what, const char *address) {
    if (daemon->tls == NULL && !address_is_loopback(address)) {
        slog(SLOG_WARN, "listening beyond this machine in plaintext and without authentication: protect it by a firewall",
             F_STR("service", what), F_STR("address", address));
    }
}

static enum error_code start(struct daemon *daemon, struct error *error) {
    struct batond_options *options = &daemon->options;
    enum error_code code = open_tls(daemon, error);
    if (code != OK) {
        return code;
    }
    options->node.tls = daemon->tls;
    options->node.verbs = all_verbs;
    code = node_start(&daemon->loop, &options->node, daemon->metrics, on_stopped, daemon, &daemon->node, error);
    if (code != OK) {
        return code;
    }
    struct http_options http = {.listen = options->http, .advertise = options->node.advertise_http, .tls = daemon->tls};
    struct http_source source = node_http_source(daemon->node);
    code = http_server_new(&daemon->loop, &http, &source, &daemon->http, error);
    if (code == ERR_IO) {
        error->code = code = ERR_UNAVAILABLE;
    }
    if (code != OK) {
        node_close(daemon->node);
        return code;
    }
    slog(SLOG_INFO, "batond is up", F_STR("version", BATON_VERSION), F_STR("cluster", options->node.cluster_id.text),
         F_STR("cloud", options->node.cloud), F_STR("grpc", node_address(daemon->node)), F_STR("http", options->http));
    warn_exposed(daemon, "gRPC", options->node.listen);
    warn_exposed(daemon, "HTTP", options->http);
    return OK;
}

static void allow_files(void) {
    size_t wanted = CONNECTIONS_SHARE * CONNECTIONS_MAX;
    size_t files = files_raise(wanted);
    if (files < wanted) {
        slog(SLOG_WARN, "few open files are allowed (ulimit -n), so fewer clients can connect", F_U64("files", files),
             F_U64("clients", files_share(CONNECTIONS_SHARE, CONNECTIONS_MAX)), F_U64("wanted", wanted));
    }
}

static int run(struct daemon *daemon) {
    struct error error = {0};
    slog_setup(daemon->options.log_level, daemon->options.log_format, daemon->options.node.node_id.text);
    allow_files();
    uv_loop_init(&daemon->loop);
    daemon->metrics = metrics_new();
    // Before the log is read: a signal that arrives meanwhile is handled when the loop runs.
    watch_signals(daemon);
    enum error_code code = start(daemon, &error);
    if (code == OK) {
        watch_certificates(daemon);
        uv_run(&daemon->loop, UV_RUN_DEFAULT);
        code = daemon->failure;
        uv_close((uv_handle_t *)&daemon->watch, NULL);
        http_server_close(daemon->http, NULL, NULL);
        node_close(daemon->node);
        slog(SLOG_INFO, "stopped", F_STR("result", error_name(code)));
    } else {
        slog(SLOG_ERROR, "cannot start", F_STR("error", error_name(code)), F_STR("reason", error.message));
    }
    close_signals(daemon);
    uv_run(&daemon->loop, UV_RUN_DEFAULT);  // runs the handles' close callbacks
    uv_loop_close(&daemon->loop);
    if (daemon->node != NULL) {
        node_free(daemon->node);
    }
    if (daemon->tls != NULL) {
        tls_free(daemon->tls);
    }
    metrics_free(daemon->metrics);
    return exit_status(code);
}

int main(int argc, char **argv) {
    static struct daemon daemon;
    struct error error = {0};
    if (batond_options_parse(argc, argv, &daemon.options, &error) != OK) {
        return fail(&error);
    }
    switch (daemon.options.action) {
    case BATOND_HELP:
        batond_help(stdout);
        return EXIT_SUCCESS;
    case BATOND_VERSION:
        printf("batond %s\n", BATON_VERSION);
        return EXIT_SUCCESS;
    case BATOND_CHECK_CONFIG:
        return check_config(&daemon);
    case BATOND_CHECK_WAL:
        return check_wal(daemon.options.wal_dir);
    case BATOND_DUMP_WAL:
        return dump_wal(&daemon.options);
    case BATOND_RUN:
        return run(&daemon);
    }
    assert(false);
    return EXIT_FAILURE;
}
