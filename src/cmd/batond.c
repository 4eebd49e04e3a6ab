// batond: one control-plane node. Options, the loop, signals and exit statuses; the rest is in src/node and src/http.
#include <assert.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/address.h"
#include "base/files.h"
#include "base/mem.h"
#include "cmd/batond_options.h"
#include "cmd/certificates.h"
#ifdef BATON_FAULT_INJECTION
#include "cmd/faults.h"
#endif
#include "cmd/offline.h"
#include "cmd/promote.h"
#include "cmd/rebuild.h"
#include "cmd/rejoin.h"
#include "cmd/restore.h"
#include "cmd/supervisor.h"
#include "http/http.h"
#include "verbs/verbs.h"

#ifdef BATON_FAULT_INJECTION
enum { SIGNALS = 5 };
#else
enum { SIGNALS = 3 };
#endif

struct daemon {
    uv_loop_t loop;
    uv_signal_t signals[SIGNALS];
    struct supervisor supervisor;
    struct certificates certificates;
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
    case ERR_SNAP_CORRUPT:
        return EXIT_WAL_DAMAGED;
    case ERR_IO:
    case ERR_NO_SPACE:
    case ERR_BUSY:
        return EXIT_DISK_FAILED;
    case ERR_NO_MEMORY:
        return EXIT_NO_MEMORY;
    case ERR_UNAVAILABLE:
        return EXIT_LISTEN_FAILED;
    case ERR_WAL_VERSION:
    case ERR_UNKNOWN_COMMAND:
        return EXIT_LATER_VERSION;
    default:
        return EXIT_FAILURE;
    }
}

static int fail(const struct error *error) {
    fprintf(stderr, "batond: %s\n", error->message);
    return exit_status(error->code);
}

static enum error_code open_certificates(struct daemon *daemon, struct error *error) {
    const struct batond_options *options = &daemon->options;
    return certificates_open(&daemon->certificates, options->tls ? &options->tls_files : NULL, &options->node.node_id,
                             error);
}

// Caught without certificates, too: SIGHUP must not end the process.
static void on_hangup(uv_signal_t *handle, int number) {
    (void)number;
    certificates_reload(&((struct daemon *)handle->data)->certificates);
}

// --- actions other than running ---

static int check_config(struct daemon *daemon) {
    const struct batond_options *options = &daemon->options;
    const struct node_config *node = &options->node;
    struct error error = {0};
    if (open_certificates(daemon, &error) != OK) {
        return fail(&error);
    }
    certificates_free(&daemon->certificates);
    printf("configuration is valid: node %s of cluster %s in %s, gRPC on %s, HTTP on %s, data in %s\n", node->node_id.text,
           node->cluster_id.text, node->cloud, node->listen, options->http, node->data_dir);
    return EXIT_SUCCESS;
}

// Each asks other nodes.
static int ask_others(struct daemon *daemon) {
    struct error error = {0};
    enum error_code code = open_certificates(daemon, &error);
    struct tls *tls = daemon->certificates.tls;
    if (code == OK) {
        slog_setup(daemon->options.log_level, daemon->options.log_format, daemon->options.node.node_id.text);
        signal(SIGPIPE, SIG_IGN);
        code = daemon->options.action == BATOND_REBUILD ? rebuild(&daemon->options.node, tls, &error)
                                                        : rejoin(&daemon->options.node, tls, &error);
    }
    certificates_free(&daemon->certificates);
    if (code == ERR_UNAVAILABLE) {  // of other nodes, not of an address to listen on
        fail(&error);
        return EXIT_FAILURE;
    }
    return code == OK ? EXIT_SUCCESS : fail(&error);
}

// Looks at the data directory that the options name.
static int inspect(const struct batond_options *options) {
    struct error error = {0};
    enum error_code code = options->action == BATOND_CHECK_WAL ? offline_check(options->wal_dir, &error)
                           : options->action == BATOND_DUMP_WAL
                               ? offline_dump_log(options->wal_dir, options->dump_to, &error)
                               : offline_dump_snapshot(options->wal_dir, options->dump_index, &error);
    return code == OK ? EXIT_SUCCESS : fail(&error);
}

static int promote(const struct batond_options *options) {
    struct error error = {0};
    return promote_survivor(&options->node, options->yes, &error) == OK ? EXIT_SUCCESS : fail(&error);
}

static int restore(const struct batond_options *options) {
    struct error error = {0};
    return restore_backup(options->restore, &options->node, &error) == OK ? EXIT_SUCCESS : fail(&error);
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
        slog(SLOG_WARN, "second-signal", "second signal: exiting at once", F_STR("signal", strsignal(number)));
        uv_stop(&daemon->loop);
        return;
    }
    assert(daemon->node != NULL);
    daemon->leaving = true;
    supervisor_stopping(&daemon->supervisor);
    node_stop(daemon->node);
}

#ifdef BATON_FAULT_INJECTION
static void on_flip(uv_signal_t *handle, int number) {
    (void)number;
    faults_flip_bit(((struct daemon *)handle->data)->node);
}

static void on_misapply(uv_signal_t *handle, int number) {
    (void)number;
    faults_misapply(((struct daemon *)handle->data)->node);
}
#endif

static void watch_signals(struct daemon *daemon) {
    static const struct {
        int number;
        uv_signal_cb handle;
    } signals[SIGNALS] = {
        {SIGTERM, on_signal}, {SIGINT, on_signal},    {SIGHUP, on_hangup},
#ifdef BATON_FAULT_INJECTION
        {SIGUSR1, on_flip},   {SIGUSR2, on_misapply},
#endif
    };
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
    if (daemon->certificates.tls == NULL && !address_is_loopback(address)) {
        slog(SLOG_WARN, "plaintext-exposed",
             "listening beyond this machine in plaintext and without authentication: protect it by a firewall",
             F_STR("service", what), F_STR("address", address));
    }
}

