// batond's flags, a row each, and the rules between them.
#include "cmd/batond_options.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/address.h"
#include "base/array.h"
#include "base/limits.h"
#include "cmd/batond_values.h"
#include "cmd/flags.h"

// What the rows fill.
struct command_line {
    struct batond_options options;
    bool tls_required;
    bool insecure;
    bool check_config;
    bool rebuild;
    bool help;
    bool version;
    const char *config;
    const char *check_wal;
    const char *dump_wal;
    const char *dump_snapshot;
    const char *restore;
    bool promote_survivor;
    bool rejoin;
};

// --- the flags ---

// When a flag is parsed: for every action; to choose the action; for what reads a data directory; to run a node or check its
// flags.
enum group { ALWAYS, ACTION, WAL, NODE };

#define IN(member) offsetof(struct command_line, member)

static const struct flag rows[] = {
    {.help = "identity"},
    {.name = "node-id",
     .argument = "ID",
     .required = true,
     .group = NODE,
     .parse = value_id,
     .offset = IN(options.node.node_id),
     .help = "this node: 1 to 64 of [A-Za-z0-9._-]"},
    {.name = "cluster-id",
     .argument = "ID",
     .required = true,
     .group = NODE,
     .parse = value_id,
     .offset = IN(options.node.cluster_id),
     .help = "the cluster it belongs to"},
    {.name = "cloud",
     .argument = "CLOUD",
     .required = true,
     .group = NODE,
     .parse = value_cloud,
     .offset = IN(options.node.cloud),
     .help = "where it runs: 1 to 16 of [a-z0-9-]"},
    {.name = "data-dir",
     .argument = "DIR",
     .required = true,
     .group = NODE,
     .parse = value_data_dir,
     .offset = IN(options.node.data_dir),
     .help = "its log; created if missing"},

    {.help = "addresses"},
    {.name = "listen",
     .argument = "HOST:PORT",
     .initial = "127.0.0.1:7400",
     .group = NODE,
     .parse = flag_address,
     .offset = IN(options.node.listen),
     .help = "gRPC"},
    {.name = "advertise",
     .argument = "HOST:PORT",
     .same_as = "listen",
     .group = NODE,
     .parse = flag_address,
     .offset = IN(options.node.advertise),
     .help = "where others reach it"},
    {.name = "http",
     .argument = "HOST:PORT",
     .initial = "127.0.0.1:7480",
     .group = NODE,
     .parse = flag_address,
     .offset = IN(options.http),
     .help = "debug pages and metrics"},
    {.name = "advertise-http",
     .argument = "HOST:PORT",
     .same_as = "http",
     .group = NODE,
     .parse = flag_address,
     .offset = IN(options.node.advertise_http),
     .help = "where others reach those"},

    {.help = "bootstrapping a cluster"},
    {.name = "bootstrap",
     .group = NODE,
     .parse = flag_boolean,
     .offset = IN(options.node.bootstrap),
     .help = "if the data directory is empty, start a new cluster of --peers; otherwise ignored.\n"
             "Never for a node that has lost its disk: it could vote twice (docs/operations.md)"},
    {.name = "peers",
     .argument = "LIST",
     .group = NODE,
     .parse = value_peers,
     .offset = IN(options.node),
     .help = "all members, this node included: n1=HOST:PORT/gcp,n2=HOST:PORT/gcp,n3=HOST:PORT/aws"},

    {.help = "TLS, on both ports"},
    {.name = "tls-cert",
     .argument = "FILE",
     .group = NODE,
     .parse = flag_text,
     .offset = IN(options.tls_files.cert),
     .help = "this node's certificate, for baton://node/ID, followed by any intermediate certificates"},
    {.name = "tls-key",
     .argument = "FILE",
     .group = NODE,
     .parse = flag_text,
     .offset = IN(options.tls_files.key),
     .help = "its private key"},
    {.name = "tls-ca",
     .argument = "FILE",
     .group = NODE,
     .parse = flag_text,
     .offset = IN(options.tls_files.ca),
     .help = "the trusted certificate authorities. These files are read again when they change,\n"
             "and on SIGHUP"},
    {.name = "tls-crl",
     .argument = "FILE",
     .group = NODE,
     .parse = flag_text,
     .offset = IN(options.tls_files.crl),
     .help = "refuse the certificates that these authorities' lists revoke: one list of each"},
    {.name = "tls-migrate",
     .group = NODE,
     .parse = flag_boolean,
     .offset = IN(options.node.tls_migrate),
     .help = "accept plaintext on the gRPC port, too, and speak it to nodes without certificates: only until\n"
             "all have them, since who connects in plaintext may do anything"},
    {.name = "tls-required",
     .group = NODE,
     .parse = flag_boolean,
     .offset = IN(tls_required),
     .help = "refuse to start without these"},
    {.name = "shared-worker-certificates",
     .group = NODE,
     .parse = flag_boolean,
     .offset = IN(options.node.shared_worker_certificates),
     .help = "a certificate of baton://worker/w1 is good for any worker id, as in 0.1.0"},
    {.name = "insecure",
     .group = NODE,
     .parse = flag_boolean,
     .offset = IN(insecure),
     .help = "allow plaintext beyond this machine, where anyone who can connect may do anything"},

    {.help = "what one client may take: who shows one certificate, or without TLS comes from one address"},
    {.name = "client-connections",
     .argument = "N",
     .group = NODE,
     .parse = flag_number,
     .least = 1,
     .most = CONNECTIONS_MAX,
     .offset = IN(options.node.client_connections),
     .help = "open connections; by default, with TLS, half of those that this node accepts"},
    {.name = "client-watches",
     .argument = "N",
     .group = NODE,
     .parse = flag_number,
     .least = 1,
     .most = WATCHES_MAX,
     .offset = IN(options.node.client_watches),
     .help = "open Watches and other streams; by default, with TLS, 5000"},
    {.name = "client-calls",
     .argument = "N",
     .group = NODE,
     .parse = flag_number,
     .least = 1,
     .most = 1000000,
     .offset = IN(options.node.client_calls),
     .help = "calls a second; by default without limit"},
    {.name = "client-bytes",
     .argument = "BYTES",
     .group = NODE,
     .parse = flag_bytes,
     .least = 64 * KIB,
     .most = UINT64_C(1) << 40,
     .offset = IN(options.node.client_bytes),
     .help = "of requests a second; by default without limit"},

    {.help = "timing"},
    {.name = "heartbeat-interval",
     .argument = "T",
     .initial = "150ms",
     .group = NODE,
     .parse = flag_duration,
     .offset = IN(options.node.heartbeat_interval_us),
     .help = "at most 300ms"},
    {.name = "election-timeout",
     .argument = "T-T",
     .initial = "300ms-600ms",
     .group = NODE,
     .parse = value_election_timeout,
     .offset = IN(options.node),
     .help = "drawn at random from this range each time; at least two heartbeats"},
    {.name = "lease-reads",
     .group = NODE,
     .parse = flag_boolean,
     .offset = IN(options.node.lease_reads),
     .help = "let the leader read without asking a majority each time, if the clocks of all nodes run at\n"
             "the same rate to within 9 %; give all nodes the same"},

    {.help = "snapshots"},
    {.name = "snapshot-log-bytes",
     .argument = "BYTES",
     .initial = "64MiB",
     .group = NODE,
     .parse = flag_bytes,
     .least = 64 * KIB,
     .most = UINT64_C(1) << 40,
     .offset = IN(options.node.snapshot_log_bytes),
     .help = "take a snapshot each time the log has grown by this, doubled until it is no less than a snapshot"},
    {.name = "snapshot-rate",
     .argument = "BYTES",
     .initial = "64MiB",
     .group = NODE,
     .parse = flag_bytes,
     .least = 64 * KIB,
     .most = UINT64_C(1) << 40,
     .offset = IN(options.node.snapshot_rate),
     .help = "send at most so many bytes of snapshots a second to followers that lag"},
    {.name = "log-retention",
     .argument = "BYTES",
     .initial = "256MiB",
     .group = NODE,
     .parse = flag_bytes,
     .least = 64 * KIB,
     .most = UINT64_C(1) << 40,
     .offset = IN(options.node.log_retention),
     .help = "keep at most so much of the log in memory for followers that lag"},

    {.help = "leader placement"},
    {.name = "placement",
     .argument = "on|off",
     .initial = "on",
     .group = NODE,
     .parse = flag_on_off,
     .offset = IN(options.node.placement),
     .help = "transfer leadership to the node that commits markedly faster"},
    {.name = "leader-cloud",
     .argument = "CLOUD",
     .group = NODE,
     .parse = value_cloud,
     .offset = IN(options.node.leader_cloud),
     .help = "prefer a leader in this cloud; give all nodes the same"},

    {.help = "logging"},
    {.name = "log-level",
     .argument = "LEVEL",
     .initial = "info",
     .group = ALWAYS,
     .parse = value_log_level,
     .offset = IN(options.log_level),
     .help = "debug, info, warn or error"},
    {.name = "log-format",
     .argument = "FORMAT",
     .initial = "logfmt",
     .group = ALWAYS,
     .parse = value_log_format,
     .offset = IN(options.log_format),
     .help = "logfmt or json"},
    {.name = "audit-log",
     .argument = "FILE",
     .group = NODE,
     .parse = flag_text,
     .offset = IN(options.node.audit_log),
     .help = "append a line for each change that a client asks for, and its outcome; - for standard error"},

    {.help = "on the command line only"},
    {.name = "config",
     .argument = "FILE",
     .command_line_only = true,
     .group = ALWAYS,
     .parse = flag_text,
     .offset = IN(config),
     .help = "lines such as BATON_NODE_ID=n1, as of systemd's EnvironmentFile; for what neither the command\n"
             "line nor the environment says"},

    {.help = "instead of starting, on the command line only"},
    {.name = "check-config",
     .command_line_only = true,
     .group = ACTION,
     .parse = flag_boolean,
     .offset = IN(check_config),
     .help = "check all options and exit"},
    {.name = "check-wal",
     .argument = "DIR",
     .command_line_only = true,
     .group = ACTION,
     .parse = flag_text,
     .offset = IN(check_wal),
     .help = "verify the log and the snapshots in a data directory; exits with 3 and names file, line and\n"
             "reason if one is damaged"},
    {.name = "dump-wal",
     .argument = "DIR",
     .command_line_only = true,
     .group = ACTION,
     .parse = flag_text,
     .offset = IN(dump_wal),
     .help = "print its entries: the same bytes on every node"},
    {.name = "to",
     .argument = "INDEX",
     .command_line_only = true,
     .group = WAL,
     .parse = value_index,
     .offset = IN(options.dump_to),
     .help = "the last entry that --dump-wal prints"},
    {.name = "dump-snapshot",
     .argument = "DIR",
     .command_line_only = true,
     .group = ACTION,
     .parse = flag_text,
     .offset = IN(dump_snapshot),
     .help = "print the records of the newest whole snapshot, for jq"},
    {.name = "index",
     .argument = "INDEX",
     .command_line_only = true,
     .group = WAL,
     .parse = value_index,
     .offset = IN(options.dump_index),
     .help = "the snapshot that --dump-snapshot prints instead"},
    {.name = "rebuild",
     .command_line_only = true,
     .group = ACTION,
     .parse = flag_boolean,
     .offset = IN(rebuild),
     .help = "with the flags of a node that is stopped: fetch its state from another node, and drop its\n"
             "own snapshots; the log stays (docs/operations.md)"},
    {.name = "restore",
     .argument = "FILE",
     .command_line_only = true,
     .group = ACTION,
     .parse = flag_text,
     .offset = IN(restore),
     .help = "with a node's flags and --peers: fill the empty data directory from a backup, as every node\n"
             "of a new cluster begins that continues it"},

    {.help = "instead of starting, with a node's flags: when a majority is lost for good (docs/operations.md)"},
    {.name = "promote-survivor",
     .command_line_only = true,
     .group = ACTION,
     .parse = flag_boolean,
     .offset = IN(promote_survivor),
     .help = "on the one node that is left: found the cluster's next generation with it alone"},
    {.name = "rejoin",
     .command_line_only = true,
     .group = ACTION,
     .parse = flag_boolean,
     .offset = IN(rejoin),
     .help = "on a node of the generation before: keep what only it has in a file, and begin anew, empty;\n"
             "--peers names a node of the new generation"},
    {.name = "yes",
     .command_line_only = true,
     .group = ACTION,
     .parse = flag_boolean,
     .offset = IN(options.yes),
     .help = "do not ask"},

    {.help = "about batond"},
    {.name = "help",
     .command_line_only = true,
     .group = ACTION,
     .parse = flag_boolean,
     .offset = IN(help),
     .help = "print this"},
    {.name = "version",
     .command_line_only = true,
     .group = ACTION,
     .parse = flag_boolean,
     .offset = IN(version),
     .help = "print the version"},
};