// One that was there is left as it is: what others have read is read, and a volume of Kubernetes has the modes of its pod.
static void warn_readable(const char *data_dir) {
    struct stat found;
    if (stat(data_dir, &found) == 0 && (found.st_mode & S_IRWXO) != 0) {
        char mode[8];
        snprintf(mode, sizeof mode, "%04o", (unsigned)(found.st_mode & 07777));
        slog(SLOG_WARN, "data-exposed", "everybody on this machine may look into the data directory: run chmod o= on it",
             F_STR("directory", data_dir), F_STR("mode", mode));
    }
}

static enum error_code start(struct daemon *daemon, struct error *error) {
    struct batond_options *options = &daemon->options;
    enum error_code code = open_certificates(daemon, error);
    if (code != OK) {
        return code;
    }
    options->node.tls = daemon->certificates.tls;
    options->node.verbs = all_verbs;
    code = node_start(&daemon->loop, &options->node, daemon->metrics, on_stopped, daemon, &daemon->node, error);
    if (code != OK) {
        return code;
    }
    struct http_options http = {
        .listen = options->http, .advertise = options->node.advertise_http, .tls = options->node.tls};
    struct http_source source = node_http_source(daemon->node);
    code = http_server_new(&daemon->loop, &http, &source, &daemon->http, error);
    if (code == ERR_IO) {
        error->code = code = ERR_UNAVAILABLE;
    }
    if (code != OK) {
        node_close(daemon->node);
        return code;
    }
    slog(SLOG_INFO, "up", "batond is up", F_STR("version", BATON_VERSION), F_STR("cluster", options->node.cluster_id.text),
         F_STR("cloud", options->node.cloud), F_STR("grpc", node_address(daemon->node)), F_STR("http", options->http));
    warn_exposed(daemon, "gRPC", options->node.listen);
    warn_exposed(daemon, "HTTP", options->http);
    warn_readable(options->node.data_dir);
    return OK;
}

static void allow_files(void) {
    size_t wanted = CONNECTIONS_SHARE * CONNECTIONS_MAX;
    size_t files = files_raise(wanted);
    if (files < wanted) {
        slog(SLOG_WARN, "few-files", "few open files are allowed (ulimit -n), so fewer clients can connect",
             F_U64("files", files), F_U64("clients", files_share(CONNECTIONS_SHARE, CONNECTIONS_MAX)),
             F_U64("wanted", wanted));
    }
}

static int run(struct daemon *daemon) {
    struct error error = {0};
    slog_setup(daemon->options.log_level, daemon->options.log_format, daemon->options.node.node_id.text);
    slog_keep(LOG_KEPT_BYTES);
    allow_files();
    uv_loop_init(&daemon->loop);
    daemon->metrics = metrics_new();
    // Before the log is read: a signal that arrives meanwhile is handled when the loop runs.
    watch_signals(daemon);
    enum error_code code = start(daemon, &error);
    if (code == OK) {
        certificates_watch(&daemon->certificates, &daemon->loop, daemon->metrics, daemon->node,
                           daemon->options.node.tls_migrate);
        supervisor_start(&daemon->supervisor, &daemon->loop);
        uv_run(&daemon->loop, UV_RUN_DEFAULT);
        code = daemon->failure;
        supervisor_close(&daemon->supervisor);
        certificates_close(&daemon->certificates);
        http_server_close(daemon->http, NULL, NULL);
        node_close(daemon->node);
        slog(SLOG_INFO, "stopped", "stopped", F_STR("result", error_name(code)));
    } else {
        slog(SLOG_ERROR, "start-failed", "cannot start", F_STR("error", error_name(code)), F_STR("reason", error.message));
    }
    close_signals(daemon);
    uv_run(&daemon->loop, UV_RUN_DEFAULT);  // runs the handles' close callbacks
    uv_loop_close(&daemon->loop);
    if (daemon->node != NULL) {
        node_free(daemon->node);
    }
    certificates_free(&daemon->certificates);
    metrics_free(daemon->metrics);
    return exit_status(code);
}

static int act(struct daemon *daemon) {
    switch (daemon->options.action) {
    case BATOND_HELP:
        batond_help(stdout);
        return EXIT_SUCCESS;
    case BATOND_VERSION:
        printf("batond %s\n", BATON_VERSION);
        return EXIT_SUCCESS;
    case BATOND_CHECK_CONFIG:
        return check_config(daemon);
    case BATOND_CHECK_WAL:
    case BATOND_DUMP_WAL:
    case BATOND_DUMP_SNAPSHOT:
        return inspect(&daemon->options);
    case BATOND_REBUILD:
    case BATOND_REJOIN:
        return ask_others(daemon);
    case BATOND_PROMOTE_SURVIVOR:
        return promote(&daemon->options);
    case BATOND_RESTORE:
        return restore(&daemon->options);
    case BATOND_RUN:
        return run(daemon);
    }
    assert(false);
    return EXIT_FAILURE;
}

int main(int argc, char **argv) {
    // glibc's list of small free chunks is tidied at once when a large one is freed, 90 ms after a million were: a loop that
    // owes heartbeats cannot wait for that.
    mallopt(M_MXFAST, 0);
    static struct daemon daemon;
    struct error error = {0};
    if (batond_options_parse(argc, argv, &daemon.options, &error) != OK) {
        return fail(&error);
    }
    int status = act(&daemon);
    batond_options_free(&daemon.options);
    return status;
}