static_assert(ARRAY_COUNT(rows) <= FLAGS_MAX, "flags_read has room for them");

const struct flag_table batond_flags = {
    .program = "batond", .environment_prefix = "BATON_", .config = "config", .rows = rows, .count = ARRAY_COUNT(rows)};

void batond_help(FILE *out) {
    fputs(
        "usage: batond --node-id ID --cluster-id ID --cloud CLOUD --data-dir DIR [option ...]\n"
        "       batond --check-wal DIR | --dump-wal DIR [--to INDEX] | --dump-snapshot DIR [--index INDEX]\n"
        "       batond --restore FILE --peers LIST (and the four above)\n"
        "\n"
        "Runs a node of a baton control plane. What the command line does not say, the environment may: --node-id as\n"
        "BATON_NODE_ID, and so on; what neither says, the file of --config, with the same names; else the default counts.\n"
        "\n",
        out);
    flags_print(&batond_flags, out);
    fputs("\n"
          "exit status: 0 stopped in order, 2 bad option or another node's data directory, 3 log or snapshot damaged, 4 "
          "disk failed,\n"
          "             5 out of memory, 6 cannot listen, 7 the log is of a later version, or level\n",
          out);
}

// --- rules between flags ---

// `needed_by`: a flag that means nothing without them; NULL: none is given.
static enum error_code check_peers(const struct setting *setting, const struct node_config *config, const char *needed_by,
                                   struct error *error) {
    if (setting->text == NULL) {
        return needed_by == NULL
                   ? OK
                   : error_set(error, ERR_INVALID, "%s needs %s, the list of all members", needed_by, setting->source);
    }
    const struct wire_member *self = NULL;
    for (size_t i = 0; i < config->peer_count; i++) {
        const struct wire_member *member = &config->peers[i];
        if (raft_id_equal(&member->id, &config->node_id)) {
            self = member;
        }
        for (size_t j = 0; j < i; j++) {
            if (raft_id_equal(&member->id, &config->peers[j].id)) {
                return error_set(error, ERR_INVALID, "%s names %s twice", setting->source, member->id.text);
            }
            if (strcmp(member->address, config->peers[j].address) == 0) {
                return error_set(error, ERR_INVALID, "%s gives %s and %s the same address %s", setting->source,
                                 config->peers[j].id.text, member->id.text, member->address);
            }
        }
    }
    if (self == NULL) {
        return error_set(error, ERR_INVALID, "%s does not name this node, %s; it lists all members", setting->source,
                         config->node_id.text);
    }
    if (strcmp(self->address, config->advertise) != 0) {
        return error_set(error, ERR_INVALID, "%s gives this node the address %s, but it advertises %s; make them agree",
                         setting->source, self->address, config->advertise);
    }
    if (strcmp(self->cloud, config->cloud) != 0) {
        return error_set(error, ERR_INVALID, "%s puts this node into %s, but --cloud is %s; make them agree",
                         setting->source, self->cloud, config->cloud);
    }
    return OK;
}

static enum error_code check_addresses(const struct node_config *config, struct error *error) {
    enum error_code code = address_refuse_wildcard(slice_of_str(config->advertise), "--advertise", error);
    return code != OK ? code : address_refuse_wildcard(slice_of_str(config->advertise_http), "--advertise-http", error);
}

static enum error_code check_tls(struct command_line *line, struct error *error) {
    struct batond_options *options = &line->options;
    enum error_code code = tls_files_check(&options->tls_files, line->tls_required, &options->tls, error);
    if (code == OK && options->node.tls_migrate && line->tls_required) {
        return error_set(error, ERR_INVALID,
                         "--tls-required forbids plaintext, and --tls-migrate accepts it: give one of them");
    }
    if (code == OK && options->node.tls_migrate && !options->tls) {
        return error_set(error, ERR_INVALID,
                         "--tls-migrate moves a cluster to TLS; give --tls-cert, --tls-key and --tls-ca");
    }
    if (code != OK || options->tls || line->insecure) {
        return code;
    }
    const char *exposed = !address_is_loopback(options->node.listen) ? options->node.listen
                          : !address_is_loopback(options->http)      ? options->http
                                                                     : NULL;
    if (exposed != NULL) {
        return error_set(
            error, ERR_INVALID,
            "other machines could reach %s in plaintext and do anything; give --tls-cert, --tls-key and --tls-ca, or "
            "--insecure",
            exposed);
    }
    return OK;
}

static enum error_code check_timing(const struct setting *heartbeat, const struct setting *election,
                                    const struct node_config *config, struct error *error) {
    if (config->heartbeat_interval_us * 2 > config->election_timeout_min_us) {
        return error_set(error, ERR_INVALID,
                         "%s: the shortest election timeout must be at least twice the heartbeat interval (%s), or one lost "
                         "heartbeat causes an election",
                         election->source, heartbeat->source);
    }
    if (config->heartbeat_interval_us * 2 > QUORUM_TIMEOUT_US) {
        return error_set(error, ERR_INVALID,
                         "%s is \"%s\"; allowed is at most %" PRIu64
                         "ms: a leader steps down when it has had no answer for %" PRIu64 " ms",
                         heartbeat->source, heartbeat->text, QUORUM_TIMEOUT_US / 2 / US_PER_MS,
                         QUORUM_TIMEOUT_US / US_PER_MS);
    }
    return OK;
}

static enum error_code parse_node(const struct setting *settings, struct command_line *line, struct error *error) {
    const struct node_config *config = &line->options.node;
    enum error_code code = flags_parse(&batond_flags, settings, NODE, line, error);
    const char *needs_peers = line->restore != NULL ? "--restore" : config->bootstrap ? "--bootstrap" : NULL;
    if (code == OK) {
        code = check_addresses(config, error);
    }
    if (code == OK) {
        code = check_tls(line, error);
    }
    if (code == OK) {
        code = check_peers(flags_setting(&batond_flags, settings, "peers"), config, needs_peers, error);
    }
    if (code == OK) {
        code = check_timing(flags_setting(&batond_flags, settings, "heartbeat-interval"),
                            flags_setting(&batond_flags, settings, "election-timeout"), config, error);
    }
    return code;
}

// --- all of it ---

static enum batond_action action_of(const struct command_line *line) {
    return line->help                    ? BATOND_HELP
           : line->version               ? BATOND_VERSION
           : line->check_wal != NULL     ? BATOND_CHECK_WAL
           : line->dump_wal != NULL      ? BATOND_DUMP_WAL
           : line->dump_snapshot != NULL ? BATOND_DUMP_SNAPSHOT
           : line->restore != NULL       ? BATOND_RESTORE
           : line->promote_survivor      ? BATOND_PROMOTE_SURVIVOR
           : line->rejoin                ? BATOND_REJOIN
           : line->check_config          ? BATOND_CHECK_CONFIG
           : line->rebuild               ? BATOND_REBUILD
                                         : BATOND_RUN;
}

static enum error_code parse_action(const struct setting *settings, struct command_line *line, struct error *error) {
    struct batond_options *options = &line->options;
    options->action = action_of(line);
    switch (options->action) {
    case BATOND_HELP:
    case BATOND_VERSION:
        return OK;
    case BATOND_CHECK_WAL:
    case BATOND_DUMP_WAL:
    case BATOND_DUMP_SNAPSHOT:
        options->wal_dir = options->action == BATOND_CHECK_WAL  ? line->check_wal
                           : options->action == BATOND_DUMP_WAL ? line->dump_wal
                                                                : line->dump_snapshot;
        return flags_parse(&batond_flags, settings, WAL, line, error);
    case BATOND_RESTORE:
        options->restore = line->restore;
        break;
    case BATOND_PROMOTE_SURVIVOR:
    case BATOND_REJOIN:
    case BATOND_CHECK_CONFIG:
    case BATOND_REBUILD:
    case BATOND_RUN:
        break;
    }
    return parse_node(settings, line, error);
}

enum error_code batond_options_parse(int argc, char **argv, struct batond_options *options, struct error *error) {
    struct setting settings[ARRAY_COUNT(rows)];
    struct command_line line = {.help = false};
    enum error_code code = flags_read(&batond_flags, argc, argv, &line.options.config, settings, error);
    if (code == OK) {
        code = flags_parse(&batond_flags, settings, ALWAYS, &line, error);
    }
    if (code == OK) {
        code = flags_parse(&batond_flags, settings, ACTION, &line, error);
    }
    if (code == OK) {
        code = parse_action(settings, &line, error);
    }
    if (code == OK) {
        flags_describe(&batond_flags, settings, &line.options.settings);
        buf_append(&line.options.settings, "", 1);
        line.options.node.settings = (const char *)line.options.settings.data;
    } else {
        config_file_free(&line.options.config);
    }
    *options = line.options;
    return code;
}

void batond_options_free(struct batond_options *options) {
    config_file_free(&options->config);
    buf_free(&options->settings);
}
